/**
 * Features whose inner products are the Taylor polynomial of the exponential. Native: native/linear/features.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';
import { orderOf, taylorFeatureCount } from './linear-attention-options.js';

/** Options of taylorFeatures. */
export interface TaylorFeaturesOptions {
  /** Numbers of a vector. */
  dim: number;
  /** Of the polynomial, an integer in [0, 32]; default 2. */
  order?: number;
  /** One feature for each multiset of variables (default true), or one for each sequence. */
  symmetric?: boolean;
  /** Factor of the inner products, > 0: vectors are multiplied by its square root; default 1 / sqrt(dim). */
  scale?: number;
  /** Threads; default 1. */
  threads?: number;
  /** Where the result goes; default a fresh array. */
  out?: Reals;
}

function prepare<T extends Reals>(x: T, given: TaylorFeaturesOptions): Prepared<T> {
  const o = check.options(given);
  const type = realType('x', x);
  const dim = check.positiveInteger('dim', o.dim);
  const order = orderOf(o.order);
  const symmetric = check.boolean('symmetric', o.symmetric ?? true);
  const scale = check.positiveNumber('scale', o.scale ?? 1 / Math.sqrt(dim));
  const rows = x.length / dim;
  if (!Number.isInteger(rows)) throw check.rangeError('x', `vectors of ${dim} elements`, x);
  const features = taylorFeatureCount(dim, order, symmetric);
  if (!(rows * features <= 2 ** 32)) {
    throw check.rangeError(
      'order',
      'low enough for results of 2^32 elements',
      `${rows} x ${features} elements`,
    );
  }
  const size = rows * features;
  const out = o.out === undefined ? (allocate(type, size) as T) : reals<T>('out', o.out, type, size);
  const args = [x, out, rows, dim, order, scale, symmetric, threadsOf(o.threads)];
  return { operation: 'taylorFeatures', args, result: out };
}

/**
 * phi_a(y) = prod_j y_j^a_j / sqrt(prod_j a_j!), y = x sqrt(scale), for each multiset a of at most `order` variables, so
 * that phi(q) . phi(k) = sum_n (scale q . k)^n / n!. In order of degree: 1, y, then the products y_i y_j ..., i <= j,
 * row-major; or, not symmetric, all sequences of variables (Kronecker's products over sqrt(n!)).
 *
 * @param x [rows, dim]
 * @returns [rows, features]: C(dim + order, order) features, or 1 + dim + ... + dim^order
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see "On the Expressiveness of Softmax Attention", G. Mongaras and E. C. Larson, arXiv 2507.23632
 */
export const taylorFeatures = <T extends Reals>(x: T, options: TaylorFeaturesOptions): T =>
  blocking(prepare(x, options));

/** Promise form of taylorFeatures. */
export const taylorFeaturesAsync = async <T extends Reals>(
  x: T,
  options: TaylorFeaturesOptions & AsyncOptions,
): Promise<T> => promised(prepare(x, options), options);

/** Options of taylorFeatureMap. */
export interface TaylorFeatureMapOptions {
  /** Vectors. */
  rows: number;
  /** Numbers of a vector. */
  dim: number;
  /** Keeps products i < j once, times sqrt 2; default false. */
  symmetric?: boolean;
  /** Threads; default 1. */
  threads?: number;
  /** Where the result goes; default a fresh array. */
  out?: Reals;
}

function mapOptions(x: Reals, given: TaylorFeatureMapOptions): TaylorFeaturesOptions {
  const o = check.options(given);
  const rows = check.nonNegativeInteger('rows', o.rows);
  const dim = check.positiveInteger('dim', o.dim);
  reals('x', x, realType('x', x), rows * dim);
  return { dim, order: 2, symmetric: o.symmetric ?? false, threads: o.threads, out: o.out };
}

/**
 * The second-order feature map of Based and JRT-RNN: [1, x / dim^(1/4), vec(x x^T) / (sqrt 2 sqrt dim)], whose inner
 * products are 1 + s + s^2 / 2, s = q . k / sqrt(dim).
 *
 * @param x [rows, dim]
 * @returns [rows, 1 + dim + dim^2], or [rows, 1 + dim + dim (dim + 1) / 2] if symmetric
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see "Just read twice", S. Arora et al., arXiv 2407.05483
 */
export const taylorFeatureMap = <T extends Reals>(x: T, options: TaylorFeatureMapOptions): T =>
  blocking(prepare(x, mapOptions(x, options)));

/** Promise form of taylorFeatureMap. */
export const taylorFeatureMapAsync = async <T extends Reals>(
  x: T,
  options: TaylorFeatureMapOptions & AsyncOptions,
): Promise<T> => promised(prepare(x, mapOptions(x, options)), options);
