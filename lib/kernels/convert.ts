/**
 * Conversions between float32 and the 16-bit storage types. Native: native/convert.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { arrayOf, threadsOf } from './arguments.js';
import type { Dtype } from './arguments.js';

/** Options of the conversions. */
export interface ConvertOptions<T> {
  /** Where the result goes, at least as long as x. Default: a fresh array. */
  out?: T;
  /** Most threads. Default 1. */
  threads?: number;
}

type Kind<T> = new (length: number) => T;

function prepare<X extends Float32Array | Uint16Array, Y extends Float32Array | Uint16Array>(
  x: X,
  given: ConvertOptions<Y> | undefined,
  [from, kindX]: [Dtype, Kind<X>],
  [to, kindY]: [Dtype, Kind<Y>],
): Prepared<Y> {
  const o = check.options(given);
  arrayOf('x', x, kindX);
  const out = o.out === undefined ? new kindY(x.length) : arrayOf('out', o.out, kindY);
  if (out.length < x.length) throw check.rangeError('out', `at least ${x.length} elements long`, out);
  return { operation: 'convert', args: [x, out, from, to, threadsOf(o.threads)], result: out };
}

const toBf16 = (x: Float32Array, o?: ConvertOptions<Uint16Array>) =>
  prepare<Float32Array, Uint16Array>(x, o, ['f32', Float32Array], ['bf16', Uint16Array]);
const toF16 = (x: Float32Array, o?: ConvertOptions<Uint16Array>) =>
  prepare<Float32Array, Uint16Array>(x, o, ['f32', Float32Array], ['f16', Uint16Array]);
const fromBf16 = (x: Uint16Array, o?: ConvertOptions<Float32Array>) =>
  prepare<Uint16Array, Float32Array>(x, o, ['bf16', Uint16Array], ['f32', Float32Array]);
const fromF16 = (x: Uint16Array, o?: ConvertOptions<Float32Array>) =>
  prepare<Uint16Array, Float32Array>(x, o, ['f16', Uint16Array], ['f32', Float32Array]);

/**
 * float32 to bfloat16 bits, to nearest even; NaN stays NaN, overflow becomes infinity.
 * @throws TypeError or RangeError for wrong classes or a short or overlapping out
 */
export const f32ToBf16 = (x: Float32Array, options?: ConvertOptions<Uint16Array>): Uint16Array =>
  blocking(toBf16(x, options));

/** Promise form of f32ToBf16. */
export const f32ToBf16Async = async (
  x: Float32Array,
  options?: ConvertOptions<Uint16Array> & AsyncOptions,
): Promise<Uint16Array> => promised(toBf16(x, options), options);

/** float32 to IEEE half bits, to nearest even with gradual underflow; |v| >= 65520 becomes infinity. Throws as f32ToBf16. */
export const f32ToF16 = (x: Float32Array, options?: ConvertOptions<Uint16Array>): Uint16Array =>
  blocking(toF16(x, options));

/** Promise form of f32ToF16. */
export const f32ToF16Async = async (
  x: Float32Array,
  options?: ConvertOptions<Uint16Array> & AsyncOptions,
): Promise<Uint16Array> => promised(toF16(x, options), options);

/** bfloat16 bits to float32, exactly. Throws as f32ToBf16. */
export const bf16ToF32 = (x: Uint16Array, options?: ConvertOptions<Float32Array>): Float32Array =>
  blocking(fromBf16(x, options));

/** Promise form of bf16ToF32. */
export const bf16ToF32Async = async (
  x: Uint16Array,
  options?: ConvertOptions<Float32Array> & AsyncOptions,
): Promise<Float32Array> => promised(fromBf16(x, options), options);

/** IEEE half bits to float32, exactly. Throws as f32ToBf16. */
export const f16ToF32 = (x: Uint16Array, options?: ConvertOptions<Float32Array>): Float32Array =>
  blocking(fromF16(x, options));

/** Promise form of f16ToF32. */
export const f16ToF32Async = async (
  x: Uint16Array,
  options?: ConvertOptions<Float32Array> & AsyncOptions,
): Promise<Float32Array> => promised(fromF16(x, options), options);
