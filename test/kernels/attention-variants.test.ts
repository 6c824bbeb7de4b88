import {
  attentionVariant,
  attentionVariantAsync,
  attentionVariantBackward,
  type AttentionVariant,
  type VariantInputs,
} from '../../lib/index.js';
import { VARIANT_NAMES, VARIANTS, type VariantParts } from '../../lib/kernels/attention-variant-table.js';
import type { Reals } from '../../lib/kernels/arguments.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { normals, REALS, realsOf, recurrentFixtures, relative, type Real } from '../helpers/linear.js';
import * as reference from '../reference/attention-variants.js';

/** What a variant takes of all gates and parameters. */
function inputsFor(variant: AttentionVariant, all: Required<VariantInputs>): VariantInputs {
  const parts: VariantParts = VARIANTS[variant];
  const { q, k, v } = all;
  return {
    ...{ q, k, v },
    ...(parts.outGate && { outGate: all.outGate }),
    ...(parts.inGate && { inGate: all.inGate }),
    ...(parts.decay && { decay: all.decay }),
    ...(parts.power && { power: all.power }),
    ...(parts.affine && { gamma: all.gamma }),
    ...(parts.affine && parts.norm === 'layer' && { beta: all.beta }),
  };
}

const [T, D, DV, HEADS] = [18, 5, 6, 2];
const SHAPE = { heads: HEADS, length: T, headDim: D, valueDim: DV };

/** Two heads with everything; scores reach above the clamp. */
const everything = (type: Real): Required<VariantInputs> => ({
  q: normals(type, HEADS * T * D, 2, 31),
  k: normals(type, HEADS * T * D, 2, 32),
  v: normals(type, HEADS * T * DV, 1, 33),
  outGate: normals(type, HEADS * T, 1, 34),
  inGate: normals(type, HEADS * T, 1, 35),
  gamma: normals(type, HEADS * DV, 1, 36),
  beta: normals(type, HEADS * DV, 1, 37),
  decay: normals(type, HEADS * T, 300, 38),
  power: normals(type, HEADS, 1, 39),
});

/** One head of the arrays, for the reference. */
function headOf(all: Required<VariantInputs>, h: number): reference.VariantHead {
  const of = (x: Reals): Reals => x.subarray((h * x.length) / HEADS, ((h + 1) * x.length) / HEADS);
  const { q, k, v, outGate, inGate, gamma, beta, decay, power } = all;
  return {
    ...{ length: T, headDim: D, valueDim: DV, q: of(q), k: of(k), v: of(v), outGate: of(outGate) },
    ...{ inGate: of(inGate), gamma: of(gamma), beta: of(beta), decay: of(decay), power: power[h] },
  };
}

const both = (variant: AttentionVariant, all: Required<VariantInputs>, detached?: number[][]): number[] =>
  [0, 1].flatMap((h) => reference.attentionVariant(variant, headOf(all, h), detached?.[h]));

const upstream = (): Reals => normals('f64', HEADS * T * DV, 1, 40);

/** Central differences of the reference by some elements of every input. */
const differences = memo((variant: string) => {
  const all = everything('f64');
  const gout = upstream();
  const name = variant as AttentionVariant;
  const detached = [0, 1].map((h) => reference.variantSums(name, headOf(all, h)));
  return (Object.entries(inputsFor(name, all)) as [keyof VariantInputs, Reals][]).flatMap(([input, x]) =>
    Array.from({ length: 6 }, (_, n) => {
      const i = Math.floor((n * (x.length - 1)) / 5);
      const at = (step: number): number => {
        const moved = x.slice();
        moved[i] += step;
        return both(name, { ...all, [input]: moved }, detached).reduce((sum, y, j) => sum + y * gout[j], 0);
      };
      const step = input === 'decay' ? 1e-2 : 1e-5;
      return { name: input, i, count: x.length, slope: (at(step) - at(-step)) / (2 * step) };
    }),
  );
});

