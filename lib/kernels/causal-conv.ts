/**
 * Short depthwise causal convolutions, as they stand before a selective scan. Native: native/scan/conv.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, requireBounded, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';

/** Arrays of a causal convolution, row-major, all Float32Array or all Float64Array. */
export interface CausalConvInput<T extends Reals = Reals> {
  /** batch x dim x length; layout 'time-first': batch x length x dim. */
  x: T;
  /** Taps of each channel, oldest first: dim x width. */
  weight: T;
  /** Added before the activation: dim. */
  bias?: T;
  /** The width - 1 inputs before the first, oldest first: batch x dim x (width - 1) in either layout; default 0. */
  initialState?: T;
}

/** Shape and form of a causal convolution. */
export interface CausalConvShape {
  /** Sequences, 0 allowed; default 1. */
  batch?: number;
  /** Channels, at least 1. */
  dim: number;
  /** Steps, 0 allowed. */
  length: number;
  /** Taps, 2 to 8. */
  width: number;
  /** Order of the axes; default 'channels-first'. */
  layout?: 'channels-first' | 'time-first';
  /** 'silu': x sigmoid(x) of the sum; default 'none'. */
  activation?: 'none' | 'silu';
  /** Threads; default 1. The result does not depend on them. */
  threads?: number;
}

/** Options of causalConv1d. */
export interface CausalConvOptions<T extends Reals = Reals> extends CausalConvShape {
  /** Returns the last width - 1 inputs, for causalConv1dUpdate or the next call; default false. */
  returnFinalState?: boolean;
  /** Where the result goes, shaped as x; default a fresh array. It may overlap no input. */
  out?: T;
}

/** What causalConv1d returns. */
export interface CausalConvResult<T extends Reals = Reals> {
  /** Shaped as x. */
  out: T;
  /** batch x dim x (width - 1), with returnFinalState. */
  finalState?: T;
}

/** Options of causalConv1dBackward. */
export interface CausalConvBackwardOptions<T extends Reals = Reals> extends CausalConvShape {
  /** Gradient of finalState, batch x dim x (width - 1); default 0. */
  gfinal?: T;
}

/** Gradients of the arrays that were given, of their shapes. */
export interface CausalConvGradients<T extends Reals = Reals> {
  dx: T;
  dweight: T;
  dbias?: T;
  dInitialState?: T;
}

/** Sizes and arrays that all three calls have. */
function convCall<T extends Reals>(
  input: CausalConvInput<T>,
  o: Omit<CausalConvShape, 'length'> & { length?: number },
) {
  if (typeof input !== 'object' || input === null || ArrayBuffer.isView(input))
    throw check.typeError('input', 'an object of arrays', input);
  const { x, weight, bias, initialState } = input;
  const type = realType('x', x);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const dim = check.positiveInteger('dim', o.dim);
  const length = check.nonNegativeInteger('length', o.length);
  requireBounded(batch, length);
  const width = check.positiveInteger('width', o.width);
  if (width < 2 || width > 8) throw check.rangeError('width', 'in [2, 8]', width);
  const layout = check.oneOf('layout', o.layout ?? 'channels-first', ['channels-first', 'time-first']);
  const activation = check.oneOf('activation', o.activation ?? 'none', ['none', 'silu']);
  const threads = threadsOf(o.threads);
  const elements = batch * dim * length;
  const states = batch * dim * (width - 1);
  reals('x', x, type, elements);
  reals('weight', weight, type, dim * width);
  if (bias !== undefined) reals('bias', bias, type, dim);
  if (initialState !== undefined) reals('initialState', initialState, type, states);
  const sizes = Float64Array.of(batch, dim, length, width);
  return {
    type,
    elements,
    states,
    sizes,
    timeFirst: layout === 'time-first',
    silu: activation === 'silu',
    threads,
  };
}

function prepareCausalConv<T extends Reals>(
  input: CausalConvInput<T>,
  given: CausalConvOptions<T>,
): Prepared<CausalConvResult<T>> {
  const o = check.options(given);
  const { type, elements, states, sizes, timeFirst, silu, threads } = convCall(input, o);
  const wantsFinal = check.boolean('returnFinalState', o.returnFinalState ?? false);
  const out = o.out === undefined ? (allocate(type, elements) as T) : reals<T>('out', o.out, type, elements);
  const finalState = wantsFinal ? (allocate(type, states) as T) : undefined;
  const { x, weight, bias, initialState } = input;
  return {
    operation: 'causalConv1d',
    args: [x, weight, bias, initialState, out, finalState, sizes, timeFirst, silu, threads],
    result: { out, ...(finalState && { finalState }) },
  };
}

/**
 * Depthwise causal convolution: out_t = f(bias + sum_k weight[k] x_{t - (width - 1) + k}) for every channel, where what
 * lies before the first step comes from initialState. Time O(batch dim length width).
 *
 * @param input arrays; see CausalConvInput
 * @param options shape and form
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see arXiv 2312.00752, section 3.4 (the convolution of a Mamba block: width 4, SiLU)
 *
 * @example
 * const { out, finalState } = causalConv1d(
 *   { x, weight, bias },
 *   { dim: 1536, length: 512, width: 4, layout: 'time-first', activation: 'silu', returnFinalState: true },
 * );
 */
