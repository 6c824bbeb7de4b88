/**
 * Nearest neighbours under an elastic distance.
 */
import * as check from '../check.js';
import { threadsOf } from '../kernels/arguments.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { methodArgs } from './distance.js';
import { methodOf } from './metrics.js';
import type { MetricOptions } from './metrics.js';
import { requireSets, setsOf } from './pairwise.js';
import type { Collection } from './series.js';

/** Options of nearest. */
export interface NearestOptions extends MetricOptions {
  /** Neighbours of each query. Default 1. */
  k?: number;
  /**
   * Skip what cannot be among the nearest: lower bounds (DTW and its relatives, equal lengths) and cutoffs. The answer is
   * the same with and without. Default true.
   */
  prune?: boolean;
  /** 'self': the queries are X itself, and a series is not its own neighbour. Default: none. */
  exclude?: 'self';
  /** Most threads; results do not depend on them. Default 1. */
  threads?: number;
}

/** The nearest of each query, ascending; of equal distances the smaller index comes first. */
export interface Nearest {
  /** queries x k indices into X. */
  index: Uint32Array;
  /** queries x k distances. */
  distance: Float64Array;
  /** Pairs whose distance was not computed to the end. */
  pruned: number;
}

function prepare(X: Collection, queries: Collection, given?: NearestOptions): Prepared<Nearest> {
  const o = check.options(given);
  const names = ['X', 'queries'] as const;
  const sets = setsOf(X, queries, o.channels, names);
  const { x } = sets;
  const q = sets.y;
  if (!q) throw check.typeError('queries', 'a SeriesSet or an array of series', queries);
  const method = methodOf(o, x.channels);
  requireSets(method, q, x, ['queries', 'X']);
  const self = o.exclude !== undefined && check.oneOf('exclude', o.exclude, ['self']) === 'self';
  if (self && q.count !== x.count)
    throw check.rangeError('queries', `X itself, ${x.count} series, where exclude is 'self'`, `${q.count}`);
  const candidates = x.count - (self ? 1 : 0);
  const k = o.k === undefined ? 1 : check.positiveInteger('k', o.k);
  if (k > candidates) throw check.rangeError('k', `at most the ${candidates} candidates`, k);
  const prune = o.prune === undefined ? true : check.boolean('prune', o.prune);
  const index = new Int32Array(q.count * k);
  const distance = new Float64Array(q.count * k);
  const args = [
    x.data,
    x.lengths,
    q.data,
    q.lengths,
    index,
    distance,
    k,
    prune,
    self,
    ...methodArgs(method),
    threadsOf(o.threads),
  ];
  const result = (returned: unknown) => ({
    index: Uint32Array.from(index),
    distance,
    pruned: returned as number,
  });
  return { operation: 'elasticNearest', args, result };
}

/**
 * The k nearest series of X for every query: the same answer as the full matrix, most of which is never computed.
 * @param X the candidates
 * @param queries series of the class and channels of X
 * @throws as pairwise; RangeError for k above the number of candidates
 */
export const nearest = (X: Collection, queries: Collection, options?: NearestOptions): Nearest =>
  blocking(prepare(X, queries, options));

/** Promise form of nearest. */
export const nearestAsync = async (
  X: Collection,
  queries: Collection,
  options?: NearestOptions & AsyncOptions,
): Promise<Nearest> => promised(prepare(X, queries, options), options);
