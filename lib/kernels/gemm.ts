/**
 * Flat GEMM: few rows of activations against a weight matrix. Native: native/gemm/gemm.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, arrayOf, threadsOf } from './arguments.js';
import { chooseKernel } from './dataflow.js';
import type { GemmKernel } from './dataflow.js';
import { PackedWeights, weightTypeOf } from './weights.js';
import type { WeightArray, WeightType } from './weights.js';

/** Element-wise functions after a product. gelu is x (1 + erf(x / sqrt 2)) / 2, gelu-tanh its usual approximation. */
export type Activation = 'none' | 'silu' | 'gelu' | 'gelu-tanh' | 'relu';

const ACTIVATIONS: readonly Activation[] = ['none', 'silu', 'gelu', 'gelu-tanh', 'relu'];

/** Options of gemm. */
export interface GemmOptions {
  /** Rows of a; default all that it holds, a.length / k. */
  m?: number;
  /** Rows of w (columns of the result); known where w is packed. */
  n?: number;
  /** Columns of a and w; known where w is packed. */
  k?: number;
  /** Storage of a Uint16Array of weights. */
  type?: WeightType;
  /** One for each row of an Int8Array of weights. */
  scales?: Float32Array;
  /** n elements, added to every row before the activation. */
  bias?: Float32Array;
  /** Applied to the product plus bias; default 'none'. */
  activation?: Activation;
  /** m x n, added after the activation; may be `out` itself. */
  residual?: Float32Array;
  /** Elements from one row of a to the next; default k. */
  aStride?: number;
  /** The path: default 'auto', by the inflection points of [n, k] (see tuneDataflow and explain). */
  kernel?: 'auto' | GemmKernel;
  /** Software double buffering: the weights that come next are prefetched meanwhile; default true. */
  prefetch?: boolean;
  /** Threads; default 1. */
  threads?: number;
  /** Where the result goes, m x n; default a fresh array. */
  out?: Float32Array;
}

const KERNELS = ['auto', 'gemv', 'flat', 'blocked'] as const;

/** What packed weights say themselves. */
function requireNoScales(o: GemmOptions, packed: boolean, type: WeightType): void {
  if (o.scales === undefined) return;
  if (type !== 'int8') throw check.typeError('scales', 'given for int8 weights only', o.scales);
  if (packed) throw check.typeError('scales', 'absent: packed weights have their own', o.scales);
}

/** n or k of packed weights, which an option may repeat. */
function dimension(name: 'n' | 'k', w: unknown, o: GemmOptions): number {
  if (!(w instanceof PackedWeights)) return check.positiveInteger(name, o[name]);
  const given = o[name];
  if (given !== undefined && given !== w[name])
    throw check.rangeError(name, `${w[name]}, as the weights were packed`, given);
  return w[name];
}

function requireRows(name: string, x: WeightArray, rows: number, cols: number, stride: number): void {
  const needed = (rows - 1) * stride + cols;
  if (x.length < needed)
    throw check.rangeError(name, `at least ${needed} elements for ${rows} rows of ${cols}`, x);
}

function prepareGemm(
  a: Float32Array,
  w: PackedWeights | WeightArray,
  given?: GemmOptions,
): Prepared<Float32Array> {
  const o = check.options(given);
  arrayOf('a', a, Float32Array);
  const packed = w instanceof PackedWeights;
  const type = packed ? w.type : weightTypeOf('w', w, o.type);
  if (packed && o.type !== undefined && o.type !== type)
    throw check.rangeError('type', `'${type}', as the weights were packed`, o.type);
  const n = dimension('n', w, o);
  const k = dimension('k', w, o);
  const m = o.m === undefined ? Math.floor(a.length / k) : check.positiveInteger('m', o.m);
  if (o.m === undefined && m * k !== a.length) throw check.rangeError('a', `a multiple of k = ${k} long`, a);
  const aStride = o.aStride === undefined ? k : check.positiveInteger('aStride', o.aStride);
  // Before a result is allocated that these sizes would make too large.
  if (m > 0) requireRows('a', a, m, k, aStride);
  if (!packed) requireRows('w', w, n, k, k);
  requireNoScales(o, packed, type);
  const scales = packed ? (type === 'int8' ? w.scales : undefined) : o.scales;
  const wish = check.oneOf('kernel', o.kernel ?? 'auto', KERNELS);
  const activation = check.oneOf('activation', o.activation ?? 'none', ACTIVATIONS);
  const prefetch = check.boolean('prefetch', o.prefetch ?? true);
  const threads = threadsOf(o.threads);
  for (const name of ['bias', 'residual', 'scales', 'out'] as const)
    if (o[name] !== undefined) arrayOf(name, o[name], Float32Array);
  const kernel = wish === 'auto' ? chooseKernel(Math.max(m, 1), { n, k, type, packed, threads }) : wish;
  const out = o.out ?? (allocate('f32', m * n) as Float32Array);
  if (out.length !== m * n) throw check.rangeError('out', `m * n = ${m * n} elements long`, out);
  const data = packed ? w.data : w;
  const args = [
    a,
    data,
    scales,
    o.bias,
    o.residual,
    out,
    m,
    n,
    k,
    aStride,
    type,
    packed,
    activation,
    kernel,
    prefetch,
    threads,
  ];
  return { operation: 'gemm', args, result: out };
}

/**
 * y = activation(a w^T + bias) + residual, in float32 with fused multiply-adds. With packed weights every element of y is
 * one chain of additions in the order of k, cut into blocks of 256: a row of the result depends on its row of a alone, bit
 * for bit, whatever m, the path and the number of threads are. With plain rows that holds within a path.
 * |y - exact| <= 4e-7 sum |a| |w| for k up to some thousands.
 *
 * @param a m x k, row-major
 * @param w n x k, one row for each column of y: packed, or a Float32Array, a Uint16Array (bf16, f16) or an Int8Array
 * @returns m x n, row-major
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see "FlashDecoding++", K. Hong et al., MLSys 2024, sections 4 and 5
 *
 * @example
 * const packed = packWeights(weights, { n: 4096, k: 4096 });
 * const y = gemm(x, packed, { activation: 'silu', threads: 4 });
 */
export const gemm = (a: Float32Array, w: PackedWeights | WeightArray, options?: GemmOptions): Float32Array =>
  blocking(prepareGemm(a, w, options));

/** Promise form of gemm. */
export const gemmAsync = async (
  a: Float32Array,
  w: PackedWeights | WeightArray,
  options?: GemmOptions & AsyncOptions,
): Promise<Float32Array> => promised(prepareGemm(a, w, options), options);
