/**
 * Time series as lists of points, in plain float64: `points[i]` is the vector of all channels at time i.
 */

/** One vector per time. */
export type Points = readonly (readonly number[])[];

/** The points of a series that is laid out channels x length, row-major. */
export function pointsOf(series: ArrayLike<number>, channels = 1): Points {
  const length = series.length / channels;
  return Array.from({ length }, (_, i) => Array.from({ length: channels }, (_, c) => series[c * length + i]));
}

/** One channel as a univariate series. */
export function channelOf(points: Points, channel: number): Points {
  return points.map((point) => [point[channel]]);
}

/** Channels of a series of at least one point. */
export function channelsOf(points: Points): number {
  return points[0].length;
}

/** sq(a, b): sum over channels of the squared differences. */
export function squared(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, c) => sum + (value - b[c]) ** 2, 0);
}

/** eu(a, b): Euclidean distance of two points; the absolute difference where there is one channel. */
export function euclidean(a: readonly number[], b: readonly number[]): number {
  return a.length === 1 ? Math.abs(a[0] - b[0]) : Math.sqrt(squared(a, b));
}

/** Derivative series of Keogh and Pazzani, two points shorter. */
export function derivative(points: Points): Points {
  return points.slice(1, -1).map((point, k) => {
    const [before, after] = [points[k], points[k + 2]];
    return point.map((value, c) => (value - before[c] + (after[c] - before[c]) / 2) / 2);
  });
}

/** Mean of some numbers. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Population standard deviation of some numbers; exactly 0 where all are equal. */
export function deviation(values: readonly number[]): number {
  if (values.every((value) => value === values[0])) return 0;
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}

/** Mean 0 and population standard deviation 1; equal values become 0. */
export function zNormalized(values: readonly number[]): number[] {
  const [centre, spread] = [mean(values), deviation(values)];
  return values.map((value) => (spread === 0 ? 0 : (value - centre) / spread));
}
