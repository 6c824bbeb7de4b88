import * as ag from '../../lib/autograd/index.js';
import type { Tensor } from '../../lib/autograd/index.js';
import { checkGradient, leaf } from '../helpers/gradients.js';
import { onEveryIsa } from '../helpers/isa.js';

/** Away from a corner at 0, from 0.3 on either side. */
const apart = (x: number): number => x + Math.sign(x) * 0.3;
const positive = (x: number): number => Math.abs(x) + 0.5;

const unary: Record<string, [(x: Tensor) => Tensor, ((x: number) => number)?]> = {
  exp: [ag.exp],
  log: [ag.log, positive],
  sqrt: [ag.sqrt, positive],
  square: [ag.square],
  abs: [ag.abs, apart],
  neg: [ag.neg],
  sign: [ag.sign, apart],
  relu: [ag.relu, apart],
  gelu: [ag.gelu],
  'gelu tanh': [(x) => ag.gelu(x, 'tanh')],
  silu: [ag.silu],
  sigmoid: [ag.sigmoid],
  tanh: [ag.tanh],
  softplus: [ag.softplus],
  elu: [(x) => ag.elu(x, 0.7), apart],
  'pow 3': [(x) => ag.pow(x, 3)],
  'pow -1.5': [(x) => ag.pow(x, -1.5), positive],
  clamp: [(x) => ag.clamp(x, -0.25, 0.25), apart],
  'add number': [(x) => ag.add(2, ag.add(x, 3))],
  'sub number': [(x) => ag.sub(2, ag.sub(x, 3))],
  'mul number': [(x) => ag.mul(2, ag.mul(x, -3))],
  'div number': [(x) => ag.div(ag.div(x, 3), 2)],
  'number div': [(x) => ag.div(2, x), positive],
  'max number': [(x) => ag.maximum(x, 0), apart],
};

const binary: Record<string, (a: Tensor, b: Tensor) => Tensor> = {
  add: ag.add,
  sub: ag.sub,
  mul: ag.mul,
  div: ag.div,
  maximum: ag.maximum,
  minimum: ag.minimum,
};

const pairs: [number[], number[]][] = [
  [
    [3, 5],
    [3, 5],
  ],
  [[4, 17], [17]],
  [[17], [4, 17]],
  [
    [2, 3, 5],
    [3, 1],
  ],
  [
    [2, 1, 5],
    [1, 3, 1],
  ],
  [[3, 5], []],
  [[0, 5], [5]],
  [
    [3, 1],
    [1, 0],
  ],
];

