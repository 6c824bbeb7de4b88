/**
 * Reductions of rows of logits and their gradients: log-sum-exp, entropy, cross-entropy, backward forms.
 * Native: native/losses.cc, native/softmax_backward.cc.
 */
import * as check from '../check.js';
import type { Floats } from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { arrayOf, matrixOf, temperatureOf, threadsOf } from './arguments.js';
import type { RowOptions } from './softmax.js';

/** Float32Array or Float64Array: what gradients live in. */
export type FloatArray = Float32Array | Float64Array;

/** Options of logSumExp. */
export interface ReduceOptions extends RowOptions {
  /** One float64 a row. Default: a fresh array. */
  out?: Float64Array;
}

function rowResults(out: unknown, rows: number): Float64Array {
  if (out === undefined) return new Float64Array(rows);
  const array = arrayOf('out', out, Float64Array);
  if (array.length < rows) throw check.rangeError('out', `at least ${rows} elements long`, array);
  return array;
}

function prepareLogSumExp(x: Floats, given?: ReduceOptions): Prepared<Float64Array> {
  const o = check.options(given);
  const { rows, cols, stride, dtype } = matrixOf('x', x, o);
  const out = rowResults(o.out, rows);
  const args = [
    x,
    out,
    rows,
    cols,
    stride,
    dtype,
    temperatureOf(o.temperature),
    o.algorithm ?? 'auto',
    threadsOf(o.threads),
  ];
  return { operation: 'logSumExp', args, result: out };
}

/**
 * log sum_i exp(x_i / T) of each row, in float64; x is read once. Absolute error at most 2e-6 + 1e-9 |value| for
 * float32 and 16-bit input. NaN if the row holds NaN, else +Infinity if it holds +Infinity; -Infinity for a row that is
 * empty or all -Infinity.
 * @param x rows x cols logits, row-major
 * @throws as softmax
 * @see arXiv 2001.04438 (two-pass), arXiv 1805.02867 (online)
 */
export const logSumExp = (x: Floats, options?: ReduceOptions): Float64Array =>
  blocking(prepareLogSumExp(x, options));

/** Promise form of logSumExp. */
export const logSumExpAsync = async (
  x: Floats,
  options?: ReduceOptions & AsyncOptions,
): Promise<Float64Array> => promised(prepareLogSumExp(x, options), options);

/** Options of entropy. */
export type EntropyOptions = Omit<ReduceOptions, 'algorithm'>;

function prepareEntropy(x: Floats, given?: EntropyOptions): Prepared<Float64Array> {
  const o = check.options(given);
  const { rows, cols, stride, dtype } = matrixOf('x', x, o);
  const out = rowResults(o.out, rows);
  const args = [x, out, rows, cols, stride, dtype, temperatureOf(o.temperature), threadsOf(o.threads)];
  return { operation: 'entropy', args, result: out };
}

/**
 * Shannon entropy -sum_i p_i log p_i, in nats, of p = softmax(x / T), for each row, in [0, log cols]; x is read once.
 * Absolute error at most 1e-5 for float32 input. Masked elements (-Infinity) count nothing; an empty row gives 0, a row
 * with NaN or +Infinity NaN.
 * @param x rows x cols logits, row-major
 * @throws as softmax
 */
export const entropy = (x: Floats, options?: EntropyOptions): Float64Array =>
  blocking(prepareEntropy(x, options));

/** Promise form of entropy. */
export const entropyAsync = async (
  x: Floats,
  options?: EntropyOptions & AsyncOptions,
): Promise<Float64Array> => promised(prepareEntropy(x, options), options);

/** Options of crossEntropy. */
export interface CrossEntropyOptions extends RowOptions {
  /** s in q_i = (1 - s) [i = target] + s / cols, in [0, 1). Default 0. */
  labelSmoothing?: number;
  /** Rows with this target have loss 0 and gradient 0 and are not counted. Default -100. */
  ignoreIndex?: number;
  /** 'none': one loss a row; 'sum'; 'mean' over the counted rows (NaN where none is). Default 'none'. */
  reduction?: 'none' | 'sum' | 'mean';
  /** Receives d(loss)/dx, rows x cols, dense; Float64Array for float64 x. Default: not computed. */
  gradient?: FloatArray;
  /** Upstream gradient of each row's loss; multiplies with 1/count for 'mean'. Default 1. */
  rowScale?: Float32Array;
  /** What the probabilities of a row of -Infinity are in the gradient: 0 or NaN. Default 'zero'. */
  emptyRow?: 'zero' | 'nan';
  /** 'none': rows elements; else one. Default: a fresh array. */
  out?: Float64Array;
}

