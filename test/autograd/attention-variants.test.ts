import {
  attentionVariant,
  randn,
  recurrentAttention,
  type AttentionVariantTensors,
  type Parameters,
  type RecurrentAttentionOpOptions,
} from '../../lib/autograd/index.js';
import {
  VARIANT_NAMES,
  VARIANTS,
  type AttentionVariant,
  type VariantParts,
} from '../../lib/kernels/attention-variant-table.js';
import { expectThrown } from '../helpers/refused.js';
import { expectGradients, expectSingleClose, type NamedOp } from '../helpers/tape.js';

const [batch, heads, length, headDim, valueDim] = [2, 2, 5, 3, 4];
const bare = {
  q: [batch, heads, length, headDim],
  k: [batch, heads, length, headDim],
  v: [batch, heads, length, valueDim],
};
const make = (shapes: Record<string, number[]>): Parameters =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [name, randn(shape, { seed: 70 + i, dtype: 'f64' })]),
  );
const x64 = (...shape: number[]) => randn(shape, { seed: 1, dtype: 'f64' });

const recurrent =
  (options: RecurrentAttentionOpOptions): NamedOp =>
  ({ q, k, v }) =>
    recurrentAttention({ q, k, v }, options);

test.each<RecurrentAttentionOpOptions>([
  { order: 2 },
  { order: 4, scale: 0.7 },
  { order: 3, normalization: 'none' },
  { order: 2, normalization: 'l2' },
  { order: 2, normalization: 'rms' },
  { order: 1, normalization: 'layer', algorithm: 'chunk', chunkSize: 2 },
  { order: 2, normalization: 'length' },
])('recurrent attention %j', (options) => {
  expectGradients(recurrent(options), make(bare));
  expectSingleClose(recurrent(options), make(bare), 2e-4);
});

const variant =
  (name: AttentionVariant): NamedOp =>
  (inputs) =>
    attentionVariant(name, inputs as unknown as AttentionVariantTensors);

/** Operands of a variant by its row of the table, gates and parameters included. */
function shapesOf(name: AttentionVariant): Record<string, number[]> {
  const parts: VariantParts = VARIANTS[name];
  const gate = [batch, heads, length];
  return {
    ...bare,
    ...(parts.outGate && { outGate: gate }),
    ...(parts.inGate && { inGate: gate }),
    ...(parts.decay && { decay: gate }),
    ...(parts.power && { power: [heads] }),
    ...(parts.affine && { gamma: [heads, valueDim] }),
    ...(parts.affine && parts.norm === 'layer' && { beta: [valueDim] }),
  };
}

/** Their gradient leaves the denominator out on purpose: differences do not. */
const detached: readonly AttentionVariant[] = ['detach_denom', 'detach_denom_gate'];

test.each(VARIANT_NAMES.filter((name) => !detached.includes(name)))('variant %s', (name) => {
  expectGradients(variant(name), make(shapesOf(name)));
});

test.each(VARIANT_NAMES)('variant %s in float32', (name) => {
  expectSingleClose(variant(name), make(shapesOf(name)), 5e-4);
});

test('bad operands are refused by name', () => {
  const inputs = make(shapesOf('gated_softmax')) as unknown as AttentionVariantTensors;
  const call = (change: object) => () => attentionVariant('gated_softmax', { ...inputs, ...change });
  expectThrown(call({ q: x64(1, 2, 3) }), 'range', 'q');
  expectThrown(call({ v: x64(1, 2, 3, 4) }), 'range', 'v');
  expectThrown(call({ outGate: x64(1) }), 'range', 'outGate');
  expectThrown(call({ inGate: undefined }), 'type', 'inGate');
  expectThrown(call({ gamma: x64(3) }), 'range', 'gamma');
  expectThrown(call({ power: x64(heads) }), 'type', 'power');
  expectThrown(() => attentionVariant('none' as never, inputs), 'range', 'variant');
  expectThrown(() => recurrentAttention(inputs, { order: -1 }), 'range', 'order');
  expectThrown(() => recurrentAttention({ ...inputs, k: x64(2) }), 'range', 'k');
});
