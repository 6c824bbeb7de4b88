/**
 * Subsequence search without any of its tricks: the banded DTW of the query to every window of the stream.
 */
import { distance } from './distances.js';
import { zNormalized } from './points.js';

/** What is searched for; the defaults are those of the package. */
export interface SearchOptions {
  /** Number of matches. Default 1. */
  k?: number;
  /** Radius of the Sakoe-Chiba band in time points; default: no band. */
  windowAbs?: number;
  /** The same as a fraction of the length of the query. */
  window?: number;
  /** Whether query and windows are brought to mean 0 and deviation 1. Default false. */
  zNormalize?: boolean;
  /** Least distance between the starts of two matches. Default: the length of the query. */
  exclusion?: number;
}

/** A match: where it starts and how far it is. */
export interface Match {
  position: number;
  distance: number;
}

/** DTW of the query to the window that starts at each place of the stream. */
export function distanceProfile(
  query: ArrayLike<number>,
  stream: ArrayLike<number>,
  { zNormalize = false, window, windowAbs }: SearchOptions,
): Float64Array {
  const length = query.length;
  const prepared = (values: ArrayLike<number>): number[] =>
    zNormalize ? zNormalized(Array.from(values)) : Array.from(values);
  const [q, values] = [prepared(query), Array.from(stream)];
  return Float64Array.from({ length: values.length - length + 1 }, (_, start) =>
    distance(q, prepared(values.slice(start, start + length)), { metric: 'dtw', window, windowAbs }),
  );
}

/** The nearest windows, nearest first, none closer than `exclusion` to one taken before; ties to the earlier. */
export function nearestWindows(profile: ArrayLike<number>, k: number, exclusion: number): Match[] {
  const order = Array.from(profile, (value, position) => ({ position, distance: value })).sort(
    (a, b) => a.distance - b.distance || a.position - b.position,
  );
  const taken: Match[] = [];
  for (const match of order) {
    if (taken.length === k) break;
    if (taken.every(({ position }) => Math.abs(position - match.position) >= exclusion)) taken.push(match);
  }
  return taken;
}

/** The best matches of a query in a stream. */
export function subsequenceSearch(
  query: ArrayLike<number>,
  stream: ArrayLike<number>,
  options: SearchOptions = {},
): Match[] {
  const { k = 1, exclusion = query.length } = options;
  return nearestWindows(distanceProfile(query, stream, options), k, exclusion);
}
