/**
 * Exponentials as (mantissa, exponent) pairs, and merging of partial sums. Native: native/softmax_pairs.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { arrayOf } from './arguments.js';

/** Numbers mantissa * 2^exponent that cannot overflow; exponents hold integers (-Infinity with mantissa 0 is zero). */
export interface Extended {
  mantissa: Float32Array;
  exponent: Float32Array;
}

function prepareExtendedExp(x: Float32Array): Prepared<Extended> {
  arrayOf('x', x, Float32Array);
  const result = { mantissa: new Float32Array(x.length), exponent: new Float32Array(x.length) };
  return { operation: 'extendedExp', args: [x, result.mantissa, result.exponent], result };
}

/**
 * exp(x_i) = mantissa_i * 2^exponent_i with mantissa in [0.707, 1.4143]; within 2 ULP of exp for |x| <= 87.
 * Meaningful for |x| up to about 1e6; beyond, and for infinities, use softmax or logSumExp, which guard the range.
 * @throws TypeError if x is not a Float32Array
 * @see arXiv 2001.04438, section 4
 */
export const extendedExp = (x: Float32Array): Extended => blocking(prepareExtendedExp(x));

/** Promise form of extendedExp. */
export const extendedExpAsync = async (x: Float32Array, options?: AsyncOptions): Promise<Extended> =>
  promised(prepareExtendedExp(x), options);

function prepareAddExtended(a: Extended, b: Extended): Prepared<Extended> {
  const parts: Float32Array[] = [];
  for (const [name, pair] of [
    ['a', a],
    ['b', b],
  ] as const) {
    if (typeof pair !== 'object' || pair === null)
      throw check.typeError(name, 'an object {mantissa, exponent}', pair);
    parts.push(arrayOf(`${name}.mantissa`, pair.mantissa, Float32Array));
    parts.push(arrayOf(`${name}.exponent`, pair.exponent, Float32Array));
  }
  const { length } = parts[0];
  const result = { mantissa: new Float32Array(length), exponent: new Float32Array(length) };
  return { operation: 'addExtended', args: [...parts, result.mantissa, result.exponent], result };
}

/**
 * Sums of pairs, element by element: merges the partial sums of shards. The mantissa of a sum of N exponentials is at
 * most 1.4143 N. Commutative; associative up to rounding; (0, -Infinity) is the identity.
 * @throws TypeError or RangeError unless the four arrays are Float32Arrays of one length
 */
export const addExtended = (a: Extended, b: Extended): Extended => blocking(prepareAddExtended(a, b));

/** Promise form of addExtended. */
export const addExtendedAsync = async (a: Extended, b: Extended, options?: AsyncOptions): Promise<Extended> =>
  promised(prepareAddExtended(a, b), options);

function prepareMerge(a: Float64Array, b: Float64Array): Prepared<Float64Array> {
  arrayOf('a', a, Float64Array);
  arrayOf('b', b, Float64Array);
  if (a.length !== b.length) throw check.rangeError('b', `${a.length} elements long, as a`, b);
  const out = new Float64Array(a.length);
  return { operation: 'mergeLogSumExp', args: [a, b, out], result: out };
}

/**
 * log(exp(a_i) + exp(b_i)) in float64: merges log-sum-exps of the parts of a row. -Infinity is the identity.
 * @throws TypeError or RangeError unless both are Float64Arrays of one length
 */
export const mergeLogSumExp = (a: Float64Array, b: Float64Array): Float64Array =>
  blocking(prepareMerge(a, b));

/** Promise form of mergeLogSumExp. */
export const mergeLogSumExpAsync = async (
  a: Float64Array,
  b: Float64Array,
  options?: AsyncOptions,
): Promise<Float64Array> => promised(prepareMerge(a, b), options);
