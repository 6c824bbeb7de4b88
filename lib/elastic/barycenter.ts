/**
 * Averages under a hard elastic distance: DBA (DTW), MBA (MSM) and their like for every metric whose path
 * matches all points.
 * Averages under a soft loss are in `soft-barycenter.ts`.
 */
import * as check from '../check.js';
import type { AsyncOptions } from '../native.js';
import { petitjean, subgradient, weightedSum } from './averaging.js';
import type { BarycenterResult, OnIteration } from './averaging.js';
import { initialCenter, initOf, membersOf, seedOf, weightedMean, weightsOf } from './center.js';
import type { CenterOptions } from './center.js';
import { pairwiseTask } from './matrix-task.js';
import type { Metric, MetricOptions } from './metrics.js';
import { SeriesSet } from './series.js';
import type { Collection } from './series.js';
import { runLater, runNow } from './task.js';
import type { Task } from './task.js';

export type { BarycenterResult, OnIteration } from './averaging.js';

/** How an average is looked for, apart from its metric. */
export interface AveragingOptions extends CenterOptions {
  /**
   * 'petitjean': every point becomes the mean of what is matched to it. 'subgradient': small steps for one member at a
   * time, for 'squared', 'dtw' and 'adtw', whose subgradient is known. Default 'petitjean'.
   */
  method?: 'petitjean' | 'subgradient';
  /** Most updates, or epochs of the subgradient method, at least 1. Default 30. */
  maxIter?: number;
  /** Ends where the cost changes by less than this, >= 0. Default 1e-5. */
  tol?: number;
  /** Step of the subgradient method at the start, > 0. Default 0.05. */
  firstStep?: number;
  /** Step of the subgradient method after the first epoch, in (0, firstStep]. Default 0.005. */
  lastStep?: number;
}

/** Options of barycenter. */
export interface BarycenterOptions extends AveragingOptions, Omit<MetricOptions, 'root'> {
  /** Threads of each call, at least 1. Default 1. The result does not depend on it. */
  threads?: number;
  /**
   * Called with 0 and the objective of the start, then with the number of each iteration and the objective of the centre
   * that it came to, which is not kept where it is worse. What it throws ends the call.
   */
  onIteration?: OnIteration;
}

/** Metrics that can be averaged: those whose path matches every point of both series. */
export const AVERAGED_METRICS = [
  'squared',
  'euclidean',
  'dtw',
  'wdtw',
  'adtw',
  'shapeDtw',
  'erp',
  'twe',
  'msm',
] as const satisfies readonly Metric[];

/** Those whose cost along a fixed path is the sum of squares that the subgradient method goes down. */
const SUBGRADIENT_METRICS = ['squared', 'dtw', 'adtw'] as const satisfies readonly Metric[];

/** Options of the soft averages: where one is met here, the caller means another function. */
const SOFT_ONLY = ['loss', 'gamma', 'gate', 'divergence'] as const;

/** Refuses soft losses, where a hard average is asked for. */
export function requireHard(o: object, instead: string): void {
  for (const name of SOFT_ONLY) {
    if ((o as Record<string, unknown>)[name] !== undefined)
      throw check.rangeError(name, `absent for a hard distance; ${instead} takes soft losses`, 'an option');
  }
}

/** A tolerance: finite, >= 0. */
export function toleranceOf(tol: unknown, standard: number): number {
  if (tol === undefined) return standard;
  if (typeof tol !== 'number') throw check.typeError('tol', 'a finite number >= 0', tol);
  if (!(tol >= 0 && tol < Infinity)) throw check.rangeError('tol', 'a finite number >= 0', tol);
  return tol;
}

/** The listener of an average, checked. */
export function listenerOf(onIteration: unknown): OnIteration | undefined {
  if (onIteration !== undefined && typeof onIteration !== 'function')
    throw check.typeError('onIteration', 'a function', onIteration);
  return onIteration as OnIteration | undefined;
}

