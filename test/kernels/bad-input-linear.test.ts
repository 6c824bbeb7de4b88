import * as softlane from '../../lib/index.js';
import { badCalls, refuses, wrong, type Change, type GoodCall } from '../helpers/bad-calls.js';
import type { BadCall } from '../helpers/errors.js';
import { detach, resizable } from '../helpers/errors.js';
import { expectThrown } from '../helpers/refused.js';

// Three tokens of two heads, queries of 2 numbers and values of 4.
const out = new Float32Array(24);
const f32 = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i));
const shape = { heads: 2, length: 3, valueDim: 4 };

/** A call whose arrays lie in one object: changes go into it. */
function calls(
  name: string,
  arrays: () => Record<string, unknown>,
  options: () => Record<string, unknown>,
  changes: readonly Change[],
): BadCall[] {
  const good: GoodCall = { name, arrays, options };
  return badCalls(good, changes).map((call) => ({
    ...call,
    args: () => {
      const given = call.args();
      const names = Object.keys(arrays());
      return [Object.fromEntries(names.map((each, i) => [each, given[i]])), given.at(-1)];
    },
  }));
}

const tokens = (): Record<string, unknown> => ({ q: f32(12), k: f32(12), v: f32(24) });
const withNothing = (...names: string[]) => Object.fromEntries(names.map((name) => [name, undefined]));

/** What q, k and v may be wrong in. */
const arraysWrong: Change[] = [
  ...wrong('q', 'type', [[1, 2], undefined, new Int32Array(12), new DataView(new ArrayBuffer(48))]),
  ...wrong('q', 'range', [f32(11), f32(13), f32(0)]),
  ...wrong('k', 'type', [new Float64Array(12), null]),
  ...wrong('k', 'range', [f32(6)]),
  ...wrong('v', 'type', [new Uint16Array(24)]),
  ...wrong('v', 'range', [f32(12)]),
  { what: 'k is detached', kind: 'range', change: { k: () => detach(f32(12)) } },
  { what: 'v is resizable', kind: 'range', change: { v: () => new Float32Array(resizable(96)) } },
];
const shapeWrong: Change[] = [
  ...wrong('batch', 'range', [-1, 1.5, NaN]),
  ...wrong('heads', 'range', [0, -2, 0.5]),
  ...wrong('heads', 'type', ['2']),
  ...wrong('length', 'range', [-1, 2.5, Infinity]),
  ...wrong('length', 'type', [undefined, '3']),
  ...wrong('valueDim', 'range', [0, -4]),
  ...wrong('threads', 'range', [0]),
];
const finiteWrong: Change[] = [
  {
    what: 'NaN in q',
    kind: 'range',
    blames: 'q',
    change: { q: () => f32(12).fill(NaN, 3, 4), checkFinite: true },
  },
  {
    what: 'infinity in v',
    kind: 'range',
    blames: 'v',
    change: { v: () => f32(24).fill(Infinity), checkFinite: true },
  },
  ...wrong('checkFinite', 'type', [1]),
];
const algorithmWrong: Change[] = [
  ...wrong('algorithm', 'range', ['fast', 3]),
  ...wrong('chunkSize', 'range', [0, -1, 2.5]),
  ...wrong('scale', 'range', [0, -1, Infinity]),
];
const outWrong: Change[] = [
  ...wrong('out', 'type', [new Float64Array(24)]),
  ...wrong('out', 'range', [new Float32Array(23)]),
];
const largeState = (order: number): Change => ({
  what: `order ${order} with a state of at most 500 bytes`,
  kind: 'range',
  blames: 'order',
  change: { order, maxStateBytes: 500, algorithm: 'chunk', map: 'taylor' },
});

const linear = { ...shape, headDim: 2, out };
const linearChanges: Change[] = [
  ...[...arraysWrong, ...shapeWrong, ...finiteWrong, ...algorithmWrong],
  ...wrong('headDim', 'range', [0, -1]),
  ...wrong('map', 'range', ['softmax', 1]),
  { what: 'an order without a polynomial', kind: 'range', blames: 'order', change: { map: 'elu', order: 2 } },
  ...[-1, 33, 1.5].map((order): Change => ({
    what: `order ${order}`,
    kind: 'range',
    blames: 'order',
    change: { map: 'taylor', order },
  })),
  largeState(8),
  ...wrong('eps', 'range', [-1e-9, NaN]),
  ...wrong('normalize', 'type', [0]),
  ...wrong('causal', 'type', ['yes']),
  ...wrong('padding', 'range', ['left']),
  { what: 'a short mask', kind: 'range', blames: 'mask', change: { mask: new Uint8Array(2) } },
  { what: 'a mask of 2', kind: 'range', blames: 'mask', change: { mask: Uint8Array.of(0, 2, 1) } },
  { what: 'a mask of floats', kind: 'type', blames: 'mask', change: { mask: new Float32Array(3) } },
  { what: 'no state', kind: 'type', blames: 'initialState', change: { initialState: f32(4) } },
  {
    what: 'the state of another map',
    kind: 'range',
    blames: 'initialState',
    change: { initialState: softlane.createLinearState({ heads: 2, headDim: 2, valueDim: 4, map: 'relu' }) },
  },
  {
    what: 'a state of float64',
    kind: 'type',
    blames: 'initialState.kv',
    change: { initialState: softlane.createLinearState({ heads: 2, headDim: 2, valueDim: 4, dtype: 'f64' }) },
  },
];
const withState = () => ({ ...tokens(), mask: undefined, initialState: undefined });

