/**
 * Softmax-free attention (SOFT and, normalised, SOFT++): attention by a Gaussian kernel of tied queries and keys, in time
 * linear in the tokens through a few landmarks. Native: native/soft. Source: J. Lu, J. Zhang, X. Zhu, J. Feng, T. Xiang,
 * L. Zhang, "Softmax-free Linear Transformers", arXiv 2207.03341, and the published code of the authors.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';
import { finite } from './finite.js';
import { newtonSettings, readReport, REPORT, unrolledOf } from './newton.js';
import type { NewtonReport, NewtonSettings } from './newton.js';

/** What softAttention reads. All three are Float32Array or all are Float64Array. */
export interface SoftAttentionInput<T extends Reals = Reals> {
  /** Queries, which are the keys too: batch x heads x n x d. They are divided by d^(1/4) here. */
  q: T;
  /** Landmarks as the kernel takes them, on the scale of the divided queries: batch x heads x m x d. */
  landmarks: T;
  /** Values: batch x heads x n x dv. */
  v: T;
}

/** Options of softAttention. */
export interface SoftAttentionOptions<T extends Reals = Reals> extends NewtonSettings {
  /** Items; default 1. 0 gives empty arrays. */
  batch?: number;
  /** Heads of an item; default 1. */
  heads?: number;
  /** Tokens. */
  n: number;
  /** Landmarks; at most n unless `allowMoreLandmarks`. */
  m: number;
  /** Width of a query. */
  d: number;
  /** Width of a value; default d. */
  dv?: number;
  /** SOFT++: D^(-1/2) Y D^(-1/2) in place of Y, D the row sums of g(T, T). Default false. */
  normalize?: boolean;
  /** Accepts more landmarks than tokens; default false. */
  allowMoreLandmarks?: boolean;
  /** Refuses NaN and infinities; default true. */
  checkFinite?: boolean;
  /** Threads; default 1. Results do not depend on them. */
  threads?: number;
  /** Where the outputs go, batch x heads x n x dv; default a fresh array. */
  out?: T;
}

/** What softAttentionBackward needs of a forward call: its inputs, which must not change before, and its inverses. */
export interface SoftAttentionSaved<T extends Reals = Reals> extends SoftAttentionInput<T> {
  /** batch x heads x m x m, in float64: not yet normalised. */
  inverse: Float64Array;
  /** The options of the call. */
  options: SoftAttentionOptions<T>;
}

/** Result of softAttention; the numbers of Newton's iteration are one for each head of each item. */
export interface SoftAttentionResult<T extends Reals = Reals> extends NewtonReport {
  /** batch x heads x n x dv. */
  out: T;
  saved: SoftAttentionSaved<T>;
}

/** Gradients with respect to what softAttention reads, of the same shapes. */
export interface SoftAttentionGradients<T extends Reals = Reals> {
  dq: T;
  dLandmarks: T;
  dv: T;
}

/** Options of softAttentionBackward. */
export interface SoftAttentionBackwardOptions<T extends Reals = Reals> {
  /**
   * 'implicit' (default): through a converged inverse, alpha held constant. 'unrolled': through the iterations, which are run
   * again.
   */
  gradient?: 'implicit' | 'unrolled';
  /** Threads; default 1. Results do not depend on them. */
  threads?: number;
  /** Where the gradients go; default fresh arrays. */
  out?: SoftAttentionGradients<T>;
}

/** Sizes of a call, checked. */
interface Shape {
  count: number;
  n: number;
  m: number;
  d: number;
  dv: number;
}

function shapeOf(o: SoftAttentionOptions): Shape {
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const heads = o.heads === undefined ? 1 : check.positiveInteger('heads', o.heads);
  const n = check.positiveInteger('n', o.n);
  const m = check.positiveInteger('m', o.m);
  const d = check.positiveInteger('d', o.d);
  const dv = o.dv === undefined ? d : check.positiveInteger('dv', o.dv);
  const more = check.boolean('allowMoreLandmarks', o.allowMoreLandmarks ?? false);
  if (m > n && !more)
    throw check.rangeError('m', `at most the ${n} tokens, unless allowMoreLandmarks is set`, m);
  return { count: batch * heads, n, m, d, dv };
}

const sizesOf = ({ count, n, m, d, dv }: Shape): Float64Array =>
  Float64Array.of(count, n, m, d, dv, d ** -0.25);

function results<T extends Reals>(
  name: string,
  given: T | undefined,
  type: 'f32' | 'f64',
  length: number,
): T {
  return given === undefined ? (allocate(type, length) as T) : reals<T>(name, given, type, length);
}

