/**
 * Arguments of the selective scan: their shapes, and the checks that forward and backward share.
 */
import * as check from '../check.js';
import type { Floats } from '../check.js';
import { allocate, arrayOf, dtypeOf, requireBounded, threadsOf } from './arguments.js';
import type { Dtype, Reals } from './arguments.js';

/** Steps from one checkpoint of the state to the next. */
export const CHECKPOINT_STEPS = 64;

/** How the continuous system becomes a recurrence; see discretize. */
export type ScanDiscretization = 'euler' | 'zoh' | 'bilinear';

/** Order of the axes: batch, dim, length or batch, length, dim. */
export type ScanLayout = 'channels-first' | 'time-first';

/** What states, A, D and the gradients are in: float32 next to 16-bit values, else the type of the values. */
export type StateOf<T extends Floats> = T extends Uint16Array ? Float32Array : T;

/**
 * Arrays of a selective scan, row-major, all Float32Array or all Float64Array; with `dtype` u, delta, B, C and z are
 * Uint16Arrays and the others Float32Arrays. Complex numbers are interleaved: re, im.
 */
export interface SelectiveScanInput<T extends Floats = Reals> {
  /** Input: batch x dim x length (time-first: batch x length x dim). */
  u: T;
  /** Step size before bias and softplus, shaped as u. */
  delta: T;
  /** Decay: dim x state, real or complex; the real part is negative where the state is to fade. */
  A: StateOf<T>;
  /**
   * Input weights. Variable: batch x groups x state x length (time-first: batch x length x groups x state), where
   * channel d belongs to group floor(d / (dim / groups)); constant: dim x state. Complex ones that vary hold re, im
   * interleaved on their last axis.
   */
  B: T;
  /** Read-out weights, shaped as B may be, independently of B. */
  C: T;
  /** Skip weight of each channel: dim. */
  D?: StateOf<T>;
  /** Gate, shaped as u: the result is multiplied by z sigmoid(z). */
  z?: T;
  /** Added to delta before softplus: dim. */
  deltaBias?: StateOf<T>;
  /** State before the first step: batch x dim x state; default 0. */
  initialState?: StateOf<T>;
  /**
   * Packed sequences: batch x length, not decreasing within a row. Where the id changes the state starts from 0;
   * initialState belongs to the first sequence of each row.
   */
  segmentIds?: Int32Array;
}

/** Shape and form of a selective scan, as forward and backward share them. */
export interface SelectiveScanShape {
  /** Rows, at least 1. */
  batch: number;
  /** Channels, at least 1. */
  dim: number;
  /** Steps, 0 allowed. */
  length: number;
  /** States of a channel (with `complex`, conjugate pairs), at least 1. */
  state: number;
  /** Groups of channels that share variable B and C, a divisor of dim; default 1. */
  groups?: number;
  /** Order of the axes; default 'channels-first'. */
  layout?: ScanLayout;
  /** Whether B varies with time; default true. */
  variableB?: boolean;
  /** Whether C varies with time; default true. */
  variableC?: boolean;
  /** A, B, C and the states are complex, y = 2 Re sum C h; default false. */
  complex?: boolean;
  /** s = softplus(delta + deltaBias), the identity above 20; default false: s = delta + deltaBias. */
  deltaSoftplus?: boolean;
  /** Default 'euler', which is what Mamba computes: a = exp(s A), b = s B u. */
  discretization?: ScanDiscretization;
  /**
   * 'auto' takes one exponential a step and channel, and its powers for the other states, where A[d, n] = (n + 1) A[d, 0]
   * within a relative 2^-20 for a tile of channels (S4D-real, where every Mamba starts; trained models have drifted from
   * it), real A, float32. 'never' takes an exponential for each state. Default 'auto', in float64 'never'.
   */
  powers?: 'auto' | 'never';
  /** Storage of Uint16Array values: 'bf16' or 'f16'. */
  dtype?: Dtype;
  /** Threads; default 1. The result does not depend on them. */
  threads?: number;
}

/** A call's arrays and options, checked. */
export interface ScanCall {
  input: SelectiveScanInput<Floats>;
  dtype: Dtype;
  /** Type of states and gradients. */
  real: 'f32' | 'f64';
  /** Elements of u, of A (and constant B and C) and of a state of the whole batch. */
  elements: number;
  weights: number;
  states: number;
  /** Elements of checkpoints. */
  checkpoints: number;
  /** batch, dim, length, state, groups. */
  sizes: Float64Array;
  /** The arguments of both native operations that follow the sizes, up to threads. */
  settings: readonly unknown[];
}

const CLASSES = { f32: Float32Array, f64: Float64Array, bf16: Uint16Array, f16: Uint16Array };

/** Checks class and length of an array. */
export function shaped(name: string, x: unknown, dtype: Dtype, length: number, complex = false): Floats {
  const array = arrayOf<Floats>(name, x, CLASSES[dtype]);
  if (array.length === length) return array;
  // Half of it is not a wrong size but real numbers.
  if (complex && 2 * array.length === length)
    throw check.typeError(name, `complex, re and im interleaved: ${length} elements`, array);
  throw check.rangeError(name, `${length} elements long`, array);
}

