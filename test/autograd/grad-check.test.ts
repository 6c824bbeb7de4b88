import { customOp, gradCheck, randn, tensor, type Tensor } from '../../lib/autograd/index.js';
import { empty } from '../../lib/autograd/tensor.js';
import { expectThrown } from '../helpers/refused.js';

const map = (x: Tensor, f: (value: number, i: number) => number): Tensor => {
  const y = empty(x.shape, x.dtype);
  for (let i = 0; i < x.size; i++) y.data[i] = f(x.data[i], i);
  return y;
};

/** x^3, whose gradient is off by `wrong` at element 4. */
const cube = (wrong: number) =>
  customOp<Tensor>('cube', {
    forward: (context, x) => map((context.saved = x), (v) => v ** 3),
    backward: ({ saved }, g) => [
      map(saved, (v, i) => (g?.data[i] ?? 0) * (3 * v * v + (i === 4 ? wrong : 0))),
    ],
  });

test('a right gradient passes', () => {
  const x = randn([3, 2], { seed: 1, dtype: 'f64' });
  const before = x.data.slice();
  const result = gradCheck(cube(0), [x]);
  expect(result).toMatchObject({ ok: true, tested: 6 });
  expect(result.worst?.error).toBeLessThan(1e-9);
  expect(x.data).toEqual(before);
  expect(x.grad).toBeUndefined();
  expect(x.requiresGrad).toBe(false);
});

test('a wrong one is named by input and place', () => {
  const inputs = { a: tensor(Float64Array.of(1)), x: randn([3, 2], { seed: 1, dtype: 'f64' }) };
  const { ok, worst, message } = gradCheck(({ a, x }) => [cube(0)(a), cube(1e-3)(x)], inputs);
  expect(ok).toBe(false);
  expect(worst).toMatchObject({ input: 'x', index: [2, 0] });
  expect(Math.abs((worst?.gradient ?? 0) - (worst?.difference ?? 0))).toBeGreaterThan(5e-4);
  expect(message).toMatch(/input 'x' at \[2, 0\]/);
  expect(gradCheck(({ x }) => cube(1e-3)(x), inputs, { tolerance: 0.01 }).ok).toBe(true);
});

test('errors that cancel in a sum are found', () => {
  const swapped = customOp('swapped', {
    forward: (_, x) => map(x, (v) => v),
    backward: (_, g) => [g && map(g, (_v, i) => g.data[1 - i])],
  });
  expect(gradCheck(swapped, [tensor(Float64Array.of(1, 2))]).ok).toBe(false);
});

test('an unused input has the gradient 0, NaN is worst', () => {
  const [a, b] = [tensor(Float64Array.of(1)), tensor(Float64Array.of(2))];
  expect(gradCheck((x) => cube(0)(x), [a, b])).toMatchObject({ ok: true, tested: 2 });
  const none = customOp('none', {
    forward: (_, x) => map(x, (v) => v),
    backward: (_, g) => [g && map(g, (v, i) => (i === 1 ? NaN : v))],
  });
  const result = gradCheck(none, [randn([3], { seed: 1, dtype: 'f64' })]);
  expect(result).toMatchObject({ ok: false, worst: { index: [1], error: NaN } });
});

test('a sample tests so many elements of each input', () => {
  const x = randn([10, 10], { seed: 1, dtype: 'f64' });
  expect(gradCheck(cube(0), [x], { sample: 7 })).toMatchObject({ ok: true, tested: 7 });
  const found = Array.from({ length: 40 }, (_, seed) => gradCheck(cube(1), [x], { sample: 30, seed }).ok);
  // Element 4 is in a sample of 30 of 100 with probability 0.3.
  const misses = found.filter((ok) => ok).length;
  expect(misses).toBeGreaterThan(15);
  expect(misses).toBeLessThan(40);
});

test('bad arguments are refused by name', () => {
  const x = tensor(Float64Array.of(1));
  expectThrown(() => gradCheck(1 as never, [x]), 'type', 'fn');
  expectThrown(() => gradCheck(cube(0), [tensor([1])]), 'type', 'inputs.0');
  expectThrown(() => gradCheck(cube(0), [1 as never]), 'type', 'inputs[0]');
  expectThrown(() => gradCheck(cube(0), [x], { step: 0 }), 'range', 'step');
  expectThrown(() => gradCheck(cube(0), [x], { tolerance: -1 }), 'range', 'tolerance');
  expectThrown(() => gradCheck(cube(0), [x], { sample: 0 }), 'range', 'sample');
  expectThrown(() => gradCheck(() => tensor([1]), [x]), 'type', 'output 0 of fn');
});
