import {
  adam,
  adamW,
  sgd,
  type AdamOptions,
  type Optimizer,
  type SgdOptions,
} from '../../lib/autograd/optim.js';
import { tensor, type Tensor } from '../../lib/autograd/tensor.js';
import { Philox } from '../../lib/random.js';
import { expectThrown } from '../helpers/refused.js';
import { adamScalar, adamWScalar, sgdScalar } from '../reference/optim.js';

const STEPS = 25;
const start = (seed: number, length = 7) => new Philox(seed).normal(new Float64Array(length));
const gradients = Array.from({ length: STEPS }, (_, t) => start(100 + t));

/** Parameters after each step of an optimizer under the gradients above. */
function run(make: (params: Tensor[]) => Optimizer, float32 = false): number[][] {
  const values = float32 ? Float32Array.from(start(1)) : start(1);
  const x = tensor(values, { requiresGrad: true });
  const optimizer = make([x]);
  return gradients.map((gradient) => {
    x.grad = tensor(float32 ? Float32Array.from(gradient) : gradient);
    optimizer.step();
    return [...x.data];
  });
}

/** The same by a reference of one scalar. */
function expected(reference: (theta: number, gradients: readonly number[]) => number[]): number[][] {
  const columns = [...start(1)].map((theta, i) =>
    reference(
      theta,
      gradients.map((each) => each[i]),
    ),
  );
  return gradients.map((_, t) => columns.map((column) => column[t]));
}

function expectClose(found: number[][], wanted: number[][], tolerance: number): void {
  found.forEach((row, t) =>
    row.forEach((x, i) => expect(Math.abs(x - wanted[t][i])).toBeLessThanOrEqual(tolerance)),
  );
}

const adams: [string, AdamOptions][] = [
  ['defaults', {}],
  ['other constants', { learningRate: 0.1, beta1: 0.5, beta2: 0.9, epsilon: 1e-3 }],
  ['no memory at all', { learningRate: 0.05, beta1: 0, beta2: 0 }],
  ['decay', { learningRate: 0.02, weightDecay: 0.3 }],
];

test.each(adams)('adam is algorithm 1 of Kingma and Ba: %s', (_, o) => {
  const wanted = expected((theta, g) =>
    adamScalar(theta, g, { alpha: o.learningRate, l2: o.weightDecay, ...o }),
  );
  expectClose(
    run((params) => adam(params, o)),
    wanted,
    1e-13,
  );
  expectClose(
    run((params) => adam(params, o), true),
    wanted,
    3e-6,
  );
});

test.each(adams)('adamW is algorithm 2 of Loshchilov and Hutter: %s', (_, o) => {
  const wanted = expected((theta, g) =>
    adamWScalar(theta, g, { alpha: o.learningRate, decay: o.weightDecay, ...o }),
  );
  expectClose(
    run((params) => adamW(params, o)),
    wanted,
    1e-13,
  );
  expectClose(
    run((params) => adamW(params, o), true),
    wanted,
    3e-6,
  );
});

test('the first step of adam is the rate against the sign of the gradient', () => {
  const first = run((params) => adam(params, { learningRate: 0.25, epsilon: 1e-30 }))[0];
  const x = start(1);
  first.forEach((value, i) => expect(value).toBeCloseTo(x[i] - 0.25 * Math.sign(gradients[0][i]), 14));
});

const sgds: [string, SgdOptions][] = [
  ['defaults', {}],
  ['decay', { learningRate: 0.1, weightDecay: 0.2 }],
  ['momentum', { learningRate: 0.1, momentum: 0.9 }],
  ['momentum and decay', { momentum: 0.8, weightDecay: 0.1 }],
  ['nesterov', { learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.05 }],
];

test.each(sgds)("sgd is PyTorch's: %s", (_, o) => {
  const wanted = expected((theta, g) =>
    sgdScalar(theta, g, {
      lr: o.learningRate,
      mu: o.momentum,
      lambda: o.weightDecay,
      nesterov: o.nesterov,
    }),
  );
  expectClose(
    run((params) => sgd(params, o)),
    wanted,
    1e-13,
  );
  expectClose(
    run((params) => sgd(params, o), true),
    wanted,
    3e-6,
  );
});

test('groups have decays and scales of their own', () => {
  const [a, b] = [1, 1].map((x) => tensor(Float64Array.of(x), { requiresGrad: true }));
  const optimizer = sgd(
    [
      { params: { a }, weightDecay: 0 },
      { params: { b }, learningRateScale: 0.5 },
    ],
    { learningRate: 0.1, weightDecay: 1 },
  );
  a.grad = tensor(Float64Array.of(2));
  b.grad = tensor(Float64Array.of(2));
  optimizer.step();
  expect(a.item()).toBeCloseTo(1 - 0.1 * 2, 15);
  expect(b.item()).toBeCloseTo(1 - 0.05 * (2 + 1), 15);
});

