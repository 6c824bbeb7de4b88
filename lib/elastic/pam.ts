/**
 * k-medoids on a matrix of distances: PAM (Kaufman and Rousseeuw, Finding Groups in Data, 1990, chapter 2) with the swap
 * phase of FastPAM1 (Schubert and Rousseeuw, "Faster k-medoids clustering", SISAP 2019), which finds the same best swap
 * in 1/k of the time, and the alternating method of Park and Jun, "A simple and fast algorithm for K-medoids clustering"
 * (Expert Systems with Applications 36, 2009).
 */
import * as check from '../check.js';
import type { AsyncOptions } from '../native.js';
import { Philox } from '../random.js';
import { shuffled } from './averaging.js';
import { seedOf } from './center.js';
import type { Clustering } from './estimator.js';
import { carefulSeeds } from './lloyd.js';
import { breath, progress, runLater, runNow } from './task.js';
import type { Task } from './task.js';

/** Options of kMedoids. */
export interface KMedoidsMatrixOptions {
  /** Medoids, from 1 to n. */
  k: number;
  /**
   * 'pam': the swap of a medoid and another series that gains most, until none gains. 'alternate': nearest medoid, then
   * the best medoid of each cluster, until nothing changes; faster and less good. Default 'pam'.
   */
  method?: 'pam' | 'alternate';
  /**
   * 'build': the medoids one by one, each the one that gains most. 'kmeans++': drawn with a probability proportional to
   * the distance from those drawn. 'random': any. An array: k different indices. Default 'build' for 'pam',
   * 'kmeans++' for 'alternate'.
   */
  init?: 'build' | 'kmeans++' | 'random' | ArrayLike<number>;
  /** Most swaps or rounds, at least 1. Default 300. */
  maxIter?: number;
  /** Seed of the random starts, an integer from 0 to 2^53 - 1. Default 0. */
  seed?: number;
}

/** What is found. */
export interface KMedoidsResult extends Clustering {
  /** Indices of the medoids, ascending; cluster c is that of the c-th. */
  medoids: Uint32Array;
}

/** A square matrix of finite distances. */
interface Distances {
  D: Float64Array;
  n: number;
}

/** The options, checked as far as they can be without data. */
export function medoidOptions(o: KMedoidsMatrixOptions) {
  const method = check.oneOf('method', o.method ?? 'pam', ['pam', 'alternate']);
  if (typeof o.init === 'string') check.oneOf('init', o.init, ['build', 'kmeans++', 'random']);
  return {
    k: check.positiveInteger('k', o.k),
    method,
    init: o.init ?? (method === 'pam' ? 'build' : 'kmeans++'),
    maxIter: o.maxIter === undefined ? 300 : check.positiveInteger('maxIter', o.maxIter),
    seed: seedOf(o.seed),
  };
}

/** A square matrix of finite numbers, checked. */
function* distancesOf(D: unknown, n: unknown): Task<Distances> {
  if (!check.isA(D, Float64Array)) throw check.typeError('D', 'a Float64Array', D);
  const count = check.positiveInteger('n', n);
  if (D.length !== count * count) throw check.rangeError('D', `${count} x ${count} elements`, D);
  for (let i = 0; i < count; i++) {
    yield* breath();
    const j = D.subarray(i * count, (i + 1) * count).findIndex((each) => !Number.isFinite(each));
    if (j >= 0) throw check.rangeError('D', 'finite', `${D[i * count + j]} between series ${i} and ${j}`);
  }
  return { D, n: count };
}

/** k-medoids as a task. */
export function* medoidsTask(
  matrix: unknown,
  count: unknown,
  given: KMedoidsMatrixOptions,
): Task<KMedoidsResult> {
  const o = medoidOptions(check.options(given));
  const distances = yield* distancesOf(matrix, count);
  if (o.k > distances.n) throw check.rangeError('k', `at most the ${distances.n} series`, o.k);
  const start = yield* startOf(distances, o);
  const state = yield* o.method === 'pam'
    ? swaps(distances, start, o.maxIter)
    : alternation(distances, start, o.maxIter);
  const medoids = state.medoids.sort();
  const { labels, inertia } = nearestMedoids(distances, medoids);
  return { medoids, labels, inertia, iterations: state.iterations, converged: state.converged };
}

function* startOf(
  distances: Distances,
  { k, init, seed }: ReturnType<typeof medoidOptions>,
): Task<Uint32Array> {
  const { D, n } = distances;
  if (typeof init !== 'string') return givenMedoids(init, k, n);
  const random = new Philox(seed);
  switch (init) {
    case 'build':
      return yield* build(distances, k);
    case 'random':
      return shuffled(n, random).slice(0, k);
    case 'kmeans++':
      return yield* carefulSeeds(n, k, random, function* (i): Task<Float64Array> {
        yield* breath();
        return D.slice(i * n, (i + 1) * n).map((each) => Math.max(each, 0));
      });
  }
}

function givenMedoids(init: unknown, k: number, n: number): Uint32Array {
  if (typeof init !== 'object' || init === null || !('length' in init))
    throw check.typeError('init', "'build', 'kmeans++', 'random' or an array of indices", init);
  const list = Array.from(init as ArrayLike<number>);
  const isGood = list.every((each) => Number.isInteger(each) && each >= 0 && each < n);
  if (list.length !== k || !isGood || new Set(list).size !== k)
    throw check.rangeError('init', `${k} different indices below ${n}`, list.join(', '));
  return Uint32Array.from(list);
}