function prepare<T extends Reals>(
  input: SoftAttentionInput<T>,
  given: SoftAttentionOptions<T>,
): Prepared<SoftAttentionResult<T>> {
  const o = check.options(given);
  if (typeof input !== 'object' || input === null)
    throw check.typeError('input', 'an object of q, landmarks and v', input);
  const { q, landmarks, v } = input;
  const type = realType('q', q);
  const shape = shapeOf(o);
  const { count, n, m, d, dv } = shape;
  reals('q', q, type, count * n * d);
  reals('landmarks', landmarks, type, count * m * d);
  reals('v', v, type, count * n * dv);
  const { native, tolerance } = newtonSettings(o);
  const normalize = check.boolean('normalize', o.normalize ?? false);
  const threads = threadsOf(o.threads);
  for (const [name, x] of Object.entries({ q, landmarks, v })) finite(name, x, o.checkFinite, threads);
  const out = results('out', o.out, type, count * n * dv);
  const inverse = allocate('f64', count * m * m) as Float64Array;
  const report = new Float64Array(count * REPORT);
  return {
    operation: 'softAttention',
    args: [q, landmarks, v, out, inverse, report, sizesOf(shape), native, normalize, threads],
    result: () => ({
      out,
      ...readReport(report, tolerance),
      saved: { q, landmarks, v, inverse, options: { ...o } },
    }),
  };
}

/**
 * Softmax-free attention of each head: O = K1 (Y (K1^T V)) with K1 = g(Q / d^(1/4), T), g(a, b) = exp(-|a - b|^2 / 2), and Y
 * Newton's pseudo-inverse of g(T, T) (see newtonPseudoInverse); with `normalize` D^(-1/2) Y D^(-1/2). Time is linear in n;
 * beside inputs and outputs it keeps m^2 numbers a head, and n x m of a few heads where m <= d + dv.
 *
 * Kernels of float32 arguments are exact to about 1e-7 (|q|^2 + |t|^2) / 2; Newton's iteration is float64 in any case.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument; ConvergenceError
 *   (ERR_NO_CONVERGENCE) when `tolerance` is given and a residual exceeds it (`out` is written then)
 */
export const softAttention = <T extends Reals>(
  input: SoftAttentionInput<T>,
  options: SoftAttentionOptions<T>,
): SoftAttentionResult<T> => blocking(prepare(input, options));

/** Promise form of softAttention. */
export const softAttentionAsync = async <T extends Reals>(
  input: SoftAttentionInput<T>,
  options: SoftAttentionOptions<T> & AsyncOptions,
): Promise<SoftAttentionResult<T>> => promised(prepare(input, options), options);

function prepareBackward<T extends Reals>(
  saved: SoftAttentionSaved<T>,
  gradOut: T,
  given: SoftAttentionBackwardOptions<T> | undefined,
): Prepared<SoftAttentionGradients<T>> {
  const o = check.options(given);
  if (typeof saved !== 'object' || saved === null)
    throw check.typeError('saved', 'what softAttention returned as saved', saved);
  const { q, landmarks, v, inverse } = saved;
  const forward = check.options(saved.options);
  const type = realType('q', q);
  const shape = shapeOf(forward);
  const { count, n, m, d, dv } = shape;
  reals('q', q, type, count * n * d);
  reals('landmarks', landmarks, type, count * m * d);
  reals('v', v, type, count * n * dv);
  reals('inverse', inverse, 'f64', count * m * m);
  reals('gradOut', gradOut, type, count * n * dv);
  const { native } = newtonSettings(forward);
  const unrolled = unrolledOf(o.gradient);
  const threads = threadsOf(o.threads);
  finite('gradOut', gradOut, forward.checkFinite, threads);
  const gradients = {
    dq: results('dq', o.out?.dq, type, count * n * d),
    dLandmarks: results('dLandmarks', o.out?.dLandmarks, type, count * m * d),
    dv: results('dv', o.out?.dv, type, count * n * dv),
  };
  const { dq, dLandmarks, dv: dValues } = gradients;
  const normalize = forward.normalize ?? false;
  return {
    operation: 'softAttentionBackward',
    args: [
      ...[q, landmarks, v, inverse, gradOut, dq, dLandmarks, dValues],
      ...[sizesOf(shape), native, normalize, unrolled, threads],
    ],
    result: gradients,
  };
}

/**
 * Gradients of softAttention. The kernel of tokens against landmarks is formed again, block by block.
 *
 * The implicit gradient is exact for a converged inverse of an invertible matrix (any ridge > 0 makes it so); where iterations
 * end early it is an approximation, and 'unrolled' is exact.
 *
 * @param saved of the forward call; its arrays must be as they were
 * @param gradOut gradient of the loss with respect to `out`, batch x heads x n x dv
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 */
export const softAttentionBackward = <T extends Reals>(
  saved: SoftAttentionSaved<T>,
  gradOut: T,
  options?: SoftAttentionBackwardOptions<T>,
): SoftAttentionGradients<T> => blocking(prepareBackward(saved, gradOut, options));

/** Promise form of softAttentionBackward. */
export const softAttentionBackwardAsync = async <T extends Reals>(
  saved: SoftAttentionSaved<T>,
  gradOut: T,
  options?: SoftAttentionBackwardOptions<T> & AsyncOptions,
): Promise<SoftAttentionGradients<T>> => promised(prepareBackward(saved, gradOut, options), options);
