/**
 * The gated delta rule: a recurrence over states that are matrices, with a rank-one update at every step.
 * Native: native/scan/delta_rule.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, requireBounded, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';

/** Arrays of the delta rule, row-major, all Float32Array or all Float64Array. */
export interface DeltaRuleInput<T extends Reals = Reals> {
  /** Queries: batch x length x heads x keyDim. */
  q: T;
  /** Keys, usually of unit length: batch x length x heads x keyDim. */
  k: T;
  /** Values: batch x length x heads x valueDim. */
  v: T;
  /** Strength of a write, usually in [0, 1] (up to 2 with unit keys keeps the state bounded): batch x length x heads. */
  beta: T;
  /** Decay of the state at a step, usually in [0, 1]: batch x length x heads; default 1. */
  alpha?: T;
  /** The state before the first step, batch x heads x keyDim x valueDim; default 0. */
  initialState?: T;
}

/** Shape of a delta-rule recurrence. */
export interface DeltaRuleShape {
  /** Sequences, 0 allowed; default 1. */
  batch?: number;
  /** Steps, 0 allowed. */
  length: number;
  /** States beside each other; default 1. */
  heads?: number;
  /** Length of a key, at least 1. */
  keyDim: number;
  /** Length of a value, at least 1. */
  valueDim: number;
  /** Threads; default 1. The result does not depend on them. */
  threads?: number;
}

/** Options of deltaRuleRecurrence. */
export interface DeltaRuleOptions<T extends Reals = Reals> extends DeltaRuleShape {
  /** Returns the state after the last step; default false. */
  returnLastState?: boolean;
  /** Where the result goes, batch x length x heads x valueDim; default a fresh array. It may overlap no input. */
  out?: T;
}

/** What deltaRuleRecurrence returns. */
export interface DeltaRuleResult<T extends Reals = Reals> {
  /** batch x length x heads x valueDim. */
  out: T;
  /** batch x heads x keyDim x valueDim, with returnLastState. */
  lastState?: T;
}

/** Options of deltaRuleRecurrenceBackward. */
export interface DeltaRuleBackwardOptions<T extends Reals = Reals> extends DeltaRuleShape {
  /** Gradient of lastState, batch x heads x keyDim x valueDim; default 0. */
  glast?: T;
}

/** Gradients of the arrays that were given, of their shapes. */
export interface DeltaRuleGradients<T extends Reals = Reals> {
  dq: T;
  dk: T;
  dv: T;
  dbeta: T;
  dalpha?: T;
  dInitialState?: T;
}

/** A call's arrays and shape, checked. */
function deltaCall<T extends Reals>(input: DeltaRuleInput<T>, o: DeltaRuleShape) {
  if (typeof input !== 'object' || input === null || ArrayBuffer.isView(input))
    throw check.typeError('input', 'an object of arrays', input);
  const { q, k, v, beta, alpha, initialState } = input;
  const type = realType('q', q);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const length = check.nonNegativeInteger('length', o.length);
  const heads = o.heads === undefined ? 1 : check.positiveInteger('heads', o.heads);
  requireBounded(batch * heads, length);
  const keyDim = check.positiveInteger('keyDim', o.keyDim);
  const valueDim = check.positiveInteger('valueDim', o.valueDim);
  const gates = batch * length * heads;
  const states = batch * heads * keyDim * valueDim;
  reals('q', q, type, gates * keyDim);
  reals('k', k, type, gates * keyDim);
  reals('v', v, type, gates * valueDim);
  reals('beta', beta, type, gates);
  if (alpha !== undefined) reals('alpha', alpha, type, gates);
  if (initialState !== undefined) reals('initialState', initialState, type, states);
  return {
    type,
    states,
    arrays: [q, k, v, beta, alpha, initialState],
    values: gates * valueDim,
    settings: [Float64Array.of(batch, length, heads, keyDim, valueDim), threadsOf(o.threads)],
  };
}