const encoder = { ...shape, featureDim: 2, encoderLength: 2, out };
const encoded = () => ({ ...tokens(), kEnc: f32(8), vEnc: f32(16), mask: undefined });
const encoderChanges: Change[] = [
  ...[
    ...arraysWrong,
    ...shapeWrong,
    ...finiteWrong,
    ...algorithmWrong.filter(({ change }) => !('scale' in change)),
  ],
  ...wrong('featureDim', 'range', [0, -1, 1.5]),
  ...wrong('encoderLength', 'range', [-1, 0.5]),
  ...wrong('encoderLength', 'type', [undefined]),
  ...wrong('kEnc', 'range', [f32(4)]),
  ...wrong('kEnc', 'type', [undefined, new Float64Array(8)]),
  ...wrong('vEnc', 'range', [f32(15)]),
  { what: 'a mask of 7', kind: 'range', blames: 'mask', change: { mask: Uint8Array.of(0, 7, 1) } },
  ...[-1, 33].map((order): Change => ({
    what: `order ${order}`,
    kind: 'range',
    blames: 'order',
    change: { order },
  })),
  {
    what: 'infinity in kEnc',
    kind: 'range',
    blames: 'kEnc',
    change: { kEnc: () => f32(8).fill(-Infinity), checkFinite: true },
  },
];

const recurrent = { ...shape, headDim: 2, out };
const recurrentChanges: Change[] = [
  ...[...arraysWrong, ...shapeWrong, ...finiteWrong, ...algorithmWrong],
  ...wrong('order', 'range', [-1, 0.5, 33]),
  ...wrong('order', 'type', ['2']),
  largeState(9),
  ...wrong('normalization', 'range', ['max']),
  ...wrong('epsilon', 'range', [-1, Infinity]),
];
const initialWrong: Change[] = [
  { what: 'a plain state', kind: 'type', blames: 'initialState', change: { initialState: {} } },
  {
    what: 'a state of another order',
    kind: 'range',
    blames: 'initialState',
    change: { initialState: softlane.createAttentionState({ heads: 2, headDim: 2, valueDim: 4, order: 3 }) },
  },
];

const variant = { ...shape, headDim: 2, variant: 'gated_softmax', out };
const gated = () => ({
  ...tokens(),
  inGate: f32(6),
  outGate: f32(6),
  ...withNothing('gamma', 'beta', 'decay', 'power'),
});
const variantChanges: Change[] = [
  ...[...arraysWrong, ...shapeWrong, ...finiteWrong],
  ...wrong('variant', 'range', ['sofmax', 1, undefined]),
  ...wrong('inGate', 'type', [undefined, new Float64Array(6)]),
  ...wrong('outGate', 'range', [f32(5)]),
  ...wrong('gamma', 'range', [f32(3), f32(12)]),
  ...wrong('beta', 'type', [[1]]),
  ...wrong('decay', 'type', [f32(6)]),
  ...wrong('power', 'type', [f32(2)]),
  ...wrong('eps', 'range', [-1]),
  { what: 'a gate that it has not', kind: 'type', blames: 'inGate', change: { variant: 'gate' } },
  {
    what: 'gamma without a norm',
    kind: 'type',
    blames: 'gamma',
    change: { variant: 'gated_no_norm', gamma: f32(4) },
  },
  {
    what: 'sums of decay that no factor holds',
    kind: 'range',
    blames: 'decay',
    change: { variant: 'decay', decay: f32(6).fill(1e6) },
  },
  {
    what: 'NaN in a gate',
    kind: 'range',
    blames: 'outGate',
    change: { outGate: () => f32(6).fill(NaN), checkFinite: true },
  },
];

