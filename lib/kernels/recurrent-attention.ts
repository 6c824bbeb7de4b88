/**
 * Softmax attention as a sum of recurrences, one for each power of the score, cut at an order. Native: native/linear.
 */
import * as check from '../check.js';
import { blocking, type AsyncOptions, type Prepared } from '../native.js';
import { allocate, reals } from './arguments.js';
import type { Reals } from './arguments.js';
import { AttentionState } from './attention-state.js';
import { makeState, requireFinite, sequencesOf } from './linear-attention-options.js';
import type { LinearAlgorithm, LinearCall } from './linear-attention-options.js';
import { prepareBackward, prepareForward } from './linear-attention.js';
import { normRows, normRowsBackward } from './row-norms.js';
import { NORMALIZATIONS, normOf, type RecurrentNormalization } from './recurrent-norms.js';
import { blockingSteps, call, promisedSteps, type Steps } from './steps.js';

/** Options of recurrentAttentionBackward, and of recurrentAttention. */
export interface RecurrentShapeOptions {
  /** Sequences; default 1. */
  batch?: number;
  /** Heads of a sequence; default 1. */
  heads?: number;
  /** Tokens of a sequence; 0 gives an empty result. */
  length: number;
  /** Numbers of a query and of a key of one head. */
  headDim: number;
  /** Numbers of a value of one head. */
  valueDim: number;
  /** Terms of the exponential's series beside 1, an integer in [0, 32]; default 2. */
  order?: number;
  /**
   * What stands in the place of the denominator: 'sum' of the weights (default), 'none', the 'l2' norm of the output,
   * its root mean 'rms' (eps 1e-6), the 'layer' norm (eps 1e-5), or the 'length', the number of tokens seen.
   */
  normalization?: RecurrentNormalization;
  /** Added to the sum of weights, >= 0; default 0. Odd orders need one: their weights may cancel. */
  epsilon?: number;
  /** Factor of scores, > 0; default 1 / sqrt(headDim). */
  scale?: number;
  /** Default 'auto'. */
  algorithm?: LinearAlgorithm;
  /** Tokens of a chunk, >= 1; default up to 64. */
  chunkSize?: number;
  /** Largest state of one head in bytes; default 2^28. */
  maxStateBytes?: number;
  /** Refuses NaN and infinities in the inputs; default false. */
  checkFinite?: boolean;
  /** Threads; default 1. */
  threads?: number;
}

/** Options of recurrentAttention. */
export interface RecurrentOptions extends RecurrentShapeOptions {
  /** Returns the state after the last token; default false. */
  returnState?: boolean;
  /** Where the result goes, [batch, heads, length, valueDim]; default a fresh array. */
  out?: Reals;
}

/** Arrays of recurrentAttention, all of one type. */
export interface RecurrentInputs<T extends Reals = Reals> {
  /** [batch, heads, length, headDim] */
  q: T;
  /** [batch, heads, length, headDim] */
  k: T;
  /** [batch, heads, length, valueDim] */
  v: T;
}

/** What recurrentAttention gives. */
export interface RecurrentResult<T extends Reals = Reals> {
  /** [batch, heads, length, valueDim] */
  out: T;
  /** After the last token; with `returnState`. */
  state?: AttentionState<T>;
}

function callOf<T extends Reals>(
  i: RecurrentInputs<T>,
  o: RecurrentShapeOptions,
  stateful: boolean,
): { n: LinearCall; normalization: RecurrentNormalization } {
  const normalization = check.oneOf('normalization', o.normalization ?? 'sum', NORMALIZATIONS);
  const epsilon = check.finiteNumber('epsilon', o.epsilon ?? 0);
  if (epsilon < 0) throw check.rangeError('epsilon', 'at least 0', epsilon);
  const { batch, heads, length, headDim, valueDim, order, scale, algorithm, chunkSize, maxStateBytes } = o;
  const shape = {
    batch,
    heads,
    length,
    headDim,
    valueDim,
    order,
    scale,
    algorithm,
    chunkSize,
    maxStateBytes,
  };
  const rest = {
    checkFinite: o.checkFinite,
    threads: o.threads,
    normalize: normalization === 'sum',
    eps: epsilon,
  };
  return { n: sequencesOf({ ...shape, ...rest, map: 'taylor' }, i, stateful), normalization };
}

