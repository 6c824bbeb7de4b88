/**
 * Ops that move elements. Reshaping shares memory; all others copy.
 */
import * as check from '../../check.js';
import { copyBlock, stridesOf, zerosLike } from '../kernels.js';
import { apply } from '../tape.js';
import { empty, requireTensor, share, shapeText, sizeOf } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { axisOf, record } from './op.js';

/**
 * The same elements under another shape.
 *
 * @param shape one size may be -1: whatever is left
 * @throws RangeError (ERR_OUT_OF_RANGE) naming both shapes where they hold different numbers of elements
 */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  requireTensor('x of reshape', x);
  const given: unknown = shape;
  if (!Array.isArray(given)) throw check.typeError('shape', 'a list of sizes', shape);
  const others = sizeOf(shape.filter((each) => each !== -1));
  const to = shape.map((each) => (each === -1 ? (others === 0 ? 0 : x.size / others) : each));
  const whole = to.every((each) => Number.isInteger(each) && each >= 0);
  if (!whole || sizeOf(to) !== x.size || shape.filter((each) => each === -1).length > 1)
    throw check.rangeError('shape', `of the ${x.size} elements of ${shapeText(x.shape)}`, shapeText(shape));
  return record(
    'reshape',
    [x],
    () => share(x, to),
    (g) => [share(g, x.shape)],
  );
}

/** Axes in another order, as a copy without recording. */
function permuted(x: Tensor, order: readonly number[]): Tensor {
  const shape = order.map((each) => x.shape[each]);
  const strides = stridesOf(x.shape);
  const y = empty(shape, x.dtype);
  copyBlock(
    x,
    y,
    shape,
    { start: 0, strides: order.map((each) => strides[each]) },
    { start: 0, strides: stridesOf(shape) },
  );
  return y;
}

/**
 * Axes in another order.
 *
 * @param permutation axis of x that becomes each axis; default: the last two exchanged
 */
export function transpose(x: Tensor, permutation?: readonly number[]): Tensor {
  requireTensor('x of transpose', x);
  const rank = x.shape.length;
  if (permutation === undefined && rank < 2)
    throw check.rangeError('x of transpose', 'of at least two axes', shapeText(x.shape));
  if (permutation !== undefined && !Array.isArray(permutation))
    throw check.typeError('permutation', 'a list of all axes in their new order', permutation);
  const order =
    permutation === undefined
      ? x.shape.map((_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i))
      : permutation.map((each, i) => axisOf(`permutation[${i}]`, each, x.shape));
  if (order.length !== rank || new Set(order).size !== rank)
    throw check.rangeError('permutation', `each axis of ${shapeText(x.shape)} once`, shapeText(order));
  const inverse = order.map((_, i) => order.indexOf(i));
  return record(
    'transpose',
    [x],
    () => permuted(x, order),
    (g) => [permuted(g, inverse)],
  );
}

/** Copies a range of an axis: from `x` at index `from`, to `y` at index `to`. */
function copyRange(x: Tensor, from: number, y: Tensor, to: number, count: number, axis: number): void {
  const [a, b] = [stridesOf(x.shape), stridesOf(y.shape)];
  const sizes = x.shape.with(axis, count);
  copyBlock(x, y, sizes, { start: from * a[axis], strides: a }, { start: to * b[axis], strides: b });
}

/** A range of an axis as a tensor of its own, without recording. */
function range(x: Tensor, axis: number, from: number, count: number): Tensor {
  const y = empty(x.shape.with(axis, count), x.dtype);
  copyRange(x, from, y, 0, count, axis);
  return y;
}

/** Tensors one after another along an axis, without recording; undefined leaves zeros. */
function joined(
  list: readonly (Tensor | undefined)[],
  sizes: readonly number[],
  shape: readonly number[],
  axis: number,
  like: Tensor,
): Tensor {
  const y = list.includes(undefined) ? zerosLike(shape, like.dtype) : empty(shape, like.dtype);
  let at = 0;
  list.forEach((each, i) => {
    if (each !== undefined) copyRange(each, 0, y, at, sizes[i], axis);
    at += sizes[i];
  });
  return y;
}

