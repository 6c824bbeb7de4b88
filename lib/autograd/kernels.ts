/**
 * The native steps that ops are made of, from tensors to tensors, without recording. Native: native/tensor.
 */
import * as check from '../check.js';
import { blocking, native } from '../native.js';
import { prepareMatmul } from '../kernels/matmul.js';
import type { Real } from './pool.js';
import { settings } from './settings.js';
import { empty, sameShape, share, shapeText, sizeOf } from './tensor.js';
import type { Tensor } from './tensor.js';

/** Functions of one number (native/tensor/maps.cc). */
export type MapName =
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'square'
  | 'abs'
  | 'sign'
  | 'relu'
  | 'gelu'
  | 'geluTanh'
  | 'silu'
  | 'sigmoid'
  | 'tanh'
  | 'softplus'
  | 'elu'
  | 'pow'
  | 'clamp'
  | 'affine';

/** Functions of two numbers; keep: a where b is not 0; drop: a where b is 0; notLess: 1 where a >= b; 0 elsewhere. */
export type BinaryName = 'add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum' | 'keep' | 'drop' | 'notLess';

const tensorMap = native('tensorMap');
const tensorBinary = native('tensorBinary');
const tensorSum = native('tensorSum');
const tensorCopy = native('tensorCopy');

/** f of every element; a and b are parameters of some functions. */
export function map(name: MapName, x: Tensor, a = 0, b = 0): Tensor {
  const y = empty(x.shape, x.dtype);
  tensorMap(x.data, undefined, undefined, y.data, name, a, b, settings.threads);
  return y;
}

/** Gradient of map, from x, y = f(x) and the gradient of y. */
export function mapGradient(
  name: MapName,
  x: Tensor,
  y: Tensor | undefined,
  g: Tensor,
  a = 0,
  b = 0,
): Tensor {
  const dx = empty(x.shape, x.dtype);
  tensorMap(x.data, y?.data, g.data, dx.data, name, a, b, settings.threads);
  return dx;
}

/** Elements from one index of each axis to the next. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  for (let i = shape.length - 1, step = 1; i >= 0; step *= shape[i--]) strides[i] = step;
  return strides;
}

/** Strides that read `from` as if it had the shape `to`: 0 along axes that are repeated. */
export function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const strides = stridesOf(from);
  const skip = to.length - from.length;
  return to.map((size, i) => (i < skip || (from[i - skip] === 1 && size !== 1) ? 0 : strides[i - skip]));
}

/** The shape that two shapes broadcast to, by the rules of NumPy. */
export function broadcastShape(name: string, a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1)
      throw check.rangeError(name, 'of shapes that broadcast', `${shapeText(a)} and ${shapeText(b)}`);
    return x === 1 ? y : x;
  });
}

/** f of two tensors, broadcast. */
export function binary(name: BinaryName, a: Tensor, b: Tensor): Tensor {
  const shape = sameShape(a.shape, b.shape) ? a.shape : broadcastShape(name, a.shape, b.shape);
  const y = empty(shape, a.dtype);
  const axes = Float64Array.of(
    ...shape,
    ...broadcastStrides(a.shape, shape),
    ...broadcastStrides(b.shape, shape),
  );
  tensorBinary(a.data, b.data, y.data, axes, name, settings.threads);
  return y;
}

/** sum += term, of one shape. */
export function addInPlace(sum: Tensor, term: Tensor): void {
  tensorBinary(sum.data, term.data, sum.data, Float64Array.of(sum.size, 1, 1), 'add', settings.threads);
}

/** A copy of a. */
export function copyOf(a: Tensor): Tensor {
  const copy = empty(a.shape, a.dtype);
  copy.data.set(a.data);
  return copy;
}

/** Sum over the middle one of three axes, times a factor, with the shape given. */
export function sumMiddle(
  x: Tensor,
  [outer, n, inner]: readonly [number, number, number],
  shape: readonly number[],
  factor = 1,
): Tensor {
  const y = empty(shape, x.dtype);
  tensorSum(x.data, y.data, outer, n, inner, factor, settings.threads);
  return y;
}