/** The array if given, checked, or a fresh one. */
export function given(name: string, x: unknown, dtype: Dtype, length: number): Floats {
  return x === undefined ? allocate(dtype, length) : shaped(name, x, dtype, length);
}

function requireSegments(ids: Int32Array, batch: number, length: number): void {
  for (let row = 0; row < batch; row += 1) {
    for (let t = row * length + 1; t < (row + 1) * length; t += 1)
      if (ids[t] < ids[t - 1])
        throw check.rangeError('segmentIds', 'non-decreasing within a row', `${ids[t]} after ${ids[t - 1]}`);
  }
}

/** Segments of all rows together. */
export function segmentCount(ids: Int32Array, batch: number, length: number): number {
  if (length === 0) return 0;
  let count = batch;
  for (let row = 0; row < batch; row += 1) {
    for (let t = row * length + 1; t < (row + 1) * length; t += 1) if (ids[t] !== ids[t - 1]) count += 1;
  }
  return count;
}

/** Power sharing is for float32: an exponential in float64 is not what binds, and powers would cost digits. */
function powersOf(powers: unknown, real: 'f32' | 'f64', complex: boolean): boolean {
  if (powers !== undefined) check.oneOf('powers', powers, ['auto', 'never']);
  if (real === 'f64' && powers === 'auto')
    throw check.rangeError('powers', "'never' or absent for float64", powers);
  return real === 'f32' && !complex && powers !== 'never';
}

/** Checks what forward and backward have in common. */
export function scanCall(given: SelectiveScanInput<Floats>, o: SelectiveScanShape): ScanCall {
  if (typeof given !== 'object' || given === null || ArrayBuffer.isView(given))
    throw check.typeError('input', 'an object of arrays', given);
  const input = { ...given };
  const batch = check.positiveInteger('batch', o.batch);
  const dim = check.positiveInteger('dim', o.dim);
  const length = check.nonNegativeInteger('length', o.length);
  requireBounded(batch, length);
  const state = check.positiveInteger('state', o.state);
  const groups = o.groups === undefined ? 1 : check.positiveInteger('groups', o.groups);
  if (dim % groups !== 0) throw check.rangeError('groups', `a divisor of dim = ${dim}`, groups);
  const layout = check.oneOf('layout', o.layout ?? 'channels-first', ['channels-first', 'time-first']);
  const variableB = check.boolean('variableB', o.variableB ?? true);
  const variableC = check.boolean('variableC', o.variableC ?? true);
  const complex = check.boolean('complex', o.complex ?? false);
  const deltaSoftplus = check.boolean('deltaSoftplus', o.deltaSoftplus ?? false);
  const rule = check.oneOf('discretization', o.discretization ?? 'euler', ['euler', 'zoh', 'bilinear']);

  const dtype = dtypeOf('u', input.u, o.dtype);
  const real = dtype === 'f64' ? 'f64' : 'f32';
  const powers = powersOf(o.powers, real, complex);
  const threads = threadsOf(o.threads);
  const elements = batch * dim * length;
  const parts = complex ? 2 : 1;
  const weights = dim * state * parts;
  const states = batch * weights;
  const varying = batch * groups * state * length * parts;
  shaped('u', input.u, dtype, elements);
  shaped('delta', input.delta, dtype, elements);
  shaped('A', input.A, real, weights, complex);
  shaped('B', input.B, dtype, variableB ? varying : weights, complex);
  shaped('C', input.C, dtype, variableC ? varying : weights, complex);
  if (input.D !== undefined) shaped('D', input.D, real, dim);
  if (input.z !== undefined) shaped('z', input.z, dtype, elements);
  if (input.deltaBias !== undefined) shaped('deltaBias', input.deltaBias, real, dim);
  if (input.initialState !== undefined) shaped('initialState', input.initialState, real, states, complex);
  if (input.segmentIds !== undefined) {
    const ids = arrayOf('segmentIds', input.segmentIds, Int32Array);
    if (ids.length !== batch * length)
      throw check.rangeError('segmentIds', `${batch * length} elements long`, ids);
    requireSegments(ids, batch, length);
  }
  return {
    input,
    dtype,
    real,
    elements,
    weights,
    states,
    checkpoints: Math.ceil(length / CHECKPOINT_STEPS) * states,
    sizes: Float64Array.of(batch, dim, length, state, groups),
    settings: [dtype, layout, variableB, variableC, complex, deltaSoftplus, rule, powers, threads],
  };
}

/** The arrays of the input in the order of the native operations. */
export function scanArrays({ input }: ScanCall): unknown[] {
  const { u, delta, A, B, C, D, z, deltaBias, initialState, segmentIds } = input;
  return [u, delta, A, B, C, D, z, deltaBias, initialState, segmentIds];
}
