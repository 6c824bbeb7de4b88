/**
 * softmax and log-softmax of rows. Native: native/softmax.cc.
 */
import * as check from '../check.js';
import type { Floats } from '../check.js';
import { blocking, native, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, dtypeOf, DTYPES, matrixOf, temperatureOf, threadsOf } from './arguments.js';
import type { Dtype, MatrixOptions } from './arguments.js';

/**
 * How the sum of exponentials is formed.
 * - `two-pass`: (mantissa, exponent) pairs, no maximum; least memory traffic (arXiv 2001.04438).
 * - `three-pass-recompute`: maximum, sum, exponentials again.
 * - `three-pass-reload`: maximum, exponentials stored and summed, then scaled.
 * - `online`: maximum and sum in one walk, block by block (arXiv 1805.02867), exponentials again in the second.
 * - `blocked`: each block of 4096 relative to its own maximum, stored; then every block scaled.
 * - `auto`: `blocked` or `two-pass`, by row length, instruction set, caches and what `softlane tune` has measured.
 */
export type SoftmaxAlgorithm =
  'auto' | 'two-pass' | 'online' | 'blocked' | 'three-pass-recompute' | 'three-pass-reload';

/** The algorithms, in the order of the native enumeration. */
export const ALGORITHMS: readonly SoftmaxAlgorithm[] = [
  'auto',
  'two-pass',
  'online',
  'blocked',
  'three-pass-recompute',
  'three-pass-reload',
];

/** Options of every function over rows of logits. */
export interface RowOptions extends MatrixOptions {
  /** T in exp(x / T), in [1e-30, 1e30]. Default 1. */
  temperature?: number;
  /** Default 'auto'. Name one where bits must agree between machines. */
  algorithm?: SoftmaxAlgorithm;
  /** Most threads that the call uses, out of the pool of setThreads. Default 1. The bits do not depend on it. */
  threads?: number;
}

/** Options of softmax and logSoftmax. */
export interface SoftmaxOptions extends RowOptions {
  /** Where the result goes; x itself is allowed (same dtype and stride). Default: a fresh array. */
  out?: Floats;
  /** Elements between starts of rows of out. Default `cols`, or `rowStride` when out is x. */
  outRowStride?: number;
  /** Storage of the result: 'f32', 'bf16' or 'f16' (float64 gives float64). Default: that of out, else of x. */
  outDtype?: Dtype;
  /** What a row becomes whose every element is -Infinity: p = 0 and log p = -Infinity, or NaN. Default 'zero'. */
  emptyRow?: 'zero' | 'nan';
  /**
   * Non-temporal stores in the last pass; not with out === x. A gain past the caches on some CPUs, a loss on others.
   * Default: where `softlane tune` has measured a gain. The bits do not depend on it.
   */
  streamingStores?: boolean;
}

/** A function from rows to rows: the result has the class of `out`, of `outDtype`, or of x. */
export interface RowMap<O> {
  <T extends Floats>(x: Floats, options: O & { out: T }): T;
  (x: Float32Array, options?: O & { outDtype?: 'f32'; out?: Float32Array }): Float32Array;
  (x: Float64Array, options?: O): Float64Array;
  (x: Uint16Array, options: O & { outDtype: 'f32' }): Float32Array;
  (x: Uint16Array, options: O & { outDtype?: 'bf16' | 'f16' }): Uint16Array;
  (x: Float32Array, options: O & { outDtype: 'bf16' | 'f16' }): Uint16Array;
  (x: Floats, options?: O): Floats;
}

/** The promise form of a RowMap. */
export interface RowMapAsync<O> {
  <T extends Floats>(x: Floats, options: O & AsyncOptions & { out: T }): Promise<T>;
  (
    x: Float32Array,
    options?: O & AsyncOptions & { outDtype?: 'f32'; out?: Float32Array },
  ): Promise<Float32Array>;
  (x: Float64Array, options?: O & AsyncOptions): Promise<Float64Array>;
  (x: Uint16Array, options: O & AsyncOptions & { outDtype: 'f32' }): Promise<Float32Array>;
  (x: Uint16Array, options: O & AsyncOptions & { outDtype?: 'bf16' | 'f16' }): Promise<Uint16Array>;
  (x: Float32Array, options: O & AsyncOptions & { outDtype: 'bf16' | 'f16' }): Promise<Uint16Array>;
  (x: Floats, options?: O & AsyncOptions): Promise<Floats>;
}

