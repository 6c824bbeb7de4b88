/**
 * The alignment path of two series under a metric.
 */
import { maskFor } from './bands.js';
import { costMatrix, distance, type MetricOptions } from './distances.js';
import { type Path, walkLeast, walkMatches, walkShape } from './paths.js';
import { euclidean, pointsOf } from './points.js';

/** The path, null where no path reaches the last cell, and the distance. */
export function alignmentPath(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  o: MetricOptions = {},
): { path: Path | null; distance: number } {
  const value = distance(x, y, o);
  if (value === Infinity) return { path: null, distance: value };
  const table = costMatrix(x, y, o);
  if (o.metric === 'shapeDtw') return { path: walkShape(table), distance: value };
  if (o.metric !== 'lcss') return { path: walkLeast(table), distance: value };
  const [a, b] = [pointsOf(x, o.channels), pointsOf(y, o.channels)];
  const mask = maskFor(a.length, b.length, o);
  const matches = (i: number, j: number): boolean => mask[i][j] && euclidean(a[i], b[j]) <= (o.epsilon ?? 1);
  return { path: walkMatches(table, matches), distance: value };
}
