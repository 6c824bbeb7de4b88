import {
  linearAttention,
  prefixLinearAttention,
  randn,
  type LinearAttentionOpOptions,
  type Parameters,
  type Tensor,
} from '../../lib/autograd/index.js';
import { expectThrown } from '../helpers/refused.js';
import { expectGradients, expectSingleClose, type NamedOp } from '../helpers/tape.js';

const make = (shapes: Record<string, number[]>, positive: readonly string[] = []): Parameters =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const x = randn(shape, { seed: 30 + i, dtype: 'f64' });
      if (positive.includes(name)) x.data.forEach((value, j) => (x.data[j] = 0.2 + Math.abs(value)));
      return [name, x];
    }),
  );
const x64 = (...shape: number[]) => randn(shape, { seed: 1, dtype: 'f64' });

const [batch, heads, length, headDim, valueDim] = [2, 2, 6, 3, 4];
const keys = [batch, heads, length, headDim];
const values = [batch, heads, length, valueDim];
const bare = { q: keys, k: keys, v: values };

const linear =
  (options: LinearAttentionOpOptions, mask?: Uint8Array): NamedOp =>
  ({ q, k, v, kv, sums }: Parameters): Tensor[] => {
    const initialState = kv && { kv, k: sums };
    const { out, state } = linearAttention({ q, k, v, mask, initialState }, options);
    return state ? [out, state.kv, state.k] : [out];
  };

const cases: [string, LinearAttentionOpOptions, number][] = [
  ['elu', { map: 'elu' }, headDim],
  ['relu, not normalised', { map: 'relu', normalize: false }, headDim],
  ['taylor of order 2', { map: 'taylor' }, 10],
  [
    'taylor of order 3 in full, chunks of 2',
    { map: 'taylor', order: 3, symmetric: false, chunkSize: 2, algorithm: 'chunk', normalize: false },
    40,
  ],
];

describe.each(cases)('linear attention, %s', (_, options, features) => {
  const state = { kv: [batch, heads, features, valueDim], sums: [batch, heads, features] };

  test('gradients and float32', () => {
    expectGradients(linear(options), make(bare));
    expectSingleClose(linear(options), make(bare), 5e-5);
  });

  test('gradients through states', () => {
    const inputs = make({ ...bare, ...state }, ['sums']);
    expectGradients(linear({ ...options, returnState: true }), inputs);
    expectSingleClose(linear({ ...options, returnState: true }), inputs, 1e-4);
  });

  test('masked tokens have no gradient', () => {
    const mask = Uint8Array.of(0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    expectGradients(linear(options, mask), make(bare));
  });
});

test('all tokens see all without causality', () => {
  expectGradients(linear({ causal: false }), make(bare));
});

test('linear attention refuses bad operands by name', () => {
  const call =
    (change: Parameters, options = {}) =>
    () =>
      linear(options)({ ...make(bare), ...change });
  expectThrown(call({ q: x64(1, 2, 3) }), 'range', 'q');
  expectThrown(call({ k: x64(1, 2, 3, 4) }), 'range', 'k');
  expectThrown(call({ v: x64(1, 2, 3, 4) }), 'range', 'v');
  expectThrown(call({ kv: x64(2), sums: x64(2) }), 'range', 'initialState.kv');
  expectThrown(call({}, { map: 'cos' }), 'range', 'map');
  expectThrown(call({}, { returnState: 1 }), 'type', 'returnState');
  expectThrown(() => linearAttention({ ...make(bare), mask: [1] } as never), 'type', 'mask');
  expectThrown(() => linearAttention(1 as never), 'type', 'options');
});

describe('prefix linear attention', () => {
  const op: NamedOp = ({ q, k, v, kEnc, vEnc }) => prefixLinearAttention({ q, k, v, kEnc, vEnc });

  test.each([0, 4, 9])('gradients and float32, %i tokens of prompt', (encoder) => {
    const shapes = {
      ...bare,
      kEnc: [batch, heads, encoder, headDim],
      vEnc: [batch, heads, encoder, valueDim],
    };
    expectGradients(op, make(shapes));
    expectSingleClose(op, make(shapes), 5e-5);
  });

  test('bad operands are refused by name', () => {
    const inputs = make({ ...bare, kEnc: keys, vEnc: values });
    const call = (change: Parameters) => () => op({ ...inputs, ...change });
    expectThrown(call({ kEnc: x64(1, 2, 3, 4) }), 'range', 'kEnc');
    expectThrown(call({ vEnc: x64(1, 2, 3, 4) }), 'range', 'vEnc');
    expectThrown(call({ vEnc: randn(values, { seed: 1 }) }), 'type', 'vEnc');
  });
});