describe('gradients against central differences', () => {
  onEveryIsa(() => {
    test.each(Object.entries(unary))('%s', (_, [op, map]) => {
      for (const shape of [[3, 7], [33], [0, 4], []]) checkGradient(op, [leaf(shape, 1, map)]);
    });

    test.each(Object.entries(binary))('%s, broadcast', (name, op) => {
      pairs.forEach(([a, b], i) => {
        checkGradient(op, [leaf(a, 2 * i), leaf(b, 2 * i + 1, name === 'div' ? positive : undefined)]);
      });
    });

    test('where', () => {
      const mask = ag.tensor([[1], [0], [2]], { dtype: 'f64' });
      const masks: Record<string, Tensor> = { f64: mask, f32: ag.tensor([[1], [0], [2]]) };
      checkGradient((a, b) => ag.where(masks[a.dtype], a, b), [leaf([3, 4], 1), leaf([2, 1, 4], 2)]);
    });

    test('broadcastTo', () => {
      checkGradient((x) => ag.broadcastTo(x, [4, 3, 5]), [leaf([3, 1], 1)]);
      checkGradient((x) => ag.broadcastTo(x, [3, 0]), [leaf([3, 1], 1)]);
    });

    test.each([
      [[3, 4, 5], undefined],
      [[3, 4, 5], 0],
      [[3, 4, 5], 1],
      [[3, 4, 5], -1],
      [
        [3, 4, 5],
        [0, 2],
      ],
      [
        [3, 4, 5],
        [1, 2],
      ],
      [[70, 35], 0],
      [[2, 300], 1],
      [[7], []],
    ] as [number[], number | number[] | undefined][])('reductions of %j over %j', (shape, axis) => {
      for (const op of [ag.sum, ag.mean, ag.max, ag.min, ag.logSumExp, ag.variance])
        for (const keepDims of [false, true])
          checkGradient((x) => op(x, axis, { keepDims }), [leaf(shape, 5)]);
    });

    test('reductions of nothing', () => {
      checkGradient((x) => ag.sum(x), [leaf([0, 3], 1)]);
      checkGradient((x) => ag.sum(x, 0), [leaf([0, 3], 1)]);
      checkGradient((x) => ag.max(x, 1), [leaf([0, 3], 1)]);
      expect([...ag.logSumExp(leaf([2, 0], 1), 1).data]).toEqual([-Infinity, -Infinity]);
    });

    test('cumsum', () => {
      for (const axis of [0, 1, 2]) checkGradient((x) => ag.cumsum(x, axis), [leaf([3, 4, 5], 1)]);
    });

    test('shapes', () => {
      checkGradient((x) => ag.reshape(x, [5, -1]), [leaf([3, 5], 1)]);
      checkGradient((x) => ag.transpose(x), [leaf([19, 35], 1)]);
      checkGradient((x) => ag.transpose(x, [2, 0, 3, 1]), [leaf([2, 3, 4, 5], 1)]);
      checkGradient((x) => ag.transpose(x, [0, 2, 1, 3]), [leaf([2, 3, 4, 5], 1)]);
      checkGradient((x) => ag.transpose(x), [leaf([0, 5], 1)]);
      for (const axis of [0, 1, 2]) {
        checkGradient(
          (a, b) => ag.concat([a, b, a], axis),
          [leaf([2, 3, 4], 1), leaf([2, 3, 4].with(axis, 1), 2)],
        );
        checkGradient((x) => ag.slice(x, axis, 1, -1), [leaf([3, 4, 5], 1)]);
        checkGradient((x) => ag.split(x, [1, 0, 4], axis)[2], [leaf([5, 5, 5], 1)]);
        checkGradient(
          (x) => {
            const [a, b] = ag.split(x, 2, axis);
            return ag.mul(a, b);
          },
          [leaf([4, 4, 4], 1)],
        );
        checkGradient((a, b) => ag.stack([a, b], axis), [leaf([3, 4], 1), leaf([3, 4], 2)]);
      }
    });

    test('indices', () => {
      const indices = Int32Array.of(2, 0, 2, 1);
      for (const axis of [0, 1, 2]) {
        checkGradient((x) => ag.gather(x, axis, indices), [leaf([3, 4, 5], 1)]);
        checkGradient(
          (x, source) => ag.scatterAdd(x, axis, indices, source),
          [leaf([3, 4, 9], 1), leaf([3, 4, 9].with(axis, 4), 2)],
        );
      }
      checkGradient((w) => ag.embedding(w, indices, [2, 2]), [leaf([3, 20], 1)]);
      checkGradient((w) => ag.embedding(w, new Int32Array(0)), [leaf([3, 20], 1)]);
      checkGradient((x) => ag.topK(x, 3).values, [leaf([4, 9], 1)]);
      checkGradient(
        (x) => ag.dropout(x, 0.4, { seed: 3 }),
        [leaf([4, 1], 1)].map((x) => ag.tensor(x.data, { shape: [4, 1], requiresGrad: true })),
        { difference: 2e-7, single: 10 },
      );
    });

    test('products', () => {
      const shapes: [number[], number[]][] = [
        [
          [3, 5],
          [5, 4],
        ],
        [
          [2, 3, 5],
          [5, 4],
        ],
        [
          [3, 5],
          [2, 5, 4],
        ],
        [
          [2, 1, 3, 5],
          [4, 5, 2],
        ],
        [
          [2, 3, 5],
          [2, 5, 1],
        ],
        [
          [0, 3, 5],
          [5, 4],
        ],
        [
          [3, 0],
          [0, 4],
        ],
        [
          [2, 3, 5],
          [1, 5, 4],
        ],
      ];
      for (const [a, b] of shapes)
        for (const transposeA of [false, true])
          for (const transposeB of [false, true]) {
            const turned = (shape: number[], yes: boolean): number[] =>
              yes ? [...shape.slice(0, -2), ...shape.slice(-2).reverse()] : shape;
            checkGradient(
              (x, y) => ag.matmul(x, y, { transposeA, transposeB }),
              [leaf(turned(a, transposeA), 1), leaf(turned(b, transposeB), 2)],
            );
          }
      checkGradient(ag.linear, [leaf([2, 3, 5], 1), leaf([4, 5], 2), leaf([4], 3)]);
      checkGradient(ag.linear, [leaf([7, 5], 1), leaf([4, 5], 2)]);
      checkGradient(ag.linear, [leaf([0, 5], 1), leaf([4, 5], 2), leaf([4], 3)]);
    });

    test('softmax', () => {
      for (const axis of [0, 1, -1])
        for (const op of [ag.softmax, ag.logSoftmax])
          checkGradient((x) => op(x, { axis }), [leaf([3, 4, 37], 1)]);
      for (const shape of [
        [2, 5, 5],
        [3, 7],
        [7, 3],
        [1, 40],
        [2, 0, 3],
      ])
        checkGradient((x) => ag.softmax(x, { causal: true }), [leaf(shape, 1)]);
    });

    test('cross-entropy', () => {
      const targets = Int32Array.of(1, 4, -100, 0);
      for (const reduction of ['mean', 'sum', 'none'] as const)
        for (const labelSmoothing of [0, 0.1])
          checkGradient(
            (x) => ag.crossEntropy(x, targets, { reduction, labelSmoothing }),
            [leaf([2, 2, 5], 1)],
          );
      for (const labelSmoothing of [0, 0.1])
        checkGradient(
          (x) => ag.crossEntropy(x, new Int32Array(0), { reduction: 'sum', labelSmoothing }),
          [leaf([0, 5], 1)],
        );
      expect(ag.crossEntropy(leaf([1, 5], 1), Int32Array.of(-100)).item()).toBeNaN();
    });

    test('norms', () => {
      for (const shape of [
        [3, 5],
        [70, 33],
        [2, 3, 16],
        [0, 4],
      ]) {
        const cols = shape[shape.length - 1];
        checkGradient((x, w, b) => ag.layerNorm(x, w, b), [leaf(shape, 1), leaf([cols], 2), leaf([cols], 3)]);
        checkGradient((x, b) => ag.layerNorm(x, undefined, b), [leaf(shape, 1), leaf([cols], 3)]);
        checkGradient((x, w) => ag.rmsNorm(x, w), [leaf(shape, 1), leaf([cols], 2)]);
        checkGradient((x) => ag.rmsNorm(x), [leaf(shape, 1)]);
        checkGradient((x) => ag.l2Normalize(x), [leaf(shape, 1)]);
        checkGradient((x) => ag.l2Normalize(x, 0), [leaf(shape, 1)]);
      }
    });

    test('attention', () => {
      for (const causal of [false, true])
        for (const [queries, keys] of [
          [5, 5],
          [3, 7],
          [7, 3],
          [70, 70],
          [1, 0],
          [0, 2],
        ])
          checkGradient(
            (q, k, v) => ag.scaledDotProductAttention(q, k, v, { causal }),
            [leaf([1, 2, queries, 3], 1), leaf([1, 2, keys, 3], 2), leaf([1, 2, keys, 2], 3)],
          );
      for (const causal of [false, true])
        checkGradient((x) => ag.packedAttention(x, 2, { causal }), [leaf([2, 9, 18], 1)]);
    });
  });
});