/** The BUILD phase: the series with the least sum of distances, then each time the one that lowers the total most. */
function* build({ D, n }: Distances, k: number): Task<Uint32Array> {
  const medoids: number[] = [];
  const nearest = new Float64Array(n);
  for (let m = 0; m < k; m++) {
    let best = -1;
    let bestGain = -Infinity;
    for (let c = 0; c < n; c++) {
      if (medoids.includes(c)) continue;
      yield* breath();
      let gain = 0;
      for (let o = 0; o < n; o++) {
        const d = D[o * n + c];
        if (m === 0) gain -= d;
        else if (d < nearest[o]) gain += nearest[o] - d;
      }
      if (gain > bestGain) {
        bestGain = gain;
        best = c;
      }
    }
    medoids.push(best);
    for (let o = 0; o < n; o++)
      nearest[o] = m === 0 ? D[o * n + best] : Math.min(nearest[o], D[o * n + best]);
  }
  return Uint32Array.from(medoids);
}

/** Of each series the nearest medoid and its distance, and the distance of the second nearest. */
function nearestMedoids({ D, n }: Distances, medoids: Uint32Array) {
  const labels = new Int32Array(n);
  const first = new Float64Array(n).fill(Infinity);
  const second = new Float64Array(n).fill(Infinity);
  let inertia = 0;
  for (let o = 0; o < n; o++) {
    medoids.forEach((medoid, m) => {
      // A medoid belongs to itself, also where an equal series is a medoid too.
      const d = medoid === o ? -Infinity : D[o * n + medoid];
      if (d < first[o]) {
        second[o] = first[o];
        first[o] = d;
        labels[o] = m;
      } else if (d < second[o]) second[o] = d;
    });
    first[o] = D[o * n + medoids[labels[o]]];
    inertia += first[o];
  }
  return { labels, first, second, inertia };
}

/** The SWAP phase: steepest descent over all exchanges of a medoid and another series. */
function* swaps(distances: Distances, start: Uint32Array, maxIter: number) {
  const { D, n } = distances;
  const medoids = start.slice();
  const k = medoids.length;
  for (let iterations = 1; ; iterations++) {
    const { labels, first, second, inertia } = nearestMedoids(distances, medoids);
    // What the total rises by when medoid m goes and nothing comes; with one medoid everything is lost.
    const removal = new Float64Array(k);
    if (k > 1) for (let o = 0; o < n; o++) removal[labels[o]] += second[o] - first[o];
    let best = { change: 0, medoid: -1, candidate: -1 };
    const change = new Float64Array(k);
    for (let c = 0; c < n; c++) {
      if (medoids.includes(c)) continue;
      yield* breath();
      change.set(removal);
      let shared = 0;
      for (let o = 0; o < n; o++) {
        const d = D[o * n + c];
        if (k === 1) shared += d - first[o];
        else if (d < first[o]) {
          shared += d - first[o];
          change[labels[o]] += first[o] - second[o];
        } else if (d < second[o]) change[labels[o]] += d - second[o];
      }
      for (let m = 0; m < k; m++)
        if (change[m] + shared < best.change) best = { change: change[m] + shared, medoid: m, candidate: c };
    }
    yield* progress(iterations / (maxIter + 1));
    // A gain within rounding is none: it could be undone and found again for ever.
    if (!(best.change < -1e-12 * Math.abs(inertia)))
      return { medoids, iterations: iterations - 1, converged: true };
    if (iterations > maxIter) return { medoids, iterations: maxIter, converged: false };
    medoids[best.medoid] = best.candidate;
  }
}

/** Nearest medoid, then the best medoid of each cluster. */
function* alternation(distances: Distances, start: Uint32Array, maxIter: number) {
  const { D, n } = distances;
  const medoids = start.slice();
  for (let iterations = 1; iterations <= maxIter; iterations++) {
    const { labels } = nearestMedoids(distances, medoids);
    let isSame = true;
    for (let m = 0; m < medoids.length; m++) {
      const members: number[] = [];
      for (let o = 0; o < n; o++) if (labels[o] === m) members.push(o);
      const total = (c: number): number => members.reduce((sum, o) => sum + D[o * n + c], 0);
      let least = total(medoids[m]);
      for (const c of members) {
        yield* breath();
        const sum = total(c);
        if (sum < least) {
          least = sum;
          medoids[m] = c;
          isSame = false;
        }
      }
    }
    yield* progress(iterations / maxIter);
    if (isSame) return { medoids, iterations, converged: true };
  }
  return { medoids, iterations: maxIter, converged: false };
}

/**
 * k-medoids of n things from their n x n matrix of distances: the k of them with a small sum of distances from all to the
 * nearest. Element i n + j is the distance of i from medoid j; it need not be symmetric. Time n^2 a swap or round.
 *
 * @throws TypeError for what is no Float64Array; RangeError for another size than n x n, elements that are not finite, k
 *   above n, and bad options
 */
export const kMedoids = (D: Float64Array, n: number, options: KMedoidsMatrixOptions): KMedoidsResult =>
  runNow(medoidsTask(D, n, options));

/** Promise form of kMedoids: on the JavaScript thread, with a pause every few milliseconds. */
export const kMedoidsAsync = async (
  D: Float64Array,
  n: number,
  options: KMedoidsMatrixOptions & AsyncOptions,
): Promise<KMedoidsResult> => {
  const { signal, onProgress, ...o } = check.options(options);
  return runLater(medoidsTask(D, n, o), { signal, onProgress });
};
