/**
 * The general product of matrices, batched, with transposed factors, in float32 and float64. Native: native/matmul.
 */
import * as check from '../check.js';

import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';

/** Options of matmul. */
export interface MatmulOptions {
  /** Rows of each product. */
  m: number;
  /** Columns of each product. */
  n: number;
  /** Terms of each element. */
  k: number;
  /** Number of products; default 1. */
  batch?: number;
  /** a holds matrices of k x m, each the transpose of the factor; default false. */
  transposeA?: boolean;
  /** b holds matrices of n x k, each the transpose of the factor; default false. */
  transposeB?: boolean;
  /** Elements from one matrix of a to the next; default m * k; 0: the same one for all. */
  strideA?: number;
  /** Elements from one matrix of b to the next; default k * n; 0: the same one for all. */
  strideB?: number;
  /** A factor of the products; default 1. */
  alpha?: number;
  /** Adds to what `out` holds instead of replacing it; default false. */
  accumulate?: boolean;
  /** Threads; default 1. */
  threads?: number;
  /** Where the results go, batch x m x n; default a fresh array. */
  out?: Reals;
}

function stride(name: string, value: number | undefined, fallback: number): number {
  return value === undefined ? fallback : check.nonNegativeInteger(name, value);
}

/** The call of the native operation, for matrices that start anywhere: shared with the tape. */
export function prepareMatmul<T extends Reals>(
  a: T,
  b: T,
  out: T,
  shape: { m: number; n: number; k: number; transposeA: boolean; transposeB: boolean },
  starts: { a: Float64Array; b: Float64Array },
  settings: { alpha: number; accumulate: boolean; threads: number },
): Prepared<T> {
  const { m, n, k } = shape;
  const sizes = Float64Array.of(
    m,
    n,
    k,
    shape.transposeA ? 1 : k,
    shape.transposeA ? m : 1,
    shape.transposeB ? 1 : n,
    shape.transposeB ? k : 1,
  );
  const { alpha, accumulate, threads } = settings;
  return {
    operation: 'matmul',
    args: [a, b, out, starts.a, starts.b, sizes, alpha, accumulate, threads],
    result: out,
  };
}

function prepare<T extends Reals>(a: T, b: T, given: MatmulOptions): Prepared<T> {
  const o = check.options(given);
  const type = realType('a', a);
  reals('b', b, type);
  const m = check.nonNegativeInteger('m', o.m);
  const n = check.nonNegativeInteger('n', o.n);
  const k = check.nonNegativeInteger('k', o.k);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const transposeA = check.boolean('transposeA', o.transposeA ?? false);
  const transposeB = check.boolean('transposeB', o.transposeB ?? false);
  const accumulate = check.boolean('accumulate', o.accumulate ?? false);
  const alpha = o.alpha === undefined ? 1 : check.finiteNumber('alpha', o.alpha);
  if (accumulate && o.out === undefined) throw check.typeError('out', 'given, to accumulate in', o.out);
  const steps = { a: stride('strideA', o.strideA, m * k), b: stride('strideB', o.strideB, k * n) };
  for (const [name, x, step, size] of [
    ['a', a, steps.a, m * k],
    ['b', b, steps.b, k * n],
  ] as const) {
    const needed = batch === 0 || size === 0 ? 0 : (batch - 1) * step + size;
    if (x.length < needed) throw check.rangeError(name, `at least ${needed} elements`, x);
  }
  const size = batch * m * n;
  const out = o.out === undefined ? (allocate(type, size) as T) : reals<T>('out', o.out, type, size);
  const starts = {
    a: Float64Array.from({ length: batch }, (_, i) => i * steps.a),
    b: Float64Array.from({ length: batch }, (_, i) => i * steps.b),
  };
  const settings = { alpha, accumulate, threads: threadsOf(o.threads) };
  return prepareMatmul(a, b, out, { m, n, k, transposeA, transposeB }, starts, settings);
}

/**
 * Products of matrices, batch after batch: out = alpha a b, or that added to out. Every element is a chain of
 * multiply-adds in the order of k, in blocks of 128: the bits depend neither on m, n and batch nor on threads.
 *
 * Where many calls share the right factor, `gemm` with packed weights is the faster one.
 *
 * @param a batch x m x k, row-major (with transposeA: batch x k x m), Float32Array or Float64Array
 * @param b batch x k x n (with transposeB: batch x n x k), of the same type
 * @returns batch x m x n, row-major
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 */
export const matmul = <T extends Reals>(a: T, b: T, options: MatmulOptions): T =>
  blocking(prepare(a, b, options));

/** Promise form of matmul. */
export const matmulAsync = async <T extends Reals>(
  a: T,
  b: T,
  options: MatmulOptions & AsyncOptions,
): Promise<T> => promised(prepare(a, b, options), options);
