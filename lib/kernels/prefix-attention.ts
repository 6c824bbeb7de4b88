/**
 * Prefix linear attention: a prompt read without regard to order, then causal linear attention. Native: native/linear.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, reals } from './arguments.js';
import type { Reals } from './arguments.js';
import { makeState, maskOf, requireFinite, sequencesOf } from './linear-attention-options.js';
import type { LinearAlgorithm, LinearCall, LinearShapeOptions } from './linear-attention-options.js';
import { prepareBackward, prepareForward } from './linear-attention.js';
import type { EncoderArrays, LinearAttentionResult } from './linear-attention.js';

/** Arrays of prefixLinearAttention, all of one type. */
export interface PrefixInputs<T extends Reals = Reals> {
  /** [batch, heads, length, featureDim] */
  q: T;
  /** [batch, heads, length, featureDim] */
  k: T;
  /** [batch, heads, length, valueDim] */
  v: T;
  /** [batch, heads, encoderLength, featureDim] */
  kEnc: T;
  /** [batch, heads, encoderLength, valueDim] */
  vEnc: T;
  /** [batch, length], 1 for tokens that count and 0 for padding, also of the encoder; default all. */
  mask?: Uint8Array;
}

/** Options of prefixLinearAttention and its gradient. */
export interface PrefixShapeOptions {
  /** Sequences; default 1. */
  batch?: number;
  /** Heads of a sequence; default 1. */
  heads?: number;
  /** Tokens of a sequence. */
  length: number;
  /** Tokens of the prompt, which every query sees, >= 0; more than `length` counts as `length`. */
  encoderLength: number;
  /** Numbers of a query and of a key of one head. */
  featureDim: number;
  /** Numbers of a value of one head. */
  valueDim: number;
  /** Of the Taylor polynomial; default 2. */
  order?: number;
  /** Whether the state keeps each product of variables once; default true. */
  symmetric?: boolean;
  /** Added to the sum of weights, >= 0; default 1e-12. */
  eps?: number;
  /** Default 'auto'. */
  algorithm?: LinearAlgorithm;
  /** Tokens of a chunk, >= 1; default up to 64. */
  chunkSize?: number;
  /**
   * A masked token counts for nothing ('exact', the default: the same as without it), or has its keys zeroed before the
   * feature map as the code of the paper does, so that its constant feature and its value still count ('reference').
   */
  padding?: 'exact' | 'reference';
  /** Largest state of one head in bytes; default 2^28. */
  maxStateBytes?: number;
  /** Refuses NaN and infinities in the inputs; default false. */
  checkFinite?: boolean;
  /** Threads; default 1. */
  threads?: number;
}

/** Options of prefixLinearAttention. */
export interface PrefixOptions extends PrefixShapeOptions {
  /** Returns the state after the last token, for linearAttentionStep; default false. */
  returnState?: boolean;
  /** Where the result goes, [batch, heads, length, valueDim]; default a fresh array. */
  out?: Reals;
}

/** The call as one of linear attention, and the encoder's arrays of its first min(encoderLength, length) tokens. */
function callOf<T extends Reals>(
  i: PrefixInputs<T>,
  o: PrefixShapeOptions,
  stateful: boolean,
): { n: LinearCall; encoder: EncoderArrays<T>; given: number } {
  const headDim = check.positiveInteger('featureDim', o.featureDim);
  const { batch, heads, length, valueDim, order, symmetric, eps, algorithm, chunkSize, padding } = o;
  const { maxStateBytes, checkFinite, threads } = o;
  const shape = {
    batch,
    heads,
    length,
    headDim,
    valueDim,
    order,
    symmetric,
    eps,
    algorithm,
    chunkSize,
    padding,
  };
  const full: LinearShapeOptions = { ...shape, maxStateBytes, checkFinite, threads, map: 'taylor' };
  const n = sequencesOf(full, i, stateful);
  const given = check.nonNegativeInteger('encoderLength', o.encoderLength);
  const rows = n.batch * n.heads;
  const k = reals<T>('kEnc', i.kEnc, n.type, rows * given * headDim);
  const v = reals<T>('vEnc', i.vEnc, n.type, rows * given * n.valueDim);
  if (n.checkFinite) requireFinite({ kEnc: k, vEnc: v });
  maskOf(i.mask, n);
  const used = Math.min(given, n.length);
  const encoder = {
    k: firstTokens(k, rows, given, used, headDim),
    v: firstTokens(v, rows, given, used, n.valueDim),
    length: used,
  };
  return { n, encoder, given };
}