function prepareDeltaRule<T extends Reals>(
  input: DeltaRuleInput<T>,
  given: DeltaRuleOptions<T>,
): Prepared<DeltaRuleResult<T>> {
  const o = check.options(given);
  const { type, states, arrays, values, settings } = deltaCall(input, o);
  const wantsLast = check.boolean('returnLastState', o.returnLastState ?? false);
  const out = o.out === undefined ? (allocate(type, values) as T) : reals<T>('out', o.out, type, values);
  const lastState = wantsLast ? (allocate(type, states) as T) : undefined;
  return {
    operation: 'deltaRuleRecurrence',
    args: [...arrays, out, lastState, ...settings],
    result: { out, ...(lastState && { lastState }) },
  };
}

/**
 * The (gated) delta rule. With a state S of keyDim x valueDim for each head,
 *
 *     S_t = alpha_t (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T,   out_t = S_t^T q_t:
 *
 * a write first removes what the key held. Time O(batch length heads keyDim valueDim); columns of the state are
 * independent of each other, and spread over threads. Queries are not scaled.
 *
 * @param input arrays; see DeltaRuleInput
 * @param options shape, and what is wanted
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see "Parallelizing Linear Transformers with the Delta Rule over Sequence Length", S. Yang et al., arXiv 2406.06484;
 *   "Gated Delta Networks", S. Yang, J. Kautz, A. Hatamizadeh, arXiv 2412.06464, equation 10
 *
 * @example
 * const { out } = deltaRuleRecurrence({ q, k, v, beta }, { length: 512, heads: 4, keyDim: 64, valueDim: 64 });
 */
export const deltaRuleRecurrence = <T extends Reals>(
  input: DeltaRuleInput<T>,
  options: DeltaRuleOptions<T>,
): DeltaRuleResult<T> => blocking(prepareDeltaRule(input, options));

/** Promise form of deltaRuleRecurrence. */
export const deltaRuleRecurrenceAsync = async <T extends Reals>(
  input: DeltaRuleInput<T>,
  options: DeltaRuleOptions<T> & AsyncOptions,
): Promise<DeltaRuleResult<T>> => promised(prepareDeltaRule(input, options), options);

function prepareDeltaRuleBackward<T extends Reals>(
  input: DeltaRuleInput<T>,
  gout: T,
  given: DeltaRuleBackwardOptions<T>,
): Prepared<DeltaRuleGradients<T>> {
  const o = check.options(given);
  const { type, states, arrays, values, settings } = deltaCall(input, o);
  reals('gout', gout, type, values);
  if (o.glast !== undefined) reals('glast', o.glast, type, states);
  const like = (x: T): T => allocate(type, x.length) as T;
  const { q, k, v, beta, alpha, initialState } = input;
  const [dq, dk, dv, dbeta] = [q, k, v, beta].map(like);
  const dalpha = alpha && like(alpha);
  const dInitialState = initialState && like(initialState);
  return {
    operation: 'deltaRuleRecurrenceBackward',
    args: [...arrays, gout, o.glast, dq, dk, dv, dbeta, dalpha, dInitialState, ...settings],
    result: { dq, dk, dv, dbeta, ...(dalpha && { dalpha }), ...(dInitialState && { dInitialState }) },
  };
}

/**
 * Gradients of deltaRuleRecurrence, given that of its result and, with `glast`, of its last state. States are worked out
 * again from one in 32 of them. Threads share sequences and heads.
 *
 * @param input as in the forward call
 * @param gout gradient of `out`, batch x length x heads x valueDim
 * @param options the shape, and glast
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 */
export const deltaRuleRecurrenceBackward = <T extends Reals>(
  input: DeltaRuleInput<T>,
  gout: T,
  options: DeltaRuleBackwardOptions<T>,
): DeltaRuleGradients<T> => blocking(prepareDeltaRuleBackward(input, gout, options));

/** Promise form of deltaRuleRecurrenceBackward. */
export const deltaRuleRecurrenceBackwardAsync = async <T extends Reals>(
  input: DeltaRuleInput<T>,
  gout: T,
  options: DeltaRuleBackwardOptions<T> & AsyncOptions,
): Promise<DeltaRuleGradients<T>> => promised(prepareDeltaRuleBackward(input, gout, options), options);
