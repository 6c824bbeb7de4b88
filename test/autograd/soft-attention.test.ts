import {
  randn,
  softAttention,
  type Parameters,
  type SoftAttentionOpOptions,
} from '../../lib/autograd/index.js';
import { expectThrown } from '../helpers/refused.js';
import { expectGradients, expectSingleClose, type NamedOp } from '../helpers/tape.js';

const shapes = { q: [2, 2, 9, 3], landmarks: [2, 2, 4, 3], v: [2, 2, 9, 5] };
const make = (): Parameters =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [name, randn(shape, { seed: 50 + i, dtype: 'f64' })]),
  );
const op =
  (options?: SoftAttentionOpOptions): NamedOp =>
  ({ q, landmarks, v }) =>
    softAttention({ q, landmarks, v }, options);

const cases: [string, SoftAttentionOpOptions][] = [
  ['SOFT', { iterations: 60 }],
  ['SOFT++', { iterations: 60, normalize: true }],
];

test.each(cases)('%s has gradients and is close in float32', (_, options) => {
  expectGradients(op(options), make(), { tolerance: 1e-5 });
  expectSingleClose(op(options), make(), 1e-4);
});

test('an iteration that ends early has the gradient through its steps', () => {
  expectGradients(op({ iterations: 5, gradient: 'unrolled' }), make(), { tolerance: 1e-5 });
});

test('bad operands are refused by name', () => {
  const call =
    (change: Parameters, options = {}) =>
    () =>
      op(options)({ ...make(), ...change });
  const x64 = (...shape: number[]) => randn(shape, { seed: 1, dtype: 'f64' });
  expectThrown(call({ q: x64(2, 9, 3) }), 'range', 'q');
  expectThrown(call({ landmarks: x64(2, 2, 4, 4) }), 'range', 'landmarks');
  expectThrown(call({ v: x64(2, 2, 8, 5) }), 'range', 'v');
  expectThrown(call({ v: randn([2, 2, 9, 5], { seed: 1 }) }), 'type', 'v');
  expectThrown(call({}, { gradient: 'none' }), 'range', 'gradient');
  expectThrown(call({ landmarks: x64(2, 2, 10, 3) }), 'range', 'm');
});
