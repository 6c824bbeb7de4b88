/** Cases, arrays and fixtures of linear attention. */
import { join } from 'node:path';
import type { Reals } from '../../lib/kernels/arguments.js';
import type { LinearArrays, LinearCase } from '../reference/linear-attention.js';
import type { Tolerance } from './compare.js';
import { spelledJson, type Shaped } from './flash-fixtures.js';
import { normalRow, normalRow64 } from './rows.js';

/** The two types of a call. */
export const REALS = ['f32', 'f64'] as const;
export type Real = (typeof REALS)[number];

/** An array of the type from numbers. */
export const realsOf = (type: Real, data: ArrayLike<number>): Reals =>
  type === 'f64' ? Float64Array.from(data) : Float32Array.from(data);

/** Normal numbers of the type. */
export const normals = (type: Real, count: number, deviation: number, stream: number): Reals =>
  type === 'f64' ? normalRow64(count, deviation, stream) : normalRow(count, deviation, stream);

/** Queries, keys and values of a case, and an encoder's where it has one. */
export function arraysOf(
  type: Real,
  c: LinearCase,
): { q: Reals; k: Reals; v: Reals; kEnc: Reals; vEnc: Reals } {
  const rows = c.batch * c.heads * c.length;
  const encoded = c.batch * c.heads * (c.encoderLength ?? 0);
  return {
    q: normals(type, rows * c.headDim, 1, 1),
    k: normals(type, rows * c.headDim, 1, 2),
    v: normals(type, rows * c.valueDim, 1, 3),
    kEnc: normals(type, encoded * c.headDim, 1, 4),
    vEnc: normals(type, encoded * c.valueDim, 1, 5),
  };
}

/** Relative to the largest expected value: 1e-4 in float32 and 1e-10 in float64, as the fixtures are meant. */
export function relative(type: Real, expected: ArrayLike<number>): Tolerance {
  let scale = 0;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]));
  const allowed = (type === 'f64' ? 1e-10 : 1e-4) * Math.max(scale, 1e-3);
  return () => allowed;
}

/** A case with defaults. */
export const linearCase = (c: Partial<LinearCase>): LinearCase => ({
  ...{ batch: 1, heads: 1, length: 8, headDim: 4, valueDim: 3, map: 'taylor', order: 2, scale: 0.5 },
  ...{ normalize: true, eps: 1e-12, causal: true },
  ...c,
});

/** What a case is as options of the package. */
export function optionsOf(c: LinearCase) {
  const { batch, heads, length, headDim, valueDim, map, scale, normalize, eps, causal, padding } = c;
  const options = { batch, heads, length, headDim, valueDim, map, scale, normalize, eps, causal, padding };
  return map === 'taylor' ? { ...options, order: c.order } : options;
}

const folder = (slug: string): string => join(__dirname, '..', 'fixtures', slug);

/** recurrent-softmax/case*.json. */
export interface RecurrentFixture {
  T: number;
  d: number;
  dv: number;
  q: Shaped;
  k: Shaped;
  v: Shaped;
  grad_out: Shaped;
  out_gate_logit: Shaped;
  in_gate_logit: Shaped;
  ln_gamma: Shaped;
  ln_beta: Shaped;
  orders: Record<string, Record<string, Shaped>>;
  variants: Record<string, { out: Shaped; grad_q: Shaped; grad_k: Shaped; grad_v: Shaped }>;
  truncation_error_vs_softmax: Record<string, number>;
}

/** just-read-twice/case*.json. */
export type PrefixFixture = Record<'N' | 'M' | 'f' | 'dv' | 'D' | 'left_pad', number> &
  Record<
    | 'q'
    | 'k'
    | 'v'
    | 'k_enc'
    | 'v_enc'
    | 'out'
    | 'causal_only_out'
    | 'grad_out'
    | 'grad_q'
    | 'grad_k'
    | 'grad_v'
    | 'grad_k_enc'
    | 'grad_v_enc'
    | 'state_kv_final'
    | 'state_k_final'
    | 'phi_q0'
    | 'out_left_padded_reference',
    Shaped
  >;

const CASES = [0, 1, 2] as const;

/** The cases of recurrent-softmax. */
export const recurrentFixtures = (): RecurrentFixture[] =>
  CASES.map((i) => spelledJson<RecurrentFixture>(join(folder('recurrent-softmax'), `case${i}.json`)));

/** The cases of just-read-twice. */
export const prefixFixtures = (): PrefixFixture[] =>
  CASES.map((i) => spelledJson<PrefixFixture>(join(folder('just-read-twice'), `case${i}.json`)));

/** The reference's arrays of a case. */
export const referenceArrays = (arrays: LinearArrays, mask?: Uint8Array): LinearArrays => ({
  ...arrays,
  mask,
});
