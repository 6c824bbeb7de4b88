/**
 * The decode step of Mamba and Mamba-2. Native: native/scan/step.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, arrayOf, realType, reals, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';

/**
 * Arrays of a decode step, row-major, all Float32Array or all Float64Array. dim = heads x headDim channels; where an
 * array may be shaped in two ways its length tells which is meant.
 */
export interface StateUpdateInput<T extends Reals = Reals> {
  /** Input of the step: batch x dim. */
  x: T;
  /** Step size before bias and softplus: batch x dim; with heads also batch x heads. */
  dt: T;
  /** Decay: dim x state; with heads also one for each head. */
  A: T;
  /** Input weights: batch x groups x state. */
  B: T;
  /** Read-out weights: batch x groups x state. */
  C: T;
  /** Skip weight: dim; with heads also one for each head. */
  D?: T;
  /** Gate: batch x dim; the result is multiplied by z sigmoid(z). */
  z?: T;
  /** Added to dt before softplus: dim; with heads also one for each head. */
  dtBias?: T;
  /**
   * Slot of `state` of each row, batch elements; no two may be the same. A negative one skips the row, whose result is 0.
   * Default: row i has slot i.
   */
  stateIndices?: Int32Array;
}

/** Options of selectiveStateUpdate. */
export interface StateUpdateOptions<T extends Reals = Reals> {
  /** Rows, 0 allowed. */
  batch: number;
  /** Channels in all, at least 1. */
  dim: number;
  /** States of a channel, at least 1. */
  state: number;
  /** Heads of dim / heads neighbouring channels each (Mamba-2), a divisor of dim. Default: none. */
  heads?: number;
  /** Groups that share B and C, a divisor of heads (without heads, of dim); default 1. */
  groups?: number;
  /** s = softplus(dt + dtBias), the identity above 20; default false: s = dt + dtBias. */
  dtSoftplus?: boolean;
  /** Threads; default 1. The result does not depend on them. */
  threads?: number;
  /** Where the result goes, batch x dim; default a fresh array. It may overlap no other array. */
  out?: T;
}

/** An array of `each` elements, or with heads of `all`. */
function eitherLength<T extends Reals>(name: string, x: T, type: 'f32' | 'f64', each: number, all?: number) {
  reals(name, x, type);
  if (x.length === each || x.length === all) return;
  const expected = all === undefined ? `${each}` : `${all} or ${each}`;
  throw check.rangeError(name, `${expected} elements long`, x);
}

/** Every row names a slot of its own. */
function requireSlots(stateIndices: unknown, batch: number, slots: number): void {
  const indices = arrayOf('stateIndices', stateIndices, Int32Array);
  if (indices.length !== batch) throw check.rangeError('stateIndices', `${batch} elements long`, indices);
  const seen = new Set<number>();
  for (const slot of indices) {
    if (slot < 0) continue;
    if (slot >= slots) throw check.rangeError('stateIndices', `below the ${slots} slots of "state"`, slot);
    if (seen.has(slot)) throw check.rangeError('stateIndices', 'of different slots', `${slot} twice`);
    seen.add(slot);
  }
}

function prepareStateUpdate<T extends Reals>(
  state: T,
  input: StateUpdateInput<T>,
  given: StateUpdateOptions<T>,
): Prepared<T> {
  const o = check.options(given);
  const type = realType('state', state);
  if (typeof input !== 'object' || input === null || ArrayBuffer.isView(input))
    throw check.typeError('input', 'an object of arrays', input);
  const { x, dt, A, B, C, D, z, dtBias, stateIndices } = input;
  const batch = check.nonNegativeInteger('batch', o.batch);
  const dim = check.positiveInteger('dim', o.dim);
  const n = check.positiveInteger('state', o.state);
  const groups = o.groups === undefined ? 1 : check.positiveInteger('groups', o.groups);
  const headsGiven = o.heads === undefined ? undefined : check.positiveInteger('heads', o.heads);
  if (headsGiven !== undefined && dim % headsGiven !== 0)
    throw check.rangeError('heads', `a divisor of dim = ${dim}`, headsGiven);
  const over = headsGiven ?? dim;
  if (over % groups !== 0)
    throw check.rangeError(
      'groups',
      `a divisor of ${headsGiven === undefined ? 'dim' : 'heads'} = ${over}`,
      groups,
    );
  // Without heads the channels of a group are what is worked on together.
  const heads = headsGiven ?? groups;
  const dtSoftplus = check.boolean('dtSoftplus', o.dtSoftplus ?? false);
  const threads = threadsOf(o.threads);
  const rows = batch * dim;
  reals('x', x, type, rows);
  eitherLength('dt', dt, type, rows, headsGiven && batch * headsGiven);
  eitherLength('A', A, type, dim * n, headsGiven);
  reals('B', B, type, batch * groups * n);
  reals('C', C, type, batch * groups * n);
  if (D !== undefined) eitherLength('D', D, type, dim, headsGiven);
  if (dtBias !== undefined) eitherLength('dtBias', dtBias, type, dim, headsGiven);
  if (z !== undefined) reals('z', z, type, rows);
  const slots = stateIndices === undefined ? batch : Math.floor(state.length / (dim * n));
  if (state.length !== slots * dim * n)
    throw check.rangeError(
      'state',
      `${stateIndices ? 'a multiple of ' : ''}${slots * dim * n || dim * n} elements long`,
      state,
    );
  if (stateIndices !== undefined) requireSlots(stateIndices, batch, slots);
  const out = o.out === undefined ? (allocate(type, rows) as T) : reals<T>('out', o.out, type, rows);
  const sizes = Float64Array.of(batch, slots, heads, dim / heads, n, groups);
  return {
    operation: 'selectiveStateUpdate',
    args: [state, x, dt, A, B, C, D, z, dtBias, stateIndices, out, sizes, dtSoftplus, threads],
    result: out,
  };
}

/**
 * One step of a selective scan, the state updated in place: with s = dt + dtBias or softplus of that,
 *
 *     state = exp(s A) state + s x B,   out = sum over the states of C state + D x, times z sigmoid(z).
 *
 * As many steps give what selectiveScan (or ssdScan) gives, with the same softplus and exponential; float32 differs by
 * rounding, about 1e-6 of the largest magnitude. With one A for each head (Mamba-2) a head takes a single exponential.
 * Time O(batch dim state), at the rate at which memory gives and takes the state.
 *
 * @param state slots x dim x state (without stateIndices batch x dim x state), updated in place
 * @param input arrays of the step; see StateUpdateInput
 * @param options sizes and form
 * @returns batch x dim
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see arXiv 2312.00752, section 3.2; arXiv 2405.21060, section 8
 *
 * @example
 * const y = selectiveStateUpdate(state, { x, dt, A, B, C, D, z, dtBias }, { batch: 1, dim: 1536, state: 16, dtSoftplus: true });
 */
export const selectiveStateUpdate = <T extends Reals>(
  state: T,
  input: StateUpdateInput<T>,
  options: StateUpdateOptions<T>,
): T => blocking(prepareStateUpdate(state, input, options));

/** Promise form of selectiveStateUpdate. */
export const selectiveStateUpdateAsync = async <T extends Reals>(
  state: T,
  input: StateUpdateInput<T>,
  options: StateUpdateOptions<T> & AsyncOptions,
): Promise<T> => promised(prepareStateUpdate(state, input, options), options);