/** Sums over the axes marked, which keep size 1: neighbouring axes together, the last ones first. */
export function sumAxes(x: Tensor, reduced: readonly boolean[], factor = 1): Tensor {
  const shape = [...x.shape];
  let sum = x;
  let scale = factor;
  for (let end = shape.length; end > 0;) {
    let begin = end - 1;
    if (!reduced[begin]) {
      end = begin;
      continue;
    }
    while (begin > 0 && reduced[begin - 1]) begin -= 1;
    const sizes = [
      sizeOf(shape.slice(0, begin)),
      sizeOf(shape.slice(begin, end)),
      sizeOf(shape.slice(end)),
    ] as const;
    shape.fill(1, begin, end);
    const next = sumMiddle(sum, sizes, shape, scale);
    if (sum !== x) sum.release();
    sum = next;
    scale = 1;
    end = begin;
  }
  return sum === x ? share(x) : sum;
}

/**
 * The gradient of a tensor that was broadcast: sums over the axes along which it was repeated.
 *
 * @param own whether g is a temporary, released where something else is returned
 */
export function sumTo(g: Tensor, shape: readonly number[], own = false): Tensor {
  const skip = g.shape.length - shape.length;
  const reduced = g.shape.map((size, i) => i < skip || (shape[i - skip] === 1 && size !== 1));
  if (!reduced.includes(true)) return g;
  const sum = sumAxes(g, reduced);
  if (own) g.release();
  const result = share(sum, shape);
  sum.release();
  return result;
}

/** Copies a block of elements between two arrays in any strides. */
export function copyBlock(
  x: Tensor,
  y: Tensor,
  sizes: readonly number[],
  from: { start: number; strides: readonly number[] },
  to: { start: number; strides: readonly number[] },
): void {
  const axes = Float64Array.of(...sizes, ...from.strides, ...to.strides);
  tensorCopy(x.data, y.data, axes, from.start, to.start, settings.threads);
}

/** A tensor of zeros: the pool's buffers hold anything. */
export function zerosLike(shape: readonly number[], dtype: Real): Tensor {
  const y = empty(shape, dtype);
  y.data.fill(0);
  return y;
}

/** Products of matrices in the last two axes, leading axes broadcast, written to a fresh tensor. */
export function product(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  let [rows, k] = a.shape.slice(-2);
  if (transposeA) [rows, k] = [k, rows];
  let [depth, n] = b.shape.slice(-2);
  if (transposeB) [depth, n] = [n, depth];
  if (k !== depth)
    throw check.rangeError(
      'matmul',
      'of matrices whose inner sizes agree',
      `${shapeText(a.shape)}${transposeA ? ' transposed' : ''} and ${shapeText(b.shape)}${transposeB ? ' transposed' : ''}`,
    );
  const [aLead, bLead] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const lead = broadcastShape('matmul', aLead, bLead);
  const y = empty([...lead, rows, n], a.dtype);
  let count = sizeOf(lead);
  let m = rows;
  // One right factor for all: their rows are those of one product.
  if (!transposeA && sizeOf(bLead) === 1 && sizeOf(aLead) === count) {
    m *= count;
    count = Math.min(count, 1);
  }
  const starts = {
    a: count === 1 ? new Float64Array(1) : startsOf(aLead, lead, rows * k),
    b: count === 1 ? new Float64Array(1) : startsOf(bLead, lead, k * n),
  };
  if (y.size > 0)
    blocking(
      prepareMatmul(a.data, b.data, y.data, { m, n, k, transposeA, transposeB }, starts, {
        alpha: 1,
        accumulate: false,
        threads: settings.threads,
      }),
    );
  return y;
}

/** Where the matrices of a batch start, in the order of the broadcast batch. */
function startsOf(own: readonly number[], lead: readonly number[], size: number): Float64Array {
  const strides = broadcastStrides(own, lead);
  const starts = new Float64Array(sizeOf(lead));
  for (let i = 0; i < starts.length; i++) {
    let [rest, start] = [i, 0];
    for (let axis = lead.length - 1; axis >= 0; axis--) {
      start += (rest % lead[axis]) * strides[axis];
      rest = Math.floor(rest / lead[axis]);
    }
    starts[i] = start * size;
  }
  return starts;
}
