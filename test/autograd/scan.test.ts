import {
  selectiveScan,
  selectiveScanCheckpointed,
  randn,
  grad,
  square,
  sum,
  type Parameters,
} from '../../lib/autograd/index.js';
import type { SelectiveScanOpOptions, SelectiveScanTensors } from '../../lib/autograd/index.js';
import type { Reals } from '../../lib/kernels/arguments.js';
import { selectiveScan as kernel } from '../../lib/kernels/selective-scan.js';
import { expectThrown } from '../helpers/refused.js';
import { expectGradients, expectSingleClose } from '../helpers/tape.js';

const make = (shapes: Record<string, number[]>, seed = 1): Parameters =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const x = randn(shape, { seed: 100 * seed + i, dtype: 'f64' });
      // Decays are negative, so that the state fades.
      if (name === 'A') x.data.forEach((value, j) => (x.data[j] = -0.3 - Math.abs(value)));
      return [name, x];
    }),
  );
const op = (options?: SelectiveScanOpOptions) => (inputs: Parameters) => {
  const { out, lastState } = selectiveScan(inputs as unknown as SelectiveScanTensors, options);
  return [out, lastState];
};

const [batch, dim, length, state, groups] = [2, 4, 7, 3, 2];
const u = [batch, dim, length];
const timeFirst = [batch, length, dim];
const optional = { D: [dim], deltaBias: [dim], initialState: [batch, dim, state] };
const cases: [string, Record<string, number[]>, SelectiveScanOpOptions][] = [
  [
    'everything',
    {
      u,
      delta: u,
      A: [dim, state],
      B: [batch, groups, state, length],
      C: [batch, groups, state, length],
      z: u,
      ...optional,
    },
    { deltaSoftplus: true },
  ],
  [
    'time first, zoh',
    {
      u: timeFirst,
      delta: timeFirst,
      A: [dim, state],
      B: [batch, length, groups, state],
      C: [dim, state],
      z: timeFirst,
      ...optional,
    },
    { deltaSoftplus: true, layout: 'time-first', discretization: 'zoh' },
  ],
  [
    'bare, constant B',
    { u, delta: u, A: [dim, state], B: [dim, state], C: [batch, 1, state, length] },
    { deltaSoftplus: true, discretization: 'bilinear' },
  ],
  [
    'complex',
    {
      u,
      delta: u,
      A: [dim, state, 2],
      B: [batch, groups, state, length, 2],
      C: [dim, state, 2],
      D: [dim],
      initialState: [batch, dim, state, 2],
    },
    { complex: true, deltaSoftplus: true },
  ],
  [
    'packed sequences',
    { u, delta: u, A: [dim, state], B: [batch, 1, state, length], C: [batch, 1, state, length], ...optional },
    { deltaSoftplus: true, segmentIds: Int32Array.of(0, 0, 1, 1, 1, 5, 5, 3, 4, 4, 4, 4, 4, 4) },
  ],
];

describe.each(cases)('selective scan: %s', (_, shapes, options) => {
  test('gradients are those of differences', () => {
    expectGradients(op(options), make(shapes));
    expectGradients(op({ ...options, keepStates: false }), make(shapes, 2));
  });

  test('float32 is close to float64', () => expectSingleClose(op(options), make(shapes), 2e-5));
});

test('segments that are filled anew after the call do not change its gradient', () => {
  const shapes = cases.find(([name]) => name === 'packed sequences')![1];
  const ids = Int32Array.of(0, 0, 1, 1, 1, 5, 5, 3, 4, 4, 4, 4, 4, 4);
  const gradientOf = (spoil: boolean): Reals => {
    const inputs = make(shapes);
    for (const each of Object.values(inputs)) each.requiresGrad = true;
    const segmentIds = ids.slice();
    const { out } = selectiveScan(inputs as unknown as SelectiveScanTensors, { segmentIds });
    if (spoil) segmentIds.fill(0);
    return grad(sum(square(out)), [inputs.u])[0].data;
  };
  expect(gradientOf(true)).toEqual(gradientOf(false));
});