/** The first `used` of the `given` tokens of each head. */
function firstTokens<T extends Reals>(x: T, rows: number, given: number, used: number, dim: number): T {
  if (used === given) return x;
  const to = x.slice(0, rows * used * dim) as T;
  for (let r = 0; r < rows; r++)
    to.set(x.subarray(r * given * dim, (r * given + used) * dim), r * used * dim);
  return to;
}

/** The way back of firstTokens: the others get zeros. */
function allTokens<T extends Reals>(n: LinearCall, x: T, given: number, used: number, dim: number): T {
  if (used === given) return x;
  const rows = n.batch * n.heads;
  const to = allocate(n.type, rows * given * dim) as T;
  for (let r = 0; r < rows; r++) to.set(x.subarray(r * used * dim, (r + 1) * used * dim), r * given * dim);
  return to;
}

function prepare<T extends Reals>(
  inputs: PrefixInputs<T>,
  options: PrefixOptions,
): Prepared<LinearAttentionResult<T>> {
  const [i, o] = [check.options(inputs), check.options(options)];
  const returnState = check.boolean('returnState', o.returnState ?? false);
  const { n, encoder } = callOf(i, o, returnState);
  const size = n.batch * n.heads * n.length * n.valueDim;
  const out = o.out === undefined ? (allocate(n.type, size) as T) : reals<T>('out', o.out, n.type, size);
  return prepareForward(n, i, { out, state: returnState ? makeState<T>(n) : undefined }, encoder);
}

/**
 * Prefix linear attention: y_i = phi(q_i)^T [sum_(j <= i) phi(k_j) v_j^T + sum_(j <= M) phi(kEnc_j) vEnc_j^T], divided by
 * the same with 1 for v, plus eps; phi(q) . phi(k) = 1 + s + s^2 / 2, s = q . k / sqrt(featureDim). Every token sees the
 * whole encoder region, and causally the tokens before it, those of the region included.
 *
 * The returned state goes into linearAttentionStep: the encoder is not extended by decoding.
 *
 * @param inputs q, k, v and the projections kEnc, vEnc of the first tokens, float32 or float64
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see "Just read twice", S. Arora et al., arXiv 2407.05483
 */
export const prefixLinearAttention = <T extends Reals>(
  inputs: PrefixInputs<T>,
  options: PrefixOptions,
): LinearAttentionResult<T> => blocking(prepare(inputs, options));

/** Promise form of prefixLinearAttention. */
export const prefixLinearAttentionAsync = async <T extends Reals>(
  inputs: PrefixInputs<T>,
  options: PrefixOptions & AsyncOptions,
): Promise<LinearAttentionResult<T>> => promised(prepare(inputs, options), options);

/** Gradients of prefix linear attention, each as long as what it is the gradient of. */
export interface PrefixGradients<T extends Reals = Reals> {
  dq: T;
  dk: T;
  dv: T;
  dkEnc: T;
  dvEnc: T;
}

function prepareGradients<T extends Reals>(
  inputs: PrefixInputs<T> & { gout: T },
  options: PrefixShapeOptions,
): Prepared<PrefixGradients<T>> {
  const [i, o] = [check.options(inputs), check.options(options)];
  const { n, encoder, given } = callOf(i, o, false);
  reals('gout', i.gout, n.type, n.batch * n.heads * n.length * n.valueDim);
  if (n.checkFinite) requireFinite({ gout: i.gout });
  const { operation, args, result } = prepareBackward(n, i, { gout: i.gout }, encoder);
  return {
    operation,
    args,
    result: (returned) => {
      const { dq, dk, dv, dkEnc, dvEnc } = typeof result === 'function' ? result(returned) : result;
      const back = (x: T | undefined, dim: number): T => allTokens(n, x!, given, encoder.length, dim);
      return { dq, dk, dv, dkEnc: back(dkEnc, n.headDim), dvEnc: back(dvEnc, n.valueDim) };
    },
  };
}

/**
 * Gradients of prefixLinearAttention, in time linear in the length.
 *
 * @param inputs those of the forward call, and `gout`, the gradient of its result
 * @param options those of the forward call
 * @throws as prefixLinearAttention
 */
export const prefixLinearAttentionBackward = <T extends Reals>(
  inputs: PrefixInputs<T> & { gout: T },
  options: PrefixShapeOptions,
): PrefixGradients<T> => blocking(prepareGradients(inputs, options));

/** Promise form of prefixLinearAttentionBackward. */
export const prefixLinearAttentionBackwardAsync = async <T extends Reals>(
  inputs: PrefixInputs<T> & { gout: T },
  options: PrefixShapeOptions & AsyncOptions,
): Promise<PrefixGradients<T>> => promised(prepareGradients(inputs, options), options);
