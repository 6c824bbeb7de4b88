import * as ag from '../../lib/autograd/index.js';
import type { Tensor } from '../../lib/autograd/index.js';
import { expectClose } from '../helpers/compare.js';
import { leaf } from '../helpers/gradients.js';
import { onEveryIsa } from '../helpers/isa.js';

/** The normal distribution by a series whose terms are all of one sign: exact to 1e-16, beside 1. */
function normalBelow(x: number): number {
  let [term, sum] = [x, x];
  for (let k = 1; k < 200; k++) {
    term *= (x * x) / (2 * k + 1);
    sum += term;
  }
  return 0.5 + (Math.exp((-x * x) / 2) * sum) / Math.sqrt(2 * Math.PI);
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const formulas: Record<string, [(x: Tensor) => Tensor, (x: number) => number]> = {
  exp: [ag.exp, Math.exp],
  log: [(x) => ag.log(ag.abs(x)), (x) => Math.log(Math.abs(x))],
  sqrt: [(x) => ag.sqrt(ag.abs(x)), (x) => Math.sqrt(Math.abs(x))],
  square: [ag.square, (x) => x * x],
  abs: [ag.abs, Math.abs],
  neg: [ag.neg, (x) => -x],
  sign: [ag.sign, Math.sign],
  relu: [ag.relu, (x) => Math.max(x, 0)],
  gelu: [ag.gelu, (x) => x * normalBelow(x)],
  'gelu tanh': [
    (x) => ag.gelu(x, 'tanh'),
    (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  ],
  silu: [ag.silu, (x) => x * sigmoid(x)],
  sigmoid: [ag.sigmoid, sigmoid],
  tanh: [ag.tanh, Math.tanh],
  softplus: [ag.softplus, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))],
  elu: [(x) => ag.elu(x, 0.7), (x) => (x > 0 ? x : 0.7 * Math.expm1(x))],
  pow: [(x) => ag.pow(x, 3), (x) => x ** 3],
  clamp: [(x) => ag.clamp(x, -1, 0.5), (x) => Math.min(Math.max(x, -1), 0.5)],
  'number - x': [(x) => ag.sub(2, x), (x) => 2 - x],
  'number / x': [(x) => ag.div(2, x), (x) => 2 / x],
};

const points = [0, -0, 1e-6, -1e-6, 0.1, -0.2, 0.26, -1, 1.5, 3, -4.5, 5.7, -5.9];