test('results are those of the kernel, whether states are kept or not', () => {
  const long = { batch: 1, dim: 3, length: 200, state: 2, groups: 1 };
  const shape = [1, 3, 200];
  const inputs = make({ u: shape, delta: shape, A: [3, 2], B: [1, 1, 2, 200], C: [1, 1, 2, 200] });
  for (const each of Object.values(inputs)) each.requiresGrad = true;
  const tensors = inputs as unknown as SelectiveScanTensors;
  const { u: x, delta, A, B, C } = tensors;
  const input = { u: x.data, delta: delta.data, A: A.data, B: B.data, C: C.data };
  const wanted = kernel(input, { ...long, deltaSoftplus: true, returnLastState: true });
  const gradients = [selectiveScan, selectiveScanCheckpointed].map((scan) => {
    const { out, lastState } = scan(tensors, { deltaSoftplus: true });
    expect(out.data).toEqual(wanted.out);
    expect(lastState.data).toEqual(wanted.lastState);
    for (const each of Object.values(inputs)) each.grad = undefined;
    out.backward(randn(shape, { seed: 9, dtype: 'f64' }));
    return Object.values(inputs).map(({ grad }) => grad?.data);
  });
  expect(gradients[1]).toEqual(gradients[0]);
  expect(gradients[0].every((each) => each !== undefined)).toBe(true);
});

test('what is kept for the backward call is one state in 64, or none', () => {
  const [steps, channels, states] = [1000, 3, 5];
  const shape = [1, channels, steps];
  const inputs = make({
    u: shape,
    delta: shape,
    A: [channels, states],
    B: [channels, states],
    C: [channels, states],
  });
  inputs.u.requiresGrad = true;
  /** Numbers that the graph holds beside operands and results. */
  const kept = (scan: typeof selectiveScan): number => {
    const { out, lastState } = scan(inputs as unknown as SelectiveScanTensors, { deltaSoftplus: true });
    const own = new Set([...Object.values(inputs), out, lastState]);
    const held = [...(out.node?.tensors() ?? [])].filter((each) => !own.has(each));
    return held.reduce((sum, { size }) => sum + size, 0);
  };
  expect(kept(selectiveScan)).toBe(Math.ceil(steps / 64) * channels * states);
  expect(kept(selectiveScanCheckpointed)).toBe(0);
});

test('selective scan refuses bad operands by name', () => {
  const inputs = make({ u, delta: u, A: [dim, state], B: [batch, 1, state, length], C: [dim, state] });
  const call = (change: Parameters, options?: SelectiveScanOpOptions) => () =>
    selectiveScan({ ...inputs, ...change } as unknown as SelectiveScanTensors, options);
  const x = (...shape: number[]) => randn(shape, { seed: 1, dtype: 'f64' });
  expectThrown(call({ u: 1 as never }), 'type', 'u');
  expectThrown(call({ delta: randn(u, { seed: 1 }) }), 'type', 'delta');
  expectThrown(call({ delta: x(batch, length, dim) }), 'range', 'delta');
  expectThrown(call({ u: x(3) }), 'range', 'u');
  expectThrown(call({ A: x(dim + 1, state) }), 'range', 'A');
  expectThrown(call({ B: x(batch, 1, state, length + 1) }), 'range', 'B');
  expectThrown(call({ B: x(batch, 3, state, length) }), 'range', 'groups');
  expectThrown(call({ C: x(dim) }), 'range', 'C');
  expectThrown(call({ D: x(1) }), 'range', 'D');
  expectThrown(call({ initialState: x(batch, dim) }), 'range', 'initialState');
  expectThrown(call({}, { discretization: 'tustin' as never }), 'range', 'discretization');
  expectThrown(call({}, { keepStates: 1 as never }), 'type', 'keepStates');
  expectThrown(() => selectiveScan(1 as never), 'type', 'input');
});