/** The options of an average, checked as far as they can be without data. */
export function averagingOf(o: BarycenterOptions) {
  requireHard(o, 'softBarycenter');
  const { method, init, maxIter, tol, weights, seed, firstStep, lastStep, channels, onIteration, ...metric } =
    o;
  const name = check.oneOf('metric', metric.metric ?? 'dtw', AVERAGED_METRICS);
  if ((metric as MetricOptions).root !== undefined && (metric as MetricOptions).root !== false)
    throw check.rangeError('root', 'false or absent for an average', (metric as MetricOptions).root);
  const chosen = check.oneOf('method', method ?? 'petitjean', ['petitjean', 'subgradient']);
  if (chosen === 'subgradient') {
    const list: readonly Metric[] = SUBGRADIENT_METRICS;
    if (!list.includes(name))
      throw check.rangeError('metric', `one of ${list.join(', ')} for method 'subgradient'`, name);
  }
  const first = firstStep === undefined ? 0.05 : check.positiveNumber('firstStep', firstStep);
  const last = lastStep === undefined ? Math.min(0.005, first) : check.positiveNumber('lastStep', lastStep);
  if (last > first) throw check.rangeError('lastStep', `in (0, firstStep = ${first}]`, last);
  return {
    metric: { ...metric, metric: name } as MetricOptions & { threads?: number },
    method: chosen,
    init,
    weights,
    channels,
    maxIter: maxIter === undefined ? 30 : check.positiveInteger('maxIter', maxIter),
    tol: toleranceOf(tol, 1e-5),
    seed: seedOf(seed),
    firstStep: first,
    lastStep: last,
    onIteration: listenerOf(onIteration),
  };
}

/** The average as a task, for methods that average many times. */
export function* barycenterTask(X: Collection, given?: BarycenterOptions): Task<BarycenterResult> {
  const o = averagingOf(check.options(given));
  const members = membersOf(X, o.channels);
  const weights = weightsOf(o.weights, members.count);
  const init = initOf(o.init, members.channels);
  const metric = { ...o.metric, channels: members.channels };

  if (members.count === 1 || metric.metric === 'squared' || metric.metric === 'euclidean') {
    // One member is its own average; the mean minimises the sum of squares, whatever the start.
    if (members.length === null)
      throw check.rangeError('X', `of one length for metric '${metric.metric}'`, 'unequal lengths');
    const barycenter = weightedMean(members, weights);
    const center = new SeriesSet(barycenter, { channels: members.channels, lengths: members.length });
    const objective = weightedSum(yield* pairwiseTask(members, center, metric), weights);
    o.onIteration?.(0, objective);
    return { barycenter, objective, iterations: 0, converged: true };
  }

  const start = yield* initialCenter(members, init, weights, o.seed, () =>
    pairwiseTask(members, null, metric),
  );
  const input = { ...o, X: members, start, weights, metric };
  return yield* o.method === 'petitjean' ? petitjean(input) : subgradient(input);
}

/**
 * The average of a set of series under an elastic distance: a series z with a small sum_k w_k d(x_k, z), found from a
 * start by local steps; it depends on the start. With 'dtw' this is DBA, with 'msm' MBA. The metrics 'squared' and
 * 'euclidean' give the mean, one member gives itself. Computed in float64, also for float32 series.
 *
 * @param X the members, of any lengths; the average has the length of its start
 * @throws TypeError for wrong kinds of argument; RangeError for metrics whose path leaves points out ('sbd', 'lcss',
 *   'edr', derivatives), for soft losses, for weights
 *   that are negative or all 0, and for a band without a path
 * @see Petitjean et al. 2011 (DBA); Holder et al. 2023 (MBA); Schultz and Jain 2018 (subgradient)
 */
export const barycenter = (X: Collection, options?: BarycenterOptions): BarycenterResult =>
  runNow(barycenterTask(X, options));

/** Promise form of barycenter; the event loop stays free. */
export const barycenterAsync = async (
  X: Collection,
  options?: BarycenterOptions & AsyncOptions,
): Promise<BarycenterResult> => {
  const { signal, onProgress, ...o } = check.options(options);
  return runLater(barycenterTask(X, o), { signal, onProgress });
};