function prepare<T extends Reals>(
  inputs: RecurrentInputs<T> & { initialState?: AttentionState<T> },
  given: RecurrentOptions,
): Prepared<RecurrentResult<T>> {
  const [i, o] = [check.options(inputs), check.options(given)];
  const returnState = check.boolean('returnState', o.returnState ?? false);
  const before = i.initialState;
  const { n, normalization } = callOf(i, o, returnState || before !== undefined);
  if (before !== undefined && !(before instanceof AttentionState))
    throw check.typeError('initialState', 'an AttentionState', before);
  before?.requireFor('initialState', n);
  const size = n.batch * n.heads * n.length * n.valueDim;
  const out = o.out === undefined ? (allocate(n.type, size) as T) : reals<T>('out', o.out, n.type, size);
  const state = returnState ? makeState<T>(n) : undefined;
  const seen = before?.tokens ?? 0;
  const arrays = { q: i.q, k: i.k, v: i.v, initialState: before?.sums };
  const { operation, args } = prepareForward(n, arrays, { out, state });
  return {
    operation,
    args,
    result: (zeros) => {
      if (zeros !== 0 && n.eps === 0)
        throw check.rangeError('epsilon', 'above 0 where the weights of a row sum to 0', n.eps);
      const job = normOf(normalization, n, seen);
      if (job) normRows(job, out, out);
      return { out, ...(state && { state: new AttentionState(state, normalization, seen + n.length) }) };
    },
  };
}

/**
 * Causal softmax attention with the exponential's series cut at `order`: out_t = G_t sum_(i <= t) P_N(s_ti) v_i,
 * s = scale q_t . k_i, G_t the normalization. Order 0 is a prefix mean, 1 linear attention, and with every order more comes
 * one more recurrence; softmax attention is the limit. |e^s - P_N(s)| <= |s|^(N+1) / (N+1)! max(1, e^s).
 *
 * Even orders have positive weights. Those of odd orders may cancel in the sum: give an epsilon, or another normalization.
 *
 * @param inputs q, k, v in float32 or float64, and the state of an earlier call to go on from
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument; epsilon: weights of a row
 *   summed to 0
 * @see "On the Expressiveness of Softmax Attention: A Recurrent Neural Network Perspective", G. Mongaras and
 *   E. C. Larson, arXiv 2507.23632
 */
export const recurrentAttention = <T extends Reals>(
  inputs: RecurrentInputs<T> & { initialState?: AttentionState<T> },
  options: RecurrentOptions,
): RecurrentResult<T> => blocking(prepare(inputs, options));

/** Promise form of recurrentAttention. */
export const recurrentAttentionAsync = async <T extends Reals>(
  inputs: RecurrentInputs<T> & { initialState?: AttentionState<T> },
  options: RecurrentOptions & AsyncOptions,
): Promise<RecurrentResult<T>> => promisedSteps(call(prepare(inputs, options)), 1, options);

/** Gradients of recurrentAttention. */
export interface RecurrentGradients<T extends Reals = Reals> {
  dq: T;
  dk: T;
  dv: T;
}

function* gradients<T extends Reals>(
  inputs: RecurrentInputs<T> & { gout: T },
  given: RecurrentShapeOptions,
): Steps<RecurrentGradients<T>> {
  const [i, o] = [check.options(inputs), check.options(given)];
  const { n, normalization } = callOf(i, o, false);
  reals('gout', i.gout, n.type, n.batch * n.heads * n.length * n.valueDim);
  if (n.checkFinite) requireFinite({ gout: i.gout });
  const job = normOf(normalization, n, 0);
  const arrays = { q: i.q, k: i.k, v: i.v };
  let { gout } = i;
  if (job) {
    // The norm's gradient needs the numerators again.
    const out = allocate(n.type, gout.length) as T;
    yield* call(prepareForward(n, arrays, { out }));
    gout = normRowsBackward(job, out, gout).dx as T;
  }
  const { dq, dk, dv } = yield* call(prepareBackward(n, arrays, { gout }));
  return { dq, dk, dv };
}

/**
 * Gradients of recurrentAttention, in time linear in the length.
 *
 * @param inputs those of the forward call, without an initial state, and `gout`, the gradient of its result
 * @param options those of the forward call
 * @throws as recurrentAttention
 */
export const recurrentAttentionBackward = <T extends Reals>(
  inputs: RecurrentInputs<T> & { gout: T },
  options: RecurrentShapeOptions,
): RecurrentGradients<T> => blockingSteps(gradients(inputs, options));

/** Promise form of recurrentAttentionBackward. */
export const recurrentAttentionBackwardAsync = async <T extends Reals>(
  inputs: RecurrentInputs<T> & { gout: T },
  options: RecurrentShapeOptions & AsyncOptions,
): Promise<RecurrentGradients<T>> => promisedSteps(gradients(inputs, options), 2, options);