test('a tensor under two names moves once; one without a gradient stays, its count as well', () => {
  const [a, b] = [1, 1].map((x) => tensor(Float64Array.of(x), { requiresGrad: true }));
  const optimizer = adam({ a, tied: a, b }, { learningRate: 0.1 });
  a.grad = tensor(Float64Array.of(2));
  optimizer.step();
  expect(a.item()).toBeCloseTo(0.9, 7);
  expect(b.item()).toBe(1);
  expect(optimizer.state().steps).toEqual({ a: 1, b: 0 });
  optimizer.zeroGrad();
  expect(a.grad).toBeUndefined();
});

const all: [string, (params: Tensor[]) => Optimizer][] = [
  ['sgd', (params) => sgd(params, { learningRate: 0.1, momentum: 0.9, nesterov: true })],
  ['adam', (params) => adam(params, { learningRate: 0.01 })],
  ['adamW', (params) => adamW(params, { learningRate: 0.01, weightDecay: 0.1 })],
];

test.each(all)('%s goes on from its state with the same bits', (_, make) => {
  for (const Kind of [Float32Array, Float64Array]) {
    const values = Kind.from(start(1));
    const whole = tensor(values, { requiresGrad: true });
    const optimizer = make([whole]);
    for (const [t, gradient] of gradients.entries()) {
      whole.grad = tensor(Kind.from(gradient));
      if (t === 10) optimizer.learningRate = 0.003;
      optimizer.step();
      if (t !== 10) continue;
      const copy = tensor(whole.data.slice(), { requiresGrad: true });
      const other = make([copy]);
      other.load(optimizer.state());
      expect(other.learningRate).toBe(0.003);
      const resumed = gradients.slice(11).map((each) => {
        copy.grad = tensor(Kind.from(each));
        other.step();
        return [...copy.data];
      });
      const straight = gradients.slice(11).map((each) => {
        whole.grad = tensor(Kind.from(each));
        optimizer.step();
        return [...whole.data];
      });
      expect(resumed).toEqual(straight);
      break;
    }
  }
});

test('a state is a copy', () => {
  const x = tensor(Float64Array.of(1), { requiresGrad: true });
  const optimizer = adam([x]);
  const before = optimizer.state();
  x.grad = tensor(Float64Array.of(1));
  optimizer.step();
  expect(before.arrays['0.mean']).toEqual(Float64Array.of(0));
  expect(before.steps).toEqual({ 0: 0 });
});

test('bad arguments are refused by name', () => {
  const x = tensor(Float64Array.of(1, 2), { requiresGrad: true });
  expectThrown(() => sgd([x], { learningRate: -1 }), 'range', 'learningRate');
  expectThrown(() => sgd([x], { momentum: 1.5 }), 'range', 'momentum');
  expectThrown(() => sgd([x], { nesterov: true }), 'range', 'momentum');
  expectThrown(() => adam([x], { beta1: 1 }), 'range', 'beta1');
  expectThrown(() => adam([x], { beta2: -0.1 }), 'range', 'beta2');
  expectThrown(() => adam([x], { epsilon: 0 }), 'range', 'epsilon');
  expectThrown(() => adamW([x], { weightDecay: NaN }), 'range', 'weightDecay');
  expectThrown(() => adam(3 as never), 'type', 'params');
  expectThrown(() => adam({ w: 3 as never }), 'type', 'params.w');
  expectThrown(() => adam([x, 3 as never]), 'type', 'params[1]');
  expectThrown(() => adam([tensor(Float64Array.of(1))]), 'range', 'params');
  expectThrown(() => adam([{ params: [x] }, { params: { x } }]), 'range', 'params[1].params');
  expectThrown(() => adam([{ params: [x], weightDecay: -1 }]), 'range', 'params[0].weightDecay');
  const y = tensor(Float64Array.of(1), { requiresGrad: true });
  expectThrown(() => adam([{ params: { x } }, { params: { x: y } }]), 'range', 'params[1].params');

  const optimizer = adam([x]);
  expectThrown(() => (optimizer.learningRate = -1), 'range', 'learningRate');
  const state = optimizer.state();
  expectThrown(() => optimizer.load({ ...state, kind: 'sgd' }), 'range', 'state.kind');
  expectThrown(() => optimizer.load({ ...state, steps: {} }), 'type', 'state.steps.0');
  expectThrown(() => optimizer.load({ ...state, arrays: {} }), 'type', 'state.arrays.0.mean');
  const wrong = { ...state.arrays, '0.variance': new Float64Array(3) };
  expectThrown(() => optimizer.load({ ...state, arrays: wrong }), 'range', 'state.arrays.0.variance');
  expectThrown(() => optimizer.load({ ...state, steps: { 0: 1, 1: 1 } }), 'range', 'state');
  x.grad = tensor(Float64Array.of(1));
  expectThrown(() => optimizer.step(), 'range', '0.grad');
  expect([...x.data]).toEqual([1, 2]);
});