export const causalConv1d = <T extends Reals>(
  input: CausalConvInput<T>,
  options: CausalConvOptions<T>,
): CausalConvResult<T> => blocking(prepareCausalConv(input, options));

/** Promise form of causalConv1d. */
export const causalConv1dAsync = async <T extends Reals>(
  input: CausalConvInput<T>,
  options: CausalConvOptions<T> & AsyncOptions,
): Promise<CausalConvResult<T>> => promised(prepareCausalConv(input, options), options);

function prepareCausalConvBackward<T extends Reals>(
  input: CausalConvInput<T>,
  gout: T,
  given: CausalConvBackwardOptions<T>,
): Prepared<CausalConvGradients<T>> {
  const o = check.options(given);
  const { type, elements, states, sizes, timeFirst, silu, threads } = convCall(input, o);
  reals('gout', gout, type, elements);
  if (o.gfinal !== undefined) reals('gfinal', o.gfinal, type, states);
  const { x, weight, bias, initialState } = input;
  const like = (array: T): T => allocate(type, array.length) as T;
  const dx = like(x);
  const dweight = like(weight);
  const dbias = bias && like(bias);
  const dInitialState = initialState && like(initialState);
  return {
    operation: 'causalConv1dBackward',
    args: [
      ...[x, weight, bias, initialState, gout, o.gfinal, dx, dweight, dbias, dInitialState],
      ...[sizes, timeFirst, silu, threads],
    ],
    result: { dx, dweight, ...(dbias && { dbias }), ...(dInitialState && { dInitialState }) },
  };
}

/**
 * Gradients of causalConv1d, given that of its result and, with `gfinal`, of its final state. The sums before the
 * activation are worked out again.
 *
 * @param input as in the forward call
 * @param gout gradient of `out`, shaped as x
 * @param options those of the forward call (`out` and returnFinalState aside), and gfinal
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 */
export const causalConv1dBackward = <T extends Reals>(
  input: CausalConvInput<T>,
  gout: T,
  options: CausalConvBackwardOptions<T>,
): CausalConvGradients<T> => blocking(prepareCausalConvBackward(input, gout, options));

/** Promise form of causalConv1dBackward. */
export const causalConv1dBackwardAsync = async <T extends Reals>(
  input: CausalConvInput<T>,
  gout: T,
  options: CausalConvBackwardOptions<T> & AsyncOptions,
): Promise<CausalConvGradients<T>> => promised(prepareCausalConvBackward(input, gout, options), options);

/** Options of causalConv1dUpdate. */
export interface CausalConvUpdateOptions<T extends Reals = Reals> extends Omit<
  CausalConvShape,
  'length' | 'layout'
> {
  /** Where the result goes, batch x dim; default a fresh array. It may overlap no other array. */
  out?: T;
}

function prepareCausalConvUpdate<T extends Reals>(
  state: T,
  input: Omit<CausalConvInput<T>, 'initialState'>,
  given: CausalConvUpdateOptions<T>,
): Prepared<T> {
  const o = check.options(given);
  const { type, elements, states, sizes, silu, threads } = convCall(
    input && { x: input.x, weight: input.weight, bias: input.bias },
    { ...o, length: 1, layout: 'time-first' },
  );
  reals('state', state, type, states);
  const out = o.out === undefined ? (allocate(type, elements) as T) : reals<T>('out', o.out, type, elements);
  const { x, weight, bias } = input;
  return {
    operation: 'causalConv1dUpdate',
    args: [state, x, weight, bias, out, sizes, silu, threads],
    result: out,
  };
}

/**
 * One step of causalConv1d: what would follow the inputs that `state` holds. The state is rolled in place, its oldest
 * input dropped and x appended; as many steps give what causalConv1d gives, bit for bit in time-first layout.
 *
 * @param state the last width - 1 inputs, oldest first, batch x dim x (width - 1): zeros, or finalState of causalConv1d
 * @param input x of batch x dim, weight and bias as in causalConv1d
 * @param options shape and form
 * @returns batch x dim
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 *
 * @example
 * const y = causalConv1dUpdate(state, { x, weight, bias }, { dim: 1536, width: 4, activation: 'silu' });
 */
export const causalConv1dUpdate = <T extends Reals>(
  state: T,
  input: Omit<CausalConvInput<T>, 'initialState'>,
  options: CausalConvUpdateOptions<T>,
): T => blocking(prepareCausalConvUpdate(state, input, options));

/** Promise form of causalConv1dUpdate. */
export const causalConv1dUpdateAsync = async <T extends Reals>(
  state: T,
  input: Omit<CausalConvInput<T>, 'initialState'>,
  options: CausalConvUpdateOptions<T> & AsyncOptions,
): Promise<T> => promised(prepareCausalConvUpdate(state, input, options), options);
