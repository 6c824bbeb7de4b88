/**
 * Envelopes and lower bounds of dynamic time warping: what search prunes with.
 */
import * as check from '../check.js';
import { blocking } from '../native.js';
import { pairOf } from './distance.js';
import type { Pair } from './distance.js';
import { lengthOf, requireFinite, seriesArray } from './series.js';
import type { Series } from './series.js';

/** The largest and smallest value within a radius of each time point. */
export interface Envelope {
  upper: Float64Array;
  lower: Float64Array;
}

/** Options of the lower bounds. */
export interface BoundOptions {
  /** Channels of both series. Default 1. */
  channels?: number;
  /** The largest |i - j| that the warping may use, an integer of at least 0. Default: no limit. */
  radius?: number;
}

function radiusOf(radius: unknown): number {
  if (radius === undefined) return Number.MAX_SAFE_INTEGER;
  if (typeof radius !== 'number') throw check.typeError('radius', 'an integer of at least 0', radius);
  if (!Number.isSafeInteger(radius) || radius < 0)
    throw check.rangeError('radius', 'an integer of at least 0', radius);
  return radius;
}

function equalPair(x: unknown, y: unknown, channels: unknown): Pair {
  const pair = pairOf(x, y, channels);
  if (pair.n !== pair.m) throw check.rangeError('y', `of ${pair.n} time points as x`, `${pair.m}`);
  return pair;
}

/**
 * upper[i] = max of y over [i - radius, i + radius], lower[i] = min: in O(n), for each channel.
 * @param y channels x n values
 * @throws TypeError, RangeError as `distance`; RangeError for a radius that is no integer of at least 0
 */
export function envelope(y: Series, radius: number, options?: { channels?: number }): Envelope {
  const o = check.options(options);
  const channels = o.channels === undefined ? 1 : check.positiveInteger('channels', o.channels);
  seriesArray('y', y);
  lengthOf('y', y, channels);
  requireFinite('y', y);
  const upper = new Float64Array(y.length);
  const lower = new Float64Array(y.length);
  const args = [y, upper, lower, channels, radiusOf(radius)];
  return blocking({ operation: 'elasticEnvelope', args, result: { upper, lower } });
}

function bound(x: Series, y: Series, options: BoundOptions | undefined, improved: boolean): number {
  const o = check.options(options);
  const pair = equalPair(x, y, o.channels);
  const args = [pair.x, pair.y, pair.channels, radiusOf(o.radius), improved];
  return blocking({ operation: 'elasticKeogh', args, result: (returned) => returned as number });
}

/**
 * LB_Keogh (Keogh & Ratanamahatana 2005): the squared distance of x to the envelope of y, at most DTW of x and y with the
 * same radius.
 * @throws as distance; RangeError for unequal lengths
 */
export const lbKeogh = (x: Series, y: Series, options?: BoundOptions): number => bound(x, y, options, false);

/**
 * LB_Improved (Lemire 2009): LB_Keogh(x, y) plus LB_Keogh of y and x clipped to the envelope of y; at least LB_Keogh, at
 * most DTW.
 * @throws as lbKeogh
 */
export const lbImproved = (x: Series, y: Series, options?: BoundOptions): number =>
  bound(x, y, options, true);

/**
 * LB_Kim reduced to the first and last time points, which every path matches: O(1).
 * @throws as distance; any lengths will do
 */
export function lbKim(x: Series, y: Series, options?: { channels?: number }): number {
  const o = check.options(options);
  const { channels, n, m, ...pair } = pairOf(x, y, o.channels);
  const square = (i: number, j: number) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += (pair.x[c * n + i] - pair.y[c * m + j]) ** 2;
    return sum;
  };
  // With one point on both sides the first is the last.
  return n === 1 && m === 1 ? square(0, 0) : square(0, 0) + square(n - 1, m - 1);
}
