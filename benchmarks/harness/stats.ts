/** Order statistics of timing samples. The mean is left out on purpose: one interrupted sample moves it at will. */

/**
 * Quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan, the default of R and NumPy).
 *
 * @param sorted samples in ascending order, at least one
 * @param q in [0, 1]
 */
export function quantile(sorted: readonly number[], q: number): number {
  if (sorted.length === 0) throw new RangeError('"sorted" must hold at least one sample, received none');
  const position = (sorted.length - 1) * q;
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}

/** What a row of the table says about its samples; every time in the unit of the samples. */
export interface Summary {
  median: number;
  /** Interquartile range divided by the median: the middle half of the samples lies within about ± spread / 2. */
  spread: number;
  min: number;
  max: number;
}

/** Median, relative interquartile range and extremes of `samples` (any order, at least one). */
export function summarise(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  const range = quantile(sorted, 0.75) - quantile(sorted, 0.25);
  return { median, spread: median > 0 ? range / median : 0, min: sorted[0], max: sorted[sorted.length - 1] };
}