function outDtypeOf(out: Floats | undefined, o: SoftmaxOptions, x: Floats, dtype: Dtype): Dtype {
  if (out === undefined) {
    if (o.outDtype === undefined) return dtype;
    return check.oneOf('outDtype', o.outDtype, DTYPES);
  }
  if (check.isA(out, Float64Array) !== (dtype === 'f64')) {
    throw check.typeError('out', dtype === 'f64' ? 'a Float64Array' : 'a Float32Array or a Uint16Array', out);
  }
  const sixteen = check.isA(out, Uint16Array) && check.isA(x, Uint16Array);
  return dtypeOf('out', out, o.outDtype ?? (sixteen ? dtype : undefined), 'outDtype');
}

function prepare(log: boolean, x: Floats, given: SoftmaxOptions | undefined): Prepared<Floats> {
  const o = check.options(given);
  const { rows, cols, stride, dtype } = matrixOf('x', x, o);
  const outDtype = outDtypeOf(o.out, o, x, dtype);
  if ((dtype === 'f64') !== (outDtype === 'f64')) {
    throw check.rangeError(
      'outDtype',
      dtype === 'f64' ? "'f64' for float64 input" : "'f32', 'bf16' or 'f16'",
      outDtype,
    );
  }
  let outStride = o.out === x ? stride : cols;
  if (o.outRowStride !== undefined) {
    outStride = check.positiveInteger('outRowStride', o.outRowStride);
    if (outStride < cols) throw check.rangeError('outRowStride', `at least the ${cols} columns`, outStride);
  }
  const out = o.out ?? allocate(outDtype, cols === 0 ? 0 : (rows - 1) * outStride + cols);
  const args = [
    x,
    out,
    rows,
    cols,
    stride,
    outStride,
    dtype,
    outDtype,
    temperatureOf(o.temperature),
    o.algorithm ?? 'auto',
    log,
    o.emptyRow ?? 'zero',
    o.streamingStores === undefined
      ? 'auto'
      : check.boolean('streamingStores', o.streamingStores)
        ? 'streaming'
        : 'ordinary',
    threadsOf(o.threads),
  ];
  return { operation: 'softmax', args, result: out };
}

/**
 * Probabilities p_i = exp(x_i / T) / sum_k exp(x_k / T) of each row.
 *
 * Relative error of p in float32, with d = |x_i - max| / T: at most 1.5e-6 + 2.4e-7 d; the two-pass algorithm stays
 * within 1.5e-6 whatever d, while |x / T| <= 1e5. Sums err by less than 1e-6 at any row length. A row with NaN or
 * +Infinity becomes NaN, -Infinity gives exactly 0; other rows are untouched. Results under 2^-126 may be 0.
 *
 * @param x rows x cols logits, row-major; any values
 * @returns rows x cols probabilities: `out`, or a fresh array (dense, or with outRowStride)
 * @throws TypeError ERR_INVALID_ARG_TYPE for wrong array types; RangeError ERR_OUT_OF_RANGE for shapes, strides,
 *   overlapping or resizable memory, temperature, unknown names. Nothing is written before all checks have passed.
 * @see "The Two-Pass Softmax Algorithm", M. Dukhan and A. Ablavatski, arXiv 2001.04438
 */
export const softmax: RowMap<SoftmaxOptions> = ((x: Floats, options?: SoftmaxOptions) =>
  blocking(prepare(false, x, options))) as RowMap<SoftmaxOptions>;

/** Promise form of softmax, on softlane's pool: worth it from about 100,000 elements (a promise costs some tens of us). */
export const softmaxAsync: RowMapAsync<SoftmaxOptions> = (async (
  x: Floats,
  options?: SoftmaxOptions & AsyncOptions,
) => promised(prepare(false, x, options), options)) as RowMapAsync<SoftmaxOptions>;

/**
 * Log-probabilities log p_i = x_i / T - log sum_k exp(x_k / T) of each row. Absolute error at most
 * 2e-6 + 2.4e-7 (|log p_i| + |x_i - max| / T). A row of -Infinity becomes -Infinity (or NaN, see emptyRow).
 * Options, errors and special values as softmax.
 */
export const logSoftmax: RowMap<SoftmaxOptions> = ((x: Floats, options?: SoftmaxOptions) =>
  blocking(prepare(true, x, options))) as RowMap<SoftmaxOptions>;

/** Promise form of logSoftmax. */
export const logSoftmaxAsync: RowMapAsync<SoftmaxOptions> = (async (
  x: Floats,
  options?: SoftmaxOptions & AsyncOptions,
) => promised(prepare(true, x, options), options)) as RowMapAsync<SoftmaxOptions>;

/** The algorithm that `auto` stands for, for one row of `cols` elements, in an instruction set. */
export function chosenAlgorithm(cols: number, dtype: Dtype, outDtype: Dtype, isa: string): SoftmaxAlgorithm {
  return ALGORITHMS[native('softmaxChoice')(cols, dtype, outDtype, isa) as number];
}
