/**
 * Lloyd's iteration for any distance and any average, as a task, with the seeding of Arthur and Vassilvitskii,
 * "k-means++: the advantages of careful seeding" (SODA 2007). k-means and soft k-means are this with their own rules.
 */
import * as check from '../check.js';
import { Philox } from '../random.js';
import { drawIndex, seedOf } from './center.js';
import { shuffled } from './averaging.js';
import { toleranceOf } from './barycenter.js';
import { inClassOf, smallestOfRows } from './model.js';
import { asSet, SeriesSet } from './series.js';
import type { Collection, Series } from './series.js';
import { part, progress } from './task.js';
import type { Task } from './task.js';

/** What k-means and soft k-means have in common. */
export interface LloydOptions {
  /** Clusters, from 1 to the number of series. */
  k: number;
  /**
   * 'kmeans++': series drawn with a probability proportional to their distance from those already drawn. 'random': any
   * series. A collection: the first centres themselves. Default 'kmeans++'.
   */
  init?: 'kmeans++' | 'random' | Collection;
  /** Starts, of which the one with the least inertia is kept, at least 1. Default 1. */
  restarts?: number;
  /** Most iterations of each start, at least 1. Default 300. */
  maxIter?: number;
  /** Converged where the inertia changes by less than this, >= 0; also where no label changes. Default 1e-6. */
  tol?: number;
  /** Seed of every random choice, an integer from 0 to 2^53 - 1. Default 0. */
  seed?: number;
}

/** What is learned. */
export interface LloydResult {
  /** k series, in the class of the data. */
  centers: SeriesSet;
  /** Cluster of each series. */
  labels: Int32Array;
  /** Sum of the distances of the series to their centres. */
  inertia: number;
  /** Iterations of the start that was kept. */
  iterations: number;
  /** Whether that start ended before `maxIter`. */
  converged: boolean;
}

/** The distance and the average that a k-means stands on. */
export interface LloydRules {
  /** count x k distances from series to centres. */
  distances: (X: SeriesSet, centers: SeriesSet) => Task<Float64Array>;
  /** Distances >= 0 from all series to series i, for the seeding. */
  seedDistances: (X: SeriesSet, i: number) => Task<Float64Array>;
  /** The average of a cluster, from its present centre. */
  average: (members: SeriesSet, center: Series) => Task<Float64Array>;
}

/** The options, checked; k is held against the data when there are any. */
export function lloydOf(o: LloydOptions): Required<Omit<LloydOptions, 'init'>> & Pick<LloydOptions, 'init'> {
  if (typeof o.init === 'string') check.oneOf('init', o.init, ['kmeans++', 'random']);
  return {
    k: check.positiveInteger('k', o.k),
    init: o.init,
    restarts: o.restarts === undefined ? 1 : check.positiveInteger('restarts', o.restarts),
    maxIter: o.maxIter === undefined ? 300 : check.positiveInteger('maxIter', o.maxIter),
    tol: toleranceOf(o.tol, 1e-6),
    seed: seedOf(o.seed),
  };
}

/** k-means under the given rules. */
export function* lloyd(X: SeriesSet, given: LloydOptions, rules: LloydRules): Task<LloydResult> {
  const o = lloydOf(given);
  if (o.k > X.count) throw check.rangeError('k', `at most the ${X.count} series`, o.k);
  let first: SeriesSet | undefined;
  if (o.init !== undefined && typeof o.init !== 'string') {
    first = asSet('init', o.init, undefined);
    if (first.channels !== X.channels)
      throw check.typeError('init', `series of ${X.channels} channels`, first.channels);
    if (first.count !== o.k) throw check.rangeError('init', `${o.k} series, one per cluster`, first.count);
  }
  // Centres that are given leave nothing to chance.
  const restarts = first ? 1 : o.restarts;
  let best: LloydResult | undefined;
  for (let r = 0; r < restarts; r++) {
    const random = new Philox(o.seed, r);
    const centers = first ?? (yield* part(seedCenters(X, o.k, o.init !== 'random', random, rules)));
    const found = yield* part(iterate(X, centers, o, rules), [r / restarts, (r + 1) / restarts]);
    if (best === undefined || found.inertia < best.inertia) best = found;
  }
  return best as LloydResult;
}