const withGout = (arrays: () => Record<string, unknown>) => () => ({ ...arrays(), gout: f32(24) });
const goutWrong: Change[] = [
  ...wrong('gout', 'type', [undefined, new Float64Array(24)]),
  ...wrong('gout', 'range', [f32(23)]),
  {
    what: 'NaN in gout',
    kind: 'range',
    blames: 'gout',
    change: { gout: () => f32(24).fill(NaN), checkFinite: true },
  },
];
const backward = (name: string, arrays: () => Record<string, unknown>, options: object, changes: Change[]) =>
  calls(name, withGout(arrays), () => ({ ...options }), [...changes, ...goutWrong]);

const features: BadCall[] = [
  ...badCalls(
    { name: 'taylorFeatures', arrays: () => ({ x: f32(6) }), options: () => ({ dim: 2, order: 2 }) },
    [
      ...wrong('x', 'type', [[1], undefined]),
      ...wrong('x', 'range', [f32(5)]),
      ...wrong('dim', 'range', [0, -1]),
      ...wrong('order', 'range', [33, -1]),
      ...wrong('scale', 'range', [0]),
      ...wrong('symmetric', 'type', [1]),
      { what: 'too many', kind: 'range', blames: 'order', change: { x: f32(64), dim: 64, order: 9 } },
    ],
  ),
  ...badCalls(
    { name: 'taylorFeatureMap', arrays: () => ({ x: f32(6) }), options: () => ({ rows: 3, dim: 2 }) },
    [...wrong('rows', 'range', [2, -1], ['rows', 'x']), ...wrong('dim', 'range', [0])],
  ),
];

describe('forward', () => {
  refuses(
    [
      ...calls('linearAttention', withState, () => ({ ...linear }), [...linearChanges, ...outWrong]),
      ...calls('prefixLinearAttention', encoded, () => ({ ...encoder }), [...encoderChanges, ...outWrong]),
      ...calls(
        'recurrentAttention',
        () => ({ ...tokens(), initialState: undefined }),
        () => ({ ...recurrent }),
        [...recurrentChanges, ...outWrong, ...initialWrong],
      ),
      ...calls('attentionVariant', gated, () => ({ ...variant }), [...variantChanges, ...outWrong]),
      ...features,
    ],
    [out],
  );
});

describe('backward', () => {
  refuses(
    [
      ...backward('linearAttentionBackward', withState, linear, linearChanges),
      ...backward('prefixLinearAttentionBackward', encoded, encoder, encoderChanges),
      ...backward('recurrentAttentionBackward', tokens, recurrent, recurrentChanges),
      ...backward('attentionVariantBackward', gated, variant, variantChanges),
    ],
    [],
  );
});

it('states and steps', () => {
  const good = { heads: 2, headDim: 2, valueDim: 4 };
  const state = softlane.createLinearState(good);
  const token = { q: f32(4), k: f32(4), v: f32(8) };
  const before = state.kv.slice();
  const step = softlane.linearAttentionStep as (...args: unknown[]) => unknown;
  expectThrown(() => step(undefined, token), 'type', 'state');
  expectThrown(() => step(f32(3), token), 'type', 'state');
  expectThrown(() => step({ ...state, kv: f32(3) }, token), 'range', 'state.kv');
  expectThrown(() => step({ ...state, map: 'exp' }, token), 'range', 'map');
  expectThrown(() => step(state, { ...token, q: f32(3) }), 'range', 'q');
  expectThrown(() => step(state, { ...token, k: new Float64Array(4) }), 'type', 'k');
  expectThrown(() => step(state, { ...token, v: state.kv.subarray(0, 8) }), 'range', 'stateKv');
  expectThrown(() => step(state, token, { out: f32(7) }), 'range', 'out');
  expectThrown(() => step(state, token, { threads: 0 }), 'range', 'threads');
  expect(state.kv).toEqual(before);
  for (const wrongly of [{ headDim: 0 }, { valueDim: -1 }, { order: 40, map: 'taylor' }, { dtype: 'f16' }])
    expectThrown(
      () => softlane.createLinearState({ ...good, ...wrongly } as typeof good),
      'range',
      Object.keys(wrongly)[0],
    );
  const huge = { headDim: 64, valueDim: 64, order: 6 };
  expectThrown(() => softlane.createAttentionState(huge), 'range', 'order');
  expect(() => softlane.createAttentionState(huge)).toThrow(/takes \d+ bytes/);
});

test('attentionVariant refuses a result on top of a parameter that is read after the first rows are written', () => {
  const result = new Float32Array(24).fill(7);
  const inputs = { ...tokens(), gamma: result.subarray(20, 24) };
  const options = { ...shape, headDim: 2, variant: 'rmsnorm', out: result };
  expectThrown(() => softlane.attentionVariant(inputs as never, options as never), 'range', 'out');
  expect([...result]).toEqual(Array(24).fill(7));
});
