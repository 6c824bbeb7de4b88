/**
 * Averages under a soft loss: min_z sum_k w_k s(z, x_k), or of the divergence, by L-BFGS over the exact gradient. Cuturi and
 * Blondel, "Soft-DTW: a differentiable loss function for time-series" (ICML 2017), section 3.1; with Soft-MSM: Holder and
 * Bagnall, arXiv 2605.00069.
 */
import * as check from '../check.js';
import type { AsyncOptions } from '../native.js';
import { lbfgsSteps } from '../optimize/lbfgs.js';
import type { Evaluation, LbfgsResult } from '../optimize/lbfgs.js';
import { weightedSum } from './averaging.js';
import type { BarycenterResult, OnIteration } from './averaging.js';
import { listenerOf, toleranceOf } from './barycenter.js';
import { initialCenter, initOf, membersOf, seedOf, weightsOf } from './center.js';
import type { CenterOptions } from './center.js';
import { softPairwiseTask } from './matrix-task.js';
import { SeriesSet } from './series.js';
import type { Collection } from './series.js';
import { softLossBatch, softLossBatchAsync } from './soft.js';
import type { SoftBatch, SoftOptions } from './soft.js';
import { call, progress, runLater, runNow } from './task.js';
import type { Task } from './task.js';

/** How a soft average is looked for, apart from its loss. */
export interface SoftAveragingOptions extends CenterOptions {
  /** Most iterations of L-BFGS, at least 1. Default 30. */
  maxIter?: number;
  /**
   * Converged where the largest element of the gradient, or the relative gain of an iteration, is at most this, >= 0.
   * Default 1e-5.
   */
  tol?: number;
}

/** Options of softBarycenter. */
export interface SoftBarycenterOptions extends SoftAveragingOptions, SoftOptions {
  /** Threads of each call, at least 1. Default 1. The result does not depend on it. */
  threads?: number;
  /**
   * Called with 0 and the objective of the start, then with the number and the objective of each iteration of L-BFGS,
   * which never rises. What it throws ends the call.
   */
  onIteration?: OnIteration;
}

/** Options of the hard averages: where one is met here, the caller means another function. */
const HARD_ONLY = ['metric', 'method', 'independent', 'normalize', 'reach', 'epsilon', 'compat'] as const;

/** Refuses hard metrics, where a soft average is asked for. */
export function requireSoft(o: object, instead: string): void {
  for (const name of HARD_ONLY) {
    if ((o as Record<string, unknown>)[name] !== undefined)
      throw check.rangeError(name, `absent for a soft loss; ${instead} takes hard distances`, 'an option');
  }
}

/** The options of a soft average, checked as far as they can be without data. */
export function softAveragingOf(o: SoftBarycenterOptions) {
  requireSoft(o, 'barycenter');
  const { init, maxIter, tol, weights, seed, channels, onIteration, ...loss } = o;
  return {
    loss: loss as SoftOptions & { threads?: number },
    init,
    weights,
    channels,
    maxIter: maxIter === undefined ? 30 : check.positiveInteger('maxIter', maxIter),
    tol: toleranceOf(tol, 1e-5),
    seed: seedOf(seed),
    onIteration: listenerOf(onIteration),
  };
}

/** A soft loss of pairs with its gradients, as a call. */
function batch(
  X: SeriesSet,
  Y: SeriesSet,
  options: SoftOptions & { weights?: Float64Array; threads?: number },
): Task<Required<SoftBatch>> {
  const o = { ...options, grad: true, divergence: false };
  // With `grad` there are always gradients.
  return call(
    () => softLossBatch(X, Y, o) as Required<SoftBatch>,
    async (a) => (await softLossBatchAsync(X, Y, { ...o, ...a })) as Required<SoftBatch>,
  );
}

/**
 * The objective of an average: value and gradient at z. For a divergence the self terms of the members, which z does not
 * change, are computed once: D(z, x) = s(z, x) - s(z, z) / 2 - s(x, x) / 2.
 */