function* seedCenters(
  X: SeriesSet,
  k: number,
  isCareful: boolean,
  random: Philox,
  rules: LloydRules,
): Task<SeriesSet> {
  if (!isCareful) return X.subset(shuffled(X.count, random).subarray(0, k));
  return X.subset(yield* carefulSeeds(X.count, k, random, (i) => rules.seedDistances(X, i)));
}

/**
 * k-means++: the first index at random, each next with a probability proportional to its distance from the nearest one
 * drawn so far; where all distances are 0, any that is left.
 * @param distancesTo distances >= 0 from all to one
 */
export function* carefulSeeds(
  count: number,
  k: number,
  random: Philox,
  distancesTo: (i: number) => Task<Float64Array>,
): Task<Uint32Array> {
  const seeds = new Uint32Array(k);
  const isTaken = new Uint8Array(count);
  const nearest = new Float64Array(count).fill(Infinity);
  const chances = new Float64Array(count).fill(1);
  for (let s = 0; s < k; s++) {
    seeds[s] = drawIndex(random, chances);
    isTaken[seeds[s]] = 1;
    if (s + 1 === k) break;
    const distances = yield* distancesTo(seeds[s]);
    let farthest = 0;
    for (let i = 0; i < count; i++) {
      nearest[i] = isTaken[i] ? 0 : Math.min(nearest[i], distances[i]);
      farthest = Math.max(farthest, nearest[i]);
    }
    // A series without a path to any seed is the farthest there is: one of those is next.
    for (let i = 0; i < count; i++) {
      if (farthest === 0) chances[i] = 1 - isTaken[i];
      else chances[i] = farthest === Infinity ? Number(nearest[i] === Infinity) : nearest[i];
    }
  }
  return seeds;
}

function* iterate(
  X: SeriesSet,
  start: SeriesSet,
  { maxIter, tol }: { maxIter: number; tol: number },
  rules: LloydRules,
): Task<LloydResult> {
  let centers = inClassOf(X, start);
  const k = centers.count;
  let assigned = assign(yield* part(rules.distances(X, centers)), k);
  // Averages of elastic distances may raise the inertia: the best of all iterations is what is returned.
  let best: LloydResult = { centers, ...assigned, iterations: 0, converged: false };
  for (let iterations = 1; iterations <= maxIter; iterations++) {
    const labels = withoutEmpty(assigned.labels, assigned.distances, k);
    const averages: Float64Array[] = [];
    for (let c = 0; c < k; c++) {
      const members = indicesOf(labels, c);
      const center = centers.series(c);
      averages.push(
        members.length === 0
          ? Float64Array.from(center)
          : yield* part(rules.average(X.subset(members), center)),
      );
    }
    centers = inClassOf(X, SeriesSet.from(averages, { channels: X.channels }));
    const next = assign(yield* part(rules.distances(X, centers)), k);
    yield* progress(iterations / maxIter);
    const isSame = next.labels.every((each, i) => each === labels[i]);
    const converged = isSame || Math.abs(assigned.inertia - next.inertia) < tol;
    if (next.inertia < best.inertia) best = { centers, ...next, iterations, converged };
    else best = { ...best, iterations, converged };
    if (converged) break;
    assigned = next;
  }
  const { labels, inertia, iterations, converged } = best;
  return { centers: best.centers, labels, inertia, iterations, converged };
}

function assign(matrix: Float64Array, k: number) {
  const { at, value } = smallestOfRows(matrix, k);
  return { labels: at, distances: value, inertia: value.reduce((sum, each) => sum + each, 0) };
}

function indicesOf(labels: Int32Array, cluster: number): number[] {
  const members: number[] = [];
  labels.forEach((each, i) => {
    if (each === cluster) members.push(i);
  });
  return members;
}

/** Labels in which each empty cluster has got the series that is farthest from its centre, out of a cluster of several. */
function withoutEmpty(labels: Int32Array, distances: Float64Array, k: number): Int32Array {
  const out = labels.slice();
  const sizes = new Int32Array(k);
  for (const each of out) sizes[each]++;
  const isMoved = new Uint8Array(out.length);
  for (let c = 0; c < k; c++) {
    if (sizes[c] > 0) continue;
    let farthest = -1;
    for (let i = 0; i < out.length; i++) {
      if (isMoved[i] || sizes[out[i]] < 2) continue;
      if (farthest < 0 || distances[i] > distances[farthest]) farthest = i;
    }
    sizes[out[farthest]]--;
    out[farthest] = c;
    sizes[c] = 1;
    isMoved[farthest] = 1;
  }
  return out;
}
