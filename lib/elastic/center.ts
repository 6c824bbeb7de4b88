/** Where an average starts: the mean of the members, a medoid, a member drawn at random, or what the caller gives. */
import * as check from '../check.js';
import { Philox } from '../random.js';
import { asSet, lengthOf, requireFinite, seriesArray, SeriesSet } from './series.js';
import type { Collection, Series } from './series.js';
import type { Task } from './task.js';

/**
 * 'mean': the weighted mean of the members; members of unequal lengths are first resampled linearly to their mean length,
 * rounded. 'medoid': the member with the smallest weighted sum of distances to all, the first of equals. 'random': a
 * member drawn by `seed` with probability proportional to its weight. A series: itself, of any length.
 */
export type Init = 'mean' | 'medoid' | 'random' | Series;

/** What the averages share. */
export interface CenterOptions {
  /** Where to start. Default 'mean'. */
  init?: Init;
  /** One weight per member, >= 0, not all 0. Default: all 1. */
  weights?: ArrayLike<number>;
  /** Seed of every random choice, an integer from 0 to 2^53 - 1. Default 0. */
  seed?: number;
}

/** The members of an average in float64, whatever the collection holds. */
export function membersOf(X: Collection, channels: number | undefined): SeriesSet {
  return asSet('X', X, channels).toFloat64();
}

/** The weights as an array, checked. */
export function weightsOf(weights: unknown, count: number): Float64Array {
  if (weights === undefined) return new Float64Array(count).fill(1);
  if (typeof weights !== 'object' || weights === null || !('length' in weights))
    throw check.typeError('weights', 'an array of numbers', weights);
  const list = Float64Array.from(weights as ArrayLike<number>);
  if (list.length !== count)
    throw check.rangeError('weights', `${count} elements long, one per series`, list);
  const at = list.findIndex((each) => !(each >= 0 && each < Infinity));
  if (at >= 0) throw check.rangeError('weights', 'finite and >= 0', `${list[at]} at index ${at}`);
  if (list.every((each) => each === 0)) throw check.rangeError('weights', 'not all 0', 'zeros');
  return list;
}

/** The seed, checked; 0 where absent. */
export function seedOf(seed: unknown): number {
  if (seed === undefined) return 0;
  if (typeof seed !== 'number') throw check.typeError('seed', 'an integer from 0 to 2^53 - 1', seed);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw check.rangeError('seed', 'an integer from 0 to 2^53 - 1', seed);
  return seed;
}

/** An initial centre as given, checked as far as it can be without computing. */
export function initOf(init: unknown, channels: number): Init {
  if (init === undefined) return 'mean';
  if (typeof init === 'string') return check.oneOf('init', init, ['mean', 'medoid', 'random'] as const);
  const series = seriesArray('init', init);
  lengthOf('init', series, channels);
  requireFinite('init', series);
  return Float64Array.from(series);
}

/**
 * The initial centre, channels x length.
 * @param allDistances the count x count matrix of distances between members, for 'medoid'
 */
export function* initialCenter(
  X: SeriesSet,
  init: Init,
  weights: Float64Array,
  seed: number,
  allDistances: () => Task<Float64Array>,
): Task<Float64Array> {
  if (typeof init !== 'string') return Float64Array.from(init);
  switch (init) {
    case 'mean':
      return weightedMean(X, weights);
    case 'medoid':
      return Float64Array.from(X.series(medoidOf(yield* allDistances(), weights)));
    case 'random':
      return Float64Array.from(X.series(drawIndex(new Philox(seed), weights)));
  }
}

/** The weighted mean; members of unequal lengths are resampled to their mean length, rounded. */
export function weightedMean(X: SeriesSet, weights: Float64Array): Float64Array {
  const length =
    X.length ?? Math.max(1, Math.round(X.lengths.reduce((sum, each) => sum + each, 0) / X.count));
  const sums = new Float64Array(X.channels * length);
  let total = 0;
  for (let k = 0; k < X.count; k++) {
    const series = X.series(k);
    const member = X.lengths[k] === length ? series : resampled(series, X.channels, length);
    for (let i = 0; i < sums.length; i++) sums[i] += weights[k] * member[i];
    total += weights[k];
  }
  return sums.map((each) => each / total);
}

/** A series stretched linearly to another length, first and last values kept. */
export function resampled(series: Series, channels: number, length: number): Float64Array {
  const from = series.length / channels;
  const out = new Float64Array(channels * length);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < length; i++) {
      const at = length === 1 ? (from - 1) / 2 : (i * (from - 1)) / (length - 1);
      const left = Math.min(Math.floor(at), from - 1);
      const right = Math.min(left + 1, from - 1);
      const share = at - left;
      out[c * length + i] = series[c * from + left] * (1 - share) + series[c * from + right] * share;
    }
  }
  return out;
}

/** The first row of a square matrix with the smallest weighted sum. */
export function medoidOf(matrix: Float64Array, weights: Float64Array): number {
  const n = weights.length;
  let best = 0;
  let least = Infinity;
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += weights[j] === 0 ? 0 : weights[j] * matrix[i * n + j];
    if (sum < least) {
      least = sum;
      best = i;
    }
  }
  return best;
}

/** An index drawn with probability proportional to its weight; weights >= 0, not all 0. One number of the stream. */
export function drawIndex(random: Philox, weights: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i];
  let left = random.uniform(new Float64Array(1))[0] * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    last = i;
    left -= weights[i];
    if (left < 0) return i;
  }
  // Rounding of the sum may leave a little over.
  return last;
}
