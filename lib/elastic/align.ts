/**
 * Sums of series along their alignments with a centre: what averaging methods are made of.
 */
import * as check from '../check.js';
import { threadsOf } from '../kernels/arguments.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { methodArgs } from './distance.js';
import { methodOf } from './metrics.js';
import type { MetricOptions } from './metrics.js';
import { requireSets, setsOf } from './pairwise.js';
import { SeriesSet } from './series.js';
import type { Collection, Series } from './series.js';

/** Options of alignmentSums. */
export interface AlignmentSumsOptions extends MetricOptions {
  /** A weight of at least 0 for each series. Default 1. */
  weights?: Float64Array;
  /** Most threads; results do not depend on them. Default 1. */
  threads?: number;
}

/** Sums over all series, weighted. */
export interface AlignmentSums {
  /** The distance of each series to the centre. */
  distances: Float64Array;
  /** channels x n: the values matched to each point of the centre. */
  sums: Float64Array;
  /** n: how many they are. */
  counts: Float64Array;
}

/** Checks a weight for each of `count` things: at least 0, not all 0. */
export function weightsOf(weights: unknown, count: number): Float64Array | undefined {
  if (weights === undefined) return undefined;
  if (!check.isA(weights, Float64Array)) throw check.typeError('weights', 'a Float64Array', weights);
  check.attached('weights', weights);
  if (weights.length !== count) throw check.rangeError('weights', `${count} elements long`, weights);
  const bad = weights.findIndex((w) => !(w >= 0 && w < Infinity));
  if (bad >= 0) throw check.rangeError('weights', 'finite and at least 0', `${weights[bad]} at index ${bad}`);
  if (weights.every((w) => w === 0)) throw check.rangeError('weights', 'not all 0', 'zeros');
  return weights;
}

function prepare(center: Series, X: Collection, given?: AlignmentSumsOptions): Prepared<AlignmentSums> {
  const o = check.options(given);
  const { x } = setsOf(X, null, o.channels);
  const own = SeriesSet.from([center], { channels: x.channels });
  setsOf(x, own, undefined);
  const method = methodOf(o, x.channels);
  if (['sbd', 'lcss', 'edr', 'ddtw', 'wddtw'].includes(method.metric))
    throw check.rangeError('metric', 'one whose path matches every point of both series', method.metric);
  requireSets(method, x, own);
  const weights = weightsOf(o.weights, x.count);
  const n = own.lengths[0];
  const distances = new Float64Array(x.count);
  const sums = new Float64Array(x.channels * n);
  const counts = new Float64Array(n);
  const args = [
    center,
    x.data,
    x.lengths,
    weights,
    distances,
    sums,
    counts,
    ...methodArgs(method),
    threadsOf(o.threads),
  ];
  return { operation: 'elasticAlignmentSums', args, result: { distances, sums, counts } };
}

/**
 * Aligns every series of X with a centre by its hard path and sums the values matched to each point of the centre:
 * sums / counts is one step of DBA (Petitjean et al. 2011) or, on MSM paths, of MBA (Holder et al. 2023).
 * Of equally good steps the diagonal is taken first, then the one that moves the series, then the one that moves the centre.
 * @param center channels x n values of the class of X
 * @throws as pairwise; RangeError for metrics whose path leaves points out ('sbd', 'lcss', 'edr', derivatives), for
 *   weights that are negative or all 0, and for tables above 2^31 bytes
 */
export const alignmentSums = (center: Series, X: Collection, options?: AlignmentSumsOptions): AlignmentSums =>
  blocking(prepare(center, X, options));

/** Promise form of alignmentSums. */
export const alignmentSumsAsync = async (
  center: Series,
  X: Collection,
  options?: AlignmentSumsOptions & AsyncOptions,
): Promise<AlignmentSums> => promised(prepare(center, X, options), options);
