/**
 * The scan of Mamba-2 (state space duality, SSD): one decay for each head, computed by chunks as products of matrices.
 * Native: native/scan/ssd_forward.cc, native/scan/ssd_backward.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, arrayOf, realType, reals, requireBounded, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';

/** Arrays of an SSD scan, row-major and time-first, all Float32Array or all Float64Array. */
export interface SsdInput<T extends Reals = Reals> {
  /** Input: batch x length x heads x headDim. */
  x: T;
  /** Step size before bias, softplus and limits: batch x length x heads. */
  dt: T;
  /** Decay of each head, negative where the state is to fade: heads. */
  A: T;
  /** Input weights: batch x length x groups x state; head h belongs to group floor(h / (heads / groups)). */
  B: T;
  /** Read-out weights, shaped as B. */
  C: T;
  /** Skip weight: heads, or heads x headDim. */
  D?: T;
  /** Gate, shaped as x: the result is multiplied by z sigmoid(z). */
  z?: T;
  /** Added to dt before softplus: heads. */
  dtBias?: T;
  /** State before the first step: batch x heads x headDim x state; default 0. */
  initialState?: T;
  /**
   * Packed sequences: batch x length, not decreasing within a row. Where the id changes the state starts from 0;
   * initialState belongs to the first sequence of each row.
   */
  segmentIds?: Int32Array;
}

/** Shape and form of an SSD scan, as forward and backward share them. */
export interface SsdShape {
  /** Rows, at least 1. */
  batch: number;
  /** Steps, 0 allowed. */
  length: number;
  /** Heads, at least 1. */
  heads: number;
  /** Channels of a head, at least 1. */
  headDim: number;
  /** States of a channel, at least 1. */
  state: number;
  /** Groups of heads that share B and C, a divisor of heads; default 1. */
  groups?: number;
  /** Steps of a chunk, 1 to 256; default 64, which keeps a chunk of a head in the caches. */
  chunk?: number;
  /** s = softplus(dt + dtBias), the identity above 20; default false: s = dt + dtBias. */
  dtSoftplus?: boolean;
  /** Limits that s is cut to; default [0, Infinity]. The gradient is 1 within and at the limits, 0 outside. */
  dtLimit?: readonly [number, number];
  /** Threads; default 1. The result does not depend on them. */
  threads?: number;
}

/** Options of ssdScan. */
export interface SsdOptions<T extends Reals = Reals> extends SsdShape {
  /** Returns the state after the last step; default false. */
  returnFinalState?: boolean;
  /**
   * 'chunked' (default) or 'recurrent': step by step, the form of decoding. The two differ by rounding, at most 1e-6 of
   * the largest magnitude in float32.
   */
  method?: 'chunked' | 'recurrent';
  /** Where the result goes, shaped as x; default a fresh array. It may overlap no input. */
  out?: T;
}

/** What ssdScan returns. */
export interface SsdResult<T extends Reals = Reals> {
  /** batch x length x heads x headDim. */
  out: T;
  /** batch x heads x headDim x state, with returnFinalState. */
  finalState?: T;
}

/** Options of ssdScanBackward. */
export interface SsdBackwardOptions<T extends Reals = Reals> extends SsdShape {
  /** Gradient of finalState, batch x heads x headDim x state; default 0. */
  gfinal?: T;
}

/** Gradients of the arrays that were given, of their shapes. */
export interface SsdGradients<T extends Reals = Reals> {
  dx: T;
  ddt: T;
  dA: T;
  dB: T;
  dC: T;
  dD?: T;
  dz?: T;
  ddtBias?: T;
  dInitialState?: T;
}

function limitsOf(limit: readonly [number, number] | undefined): readonly [number, number] {
  if (limit === undefined) return [0, Infinity];
  if (!Array.isArray(limit) || limit.length !== 2 || limit.some((each) => typeof each !== 'number'))
    throw check.typeError('dtLimit', 'an array of two numbers', limit);
  const [low, high] = limit as readonly [number, number];
  if (!(low <= high))
    throw check.rangeError('dtLimit', 'two numbers, the first not above the second', `[${low}, ${high}]`);
  return [low, high];
}

