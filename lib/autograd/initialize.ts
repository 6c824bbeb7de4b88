/**
 * Random parameters: leaves that require gradients, drawn from Philox streams (lib/random.ts), the same ones for the same
 * seed. A generator that is handed from one initialiser to the next makes a whole model depend on one seed.
 */
import * as check from '../check.js';
import { rand, randn } from './create.js';
import type { RandomOptions } from './create.js';
import { shapeOf, sizeOf } from './tensor.js';
import type { Tensor } from './tensor.js';

/** Options of uniform. `requiresGrad` is true by default, here and below. */
export interface UniformOptions extends RandomOptions {
  /** Default -1. */
  low?: number;
  /** At least `low`; default 1. */
  high?: number;
}

/** Options of normal. */
export interface NormalOptions extends RandomOptions {
  /** Default 0. */
  mean?: number;
  /** Standard deviation, at least 0; default 1. */
  deviation?: number;
}

/** Options of xavier. */
export interface XavierOptions extends RandomOptions {
  /** Default 'uniform'. */
  distribution?: 'uniform' | 'normal';
  /** A factor of the standard deviation, greater than 0; default 1. */
  gain?: number;
}

/** Options of kaiming. */
export interface KaimingOptions extends RandomOptions {
  /** Default 'uniform'. */
  distribution?: 'uniform' | 'normal';
  /** A factor of the standard deviation, greater than 0; default sqrt(2), that of ReLU. */
  gain?: number;
  /** Which width keeps its variance: 'in' in the forward pass (default), 'out' in the backward pass. */
  mode?: 'in' | 'out';
}

const isSet = <T extends RandomOptions>(options: T): T => {
  const o = check.options(options);
  return { ...o, requiresGrad: o.requiresGrad ?? true };
};

/**
 * Numbers spread evenly over [low, high).
 *
 * @param shape sizes of the axes
 * @param options `generator` or `seed` is needed
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function uniform(shape: readonly number[], options: UniformOptions): Tensor {
  const o = isSet(options);
  const low = check.finiteNumber('low', o.low ?? -1);
  const high = check.finiteNumber('high', o.high ?? 1);
  if (high < low) throw check.rangeError('high', `at least low (${low})`, high);
  const leaf = rand(shape, o);
  const { data } = leaf;
  for (let i = 0; i < data.length; i++) data[i] = low + (high - low) * data[i];
  return leaf;
}

/**
 * Independent normal numbers.
 *
 * @param shape sizes of the axes
 * @param options `generator` or `seed` is needed
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function normal(shape: readonly number[], options: NormalOptions): Tensor {
  const o = isSet(options);
  const mean = check.finiteNumber('mean', o.mean ?? 0);
  const deviation = check.finiteNumber('deviation', o.deviation ?? 1);
  if (deviation < 0) throw check.rangeError('deviation', 'a finite number >= 0', deviation);
  const leaf = randn(shape, o);
  const { data } = leaf;
  for (let i = 0; i < data.length; i++) data[i] = mean + deviation * data[i];
  return leaf;
}

/** Widths of a weight [out, in, ...kernel]: the axes after the second multiply both. */
function fans(shape: readonly number[]): { out: number; in: number } {
  const sizes = shapeOf('shape', shape);
  if (sizes.length < 2) throw check.rangeError('shape', 'of two axes or more', `[${sizes.join(', ')}]`);
  const [out, inner, ...kernel] = sizes;
  const each = sizeOf(kernel);
  if (out * inner * each === 0)
    throw check.rangeError('shape', 'without empty axes', `[${sizes.join(', ')}]`);
  return { out: out * each, in: inner * each };
}

function withDeviation(
  shape: readonly number[],
  deviation: number,
  o: RandomOptions & { distribution?: string },
): Tensor {
  const kind = check.oneOf('distribution', o.distribution ?? 'uniform', ['uniform', 'normal']);
  if (kind === 'normal') return normal(shape, { ...o, mean: 0, deviation });
  const high = Math.sqrt(3) * deviation;
  return uniform(shape, { ...o, low: -high, high });
}

/**
 * A weight whose variance is gain^2 2 / (in + out): Glorot and Bengio, "Understanding the difficulty of training deep
 * feedforward neural networks", AISTATS 2010, equation 16.
 *
 * @param shape [out, in, ...kernel], as `linear` takes it
 * @param options `generator` or `seed` is needed
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function xavier(shape: readonly number[], options: XavierOptions): Tensor {
  const o = isSet(options);
  const gain = check.positiveNumber('gain', o.gain ?? 1);
  const width = fans(shape);
  return withDeviation(shape, gain * Math.sqrt(2 / (width.in + width.out)), o);
}

/**
 * A weight whose variance is gain^2 / in: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.
 *
 * @param shape [out, in, ...kernel], as `linear` takes it
 * @param options `generator` or `seed` is needed
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function kaiming(shape: readonly number[], options: KaimingOptions): Tensor {
  const o = isSet(options);
  const gain = check.positiveNumber('gain', o.gain ?? Math.SQRT2);
  const mode = check.oneOf('mode', o.mode ?? 'in', ['in', 'out']);
  return withDeviation(shape, gain / Math.sqrt(fans(shape)[mode]), o);
}
