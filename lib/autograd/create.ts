/**
 * Leaves of given and of random contents.
 */
import * as check from '../check.js';
import { Philox } from '../random.js';
import type { Real } from './pool.js';
import { empty, shapeOf } from './tensor.js';
import type { Tensor, TensorOptions } from './tensor.js';

/** Options of zeros, ones, full. */
export type CreateOptions = Omit<TensorOptions, 'shape'>;

/** Options of rand and randn: a generator to draw from, or the seed of one. */
export interface RandomOptions extends CreateOptions {
  /** Draws on from where it stands. */
  generator?: Philox;
  /** A generator's seed, from 0 to 2^53 - 1; used where no generator is given. */
  seed?: number;
}

function create(
  shape: readonly number[],
  options: CreateOptions | undefined,
  fill: (leaf: Tensor) => void,
): Tensor {
  const o = check.options(options);
  const dtype: Real = o.dtype === undefined ? 'f32' : check.oneOf('dtype', o.dtype, ['f32', 'f64']);
  const requiresGrad = check.boolean('requiresGrad', o.requiresGrad ?? false);
  const leaf = empty(shapeOf('shape', shape), dtype);
  leaf.requiresGrad = requiresGrad;
  fill(leaf);
  return leaf;
}

/**
 * A leaf whose elements are all `value`.
 *
 * @param shape sizes of the axes
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function full(shape: readonly number[], value: number, options?: CreateOptions): Tensor {
  if (typeof value !== 'number') throw check.typeError('value', 'a number', value);
  return create(shape, options, (leaf) => leaf.data.fill(value));
}

/** A leaf of zeros; otherwise as full. */
export const zeros = (shape: readonly number[], options?: CreateOptions): Tensor => full(shape, 0, options);

/** A leaf of ones; otherwise as full. */
export const ones = (shape: readonly number[], options?: CreateOptions): Tensor => full(shape, 1, options);

/** The generator that options name. */
export function generatorOf(o: { generator?: Philox; seed?: number }): Philox {
  if (o.generator === undefined) {
    if (o.seed === undefined) throw check.typeError('options', 'with a seed or a generator', o);
    return new Philox(o.seed);
  }
  if (!(o.generator instanceof Philox)) throw check.typeError('generator', 'a Philox', o.generator);
  return o.generator;
}

/**
 * A leaf of independent standard normal numbers (lib/random.ts): the same ones for the same seed.
 *
 * @param options `generator` or `seed` is needed
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function randn(shape: readonly number[], options: RandomOptions): Tensor {
  const generator = generatorOf(check.options(options));
  return create(shape, options, (leaf) => generator.normal(leaf.data));
}

/** A leaf of independent numbers spread evenly over [0, 1); otherwise as randn. */
export function rand(shape: readonly number[], options: RandomOptions): Tensor {
  const generator = generatorOf(check.options(options));
  return create(shape, options, (leaf) => generator.uniform(leaf.data));
}