/**
 * Tensors one after another along an axis.
 *
 * @param list at least one; shapes agree but for that axis
 * @param axis default 0
 */
export function concat(list: readonly Tensor[], axis = 0): Tensor {
  if (!Array.isArray(list) || list.length === 0) throw check.typeError('list', 'a list of tensors', list);
  const [first] = list as readonly Tensor[];
  list.forEach((each, i) => requireTensor(`list[${i}]`, each, i === 0 ? undefined : first.dtype));
  const at = axisOf('axis', axis, first.shape);
  for (const each of list as readonly Tensor[])
    if (
      each.shape.length !== first.shape.length ||
      each.shape.some((size, i) => i !== at && size !== first.shape[i])
    )
      throw check.rangeError(
        'list',
        `of shapes that agree but for axis ${at}`,
        `${shapeText(first.shape)} and ${shapeText(each.shape)}`,
      );
  const tensors = list as readonly Tensor[];
  const sizes = tensors.map((each) => each.shape[at]);
  const shape = first.shape.with(
    at,
    sizes.reduce((sum, each) => sum + each, 0),
  );
  return record(
    'concat',
    tensors,
    () => joined(tensors, sizes, shape, at, first),
    (g, { needs }) => {
      let from = 0;
      return sizes.map((size, i) => {
        from += size;
        return needs[i] ? range(g, at, from - size, size) : undefined;
      });
    },
  );
}

/**
 * Elements start to end (not included) of an axis.
 *
 * @param start counted from the end where negative
 * @param end counted from the end where negative; default all
 */
export function slice(x: Tensor, axis: number, start: number, end?: number): Tensor {
  requireTensor('x of slice', x);
  const at = axisOf('axis', axis, x.shape);
  const size = x.shape[at];
  const place = (name: string, value: number): number => {
    if (!Number.isInteger(value)) throw check.typeError(name, 'an integer', value);
    const from = value < 0 ? value + size : value;
    if (from < 0 || from > size)
      throw check.rangeError(name, `within the ${size} elements of axis ${at}`, value);
    return from;
  };
  const from = place('start', start);
  const to = place('end', end ?? size);
  if (to < from) throw check.rangeError('end', `at least start (${start})`, end);
  return record(
    'slice',
    [x],
    () => range(x, at, from, to - from),
    (g) => {
      const dx = zerosLike(x.shape, x.dtype);
      copyRange(g, 0, dx, from, to - from, at);
      return [dx];
    },
  );
}

/**
 * An axis in parts; the gradient is put together once, whatever the number of parts.
 *
 * @param parts their number, equally large, or their sizes
 * @param axis default 0
 */
export function split(x: Tensor, parts: number | readonly number[], axis = 0): Tensor[] {
  requireTensor('x of split', x);
  const at = axisOf('axis', axis, x.shape);
  const size = x.shape[at];
  const sizes =
    typeof parts === 'number'
      ? Array.from({ length: check.positiveInteger('parts', parts) }, () => size / parts)
      : parts.map((each, i) => check.nonNegativeInteger(`parts[${i}]`, each));
  if (!Number.isInteger(sizes[0] ?? 0) || sizes.reduce((sum, each) => sum + each, 0) !== size)
    throw check.rangeError(
      'parts',
      `sizes that sum up to ${size}`,
      typeof parts === 'number' ? parts : shapeText(parts),
    );
  return apply<Tensor[]>({
    name: 'split',
    inputs: [x],
    forward: () => {
      let from = 0;
      return sizes.map((each) => range(x, at, (from += each) - each, each));
    },
    backward: (gradients) => [joined(gradients, sizes, x.shape, at, x)],
  });
}

/**
 * Tensors of one shape along a new axis.
 *
 * @param axis where the new axis stands, default 0
 */
export function stack(list: readonly Tensor[], axis = 0): Tensor {
  if (!Array.isArray(list) || list.length === 0) throw check.typeError('list', 'a list of tensors', list);
  const tensors = list as readonly Tensor[];
  const { shape } = requireTensor('list[0]', tensors[0]);
  const at = axisOf('axis', axis, [...shape, 1]);
  return concat(
    tensors.map((each) => reshape(each, each.shape.toSpliced(at, 0, 1))),
    at,
  );
}