function requireSegments(segmentIds: unknown, batch: number, length: number): void {
  const ids = arrayOf('segmentIds', segmentIds, Int32Array);
  if (ids.length !== batch * length)
    throw check.rangeError('segmentIds', `${batch * length} elements long`, ids);
  for (let i = 1; i < ids.length; i += 1)
    if (i % length !== 0 && ids[i] < ids[i - 1])
      throw check.rangeError('segmentIds', 'non-decreasing within a row', `${ids[i]} after ${ids[i - 1]}`);
}

/** A call's arrays and shape, checked. */
function ssdCall<T extends Reals>(input: SsdInput<T>, o: SsdShape, chunked: boolean) {
  if (typeof input !== 'object' || input === null || ArrayBuffer.isView(input))
    throw check.typeError('input', 'an object of arrays', input);
  const { x, dt, A, B, C, D, z, dtBias, initialState, segmentIds } = input;
  const type = realType('x', x);
  const batch = check.positiveInteger('batch', o.batch);
  const length = check.nonNegativeInteger('length', o.length);
  const heads = check.positiveInteger('heads', o.heads);
  requireBounded(batch * heads, length);
  const headDim = check.positiveInteger('headDim', o.headDim);
  const state = check.positiveInteger('state', o.state);
  const groups = o.groups === undefined ? 1 : check.positiveInteger('groups', o.groups);
  if (heads % groups !== 0) throw check.rangeError('groups', `a divisor of heads = ${heads}`, groups);
  const chunk = o.chunk === undefined ? 64 : check.positiveInteger('chunk', o.chunk);
  if (chunk > 256) throw check.rangeError('chunk', 'at most 256', chunk);
  const dtSoftplus = check.boolean('dtSoftplus', o.dtSoftplus ?? false);
  const [low, high] = limitsOf(o.dtLimit);
  const threads = threadsOf(o.threads);
  const steps = batch * length;
  const elements = steps * heads * headDim;
  const states = batch * heads * headDim * state;
  reals('x', x, type, elements);
  reals('dt', dt, type, steps * heads);
  reals('A', A, type, heads);
  reals('B', B, type, steps * groups * state);
  reals('C', C, type, steps * groups * state);
  if (D !== undefined && reals('D', D, type).length !== heads) reals('D', D, type, heads * headDim);
  if (z !== undefined) reals('z', z, type, elements);
  if (dtBias !== undefined) reals('dtBias', dtBias, type, heads);
  if (initialState !== undefined) reals('initialState', initialState, type, states);
  if (segmentIds !== undefined) requireSegments(segmentIds, batch, length);
  const form = [chunk, low, high, dtSoftplus ? 1 : 0, chunked ? 1 : 0];
  return {
    type,
    elements,
    states,
    arrays: [x, dt, A, B, C, D, z, dtBias, initialState, segmentIds],
    settings: [Float64Array.of(batch, length, heads, headDim, state, groups, ...form), threads],
  };
}

function prepareSsd<T extends Reals>(input: SsdInput<T>, given: SsdOptions<T>): Prepared<SsdResult<T>> {
  const o = check.options(given);
  const method = check.oneOf('method', o.method ?? 'chunked', ['chunked', 'recurrent']);
  const { type, elements, states, arrays, settings } = ssdCall(input, o, method === 'chunked');
  const wantsFinal = check.boolean('returnFinalState', o.returnFinalState ?? false);
  const out = o.out === undefined ? (allocate(type, elements) as T) : reals<T>('out', o.out, type, elements);
  const finalState = wantsFinal ? (allocate(type, states) as T) : undefined;
  return {
    operation: 'ssdScan',
    args: [...arrays, out, finalState, ...settings],
    result: { out, ...(finalState && { finalState }) },
  };
}