describe('values against plain formulas', () => {
  onEveryIsa(() => {
    test.each(Object.entries(formulas))('%s', (_, [op, formula]) => {
      for (const [dtype, relative] of [
        ['f64', 1e-14],
        ['f32', 6e-7],
      ] as const) {
        const x = ag.tensor(points, { dtype });
        const expected = Array.from(x.data, formula);
        // exact gelu of float32 errs by 1e-7 |x|, the rest relative to its value
        expectClose(
          op(x).data,
          expected,
          (i, y) => relative * (Math.abs(y) + Math.abs(points[i])) + 1e-300,
          dtype,
        );
      }
    });

    test('far from the middle nothing overflows', () => {
      const x = ag.tensor([-Infinity, -1e4, -110, 110, 1e4, Infinity], { requiresGrad: true });
      const values = (y: Tensor): number[] => [...y.data];
      expect(values(ag.exp(x))).toEqual([0, 0, expect.closeTo(0, 20), Infinity, Infinity, Infinity]);
      expect(values(ag.sigmoid(x))).toEqual([0, 0, expect.closeTo(0, 20), 1, 1, 1]);
      expect(values(ag.tanh(x))).toEqual([-1, -1, -1, 1, 1, 1]);
      expect(values(ag.softplus(x)).slice(1)).toEqual([0, expect.closeTo(0, 20), 110, 1e4, Infinity]);
      for (const op of [ag.gelu, ag.silu, ag.softplus, (t: Tensor) => ag.gelu(t, 'tanh')]) {
        const inner = ag.slice(x, 0, 1, 5);
        const slopes = [...ag.grad(ag.sum(op(inner)), [inner])[0].data];
        [0, 0, 1, 1].forEach((slope, i) => expect(slopes[i]).toBeCloseTo(slope, 6));
      }
      const nothing = ag.tensor([NaN]);
      for (const op of [ag.exp, ag.sigmoid, ag.tanh, ag.gelu, ag.silu, ag.sign])
        expect(op(nothing).item()).toBeNaN();
      for (const op of [ag.maximum, ag.minimum]) {
        expect(op(nothing, 1).item()).toBeNaN();
        expect(op(1, nothing).item()).toBeNaN();
      }
    });

    test('broadcasting', () => {
      const [a, b] = [leaf([2, 1, 3], 1), leaf([4, 1], 2)];
      for (const [op, formula] of [
        [ag.add, (x: number, y: number) => x + y],
        [ag.sub, (x: number, y: number) => x - y],
        [ag.mul, (x: number, y: number) => x * y],
        [ag.div, (x: number, y: number) => x / y],
        [ag.maximum, Math.max],
        [ag.minimum, Math.min],
      ] as const) {
        const y = op(a, b);
        expect(y.shape).toEqual([2, 4, 3]);
        const expected = Array.from({ length: 24 }, (_, i) =>
          formula(a.data[Math.floor(i / 12) * 3 + (i % 3)], b.data[Math.floor(i / 3) % 4]),
        );
        expectClose(y.data, expected, () => 0);
      }
      const mask = ag.tensor([[1], [0]], { dtype: 'f64' });
      const chosen = ag.where(mask, ag.tensor([1, NaN], { dtype: 'f64' }), -1);
      expect([...chosen.data]).toEqual([1, NaN, -1, -1]);
      expect([...ag.broadcastTo(ag.tensor([[1], [2]]), [2, 2]).data]).toEqual([1, 1, 2, 2]);
    });

    test('reductions', () => {
      const x = leaf([3, 4, 5], 1);
      const along = (combine: (values: number[]) => number): number[] =>
        Array.from({ length: 15 }, (_, i) =>
          combine(Array.from({ length: 4 }, (__, j) => x.data[Math.floor(i / 5) * 20 + j * 5 + (i % 5)])),
        );
      const total = (v: number[]): number => v.reduce((s, e) => s + e, 0);
      const mean = (v: number[]): number => total(v) / v.length;
      const spread = (v: number[]): number => total(v.map((e) => (e - mean(v)) ** 2));
      for (const [y, combine] of [
        [ag.sum(x, 1), total],
        [ag.mean(x, -2), mean],
        [ag.max(x, 1), (v: number[]) => Math.max(...v)],
        [ag.min(x, 1), (v: number[]) => Math.min(...v)],
        [ag.variance(x, 1), (v: number[]) => spread(v) / 4],
        [ag.variance(x, 1, { correction: 1 }), (v: number[]) => spread(v) / 3],
        [ag.logSumExp(x, 1), (v: number[]) => Math.log(total(v.map(Math.exp)))],
      ] as const)
        expectClose(y.data, along(combine), () => 1e-14);
      expect(ag.sum(x).item()).toBeCloseTo(total([...x.data]), 12);
      expect(ag.sum(x, [0, 2], { keepDims: true }).shape).toEqual([1, 4, 1]);
      expect([...ag.cumsum(ag.tensor([[1, 2, 3]]), 1).data]).toEqual([1, 3, 6]);
      expect(ag.max(ag.tensor([1, NaN, 2])).item()).toBeNaN();
      expect([...ag.logSumExp(ag.tensor([[-Infinity, -Infinity]]), 1).data]).toEqual([-Infinity]);
      // A million small terms: float32 added up one by one would be off by 1e-3.
      expect(ag.mean(ag.full([2 ** 20], 0.1)).item()).toBeCloseTo(0.1, 6);
      expect(ag.mean(ag.full([2 ** 18, 3], 0.1), 0).data[1]).toBeCloseTo(0.1, 5);
    });

    test('products', () => {
      const [a, b] = [leaf([2, 3, 5], 1), leaf([2, 4, 5], 2)];
      const y = ag.matmul(a, b, { transposeB: true });
      const expected = Array.from({ length: 24 }, (_, i) => {
        const [n, r, c] = [Math.floor(i / 12), Math.floor(i / 4) % 3, i % 4];
        let dot = 0;
        for (let k = 0; k < 5; k++) dot += a.data[n * 15 + r * 5 + k] * b.data[n * 20 + c * 5 + k];
        return dot;
      });
      expectClose(y.data, expected, () => 1e-14);
      const weight = ag.reshape(ag.slice(b, 0, 0, 1), [4, 5]);
      const bias = leaf([4], 3);
      const mapped = ag.linear(ag.reshape(ag.slice(a, 0, 0, 1), [3, 5]), weight, bias);
      expectClose(
        mapped.data,
        expected.slice(0, 12).map((each, i) => each + bias.data[i % 4]),
        () => 1e-14,
      );
    });

    test('softmax and cross-entropy', () => {
      const x = leaf([2, 3, 37], 1);
      const rows = Array.from({ length: 6 }, (_, r) => [...x.data.subarray(r * 37, r * 37 + 37)]);
      const probabilities = (row: number[]): number[] => {
        const terms = row.map(Math.exp);
        const total = terms.reduce((s, e) => s + e, 0);
        return terms.map((each) => each / total);
      };
      expectClose(ag.softmax(x).data, rows.flatMap(probabilities), () => 1e-15);
      expectClose(
        ag.logSoftmax(x).data,
        rows.flatMap((row) => probabilities(row).map(Math.log)),
        () => 1e-14,
      );
      const causal = rows.flatMap((row, r) => {
        const seen = 35 + (r % 3);
        return [...probabilities(row.slice(0, seen)), ...new Array<number>(37 - seen).fill(0)];
      });
      expectClose(ag.softmax(x, { causal: true }).data, causal, () => 1e-15);
      const targets = Int32Array.of(0, 36, -100, 3, 5, 7);
      const losses = rows.map((row, r) => (targets[r] < 0 ? 0 : -Math.log(probabilities(row)[targets[r]])));
      expectClose(ag.crossEntropy(x, targets, { reduction: 'none' }).data, losses, () => 1e-14);
      const total = losses.reduce((s, e) => s + e, 0);
      expect(ag.crossEntropy(x, targets).item()).toBeCloseTo(total / 5, 13);
      expect(ag.crossEntropy(x, targets, { reduction: 'sum' }).item()).toBeCloseTo(total, 12);
      expect([...ag.softmax(ag.tensor([[-Infinity, -Infinity]])).data]).toEqual([0, 0]);
      expect([...ag.softmax(ag.tensor([[1e4, 1e4 - Math.log(3)]])).data][0]).toBeCloseTo(0.75, 3);
    });

    test('norms', () => {
      const [x, w, b] = [leaf([3, 37], 1), leaf([37], 2), leaf([37], 3)];
      const rows = (centered: boolean, affine: boolean): number[] =>
        Array.from({ length: 3 }, (_, r) => {
          const row = [...x.data.subarray(r * 37, r * 37 + 37)];
          const mean = centered ? row.reduce((s, e) => s + e, 0) / 37 : 0;
          const size = Math.sqrt(row.reduce((s, e) => s + (e - mean) ** 2, 0) / 37 + 1e-5);
          return row.map((e, i) => ((e - mean) / size) * w.data[i] + (affine ? b.data[i] : 0));
        }).flat();
      expectClose(ag.layerNorm(x, w, b).data, rows(true, true), () => 1e-14);
      expectClose(ag.rmsNorm(x, w).data, rows(false, false), () => 1e-14);
      const lengths = ag.sum(ag.square(ag.l2Normalize(x)), 1);
      expectClose(lengths.data, [1, 1, 1], () => 1e-13);
    });

    test('attention', () => {
      const [batch, heads, queries, keys, dim] = [2, 2, 40, 43, 3];
      const [q, k, v] = [
        leaf([batch, heads, queries, dim], 1),
        leaf([batch, heads, keys, dim], 2),
        leaf([batch, heads, keys, 2], 3),
      ];
      const composed = (causal: boolean): Tensor =>
        ag.matmul(ag.softmax(ag.mul(ag.matmul(q, k, { transposeB: true }), dim ** -0.5), { causal }), v);
      for (const causal of [false, true])
        expectClose(
          ag.scaledDotProductAttention(q, k, v, { causal }).data,
          composed(causal).data,
          () => 1e-14,
        );
      const packed = leaf([2, 35, 24], 4);
      const [pq, pk, pv] = ag
        .split(ag.reshape(packed, [2, 35, 6, 4]), 3, 2)
        .map((each) => ag.transpose(each, [0, 2, 1, 3]));
      const apart = ag.scaledDotProductAttention(pq, pk, pv, { causal: true });
      const joined = ag.reshape(ag.transpose(apart, [0, 2, 1, 3]), [2, 35, 8]);
      expectClose(ag.packedAttention(packed, 2, { causal: true }).data, joined.data, () => 1e-15);
    });
  });

  test('movement', () => {
    const x = ag.tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([...ag.transpose(x).data]).toEqual([1, 4, 2, 5, 3, 6]);
    expect([...ag.slice(x, 1, -2).data]).toEqual([2, 3, 5, 6]);
    expect(ag.split(x, [1, 2], 1).map((each) => [...each.data])).toEqual([
      [1, 4],
      [2, 3, 5, 6],
    ]);
    expect([...ag.concat([x, x], 1).data]).toEqual([1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]);
    expect(ag.stack([x, x], 1).shape).toEqual([2, 2, 3]);
    expect([...ag.gather(x, 1, Int32Array.of(2, 2, 0)).data]).toEqual([3, 3, 1, 6, 6, 4]);
    expect([...ag.embedding(x, Int32Array.of(1, 0)).data]).toEqual([4, 5, 6, 1, 2, 3]);
    const added = ag.scatterAdd(x, 0, Int32Array.of(1, 1), ag.ones([2, 3]));
    expect([...added.data]).toEqual([1, 2, 3, 6, 7, 8]);
    expect([...ag.oneHot(Int32Array.of(1, 0), 2).data]).toEqual([0, 1, 1, 0]);
    const large = ag.transpose(leaf([70, 50], 1), [1, 0]);
    const source = leaf([70, 50], 1);
    expect(large.data[33 * 70 + 61]).toBe(source.data[61 * 50 + 33]);
    const permuted = ag.transpose(leaf([2, 3, 4, 5], 1), [3, 1, 0, 2]);
    expect(permuted.data[((4 * 3 + 1) * 2 + 1) * 4 + 3]).toBe(
      leaf([2, 3, 4, 5], 1).data[((1 * 3 + 1) * 4 + 3) * 5 + 4],
    );
  });

  test('top k: the largest, the first of equals first, NaN before all', () => {
    const { values, indices } = ag.topK(
      ag.tensor([
        [1, 3, 3, 2, -1],
        [NaN, 0, 5, NaN, 5],
      ]),
      3,
    );
    expect([...values.data]).toEqual([3, 3, 2, NaN, NaN, 5]);
    expect([...indices]).toEqual([1, 2, 3, 0, 3, 2]);
    expect(ag.topK(ag.ones([2, 3]), 0).values.shape).toEqual([2, 0]);
  });

  test('dropout keeps the mean and repeats with its seed', () => {
    const x = ag.ones([10000]);
    const [a, b] = [ag.dropout(x, 0.25, { seed: 1 }), ag.dropout(x, 0.25, { seed: 1 })];
    expect([...a.data]).toEqual([...b.data]);
    expect(ag.mean(a).item()).toBeCloseTo(1, 1);
    expect(new Set(a.data)).toEqual(new Set([0, Math.fround(4 / 3)]));
  });
});