onEveryIsa(() => {
  describe.each(REALS)('%s', (type) => {
    describe.each(recurrentFixtures().map((c, i) => [i, c] as const))('fixture %i', (_, c) => {
      const array = (x: { data: number[] }): Reals => realsOf(type, x.data);
      it.each(Object.keys(c.variants) as AttentionVariant[])('%s', (variant) => {
        const inputs = inputsFor(variant, {
          ...{ q: array(c.q), k: array(c.k), v: array(c.v), outGate: array(c.out_gate_logit) },
          ...{ inGate: array(c.in_gate_logit), gamma: array(c.ln_gamma), beta: array(c.ln_beta) },
          ...{ decay: realsOf(type, []), power: realsOf(type, []) },
        });
        const options = { variant, length: c.T, headDim: c.d, valueDim: c.dv };
        const expected = c.variants[variant];
        const close = (actual: ArrayLike<number>, { data }: { data: number[] }, label: string) =>
          expectClose(actual, data, relative(type, data), label);
        close(attentionVariant(inputs, options), expected.out, 'out');
        const d = attentionVariantBackward({ ...inputs, gout: array(c.grad_out) }, options);
        // Gradients that the norm cancels are what rounding leaves: measured against those of the values.
        const scale = expected.grad_v.data.map(Math.abs).reduce((a, b) => Math.max(a, b), 0);
        const allowed = () => (type === 'f64' ? 1e-10 : 1e-4) * Math.max(1, scale);
        expectClose(d.dq, expected.grad_q.data, allowed, 'dq');
        expectClose(d.dk, expected.grad_k.data, allowed, 'dk');
        expectClose(d.dv, expected.grad_v.data, allowed, 'dv');
      });
    });

    it.each(VARIANT_NAMES)('%s agrees with its formula, for any number of threads', async (variant) => {
      const all = everything(type);
      const inputs = inputsFor(variant, all);
      const options = { ...SHAPE, variant };
      const out = attentionVariant(inputs, options);
      const expected = both(variant, all);
      expectClose(out, expected, relative(type, expected));
      const into = out.slice().fill(NaN);
      expect(await attentionVariantAsync(inputs, { ...options, threads: 8, out: into })).toBe(into);
      expectSameBits(into, out);
    });
  });

  it.each(VARIANT_NAMES)('%s has the gradients that differences have', (variant) => {
    const d = attentionVariantBackward(
      { ...inputsFor(variant, everything('f64')), gout: upstream() },
      { ...SHAPE, variant },
    ) as unknown as Record<string, Reals>;
    for (const { name, i, count, slope } of differences(variant)) {
      expect(d[`d${name}`].length).toBe(count);
      expectNear(d[`d${name}`][i], slope, 2e-6 * Math.max(1, Math.abs(slope)), `d${name}[${i}]`);
    }
  });

  it('an L2 norm takes no notice of positive factors of rows', () => {
    const all = everything('f64');
    const l2 = attentionVariant(inputsFor('l2norm', all), { ...SHAPE, variant: 'l2norm' });
    // Division by the length before the norm: the same direction.
    const softmax = attentionVariant(inputsFor('softmax', all), { ...SHAPE, variant: 'softmax' });
    for (let row = 0; row < HEADS * T; row++) {
      const part = softmax.slice(row * DV, (row + 1) * DV);
      const length = Math.hypot(...part) / (1 + row);
      expectClose(
        l2.slice(row * DV, (row + 1) * DV),
        part.map((x) => x / (1 + row) / length),
        () => 1e-12,
      );
    }
  });

  it('scores far above what exp holds neither overflow nor lose the row', () => {
    const q = Float32Array.of(400, 400);
    const k = Float32Array.of(1, 2);
    const v = Float32Array.of(3, 7);
    const shape = { length: 2, headDim: 1, valueDim: 1 };
    expect([...attentionVariant({ q, k, v }, { ...shape, variant: 'softmax' })]).toEqual([3, 7]);
    expect([...attentionVariant({ q, k, v }, { ...shape, variant: 'l2norm' })]).toEqual([1, 1]);
    const clamped = attentionVariant({ q, k, v }, { ...shape, variant: 'div_s' });
    expectClose(clamped, [3 * Math.exp(5), 5 * Math.exp(5)], (_, x) => 1e-6 * x);
  });
});
