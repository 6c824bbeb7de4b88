/**
 * L-BFGS: minimisation of a smooth function of many variables from its values and gradients.
 *
 * Nocedal, "Updating quasi-Newton matrices with limited storage" (Mathematics of Computation 35, 1980): the direction
 * is -H g, with H the inverse Hessian that the last `memory` steps imply (two-loop recursion, Nocedal and Wright,
 * Numerical Optimization, algorithm 7.4), and a step along it that satisfies the strong Wolfe conditions
 * (`line-search.ts`). Without bounds this is what L-BFGS-B does, with the same constants and the same stopping rules.
 */
import * as check from '../check.js';
import { lineSearchOptions, searchSteps } from './line-search.js';
import type { LineSearchResult } from './line-search.js';

/** The objective at a point. */
export interface Evaluation {
  /** f(x). NaN or an infinity says that x is outside the domain. */
  value: number;
  /** df/dx, as many elements as x; it is copied. */
  gradient: ArrayLike<number>;
}

/** What an iteration reports. */
export interface Iteration {
  /** From 1. */
  iteration: number;
  /** Calls of the objective so far. */
  evaluations: number;
  /** The point that the iteration reached; not to be changed. */
  x: Float64Array;
  value: number;
  /** max_i |g_i|. */
  gradientNorm: number;
  /** The step along the direction. */
  step: number;
}

/** Options of lbfgs and lbfgsAsync. */
export interface LbfgsOptions {
  /** Steps remembered, at least 1. Default 10. */
  memory?: number;
  /** Converged when max_i |g_i| is at most this, >= 0. Default 1e-5. */
  gradientTolerance?: number;
  /**
   * Converged when an iteration gains at most this share: (f_k - f_{k+1}) <= tol max(|f_k|, |f_{k+1}|, 1), >= 0.
   * Default 1e-9.
   */
  objectiveTolerance?: number;
  /** Most iterations, at least 1. Default 100. */
  maxIter?: number;
  /** Most calls of the objective, at least 1. Default Infinity: each iteration makes at most 20, or twice that. */
  maxEvaluations?: number;
  /** Sufficient decrease of the line search, in (0, c2). Default 1e-3. */
  c1?: number;
  /** Curvature condition of the line search, in (c1, 1). Default 0.9. */
  c2?: number;
  /** Asked before each call of the objective; an aborted one makes the call throw (or reject with) its reason. */
  signal?: AbortSignal;
  /** Called after each iteration. */
  onIteration?: (iteration: Iteration) => void;
}

/** Why a minimisation ended. */
export type LbfgsReason =
  'gradient' | 'objective' | 'maxIter' | 'maxEvaluations' | 'lineSearch' | 'notFinite';

/** What a minimisation found. */
export interface LbfgsResult {
  /** The best point seen. */
  x: Float64Array;
  /** f(x). */
  value: number;
  /** max_i |g_i| there. */
  gradientNorm: number;
  /** Completed iterations. */
  iterations: number;
  /** Calls of the objective. */
  evaluations: number;
  /** Whether one of the two tolerances was met. */
  converged: boolean;
  /**
   * 'gradient' or 'objective': converged by that tolerance. 'maxIter', 'maxEvaluations': the budget is spent.
   * 'lineSearch': no lower value was found along the steepest descent, as happens where the gradient is wrong or where
   * rounding hides the descent. 'notFinite': the objective is not finite at the start.
   */
  reason: LbfgsReason;
}

interface Settings {
  memory: number;
  gradientTolerance: number;
  objectiveTolerance: number;
  maxIter: number;
  maxEvaluations: number;
  search: ReturnType<typeof lineSearchOptions>;
  onIteration?: (iteration: Iteration) => void;
}

function notNegative(name: string, value: unknown): number {
  if (typeof value !== 'number') throw check.typeError(name, 'a finite number >= 0', value);
  if (!(value >= 0 && value < Infinity)) throw check.rangeError(name, 'a finite number >= 0', value);
  return value;
}

function settingsOf(o: LbfgsOptions): Settings {
  if (o.signal !== undefined && !(o.signal instanceof AbortSignal))
    throw check.typeError('signal', 'an AbortSignal', o.signal);
  if (o.onIteration !== undefined && typeof o.onIteration !== 'function')
    throw check.typeError('onIteration', 'a function', o.onIteration);
  const countless = o.maxEvaluations === undefined || o.maxEvaluations === Infinity;
  return {
    memory: o.memory === undefined ? 10 : check.positiveInteger('memory', o.memory),
    gradientTolerance: notNegative('gradientTolerance', o.gradientTolerance ?? 1e-5),
    objectiveTolerance: notNegative('objectiveTolerance', o.objectiveTolerance ?? 1e-9),
    maxIter: o.maxIter === undefined ? 100 : check.positiveInteger('maxIter', o.maxIter),
    maxEvaluations: countless ? Infinity : check.positiveInteger('maxEvaluations', o.maxEvaluations),
    search: lineSearchOptions({ c1: o.c1, c2: o.c2 }),
    onIteration: o.onIteration,
  };
}

