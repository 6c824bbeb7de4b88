/**
 * Envelopes and lower bounds of DTW with squared cost, for univariate series of equal length.
 */

/** Largest and smallest value within `radius` of each time. */
export interface Envelope {
  upper: Float64Array;
  lower: Float64Array;
}

/** The envelope, each place by itself. */
export function envelope(y: ArrayLike<number>, radius: number): Envelope {
  const values = Array.from(y);
  const near = (i: number): number[] => values.slice(Math.max(0, i - radius), i + radius + 1);
  return {
    upper: Float64Array.from(values, (_, i) => Math.max(...near(i))),
    lower: Float64Array.from(values, (_, i) => Math.min(...near(i))),
  };
}

/** The squared differences of the first and the last values. */
export function lbKim(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const first = (x[0] - y[0]) ** 2;
  return x.length === 1 ? first : first + (x[x.length - 1] - y[y.length - 1]) ** 2;
}

/** What of x lies outside the envelope of y, squared. */
export function lbKeogh(x: ArrayLike<number>, y: ArrayLike<number>, radius: number): number {
  const { upper, lower } = envelope(y, radius);
  return Array.from(x).reduce(
    (sum, value, i) => sum + Math.max(value - upper[i], 0) ** 2 + Math.max(lower[i] - value, 0) ** 2,
    0,
  );
}

/** LB_Keogh, and LB_Keogh of y against x clipped to the envelope of y. */
export function lbImproved(x: ArrayLike<number>, y: ArrayLike<number>, radius: number): number {
  const { upper, lower } = envelope(y, radius);
  const clipped = Float64Array.from(x, (value, i) => Math.min(Math.max(value, lower[i]), upper[i]));
  return lbKeogh(x, y, radius) + lbKeogh(y, clipped, radius);
}
