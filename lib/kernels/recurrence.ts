/**
 * First-order linear recurrences over time, and their gradients. Native: native/scan/recurrence.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';

/**
 * What a is: 'diagonal' one decay for each element, 'scalar' one for each step, 'gated' a gate for each element, with
 * h_t = a_t h_{t-1} + (1 - a_t) b_t.
 */
export type RecurrenceForm = 'diagonal' | 'scalar' | 'gated';

/** Shape and form of a linear recurrence, as forward and backward share them. */
export interface LinearRecurrenceShape<T extends Reals = Reals> {
  /** Sequences, 0 allowed; default 1. */
  batch?: number;
  /** Steps, 0 allowed. */
  length: number;
  /** Elements of a state, 0 allowed. */
  width: number;
  /** The state before the first step, batch x width; default 0. */
  initial?: T;
  /** From the last step to the first: h_t = a_t h_{t+1} + b_t, and `initial` stands after the last; default false. */
  reverse?: boolean;
  /** Default 'diagonal'. */
  form?: RecurrenceForm;
  /** Threads; default 1. The result does not depend on them. */
  threads?: number;
}

/** Options of linearRecurrence. */
export interface LinearRecurrenceOptions<T extends Reals = Reals> extends LinearRecurrenceShape<T> {
  /** Where the states go, batch x length x width; default a fresh array. It may overlap no input. */
  out?: T;
}

/** What linearRecurrenceBackward returns. */
export interface LinearRecurrenceGradients<T extends Reals = Reals> {
  /** Shaped as a. */
  da: T;
  /** Shaped as b. */
  db: T;
  /** batch x width, where `initial` was given. */
  dInitial?: T;
}

/** A call's arrays and shape, checked. */
function recurrenceCall<T extends Reals>(a: T, b: T, o: LinearRecurrenceShape<T>) {
  const type = realType('a', a);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const length = check.nonNegativeInteger('length', o.length);
  const width = check.nonNegativeInteger('width', o.width);
  const form = check.oneOf('form', o.form ?? 'diagonal', ['diagonal', 'scalar', 'gated']);
  const reverse = check.boolean('reverse', o.reverse ?? false);
  const elements = batch * length * width;
  reals('a', a, type, form === 'scalar' ? batch * length : elements);
  reals('b', b, type, elements);
  if (o.initial !== undefined) reals('initial', o.initial, type, batch * width);
  const sizes = Float64Array.of(batch, length, width);
  return { type, elements, settings: [sizes, form, reverse, threadsOf(o.threads)] };
}

function prepareLinearRecurrence<T extends Reals>(
  a: T,
  b: T,
  given: LinearRecurrenceOptions<T>,
): Prepared<T> {
  const o = check.options(given);
  const { type, elements, settings } = recurrenceCall(a, b, o);
  const out = o.out === undefined ? (allocate(type, elements) as T) : reals<T>('out', o.out, type, elements);
  return { operation: 'linearRecurrence', args: [a, b, o.initial, out, ...settings], result: out };
}

/**
 * All states of h_t = a_t h_{t-1} + b_t, element by element: the recurrence that scans, gates and exponential averages
 * share. Time O(batch length width), bound by memory; a value that is not finite spoils its own element from there on.
 *
 * @param a decays, batch x length x width; form 'scalar': batch x length. Float32Array or Float64Array
 * @param b inputs, batch x length x width, of the same type
 * @returns the states, batch x length x width
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see "Parallelizing Linear Recurrent Neural Nets Over Sequence Length", E. Martin, C. Cundy, arXiv 1709.04057
 *
 * @example
 * const smooth = linearRecurrence(gates, values, { length: 1000, width: 64, form: 'gated' });
 */
export const linearRecurrence = <T extends Reals>(a: T, b: T, options: LinearRecurrenceOptions<T>): T =>
  blocking(prepareLinearRecurrence(a, b, options));

/** Promise form of linearRecurrence. */
export const linearRecurrenceAsync = async <T extends Reals>(
  a: T,
  b: T,
  options: LinearRecurrenceOptions<T> & AsyncOptions,
): Promise<T> => promised(prepareLinearRecurrence(a, b, options), options);

function prepareLinearRecurrenceBackward<T extends Reals>(
  a: T,
  b: T,
  h: T,
  gout: T,
  given: LinearRecurrenceShape<T>,
): Prepared<LinearRecurrenceGradients<T>> {
  const o = check.options(given);
  const { type, elements, settings } = recurrenceCall(a, b, o);
  reals('h', h, type, elements);
  reals('gout', gout, type, elements);
  const like = (x: T): T => allocate(type, x.length) as T;
  const da = like(a);
  const db = like(b);
  const dInitial = o.initial && like(o.initial);
  return {
    operation: 'linearRecurrenceBackward',
    args: [a, b, h, o.initial, gout, da, db, dInitial, ...settings],
    result: { da, db, ...(dInitial && { dInitial }) },
  };
}

/**
 * Gradients of linearRecurrence, given those of all its states: with lam_t = gout_t + a_{t+1} lam_{t+1},
 * db_t = lam_t, da_t = lam_t h_{t-1} (form 'scalar': summed over the elements) and dInitial = a_0 lam_0; form 'gated':
 * db_t = (1 - a_t) lam_t, da_t = lam_t (h_{t-1} - b_t). A gradient of the last state is added to the last gout.
 *
 * @param a as in the forward call
 * @param b as in the forward call
 * @param h what linearRecurrence returned
 * @param gout gradient of h, batch x length x width
 * @param options those of the forward call, `out` aside
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 */
export const linearRecurrenceBackward = <T extends Reals>(
  a: T,
  b: T,
  h: T,
  gout: T,
  options: LinearRecurrenceShape<T>,
): LinearRecurrenceGradients<T> => blocking(prepareLinearRecurrenceBackward(a, b, h, gout, options));

/** Promise form of linearRecurrenceBackward. */
export const linearRecurrenceBackwardAsync = async <T extends Reals>(
  a: T,
  b: T,
  h: T,
  gout: T,
  options: LinearRecurrenceShape<T> & AsyncOptions,
): Promise<LinearRecurrenceGradients<T>> =>
  promised(prepareLinearRecurrenceBackward(a, b, h, gout, options), options);