/**
 * The scan of Mamba-2. For every head, with s = dt + dtBias or softplus of that, cut to dtLimit, and a state of
 * headDim x state,
 *
 *     h_t = exp(s_t A) h_{t-1} + s_t x_t B_t^T,   y_t = h_t C_t + D x_t,   out_t = y_t z_t sigmoid(z_t):
 *
 * selectiveScan with one decay for a head. Within a chunk it is a masked product of matrices, whose scores C B^T the heads
 * of a group share; between chunks the state is carried on. Threads share rows and heads. A value that is not finite spoils
 * its channel (in dt its head, in B and C its group) from there on, and nothing before.
 *
 * @param input arrays; see SsdInput
 * @param options shape, form and wishes
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see "Transformers are SSMs", T. Dao, A. Gu, arXiv 2405.21060, section 6
 *
 * @example
 * const { out } = ssdScan(
 *   { x, dt, A, B, C, D, dtBias },
 *   { batch: 1, length: 512, heads: 24, headDim: 64, state: 128, dtSoftplus: true },
 * );
 */
export const ssdScan = <T extends Reals>(input: SsdInput<T>, options: SsdOptions<T>): SsdResult<T> =>
  blocking(prepareSsd(input, options));

/** Promise form of ssdScan. */
export const ssdScanAsync = async <T extends Reals>(
  input: SsdInput<T>,
  options: SsdOptions<T> & AsyncOptions,
): Promise<SsdResult<T>> => promised(prepareSsd(input, options), options);

function prepareSsdBackward<T extends Reals>(
  input: SsdInput<T>,
  gout: T,
  given: SsdBackwardOptions<T>,
): Prepared<SsdGradients<T>> {
  const o = check.options(given);
  const { type, elements, states, arrays, settings } = ssdCall(input, o, true);
  reals('gout', gout, type, elements);
  if (o.gfinal !== undefined) reals('gfinal', o.gfinal, type, states);
  const like = (array: T): T => allocate(type, array.length) as T;
  const { x, dt, A, B, C, D, z, dtBias, initialState } = input;
  const [dx, ddt, dA, dB, dC] = [x, dt, A, B, C].map(like);
  const dD = D && like(D);
  const dz = z && like(z);
  const ddtBias = dtBias && like(dtBias);
  const dInitialState = initialState && like(initialState);
  return {
    operation: 'ssdScanBackward',
    args: [...[...arrays, gout, o.gfinal, dx, ddt, dA, dB, dC, dD, dz, ddtBias, dInitialState], ...settings],
    result: {
      ...{ dx, ddt, dA, dB, dC },
      ...(dD && { dD }),
      ...(dz && { dz }),
      ...(ddtBias && { ddtBias }),
      ...(dInitialState && { dInitialState }),
    },
  };
}

/**
 * Gradients of ssdScan, given that of its result and, with `gfinal`, of its final state, by chunks. The states before the
 * chunks of a head are worked out again and kept: one headDim x state for each chunk.
 *
 * @param input as in the forward call
 * @param gout gradient of `out`, shaped as x
 * @param options those of the forward call (`out`, method and returnFinalState aside), and gfinal
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see arXiv 2405.21060, section 6; the sums of decays are differentiated as differences, so nothing is divided
 */
export const ssdScanBackward = <T extends Reals>(
  input: SsdInput<T>,
  gout: T,
  options: SsdBackwardOptions<T>,
): SsdGradients<T> => blocking(prepareSsdBackward(input, gout, options));

/** Promise form of ssdScanBackward. */
export const ssdScanBackwardAsync = async <T extends Reals>(
  input: SsdInput<T>,
  gout: T,
  options: SsdBackwardOptions<T> & AsyncOptions,
): Promise<SsdGradients<T>> => promised(prepareSsdBackward(input, gout, options), options);
