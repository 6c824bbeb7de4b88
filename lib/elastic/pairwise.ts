/**
 * Matrices of elastic distances.
 */
import * as check from '../check.js';
import { threadsOf } from '../kernels/arguments.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { methodArgs } from './distance.js';
import { methodOf, requireLengths } from './metrics.js';
import type { MetricOptions, NativeMethod } from './metrics.js';
import { SeriesSet, asSet } from './series.js';
import type { Collection } from './series.js';

/** A half-open range of rows or columns. */
export type Range = readonly [begin: number, end: number];

/** Where a matrix goes and how it is computed. */
export interface MatrixOptions {
  /** The rows of the matrix to compute, [begin, end). Default all. */
  rows?: Range;
  /** The columns, [begin, end). Default all. */
  cols?: Range;
  /** Receives the block, row-major, at least as long as it. Default: a fresh array. */
  out?: Float64Array;
  /** Most threads; results do not depend on them. Default 1. */
  threads?: number;
}

/** Options of pairwise. */
export type PairwiseOptions = MetricOptions & MatrixOptions;

/** Two sets of one class and one number of channels; series given as arrays have the channels of a set beside them. */
export function setsOf(
  X: unknown,
  Y: unknown,
  channels: number | undefined,
  names: readonly [string, string] = ['X', 'Y'],
): { x: SeriesSet; y: SeriesSet | null } {
  const beside = Y instanceof SeriesSet && !(X instanceof SeriesSet) ? Y.channels : undefined;
  const x = asSet(names[0], X, channels ?? beside);
  if (channels === undefined && Y instanceof SeriesSet && Y.channels !== x.channels)
    throw check.typeError(names[1], `of ${x.channels} channels as ${names[0]}`, `a set of ${Y.channels}`);
  const y = Y === null || Y === undefined ? null : asSet(names[1], Y, channels ?? x.channels);
  if (y && check.isA(y.data, Float64Array) !== check.isA(x.data, Float64Array))
    throw check.typeError(
      names[1],
      `of ${check.isA(x.data, Float64Array) ? 'float64' : 'float32'} values as ${names[0]}`,
      y.data,
    );
  return { x, y };
}

/** Checks that a method can be computed between any x and any y. */
export function requireSets(
  method: NativeMethod,
  x: SeriesSet,
  y: SeriesSet,
  names: readonly [string, string] = ['X', 'Y'],
): void {
  const shortest = (set: SeriesSet) => set.lengths.reduce((a, b) => Math.min(a, b), Infinity);
  requireLengths(method, shortest(x), shortest(y), names);
  const pointwise = method.metric === 'squared' || method.metric === 'euclidean';
  if (pointwise && (x.length === null || y.length !== x.length))
    throw check.rangeError(
      names[1],
      `of series of one length with ${names[0]} for metric '${method.metric}'`,
      'unequal lengths',
    );
}

/** A half-open range within [0, count). */
export function rangeOf(name: string, range: unknown, count: number): Range {
  if (range === undefined) return [0, count];
  if (!Array.isArray(range) || range.length !== 2) throw check.typeError(name, 'a pair [begin, end]', range);
  const [begin, end] = range as [unknown, unknown];
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end))
    throw check.rangeError(name, 'a pair of integers', `[${String(begin)}, ${String(end)}]`);
  const from = begin as number;
  const to = end as number;
  if (from < 0 || to > count || from >= to)
    throw check.rangeError(name, `a non-empty range within [0, ${count}]`, `[${from}, ${to}]`);
  return [from, to];
}

/** The native call of a block of a matrix, hard or soft. */
export function prepareMatrix(
  x: SeriesSet,
  y: SeriesSet | null,
  method: NativeMethod,
  o: MatrixOptions,
): Prepared<Float64Array> {
  requireSets(method, x, y ?? x);
  const rows = rangeOf('rows', o.rows, x.count);
  const cols = rangeOf('cols', o.cols, (y ?? x).count);
  const size = (rows[1] - rows[0]) * (cols[1] - cols[0]);
  let { out } = o;
  if (out === undefined) {
    if (size > 2 ** 32) throw check.rangeError('out', 'given in blocks', `a matrix of ${size} elements`);
    out = new Float64Array(size);
  } else {
    if (!check.isA(out, Float64Array)) throw check.typeError('out', 'a Float64Array', out);
    check.attached('out', out);
    if (out.length < size) throw check.rangeError('out', `at least ${size} elements long`, out);
  }
  const args = [
    x.data,
    x.lengths,
    y?.data,
    y?.lengths,
    out,
    ...rows,
    ...cols,
    ...methodArgs(method),
    threadsOf(o.threads),
  ];
  return { operation: 'elasticPairwise', args, result: out };
}

function preparePairwise(
  X: Collection,
  Y: Collection | null,
  given?: PairwiseOptions,
): Prepared<Float64Array> {
  const o = check.options(given);
  const { x, y } = setsOf(X, Y, o.channels);
  return prepareMatrix(x, y, methodOf(o, x.channels), o);
}

/**
 * Distances between every series of X and every one of Y, or of X itself where Y is null: then symmetric distances are
 * computed once and the diagonal is 0. Pairs run side by side in vector lanes; ragged sets are sorted by length inside.
 * @returns count(X) x count(Y) distances, row-major, or the block of `rows` and `cols`
 * @throws as distance; TypeError for sets of different channels or class; RangeError for ranges outside the sets
 */
export const pairwise = (X: Collection, Y: Collection | null, options?: PairwiseOptions): Float64Array =>
  blocking(preparePairwise(X, Y, options));

/** Promise form of pairwise: off the event loop, with `signal` and `onProgress`. */
export const pairwiseAsync = async (
  X: Collection,
  Y: Collection | null,
  options?: PairwiseOptions & AsyncOptions,
): Promise<Float64Array> => promised(preparePairwise(X, Y, options), options);
