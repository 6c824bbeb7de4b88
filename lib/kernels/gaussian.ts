/**
 * The Gaussian kernel of two sets of points, and attention with all of it: what softmax-free attention approximates. Native:
 * native/soft/exact.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';
import { finite } from './finite.js';

/** Options of gaussianKernel. */
export interface GaussianKernelOptions<T extends Reals = Reals> {
  /** Kernels; default 1. */
  batch?: number;
  /** Points of a, rows of the kernel. */
  n: number;
  /** Points of b, its columns. */
  m: number;
  /** Width of a point. */
  d: number;
  /** A factor of both arguments; default 1. d^(-1/4) makes it exp(-|a - b|^2 / (2 sqrt d)). */
  scale?: number;
  /** Refuses NaN and infinities; default true. */
  checkFinite?: boolean;
  /** Threads; default 1. Results do not depend on them. */
  threads?: number;
  /** Where the kernel goes, batch x n x m; default a fresh array. */
  out?: T;
}

function prepareKernel<T extends Reals>(a: T, b: T, given: GaussianKernelOptions<T>): Prepared<T> {
  const o = check.options(given);
  const type = realType('a', a);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const n = check.positiveInteger('n', o.n);
  const m = check.positiveInteger('m', o.m);
  const d = check.positiveInteger('d', o.d);
  reals('a', a, type, batch * n * d);
  reals('b', b, type, batch * m * d);
  const scale = o.scale === undefined ? 1 : check.positiveNumber('scale', o.scale);
  const threads = threadsOf(o.threads);
  for (const [name, x] of Object.entries({ a, b })) finite(name, x, o.checkFinite, threads);
  const size = batch * n * m;
  const out = o.out === undefined ? (allocate(type, size) as T) : reals<T>('out', o.out, type, size);
  return {
    operation: 'gaussianKernel',
    args: [a, b, out, Float64Array.of(batch, n, m, d), scale, threads],
    result: out,
  };
}

/**
 * The Gaussian kernel g(a_i, b_j) = exp(-|s a_i - s b_j|^2 / 2), s = `scale`, by |a|^2 + |b|^2 - 2 a . b, held at >= 0: with
 * an error of the exponent of about eps (|a|^2 + |b|^2) s^2 / 2, so that points far from the origin and near each other are
 * better moved to it first.
 *
 * @param a batch x n x d, Float32Array or Float64Array
 * @param b batch x m x d, of the same type
 * @returns batch x n x m
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 */
export const gaussianKernel = <T extends Reals>(a: T, b: T, options: GaussianKernelOptions<T>): T =>
  blocking(prepareKernel(a, b, options));

/** Promise form of gaussianKernel. */
export const gaussianKernelAsync = async <T extends Reals>(
  a: T,
  b: T,
  options: GaussianKernelOptions<T> & AsyncOptions,
): Promise<T> => promised(prepareKernel(a, b, options), options);

/** What gaussianAttention reads, both Float32Array or both Float64Array. */
export interface GaussianAttentionInput<T extends Reals = Reals> {
  /** Queries, which are the keys too: batch x heads x n x d. They are divided by d^(1/4) here. */
  q: T;
  /** Values: batch x heads x n x dv. */
  v: T;
}

/** Options of gaussianAttention and its gradient. */
export interface GaussianAttentionOptions {
  /** Items; default 1. */
  batch?: number;
  /** Heads of an item; default 1. */
  heads?: number;
  /** Tokens. */
  n: number;
  /** Width of a query. */
  d: number;
  /** Width of a value; default d. */
  dv?: number;
  /** Refuses NaN and infinities; default true. */
  checkFinite?: boolean;
  /** Threads; default 1. Results do not depend on them. */
  threads?: number;
}

/** A call of the exact attention, checked. */
function exactOf<T extends Reals>(
  input: GaussianAttentionInput<T>,
  o: GaussianAttentionOptions,
): {
  q: T;
  v: T;
  type: 'f32' | 'f64';
  queries: number;
  values: number;
  sizes: Float64Array;
  threads: number;
} {
  if (typeof input !== 'object' || input === null)
    throw check.typeError('input', 'an object of q and v', input);
  const { q, v } = input;
  const type = realType('q', q);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const heads = o.heads === undefined ? 1 : check.positiveInteger('heads', o.heads);
  const n = check.positiveInteger('n', o.n);
  const d = check.positiveInteger('d', o.d);
  const dv = o.dv === undefined ? d : check.positiveInteger('dv', o.dv);
  const [queries, values] = [batch * heads * n * d, batch * heads * n * dv];
  reals('q', q, type, queries);
  reals('v', v, type, values);
  const threads = threadsOf(o.threads);
  for (const [name, x] of Object.entries({ q, v })) finite(name, x, o.checkFinite, threads);
  return {
    q,
    v,
    type,
    queries,
    values,
    sizes: Float64Array.of(batch * heads, n, n, d, dv, d ** -0.25),
    threads,
  };
}

function prepareExact<T extends Reals>(
  input: GaussianAttentionInput<T>,
  given: GaussianAttentionOptions & { out?: T },
): Prepared<T> {
  const o = check.options(given);
  const { q, v, type, values, sizes, threads } = exactOf(input, o);
  const out = o.out === undefined ? (allocate(type, values) as T) : reals<T>('out', o.out, type, values);
  return { operation: 'gaussianAttention', args: [q, v, out, sizes, threads], result: out };
}

/**
 * Attention by the whole Gaussian kernel of the queries among themselves: O = g(Q / d^(1/4), Q / d^(1/4)) V, without
 * normalisation. Time n^2, memory n: what softAttention approximates, and equals where every token is a landmark.
 *
 * @returns batch x heads x n x dv
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 */
export const gaussianAttention = <T extends Reals>(
  input: GaussianAttentionInput<T>,
  options: GaussianAttentionOptions & { out?: T },
): T => blocking(prepareExact(input, options));

/** Promise form of gaussianAttention. */
export const gaussianAttentionAsync = async <T extends Reals>(
  input: GaussianAttentionInput<T>,
  options: GaussianAttentionOptions & { out?: T } & AsyncOptions,
): Promise<T> => promised(prepareExact(input, options), options);

function prepareExactBackward<T extends Reals>(
  input: GaussianAttentionInput<T>,
  gradOut: T,
  given: GaussianAttentionOptions,
): Prepared<{ dq: T; dv: T }> {
  const o = check.options(given);
  const { q, v, type, queries, values, sizes, threads } = exactOf(input, o);
  reals('gradOut', gradOut, type, values);
  finite('gradOut', gradOut, o.checkFinite, threads);
  const [dq, dv] = [allocate(type, queries) as T, allocate(type, values) as T];
  return {
    operation: 'gaussianAttentionBackward',
    args: [q, v, gradOut, dq, dv, sizes, threads],
    result: { dq, dv },
  };
}

/**
 * Gradients of gaussianAttention with respect to queries (in both of their places) and values.
 *
 * @param gradOut batch x heads x n x dv
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 */
export const gaussianAttentionBackward = <T extends Reals>(
  input: GaussianAttentionInput<T>,
  gradOut: T,
  options: GaussianAttentionOptions,
): { dq: T; dv: T } => blocking(prepareExactBackward(input, gradOut, options));

/** Promise form of gaussianAttentionBackward. */
export const gaussianAttentionBackwardAsync = async <T extends Reals>(
  input: GaussianAttentionInput<T>,
  gradOut: T,
  options: GaussianAttentionOptions & AsyncOptions,
): Promise<{ dq: T; dv: T }> => promised(prepareExactBackward(input, gradOut, options), options);