function prepareCrossEntropy(
  x: Floats,
  targets: Int32Array,
  given?: CrossEntropyOptions,
): Prepared<Float64Array> {
  const o = check.options(given);
  const { rows, cols, stride, dtype } = matrixOf('x', x, o);
  arrayOf('targets', targets, Int32Array);
  if (targets.length !== rows) throw check.rangeError('targets', `${rows} elements long, one a row`, targets);
  const reduction = check.oneOf('reduction', o.reduction ?? 'none', ['none', 'sum', 'mean']);
  const smoothing = o.labelSmoothing ?? 0;
  if (typeof smoothing !== 'number') throw check.typeError('labelSmoothing', 'a number in [0, 1)', smoothing);
  if (!(smoothing >= 0 && smoothing < 1)) throw check.rangeError('labelSmoothing', 'in [0, 1)', smoothing);
  if (o.gradient !== undefined) {
    if (dtype === 'f64') arrayOf('gradient', o.gradient, Float64Array);
    else arrayOf('gradient', o.gradient, Float32Array);
    if (o.gradient.length < rows * cols) {
      throw check.rangeError('gradient', `at least ${rows * cols} elements long`, o.gradient);
    }
  }
  if (o.rowScale !== undefined) {
    arrayOf('rowScale', o.rowScale, Float32Array);
    if (o.rowScale.length < rows)
      throw check.rangeError('rowScale', `at least ${rows} elements long`, o.rowScale);
  }
  const out = rowResults(o.out, reduction === 'none' ? rows : 1);
  const args = [
    x,
    targets,
    out,
    o.gradient,
    o.rowScale,
    rows,
    cols,
    stride,
    dtype,
    temperatureOf(o.temperature),
    o.algorithm ?? 'auto',
    smoothing,
    o.ignoreIndex ?? -100,
    reduction,
    o.emptyRow ?? 'zero',
    threadsOf(o.threads),
  ];
  return { operation: 'crossEntropy', args, result: out };
}

/**
 * Cross-entropy -sum_i q_i log softmax(x / T)_i of each row against its target class, and its gradient
 * (p_i - q_i) / T times the row's upstream. The value reads x once, the gradient once more; no probabilities are stored.
 * Error at most 2e-6 max(1, |loss|); gradient absolute 1e-6 max(1, max |g|). The loss is +Infinity where a class with
 * q_i > 0 has logit -Infinity, NaN for a row with NaN or +Infinity.
 * @param x rows x cols logits, row-major
 * @param targets a class in [0, cols) or ignoreIndex for each row
 * @returns losses in float64: one a row, or one in all (see reduction)
 * @throws as softmax; RangeError for a target out of range, which names the row
 */
export const crossEntropy = (x: Floats, targets: Int32Array, options?: CrossEntropyOptions): Float64Array =>
  blocking(prepareCrossEntropy(x, targets, options));

/** Promise form of crossEntropy. */
export const crossEntropyAsync = async (
  x: Floats,
  targets: Int32Array,
  options?: CrossEntropyOptions & AsyncOptions,
): Promise<Float64Array> => promised(prepareCrossEntropy(x, targets, options), options);

/** Options of softmaxBackward and logSoftmaxBackward: dense rows. */
export interface BackwardOptions {
  /** Number of rows. Default 1. */
  rows?: number;
  /** T of the forward call. Default 1. */
  temperature?: number;
  /** Where the gradient goes; either input itself is allowed. Default: a fresh array. */
  out?: FloatArray;
  /** Most threads. Default 1. */
  threads?: number;
}

function floats(name: string, x: unknown): FloatArray {
  if (!(check.isA(x, Float32Array) || check.isA(x, Float64Array))) {
    throw check.typeError(name, 'a Float32Array or a Float64Array', x);
  }
  return check.attached(name, x);
}

/** Checks that an array has the class of another and at least its length; a fresh one where absent. */
function alike<T extends FloatArray>(name: string, value: unknown, model: T, length: number): T {
  const kind = (check.isA(model, Float64Array) ? Float64Array : Float32Array) as unknown as new (
    n: number,
  ) => T;
  if (value === undefined) return new kind(length);
  const array = arrayOf(name, value, kind);
  if (array.length < length) throw check.rangeError(name, `at least ${length} elements long`, array);
  return array;
}

