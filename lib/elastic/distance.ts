/**
 * The distance of two series, its table, and its path.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { bandOf, methodOf, requireLengths } from './metrics.js';
import type { Band, MetricOptions, NativeMethod } from './metrics.js';
import { lengthOf, requireFinite, seriesArray } from './series.js';
import type { Series } from './series.js';

/** Options of distance. */
export interface DistanceOptions extends MetricOptions {
  /**
   * Gives up beyond this value: the result is the distance, to the bit, where that is at most the cutoff, and Infinity
   * otherwise. Default Infinity.
   */
  cutoff?: number;
}

/** Two series, checked, of one class and one number of channels. */
export interface Pair {
  x: Series;
  y: Series;
  channels: number;
  n: number;
  m: number;
}

/** Checks two series of a call. */
export function pairOf(x: unknown, y: unknown, channelsOption: unknown): Pair {
  const channels = channelsOption === undefined ? 1 : check.positiveInteger('channels', channelsOption);
  const a = seriesArray('x', x);
  const b = seriesArray('y', y);
  if (check.isA(a, Float64Array) !== check.isA(b, Float64Array))
    throw check.typeError('y', `a ${check.isA(a, Float64Array) ? 'Float64Array' : 'Float32Array'} like x`, b);
  const n = lengthOf('x', a, channels);
  const m = lengthOf('y', b, channels);
  requireFinite('x', a);
  requireFinite('y', b);
  return { x: a, y: b, channels, n, m };
}

/** The last arguments of every operation of this family. */
export function methodArgs(method: NativeMethod): unknown[] {
  return [method.channels, method.metric, method.band, method.parameters];
}

function prepareDistance(x: Series, y: Series, given?: DistanceOptions): Prepared<number> {
  const o = check.options(given);
  const pair = pairOf(x, y, o.channels);
  const method = methodOf(o, pair.channels);
  requireLengths(method, pair.n, pair.m);
  const cutoff = o.cutoff ?? Infinity;
  if (typeof cutoff !== 'number') throw check.typeError('cutoff', 'a number', cutoff);
  if (Number.isNaN(cutoff)) throw check.rangeError('cutoff', 'a number', cutoff);
  const args = [pair.x, pair.y, cutoff, ...methodArgs(method)];
  return { operation: 'elasticDistance', args, result: (returned) => returned as number };
}

/**
 * The elastic distance of two series.
 * @param x channels x n values, channel first
 * @param y channels x m values, of the class of x: Float32Array computes in float32, Float64Array in float64
 * @returns the distance; Infinity where the band leaves no path, or beyond the cutoff
 * @throws TypeError for another class of array, SharedArrayBuffer memory; RangeError for empty series, lengths not
 *   divisible by `channels`, NaN or infinite values, unequal lengths ('squared', 'euclidean'), fewer than 3 time points
 *   (derivatives), parameters out of range
 */
export const distance = (x: Series, y: Series, options?: DistanceOptions): number =>
  blocking(prepareDistance(x, y, options));

/** Promise form of distance: for series so long that one pair takes its time. */
export const distanceAsync = async (
  x: Series,
  y: Series,
  options?: DistanceOptions & AsyncOptions,
): Promise<number> => promised(prepareDistance(x, y, options), options);

/** Accumulated costs: `data[i * cols + j]` is the cost of the best path to x_i and y_j. */
export interface CostMatrix {
  data: Float64Array;
  rows: number;
  cols: number;
}

/** The size of the table for a pair: derivatives are two points shorter. Refuses tables above 2^31 bytes. */
function tableShape(method: NativeMethod, pair: Pair): [rows: number, cols: number] {
  const shorter = method.metric === 'ddtw' || method.metric === 'wddtw' ? 2 : 0;
  const rows = pair.n - shorter;
  const cols = pair.m - shorter;
  if (rows * cols * 8 > 2 ** 31)
    throw check.rangeError(
      'x',
      'such that the table of x and y has at most 2^31 bytes',
      `${rows} x ${cols} cells`,
    );
  return [rows, cols];
}