/** A copy of the start, checked. */
function startOf(x0: unknown): Float64Array {
  const isNumbers = Array.isArray(x0) || check.isA(x0, Float64Array) || check.isA(x0, Float32Array);
  if (!isNumbers) throw check.typeError('x0', 'a Float64Array, a Float32Array or an array of numbers', x0);
  const x = Float64Array.from(x0 as ArrayLike<number>);
  if (x.length === 0) throw check.rangeError('x0', 'of at least one element', x0);
  const at = x.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw check.rangeError('x0', 'finite', `${x[at]} at index ${at}`);
  return x;
}

/** A point with its value and its own copy of the gradient. */
interface State {
  x: Float64Array;
  value: number;
  gradient: Float64Array;
}

function stateOf(x: Float64Array, found: unknown): State {
  const { value, gradient } = (found ?? {}) as Partial<Evaluation>;
  if (typeof value !== 'number') throw check.typeError('value of the objective', 'a number', value);
  if (typeof gradient !== 'object' || gradient === null || !('length' in gradient))
    throw check.typeError('gradient of the objective', 'an array of numbers', gradient);
  if (gradient.length !== x.length)
    throw check.rangeError('gradient of the objective', `${x.length} elements long`, gradient);
  return { x, value, gradient: Float64Array.from(gradient) };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** max_i |a_i|, NaN where an element is. */
function largest(a: Float64Array): number {
  let norm = 0;
  for (const each of a) norm = Math.max(norm, Math.abs(each));
  return norm;
}

const isFinite = ({ value, gradient }: State): boolean =>
  Number.isFinite(value) && Number.isFinite(largest(gradient));

/** The last steps s and changes of the gradient y, and the inverse Hessian that they imply. */
class History {
  readonly #most: number;
  #pairs: { s: Float64Array; y: Float64Array; curvature: number }[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  get isEmpty(): boolean {
    return this.#pairs.length === 0;
  }

  clear(): void {
    this.#pairs = [];
  }

  /** Remembers the way from one state to the next, unless its curvature is lost in rounding or negative. */
  add(from: State, to: State): void {
    const s = to.x.map((each, i) => each - from.x[i]);
    const y = to.gradient.map((each, i) => each - from.gradient[i]);
    const curvature = dot(s, y);
    if (!(curvature > Number.EPSILON * Math.abs(dot(s, from.gradient))) || curvature === Infinity) return;
    if (this.#pairs.length === this.#most) this.#pairs.shift();
    this.#pairs.push({ s, y, curvature });
  }

  /** -H g by the two-loop recursion, with (s'y / y'y) I of the latest pair in the middle. */
  direction(gradient: Float64Array): Float64Array {
    const d = gradient.map((each) => -each);
    const pairs = this.#pairs;
    if (pairs.length === 0) return d;
    const alpha = new Float64Array(pairs.length);
    for (let p = pairs.length - 1; p >= 0; p--) {
      const { s, y, curvature } = pairs[p];
      alpha[p] = dot(s, d) / curvature;
      for (let i = 0; i < d.length; i++) d[i] -= alpha[p] * y[i];
    }
    const { y: last, curvature: lastCurvature } = pairs[pairs.length - 1];
    const scale = lastCurvature / dot(last, last);
    for (let i = 0; i < d.length; i++) d[i] *= scale;
    for (let p = 0; p < pairs.length; p++) {
      const { s, y, curvature } = pairs[p];
      const beta = alpha[p] - dot(y, d) / curvature;
      for (let i = 0; i < d.length; i++) d[i] += beta * s[i];
    }
    return d;
  }
}

/**
 * The minimisation as a generator: yields points, is sent the objective there, returns the result. For methods that are
 * generators themselves; others call lbfgs or lbfgsAsync.
 */
export function* lbfgsSteps(
  x0: ArrayLike<number>,
  options?: LbfgsOptions,
): Generator<Float64Array, LbfgsResult, Evaluation> {
  const o = settingsOf(check.options(options));
  let evaluations = 1;
  const start = startOf(x0);
  let now = stateOf(start, yield start);
  let iterations = 0;
  const result = (reason: LbfgsReason): LbfgsResult => ({
    x: now.x,
    value: now.value,
    gradientNorm: largest(now.gradient),
    iterations,
    evaluations,
    converged: reason === 'gradient' || reason === 'objective',
    reason,
  });
  if (!isFinite(now)) return result('notFinite');
  if (largest(now.gradient) <= o.gradientTolerance) return result('gradient');

  const history = new History(o.memory);
  while (iterations < o.maxIter) {
    const left = o.maxEvaluations - evaluations;
    if (left <= 0) return result('maxEvaluations');
    let d = history.direction(now.gradient);
    let slope = dot(d, now.gradient);
    if (!(slope < 0)) {
      // Rounding has spoilt the memory.
      history.clear();
      d = history.direction(now.gradient);
      slope = dot(d, now.gradient);
      // The square of the gradient overflows, or is zero in float64.
      if (!(slope < 0) || slope === -Infinity) return result('lineSearch');
    }
    // A steepest descent has no scale of its own: its first step has length 1 at most. After that 1 is Newton's step.
    const firstStep = history.isEmpty ? Math.min(1, 1 / Math.sqrt(-slope)) : 1;
    const search = { ...o.search, maxEvaluations: Math.min(o.search.maxEvaluations, left) };
    const { state, found } = yield* advance(now, d, slope, firstStep, search);
    evaluations += found.evaluations;
    if (state === undefined) {
      if (found.evaluations === left) return result('maxEvaluations');
      if (history.isEmpty) return result('lineSearch');
      history.clear();
      continue;
    }
    history.add(now, state);
    const gain = now.value - state.value;
    const size = Math.max(Math.abs(now.value), Math.abs(state.value), 1);
    now = state;
    iterations++;
    const gradientNorm = largest(now.gradient);
    o.onIteration?.({
      iteration: iterations,
      evaluations,
      x: now.x,
      value: now.value,
      gradientNorm,
      step: found.step,
    });
    if (gradientNorm <= o.gradientTolerance) return result('gradient');
    if (gain <= o.objectiveTolerance * size) return result('objective');
  }
  return result('maxIter');
}

/** A line search from a state along d: the state it ends at, undefined where no lower value was found. */
function* advance(
  from: State,
  d: Float64Array,
  slope: number,
  firstStep: number,
  options: ReturnType<typeof lineSearchOptions>,
): Generator<Float64Array, { state: State | undefined; found: LineSearchResult }, Evaluation> {
  const search = searchSteps({ value: from.value, slope }, firstStep, options);
  // The search ends at the last step or at the lowest.
  let lowest: { step: number; state: State } | undefined;
  let last: { step: number; state: State } | undefined;
  let next = search.next();
  while (next.done !== true) {
    const step = next.value;
    const x = from.x.map((each, i) => each + step * d[i]);
    const state = stateOf(x, yield x);
    if (isFinite(state)) {
      last = { step, state };
      if (lowest === undefined || state.value < lowest.state.value) lowest = last;
      next = search.next({ value: state.value, slope: dot(state.gradient, d) });
    } else {
      next = search.next({ value: NaN, slope: NaN });
    }
  }
  const found = next.value;
  if (found.step === 0) return { state: undefined, found };
  return { state: (found.step === last?.step ? last : lowest)?.state, found };
}

/**
 * Minimises a function whose value and gradient come at once.
 *
 * @param objective value and gradient at x; x is a fresh array each time
 * @param x0 the start, finite
 * @returns the best point seen; it never throws for want of convergence
 * @throws TypeError, RangeError for bad arguments and for a gradient of another length; `signal.reason` where aborted;
 *   what the objective or onIteration throws
 * @example
 * lbfgs((x) => ({ value: (x[0] - 3) ** 2, gradient: [2 * (x[0] - 3)] }), [0]).x; // [3]
 */
export function lbfgs(
  objective: (x: Float64Array) => Evaluation,
  x0: ArrayLike<number>,
  options?: LbfgsOptions,
): LbfgsResult {
  if (typeof objective !== 'function') throw check.typeError('objective', 'a function', objective);
  const steps = lbfgsSteps(x0, options);
  let next = steps.next();
  while (next.done !== true) {
    options?.signal?.throwIfAborted();
    next = steps.next(objective(next.value));
  }
  return next.value;
}

/**
 * Minimises a function that answers with a promise: the promise form of lbfgs, for objectives that compute on other
 * threads.
 *
 * @param objective a promise of value and gradient at x; x is a fresh array each time
 * @throws as lbfgs, as a rejection
 */
export async function lbfgsAsync(
  objective: (x: Float64Array) => Promise<Evaluation>,
  x0: ArrayLike<number>,
  options?: LbfgsOptions,
): Promise<LbfgsResult> {
  if (typeof objective !== 'function') throw check.typeError('objective', 'a function', objective);
  const steps = lbfgsSteps(x0, options);
  let next = steps.next();
  while (next.done !== true) {
    options?.signal?.throwIfAborted();
    next = steps.next(await objective(next.value));
  }
  return next.value;
}
