/** What stands in the place of the denominator in the recurrent form of softmax attention. */
import type { RowNormJob } from './row-norms.js';

/** See RecurrentShapeOptions.normalization. */
export type RecurrentNormalization = 'sum' | 'none' | 'l2' | 'rms' | 'layer' | 'length';
export const NORMALIZATIONS: readonly RecurrentNormalization[] = [
  'sum',
  'none',
  'l2',
  'rms',
  'layer',
  'length',
];

/** Added under the root of a root mean square norm. */
export const RMS_EPS = 1e-6;
/** Added to the variance of a layer norm. */
export const LAYER_EPS = 1e-5;
/** The least length that an L2 norm divides by. */
export const L2_EPS = 1e-12;
const EPS = { l2: L2_EPS, rms: RMS_EPS, layer: LAYER_EPS } as const;

/** The norm of the rows of numerators; undefined where nothing is left to do. `seen`: tokens before the first. */
export function normOf(
  normalization: RecurrentNormalization,
  { batch, heads, length, valueDim }: { batch: number; heads: number; length: number; valueDim: number },
  seen: number,
): RowNormJob | undefined {
  if (normalization === 'sum' || normalization === 'none') return undefined;
  const shape = { columns: valueDim, length, heads };
  if (normalization !== 'length') return { norm: normalization, eps: EPS[normalization], ...shape };
  const factors = Float64Array.from(
    { length: batch * heads * length },
    (_, row) => 1 / (seen + 1 + (row % length)),
  );
  return { norm: 'none', eps: 0, factors, ...shape };
}