function prepareTable(x: Series, y: Series, given?: MetricOptions): Prepared<CostMatrix> {
  const o = check.options(given);
  const pair = pairOf(x, y, o.channels);
  const method = methodOf(o, pair.channels);
  if (['squared', 'euclidean', 'shapeDtw', 'sbd'].includes(method.metric))
    throw check.rangeError('metric', 'one with a table of accumulated costs', method.metric);
  requireLengths(method, pair.n, pair.m);
  const [rows, cols] = tableShape(method, pair);
  const data = new Float64Array(rows * cols);
  return {
    operation: 'elasticTable',
    args: [pair.x, pair.y, data, ...methodArgs(method)],
    result: { data, rows, cols },
  };
}

/**
 * The accumulated cost table of an elastic distance, its border left out; cells outside the band are Infinity (lcss,
 * which counts matches: 0). Independent channels: the sum of their tables.
 * @throws as distance; RangeError for metrics without a table ('squared', 'euclidean', 'shapeDtw', 'sbd') and for tables
 *   above 2^31 bytes, before anything is allocated
 */
export const costMatrix = (x: Series, y: Series, options?: MetricOptions): CostMatrix =>
  blocking(prepareTable(x, y, options));

/** Promise form of costMatrix. */
export const costMatrixAsync = async (
  x: Series,
  y: Series,
  options?: MetricOptions & AsyncOptions,
): Promise<CostMatrix> => promised(prepareTable(x, y, options), options);

/** An alignment: pairs i, j one after the other, ascending; null where the band leaves no path. */
export interface Alignment {
  path: Uint32Array | null;
  distance: number;
}

function preparePath(x: Series, y: Series, given?: MetricOptions): Prepared<Alignment> {
  const o = check.options(given);
  const pair = pairOf(x, y, o.channels);
  const method = methodOf(o, pair.channels);
  if (method.metric === 'sbd') throw check.rangeError('metric', 'one with a path', 'sbd');
  requireLengths(method, pair.n, pair.m);
  if (method.metric !== 'squared' && method.metric !== 'euclidean') tableShape(method, pair);
  const path = new Int32Array(2 * (pair.n + pair.m));
  const found = new Float64Array(2);
  const result = (): Alignment => {
    const [value, steps] = found;
    const isUnreachable = value === Infinity && method.metric !== 'lcss';
    return { path: isUnreachable ? null : Uint32Array.from(path.subarray(0, 2 * steps)), distance: value };
  };
  return { operation: 'elasticPath', args: [pair.x, pair.y, path, found, ...methodArgs(method)], result };
}

/**
 * The path of an elastic distance: from the last cell back to the first through the smallest of the diagonal, upper and
 * left predecessor, the first of equals. lcss: the matches alone. Derivatives: indices into the derivative series.
 * @throws as distance; RangeError for 'sbd', which has no path, and for tables above 2^31 bytes
 */
export const alignmentPath = (x: Series, y: Series, options?: MetricOptions): Alignment =>
  blocking(preparePath(x, y, options));

/** Promise form of alignmentPath. */
export const alignmentPathAsync = async (
  x: Series,
  y: Series,
  options?: MetricOptions & AsyncOptions,
): Promise<Alignment> => promised(preparePath(x, y, options), options);

/**
 * The cells that a band allows for series of n and m points, row-major, 1 inside.
 * @throws RangeError as distance for the band; for n or m below 1
 */
export function boundingMatrix(n: number, m: number, options?: Band): Uint8Array {
  const o = check.options(options);
  check.positiveInteger('n', n);
  check.positiveInteger('m', m);
  const { band, value } = bandOf(o);
  const parameters = new Float64Array(10);
  parameters[9] = value;
  requireLengths({ metric: 'dtw', band, channels: 1, parameters }, n, m);
  if (n * m > 2 ** 29) throw check.rangeError('n', 'such that n m is at most 2^29', n);
  const out = new Int32Array(n * m);
  blocking({ operation: 'elasticBand', args: [out, n, m, band, value], result: undefined });
  return Uint8Array.from(out);
}
