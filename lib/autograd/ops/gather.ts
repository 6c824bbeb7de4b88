/**
 * Ops by index. Indices are checked; gradients of what is taken twice are added up in the order of the indices.
 */
import * as check from '../../check.js';
import { native } from '../../native.js';
import { binary, copyOf, zerosLike } from '../kernels.js';
import { generatorOf } from '../create.js';
import type { Philox } from '../../random.js';
import type { Real } from '../pool.js';
import { settings } from '../settings.js';
import { empty, requireTensor, shapeOf, shapeText, sizeOf } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { axisOf, record, requireIndices } from './op.js';

/** Sizes before an axis, of it, and after it. */
function around(shape: readonly number[], axis: number): [number, number, number] {
  return [sizeOf(shape.slice(0, axis)), shape[axis], sizeOf(shape.slice(axis + 1))];
}

function take(
  x: Tensor,
  sizes: readonly number[],
  indices: Int32Array,
  count: number,
  each: boolean,
  shape: readonly number[],
): Tensor {
  const y = empty(shape, x.dtype);
  native('tensorGather')(x.data, indices, y.data, ...sizes, count, each, settings.threads);
  return y;
}

/** Adds rows of g to those of y that the indices name. */
function put(
  g: Tensor,
  sizes: readonly number[],
  indices: Int32Array,
  count: number,
  each: boolean,
  y: Tensor,
): Tensor {
  native('tensorScatterAdd')(g.data, indices, y.data, ...sizes, count, each, settings.threads);
  return y;
}

/**
 * Elements of an axis by index: y[..., j, ...] = x[..., indices[j], ...].
 *
 * @param indices from 0; any number of them, also repeated
 * @returns the shape of x, with as many elements along the axis as there are indices
 */
export function gather(x: Tensor, axis: number, indices: Int32Array): Tensor {
  requireTensor('x of gather', x);
  const at = axisOf('axis', axis, x.shape);
  const own = requireIndices('indices', indices).slice(); // the caller's array may hold others by the backward pass
  const sizes = around(x.shape, at);
  const count = own.length;
  return record(
    'gather',
    [x],
    () => take(x, sizes, own, count, false, x.shape.with(at, count)),
    (g) => [put(g, sizes, own, count, false, zerosLike(x.shape, x.dtype))],
  );
}

/**
 * Rows of a table by index.
 *
 * @param weight [entries, width]
 * @param indices from 0
 * @param indexShape shape that the indices stand for; default one axis
 * @returns [...indexShape, width]
 */
export function embedding(weight: Tensor, indices: Int32Array, indexShape?: readonly number[]): Tensor {
  requireTensor('weight', weight);
  const own = requireIndices('indices', indices).slice();
  if (weight.shape.length !== 2)
    throw check.rangeError('weight', '[entries, width]', shapeText(weight.shape));
  const shape = indexShape === undefined ? [indices.length] : shapeOf('indexShape', indexShape);
  if (sizeOf(shape) !== indices.length)
    throw check.rangeError('indexShape', `of ${indices.length} elements`, shapeText(shape));
  const sizes = around(weight.shape, 0);
  return record(
    'embedding',
    [weight],
    () => take(weight, sizes, own, own.length, false, [...shape, weight.shape[1]]),
    (g) => [put(g, sizes, own, own.length, false, zerosLike(weight.shape, weight.dtype))],
  );
}

/**
 * x with source[..., j, ...] added at indices[j] of an axis, in the order of j.
 *
 * @param source the shape of x, with as many elements along the axis as there are indices
 */
export function scatterAdd(x: Tensor, axis: number, indices: Int32Array, source: Tensor): Tensor {
  requireTensor('x of scatterAdd', x);
  requireTensor('source', source, x.dtype);
  const at = axisOf('axis', axis, x.shape);
  const own = requireIndices('indices', indices).slice();
  const expected = x.shape.with(at, own.length);
  if (shapeText(source.shape) !== shapeText(expected))
    throw check.rangeError(
      'source',
      `of shape ${shapeText(expected)} for x of shape ${shapeText(x.shape)}`,
      shapeText(source.shape),
    );
  const sizes = around(x.shape, at);
  return record(
    'scatterAdd',
    [x, source],
    () => put(source, sizes, own, own.length, false, copyOf(x)),
    (g, { needs }) => [g, needs[1] ? take(g, sizes, own, own.length, false, expected) : undefined],
  );
}

/**
 * The k largest elements along the last axis, largest first, of equals the first one first; found with a heap of k, without
 * sorting the rest. NaN counts as largest.
 *
 * @param k at most the elements of the axis
 * @returns values [..., k], with a gradient, and their indices, row-major
 */
export function topK(x: Tensor, k: number): { values: Tensor; indices: Int32Array } {
  requireTensor('x of topK', x);
  const cols = x.shape.at(-1);
  if (cols === undefined) throw check.rangeError('x of topK', 'of at least one axis', shapeText(x.shape));
  if (check.nonNegativeInteger('k', k) > cols) throw check.rangeError('k', `at most ${cols}`, k);
  const rows = sizeOf(x.shape.slice(0, -1));
  const indices = new Int32Array(rows * k);
  const values = record(
    'topK',
    [x],
    () => {
      const y = empty(x.shape.with(-1, k), x.dtype);
      native('tensorTopK')(x.data, y.data, indices, rows, cols, k, settings.threads);
      return y;
    },
    (g) => [put(g, [rows, cols, 1], indices, k, true, zerosLike(x.shape, x.dtype))],
  );
  return { values, indices };
}

/**
 * A constant with 1 at each index and 0 elsewhere.
 *
 * @param indices from 0, below classes
 * @returns [indices.length, classes]
 */
export function oneHot(indices: Int32Array, classes: number, options?: { dtype?: Real }): Tensor {
  requireIndices('indices', indices);
  const dtype = check.oneOf<Real>('dtype', check.options(options).dtype ?? 'f32', ['f32', 'f64']);
  check.nonNegativeInteger('classes', classes);
  indices.forEach((each, i) => {
    if (each < 0 || each >= classes) throw check.rangeError(`indices[${i}]`, `in [0, ${classes})`, each);
  });
  const y = zerosLike([indices.length, classes], dtype);
  indices.forEach((each, i) => (y.data[i * classes + each] = 1));
  return y;
}

/**
 * Sets elements to 0 with probability p and divides the others by 1 - p.
 *
 * @param p in [0, 1)
 * @param random a generator, which moves on, or `{ seed }`; needed: there is no hidden state
 */
export function dropout(x: Tensor, p: number, random: Philox | { seed: number }): Tensor {
  requireTensor('x of dropout', x);
  if (!(check.finiteNumber('p', p) >= 0 && p < 1)) throw check.rangeError('p', 'in [0, 1)', p);
  if (typeof random !== 'object' || random === null)
    throw check.typeError('random', 'a Philox or an object with a seed', random);
  const generator = generatorOf('seed' in random ? random : { generator: random });
  let mask: Tensor;
  return record(
    'dropout',
    [x],
    (context) => {
      mask = context.save(empty(x.shape, x.dtype));
      const values = generator.uniform(mask.data);
      for (let i = 0; i < values.length; i++) values[i] = values[i] < p ? 0 : 1 / (1 - p);
      return binary('mul', x, mask);
    },
    (g) => [binary('mul', g, mask)],
  );
}
