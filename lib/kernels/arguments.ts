/**
 * What the kernels of rows share: storage types, shapes, the result array.
 */
import * as check from '../check.js';
import type { Floats } from '../check.js';

/** Storage of an array's elements; bf16 and f16 are bit patterns in a Uint16Array. */
export type Dtype = 'f32' | 'f64' | 'bf16' | 'f16';

/** The storage types, in the order of the native enumeration. */
export const DTYPES: readonly Dtype[] = ['f32', 'f64', 'bf16', 'f16'];

/** Rows of a matrix in a typed array. */
export interface MatrixOptions {
  /** Number of rows. Default: 1, or with `cols` alone all that x holds, `x.length / cols`. */
  rows?: number;
  /** Elements in a row. Default: all of x divided evenly, `x.length / rows`. */
  cols?: number;
  /** Elements from the start of one row of x to the start of the next, at least `cols`. Default `cols`. */
  rowStride?: number;
  /** Storage of x: needed for a Uint16Array ('bf16' or 'f16'), else that of the array. */
  dtype?: Dtype;
}

/** A matrix argument, checked. */
export interface Matrix {
  rows: number;
  cols: number;
  stride: number;
  dtype: Dtype;
}

/** The storage type of an array: named for a Uint16Array, that of the array otherwise. */
export function dtypeOf(name: string, x: unknown, dtype: unknown, optionName = 'dtype'): Dtype {
  if (dtype !== undefined) check.oneOf(optionName, dtype, DTYPES);
  if (check.isA(x, Float32Array)) {
    if (dtype !== undefined && dtype !== 'f32')
      throw check.rangeError(optionName, "'f32' for a Float32Array", dtype);
    check.attached(name, x);
    return 'f32';
  }
  if (check.isA(x, Float64Array)) {
    if (dtype !== undefined && dtype !== 'f64')
      throw check.rangeError(optionName, "'f64' for a Float64Array", dtype);
    check.attached(name, x);
    return 'f64';
  }
  if (check.isA(x, Uint16Array)) {
    if (dtype !== 'bf16' && dtype !== 'f16') {
      throw check.typeError(
        name,
        `a Float32Array or Float64Array, or a Uint16Array with ${optionName} 'bf16' or 'f16'`,
        x,
      );
    }
    check.attached(name, x);
    return dtype;
  }
  throw check.typeError(name, 'a Float32Array, a Float64Array, or a Uint16Array with dtype', x);
}

/** Rows without elements are bounded by nothing else. */
const MOST_EMPTY_ROWS = 2 ** 24;

/** Sequences without tokens have states still, which cost more than an empty row. */
const MOST_EMPTY_SEQUENCES = 2 ** 20;

/**
 * Refuses shapes whose loops no array bounds: very many sequences of length 0.
 *
 * @param count of sequences (of all heads)
 */
export function requireBounded(count: number, length: number): void {
  if (length === 0 && count > MOST_EMPTY_SEQUENCES)
    throw check.rangeError('batch', `so that at most ${MOST_EMPTY_SEQUENCES} sequences are empty`, count);
}

