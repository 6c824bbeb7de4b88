import {
  ltiScan,
  randn,
  ssdScan,
  type LtiOpOptions,
  type LtiTensors,
  type Parameters,
  type SsdOpOptions,
  type SsdTensors,
} from '../../lib/autograd/index.js';
import { expectThrown } from '../helpers/refused.js';
import { expectGradients, expectSingleClose, type NamedOp } from '../helpers/tape.js';

/** Decays negative, steps positive where no softplus makes them so. */
const make = (shapes: Record<string, number[]>, positive: readonly string[] = []): Parameters =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const x = randn(shape, { seed: 90 + i, dtype: 'f64' });
      x.data.forEach((value, j) => {
        if (name === 'A' && !(shape.at(-1) === 2 && j % 2)) x.data[j] = -0.3 - Math.abs(value);
        else if (positive.includes(name)) x.data[j] = 0.2 + 0.3 * Math.abs(value);
        else x.data[j] = 0.7 * value;
      });
      return [name, x];
    }),
  );
const x64 = (...shape: number[]) => randn(shape, { seed: 1, dtype: 'f64' });

describe('scan of Mamba-2', () => {
  const [batch, length, heads, headDim, groups, state] = [2, 7, 4, 3, 2, 5];
  const x = [batch, length, heads, headDim];
  const bare = {
    x,
    dt: [batch, length, heads],
    A: [heads],
    B: [batch, length, groups, state],
    C: [batch, length, groups, state],
  };
  const all = {
    ...bare,
    D: [heads, headDim],
    z: x,
    dtBias: [heads],
    initialState: [batch, heads, headDim, state],
  };
  const op =
    (options: SsdOpOptions): NamedOp =>
    (inputs) => {
      const { out, finalState } = ssdScan(inputs as unknown as SsdTensors, options);
      return [out, finalState];
    };

  test.each<[string, Record<string, number[]>, SsdOpOptions]>([
    ['bare', bare, {}],
    ['all operands, chunks of 3', all, { dtSoftplus: true, chunk: 3 }],
    ['skip weights of heads', { ...all, D: [heads] }, { dtSoftplus: true, chunk: 64 }],
    [
      'packed',
      all,
      { dtSoftplus: true, chunk: 2, segmentIds: Int32Array.of(0, 0, 1, 1, 1, 2, 2, 4, 4, 4, 4, 4, 4, 9) },
    ],
  ])('gradients and float32: %s', (_, shapes, options) => {
    const inputs = make(shapes, options.dtSoftplus ? [] : ['dt']);
    expectGradients(op(options), inputs);
    expectSingleClose(op(options), inputs, 2e-5);
  });

  test('bad operands are refused by name', () => {
    const call = (change: Parameters) => () => op({ dtSoftplus: true })({ ...make(all), ...change });
    expectThrown(call({ x: x64(2, 3) }), 'range', 'x');
    expectThrown(call({ dt: x64(2, 3) }), 'range', 'dt');
    expectThrown(call({ A: x64(heads, 1) }), 'range', 'A');
    expectThrown(call({ B: x64(2, 3) }), 'range', 'B');
    expectThrown(call({ C: x64(batch, length, groups, state + 1) }), 'range', 'C');
    expectThrown(call({ D: x64(headDim) }), 'range', 'D');
    expectThrown(call({ z: x64(1) }), 'range', 'z');
    expectThrown(call({ dtBias: x64(1) }), 'range', 'dtBias');
    expectThrown(call({ initialState: x64(1) }), 'range', 'initialState');
    expectThrown(call({ dt: randn(bare.dt, { seed: 1 }) }), 'type', 'dt');
  });
});

describe('time-invariant scan', () => {
  const [batch, dim, length, state] = [2, 3, 9, 4];
  const system = { A: [dim, state], B: [dim, state], C: [dim, state] };
  const bare = { u: [batch, dim, length], delta: [dim], ...system };
  const all = { ...bare, D: [dim], initialState: [batch, dim, state] };
  const pairs = Object.fromEntries(Object.entries(system).map(([name, shape]) => [name, [...shape, 2]]));
  const op =
    (options: LtiOpOptions): NamedOp =>
    (inputs) => {
      const { out, lastState } = ltiScan(inputs as unknown as LtiTensors, options);
      return lastState ? [out, lastState] : [out];
    };

  test.each<[string, Record<string, number[]>, LtiOpOptions]>([
    ['zero-order hold', all, { returnLastState: true }],
    ['bilinear', all, { discretization: 'bilinear', returnLastState: true }],
    ['euler, as a convolution', bare, { discretization: 'euler', method: 'convolution' }],
    [
      'complex',
      { ...bare, ...pairs, D: [dim], initialState: [batch, dim, state, 2] },
      { complex: true, returnLastState: true },
    ],
  ])('gradients and float32: %s', (_, shapes, options) => {
    const inputs = make(shapes, ['delta']);
    expectGradients(op(options), inputs);
    expectSingleClose(op(options), inputs, 2e-5);
  });

  test('bad operands are refused by name', () => {
    const call =
      (change: object, options = {}) =>
      () =>
        op(options)({ ...make(all, ['delta']), ...change });
    expectThrown(call({ u: x64(2, 3) }), 'range', 'u');
    expectThrown(call({ delta: x64(dim, 1) }), 'range', 'delta');
    expectThrown(call({ delta: undefined }), 'type', 'delta');
    expectThrown(call({ A: x64(dim) }), 'range', 'A');
    expectThrown(call({ B: x64(dim, 1) }), 'range', 'B');
    expectThrown(call({ initialState: x64(dim) }), 'range', 'initialState');
    expectThrown(call({}, { discretization: 'tustin' }), 'range', 'discretization');
    expectThrown(call({}, { method: 'convolution' }), 'range', 'method');
  });
});