function prepareBackward(
  operation: 'softmaxBackward' | 'logSoftmaxBackward',
  names: [string, string],
  y: FloatArray,
  upstream: FloatArray,
  given?: BackwardOptions,
): Prepared<FloatArray> {
  const o = check.options(given);
  floats(names[0], y);
  if (check.isA(y, Float64Array)) arrayOf(names[1], upstream, Float64Array);
  else arrayOf(names[1], upstream, Float32Array);
  check.attached(names[1], upstream);
  if (upstream.length !== y.length) throw check.rangeError(names[1], `${y.length} elements long`, upstream);
  const { rows, cols } = matrixOf(names[0], y, { rows: o.rows });
  const out = alike('out', o.out, y, y.length);
  return {
    operation,
    args: [y, upstream, out, rows, cols, temperatureOf(o.temperature), threadsOf(o.threads)],
    result: out,
  };
}

/**
 * Gradient of softmax: dx_i = p_i (dp_i - sum_k p_k dp_k) / T for each row, float32 or float64.
 * @param p rows x cols probabilities, the output of softmax
 * @param dp upstream gradient, same shape and class
 * @throws as softmax
 */
export const softmaxBackward = <T extends FloatArray>(p: T, dp: T, options?: BackwardOptions): T =>
  blocking(prepareBackward('softmaxBackward', ['p', 'dp'], p, dp, options)) as T;

/** Promise form of softmaxBackward. */
export const softmaxBackwardAsync = async <T extends FloatArray>(
  p: T,
  dp: T,
  options?: BackwardOptions & AsyncOptions,
): Promise<T> =>
  promised(prepareBackward('softmaxBackward', ['p', 'dp'], p, dp, options), options) as Promise<T>;

/**
 * Gradient of logSoftmax: dx_i = (dl_i - exp(logp_i) sum_k dl_k) / T for each row, float32 or float64.
 * @param logp rows x cols log-probabilities, the output of logSoftmax
 * @param dl upstream gradient, same shape and class
 * @throws as softmax
 */
export const logSoftmaxBackward = <T extends FloatArray>(logp: T, dl: T, options?: BackwardOptions): T =>
  blocking(prepareBackward('logSoftmaxBackward', ['logp', 'dl'], logp, dl, options)) as T;

/** Promise form of logSoftmaxBackward. */
export const logSoftmaxBackwardAsync = async <T extends FloatArray>(
  logp: T,
  dl: T,
  options?: BackwardOptions & AsyncOptions,
): Promise<T> =>
  promised(prepareBackward('logSoftmaxBackward', ['logp', 'dl'], logp, dl, options), options) as Promise<T>;

/** Options of logSumExpBackward. */
export interface LogSumExpBackwardOptions extends RowOptions {
  /** Where the gradient goes, dense rows; x itself is allowed. Default: a fresh array. */
  out?: FloatArray;
}

function prepareLogSumExpBackward(
  x: Floats,
  d: FloatArray,
  given?: LogSumExpBackwardOptions,
): Prepared<FloatArray> {
  const o = check.options(given);
  const { rows, cols, stride, dtype } = matrixOf('x', x, o);
  floats('d', d);
  if (d.length !== rows) throw check.rangeError('d', `${rows} elements long, one a row`, d);
  const model = dtype === 'f64' ? new Float64Array(0) : new Float32Array(0);
  const out = alike<FloatArray>('out', o.out, model, rows * cols);
  const upstream = check.isA(d, Float64Array) ? d : Float64Array.from(d);
  const args = [
    x,
    upstream,
    out,
    rows,
    cols,
    stride,
    dtype,
    temperatureOf(o.temperature),
    o.algorithm ?? 'auto',
    threadsOf(o.threads),
  ];
  return { operation: 'logSumExpBackward', args, result: out };
}

/**
 * Gradient of logSumExp: dx_i = softmax(x / T)_i d / T for each row; float64 for float64 x, else float32.
 * @param x rows x cols logits
 * @param d upstream gradient, one a row
 * @throws as softmax
 */
export const logSumExpBackward = (x: Floats, d: FloatArray, options?: LogSumExpBackwardOptions): FloatArray =>
  blocking(prepareLogSumExpBackward(x, d, options));

/** Promise form of logSumExpBackward. */
export const logSumExpBackwardAsync = async (
  x: Floats,
  d: FloatArray,
  options?: LogSumExpBackwardOptions & AsyncOptions,
): Promise<FloatArray> => promised(prepareLogSumExpBackward(x, d, options), options);