function* objectiveOf(
  members: SeriesSet,
  weights: Float64Array,
  loss: SoftOptions & { threads?: number },
): Task<(z: Float64Array) => Task<Evaluation>> {
  const { channels } = members;
  const total = weights.reduce((sum, each) => sum + each, 0);
  const selfTerms = loss.divergence
    ? yield* call(
        () => softLossBatch(members, members, { ...loss, divergence: false }),
        (a) => softLossBatchAsync(members, members, { ...loss, divergence: false, ...a }),
      )
    : undefined;
  const constant = selfTerms ? weightedSum(selfTerms.values, weights) / 2 : 0;
  return function* (z) {
    const center = new SeriesSet(z, { channels, lengths: z.length / channels });
    const { values, dX } = yield* batch(center, members, { ...loss, weights });
    const value = weightedSum(values, weights);
    if (!loss.divergence) return { value, gradient: dX };
    const self = yield* batch(center, center, loss);
    return {
      value: value - (total * self.values[0]) / 2 - constant,
      gradient: dX.map((each, i) => each - (total * (self.dX[i] + self.dY[i])) / 2),
    };
  };
}

/** The soft average as a task, for methods that average many times. */
export function* softBarycenterTask(X: Collection, given?: SoftBarycenterOptions): Task<BarycenterResult> {
  const o = softAveragingOf(check.options(given));
  const members = membersOf(X, o.channels);
  const { channels } = members;
  const weights = weightsOf(o.weights, members.count);
  const init = initOf(o.init, channels);
  const loss = { ...o.loss, channels };

  const evaluate = yield* objectiveOf(members, weights, loss);
  if (members.count === 1) {
    const barycenter = Float64Array.from(members.data);
    const { value } = yield* evaluate(barycenter);
    o.onIteration?.(0, value);
    return { barycenter, objective: value, iterations: 0, converged: true };
  }

  const start = yield* initialCenter(members, init, weights, o.seed, () =>
    softPairwiseTask(members, null, loss),
  );
  let iterations = 0;
  const steps = lbfgsSteps(start, {
    maxIter: o.maxIter,
    gradientTolerance: o.tol,
    objectiveTolerance: o.tol,
    onIteration: ({ iteration, value: objective }) => {
      iterations = iteration;
      o.onIteration?.(iteration, objective);
    },
  });
  // The first point that L-BFGS asks for is the start.
  steps.next();
  const atStart = yield* evaluate(start);
  o.onIteration?.(0, atStart.value);
  let next: IteratorResult<Float64Array, LbfgsResult> = steps.next(atStart);
  while (next.done !== true) {
    next = steps.next(yield* evaluate(next.value));
    yield* progress(iterations / o.maxIter);
  }
  const { x, value, converged, reason } = next.value;
  if (reason === 'notFinite')
    throw check.rangeError(
      'X',
      'series with a finite loss, and gradient, to the start of the average',
      value,
    );
  return { barycenter: x, objective: value, iterations, converged };
}

/**
 * The average of a set of series under a soft loss: a local minimum of sum_k w_k s(z, x_k), or of the divergence, in z. One
 * member gives itself. Computed in float64, also for float32 series. Losses may be negative.
 *
 * The authors of Soft-MSM take z-normalised series, c = 1 and gamma = 0.1 (soft-DTW: 0.01), maxIter 100 and tol 1e-3.
 *
 * @param X the members, of any lengths; the average has the length of its start
 * @returns the average, its objective, iterations of L-BFGS, and whether a tolerance was met: it never throws for want
 *   of convergence
 * @throws TypeError for wrong kinds of argument; RangeError for hard metrics, gamma <= 0, weights that are negative or all
 *   0, and a band without a path
 */
export const softBarycenter = (X: Collection, options?: SoftBarycenterOptions): BarycenterResult =>
  runNow(softBarycenterTask(X, options));

/** Promise form of softBarycenter; the event loop stays free. */
export const softBarycenterAsync = async (
  X: Collection,
  options?: SoftBarycenterOptions & AsyncOptions,
): Promise<BarycenterResult> => {
  const { signal, onProgress, ...o } = check.options(options);
  return runLater(softBarycenterTask(X, o), { signal, onProgress });
};
