import type { SoftOptions } from '../reference/elastic/soft.js';
import type { Tolerance } from './compare.js';
import { type Dtype, normalSeries } from './elastic.js';
import { memo } from './memo.js';

/** Options of a loss, as the package types them. */
export type SoftFormOptions = Omit<SoftOptions, 'g' | 'channels'> & { g?: number | Float64Array };

/** Every loss with every parameter and kind of band; the first of each loss has the defaults. */
export const SOFT_FORMS: readonly SoftFormOptions[] = [
  { loss: 'dtw' },
  { loss: 'dtw', gamma: 0.01 },
  { loss: 'dtw', gamma: 0.1, window: 0.2 },
  { loss: 'dtw', gamma: 10, windowAbs: 1 },
  { loss: 'dtw', gamma: 0.3, itakuraMaxSlope: 0.5 },
  { loss: 'dtw', divergence: true },
  { loss: 'wdtw' },
  { loss: 'wdtw', g: 0.4, gamma: 0.1, windowAbs: 2 },
  { loss: 'wdtw', divergence: true, window: 0.4 },
  { loss: 'adtw' },
  { loss: 'adtw', warpPenalty: 0.2, gamma: 0.3, window: 0 },
  { loss: 'adtw', warpPenalty: 0.1, divergence: true },
  { loss: 'erp' },
  { loss: 'erp', g: 0.5, gamma: 0.2, window: 0.3 },
  { loss: 'erp', g: -1, gamma: 0.5, divergence: true },
  { loss: 'twe' },
  { loss: 'twe', nu: 0.1, lambda: 0.3, gamma: 0.2, windowAbs: 1 },
  { loss: 'twe', gamma: 0.5, divergence: true },
  { loss: 'msm' },
  { loss: 'msm', c: 0.2, gamma: 0.1 },
  { loss: 'msm', gate: 'relative', gamma: 0.5, window: 0.2 },
  { loss: 'msm', gamma: 0.01, windowAbs: 2 },
  { loss: 'msm', gamma: 0.4, itakuraMaxSlope: 1 },
  { loss: 'msm', divergence: true, window: 0.3 },
  { loss: 'msm', gate: 'relative', divergence: true },
];

const LENGTHS: readonly (readonly [number, number])[] = [
  [1, 1],
  [1, 3],
  [2, 1],
  [2, 2],
  [3, 2],
  [3, 3],
  [7, 8],
  [9, 9],
  [16, 17],
  [25, 18],
];

/** Lengths that a loss with its band is tried at. */
export function softLengths({ itakuraMaxSlope }: SoftFormOptions): readonly (readonly [number, number])[] {
  if (itakuraMaxSlope === undefined) return LENGTHS;
  return LENGTHS.filter(([n, m]) => Math.min(n, m) >= 3);
}

/** Two series of deviation 1. */
export const softPair = memo(
  (channels: number, n: number, m: number) =>
    [normalSeries(channels * n, 60 * n + m), normalSeries(channels * m, 4000 + 60 * m + n)] as const,
);

/** How far a loss may be from the reference. */
export function softTolerance({ gamma = 1 }: SoftFormOptions, dtype: Dtype, n: number, m: number): Tolerance {
  const unit = dtype === 'f64' ? 2 ** -53 : 2 ** -24;
  // Each cell rounds its value, and a logarithm times gamma.
  return (_, value) => 8 * (n + m) * unit * (Math.abs(value) + gamma * 4 + 1);
}
