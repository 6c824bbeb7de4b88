/**
 * The averages of elastic distances with hard paths, as tasks: the update of Petitjean, Ketterlin and Gançarski, "A
 * global averaging method for dynamic time warping" (Pattern Recognition 44, 2011), which is DBA on DTW and MBA (Holder,
 * Guijo-Rubio and Bagnall, 2023) on MSM, and the stochastic subgradient method of Schultz and Jain, "Nonsmooth analysis
 * and subgradient methods for averaging in dynamic time warping spaces" (Pattern Recognition 74, 2018).
 */
import * as check from '../check.js';
import { Philox } from '../random.js';
import { alignmentSums, alignmentSumsAsync } from './align.js';
import type { MetricOptions } from './metrics.js';
import type { SeriesSet } from './series.js';
import { call, progress } from './task.js';
import type { Task } from './task.js';

/** Who is told how an average comes on: the iteration, 0 for the start, and the objective there. */
export type OnIteration = (iteration: number, objective: number) => void;

/** What both methods take. */
export interface AveragingInput {
  /** The members, float64. */
  X: SeriesSet;
  /** Where to start, channels x length; not changed. */
  start: Float64Array;
  weights: Float64Array;
  /** Metric and its parameters, as the kernels take them. */
  metric: MetricOptions & { threads?: number };
  maxIter: number;
  tol: number;
  /** Told the cost of the start and of the centre that each iteration comes to, be it kept or not. */
  onIteration?: OnIteration;
}

/** An average and how it was reached. */
export interface BarycenterResult {
  /** The average, channels x length, row-major. */
  barycenter: Float64Array;
  /** sum_k w_k d(x_k, barycenter). */
  objective: number;
  /** Updates made. */
  iterations: number;
  /** Whether it ended before `maxIter`. */
  converged: boolean;
}

/** Distances of all members, and the sums that the update takes. */
function* align(input: AveragingInput, center: Float64Array, X = input.X, weights = input.weights) {
  const options = { ...input.metric, weights };
  return yield* call(
    () => alignmentSums(center, X, options),
    (o) => alignmentSumsAsync(center, X, { ...options, ...o }),
  );
}

/** sum_k w_k v_k; members without weight do not count, whatever their value. */
export function weightedSum(values: Float64Array, weights: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < values.length; k++) if (weights[k] > 0) sum += weights[k] * values[k];
  return sum;
}

/** The cost of a centre; an average needs a path to every member. */
function costOf({ distances }: { distances: Float64Array }, weights: Float64Array): number {
  const cost = weightedSum(distances, weights);
  if (Number.isFinite(cost)) return cost;
  const at = distances.findIndex((each, k) => weights[k] > 0 && !Number.isFinite(each));
  // Either the band leaves no path, or the squares overflow.
  throw check.rangeError(
    'X',
    'series at finite distances from their average',
    `${distances[at]} for series ${at}`,
  );
}

/**
 * Each point of the centre becomes the weighted mean of what is matched to it; points that nothing is matched to stay.
 * Ends where the cost changes by less than `tol`; where it rises, as it may for all but DTW, the previous centre is taken
 * and it ends.
 */
export function* petitjean(input: AveragingInput): Task<BarycenterResult> {
  let center = input.start;
  let sums = yield* align(input, center);
  let cost = costOf(sums, input.weights);
  input.onIteration?.(0, cost);
  for (let iterations = 1; iterations <= input.maxIter; iterations++) {
    const next = meansOf(sums, center);
    const nextSums = yield* align(input, next);
    const nextCost = costOf(nextSums, input.weights);
    input.onIteration?.(iterations, nextCost);
    yield* progress(iterations / input.maxIter);
    const isSettled = Math.abs(cost - nextCost) < input.tol;
    const isBetter = nextCost <= cost;
    if (isBetter) {
      center = next;
      cost = nextCost;
      sums = nextSums;
    }
    if (isSettled || !isBetter) return { barycenter: center, objective: cost, iterations, converged: true };
  }
  return { barycenter: center, objective: cost, iterations: input.maxIter, converged: false };
}

function meansOf({ sums, counts }: { sums: Float64Array; counts: Float64Array }, center: Float64Array) {
  const length = counts.length;
  return center.map((value, i) => {
    const count = counts[i % length];
    return count > 0 ? sums[i] / count : value;
  });
}

/**
 * One step down the subgradient 2 w (V c - W x) of each member in random order, an epoch being one round of them all;
 * V c - W x is counts * c - sums of the alignment. The step size falls linearly from `firstStep` to `lastStep` in the first
 * epoch and stays there. The best centre of all epochs is returned; it ends where an epoch changes the cost by less
 * than `tol`.
 */
export function* subgradient(
  input: AveragingInput & { seed: number; firstStep: number; lastStep: number },
): Task<BarycenterResult> {
  const { X, weights, maxIter, tol } = input;
  const random = new Philox(input.seed, 1);
  const members = Array.from({ length: X.count }, (_, k) => X.subset([k]));
  const center = input.start.slice();
  let best = input.start;
  let cost = costOf(yield* align(input, center), weights);
  input.onIteration?.(0, cost);
  let least = cost;
  let visits = 0;
  for (let epoch = 1; epoch <= maxIter; epoch++) {
    for (const k of shuffled(X.count, random)) {
      const share = Math.min(visits++ / X.count, 1);
      if (weights[k] === 0) continue;
      const step = input.firstStep + (input.lastStep - input.firstStep) * share;
      const { sums, counts } = yield* align(input, center, members[k], weights.subarray(k, k + 1));
      for (let i = 0; i < center.length; i++)
        center[i] -= 2 * step * (counts[i % counts.length] * center[i] - sums[i]);
      yield* progress(visits / (X.count * maxIter));
    }
    const next = costOf(yield* align(input, center), weights);
    input.onIteration?.(epoch, next);
    if (next < least) {
      least = next;
      best = center.slice();
    }
    if (Math.abs(cost - next) < tol)
      return { barycenter: best, objective: least, iterations: epoch, converged: true };
    cost = next;
  }
  return { barycenter: best, objective: least, iterations: maxIter, converged: false };
}

/** 0 to count - 1 in random order (Fisher and Yates). */
export function shuffled(count: number, random: Philox): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  const draws = random.uniform(new Float64Array(count));
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(draws[i] * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