/** Reads the shape of x. Zero elements are allowed. */
export function matrixOf(name: string, x: unknown, o: MatrixOptions): Matrix {
  const dtype = dtypeOf(name, x, o.dtype);
  const { length } = x as Floats;
  if (o.cols !== undefined && o.cols !== 0) check.positiveInteger('cols', o.cols);
  let { cols } = o;
  let rows = 1;
  if (o.rows !== undefined) {
    rows = check.positiveInteger('rows', o.rows);
  } else if (cols && o.rowStride === undefined) {
    if (length % cols !== 0)
      throw check.rangeError('cols', `a divisor of the ${length} elements of "${name}"`, cols);
    rows = Math.max(length / cols, 1);
  }
  if (cols === undefined) {
    if (o.rowStride !== undefined && rows > 1)
      throw check.typeError('cols', 'given when rowStride is', undefined);
    if (length % rows !== 0)
      throw check.rangeError('rows', `a divisor of the ${length} elements of "${name}"`, rows);
    cols = length / rows;
  }
  if (cols === 0 && rows > MOST_EMPTY_ROWS) {
    throw check.rangeError('rows', `at most ${MOST_EMPTY_ROWS} where rows have no elements`, rows);
  }
  let stride = cols;
  if (o.rowStride !== undefined) {
    stride = check.positiveInteger('rowStride', o.rowStride);
    if (stride < cols) throw check.rangeError('rowStride', `at least the ${cols} columns`, stride);
  }
  if (cols > 0 && (rows - 1) * stride + cols > length) {
    throw check.rangeError(
      name,
      `at least ${(rows - 1) * stride + cols} elements for ${rows} rows of ${cols}`,
      length,
    );
  }
  return { rows, cols, stride, dtype };
}

/** A fresh array for a storage type. */
export function allocate(dtype: Dtype, length: number): Floats {
  try {
    if (dtype === 'f32') return new Float32Array(length);
    return dtype === 'f64' ? new Float64Array(length) : new Uint16Array(length);
  } catch {
    throw check.rangeError('out', 'given, or small enough to be allocated', `a need of ${length} elements`);
  }
}

/** `threads`, at least 1; 1 where absent. */
export function threadsOf(threads: unknown): number {
  return threads === undefined ? 1 : check.positiveInteger('threads', threads);
}

/** A temperature in [1e-30, 1e30]; 1 where absent. */
export function temperatureOf(temperature: unknown): number {
  if (temperature === undefined) return 1;
  const value = check.positiveNumber('temperature', temperature);
  if (value < 1e-30 || value > 1e30) throw check.rangeError('temperature', 'in [1e-30, 1e30]', value);
  return value;
}

/** Checks that an array is one of the class. */
export function arrayOf<T extends ArrayBufferView>(
  name: string,
  value: unknown,
  kind: new (n: number) => T,
): T {
  if (!check.isA(value, kind))
    throw check.typeError(name, `${kind.name.startsWith('I') ? 'an' : 'a'} ${kind.name}`, value);
  return check.attached(name, value);
}

/** Numbers as computed with: all arrays of a call are of one kind. */
export type Reals = Float32Array | Float64Array;

/** The type of a call, by its first array. */
export function realType(name: string, x: unknown): 'f32' | 'f64' {
  if (check.isA(x, Float64Array)) {
    check.attached(name, x);
    return 'f64';
  }
  if (!check.isA(x, Float32Array)) throw check.typeError(name, 'a Float32Array or a Float64Array', x);
  check.attached(name, x);
  return 'f32';
}

/** Checks that an array is of the type of the call and, where given, of that length. */
export function reals<T extends Reals = Reals>(
  name: string,
  x: unknown,
  type: 'f32' | 'f64',
  length?: number,
): T {
  if (type === 'f64' ? !check.isA(x, Float64Array) : !check.isA(x, Float32Array))
    throw check.typeError(name, `a ${type === 'f64' ? 'Float64Array' : 'Float32Array'}`, x);
  const array = check.attached(name, x as T);
  if (length !== undefined && array.length !== length)
    throw check.rangeError(name, `${length} elements long`, x);
  return array;
}

/** Checks that a result shares no memory with an input: for calls of several steps, which read inputs after writing. */
export function apart(
  name: string,
  out: ArrayBufferView,
  inputs: Record<string, ArrayBufferView | undefined>,
): void {
  for (const [other, x] of Object.entries(inputs)) {
    if (x?.buffer !== out.buffer) continue;
    if (x.byteOffset < out.byteOffset + out.byteLength && out.byteOffset < x.byteOffset + x.byteLength)
      throw check.rangeError(name, `apart from ${other} in memory`, 'overlapping arrays');
  }
}
