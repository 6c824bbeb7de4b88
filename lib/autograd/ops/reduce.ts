/**
 * Reductions over an axis, several, or all; a reduced axis goes, or stays with size 1 (keepDims).
 */
import * as check from '../../check.js';
import { native } from '../../native.js';
import {
  addInPlace,
  binary,
  copyBlock,
  broadcastStrides,
  map,
  stridesOf,
  sumAxes,
  zerosLike,
} from '../kernels.js';
import { settings } from '../settings.js';
import { empty, requireTensor, share, shapeText, sizeOf } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { mul, square, sub } from './arithmetic.js';
import { axesOf, axisOf, record } from './op.js';

/** Which axes: one, counted from either end, or several; undefined: all. */
export type Axes = number | readonly number[] | undefined;

/** Options of reductions. */
export interface ReduceOptions {
  /** Reduced axes stay, with size 1; default false. */
  keepDims?: boolean;
}

const kept = (shape: readonly number[], reduced: readonly boolean[]): number[] =>
  shape.map((size, i) => (reduced[i] ? 1 : size));
const dropped = (shape: readonly number[], reduced: readonly boolean[]): number[] =>
  shape.filter((_, i) => !reduced[i]);

/** The same memory under another shape, in place of the tensor. */
function reshaped(x: Tensor, shape: readonly number[]): Tensor {
  const y = share(x, shape);
  x.release();
  return y;
}

/** A gradient with reduced axes, times a factor, repeated along them. */
function spread(g: Tensor, shape: readonly number[], reduced: readonly boolean[], factor: number): Tensor {
  const scaled = factor === 1 ? share(g) : map('affine', g, factor, 0);
  const dx = empty(shape, g.dtype);
  copyBlock(
    scaled,
    dx,
    shape,
    { start: 0, strides: broadcastStrides(kept(shape, reduced), shape) },
    { start: 0, strides: stridesOf(shape) },
  );
  scaled.release();
  return dx;
}

function total(
  name: string,
  x: Tensor,
  axis: Axes,
  o: ReduceOptions | undefined,
  factorOf: (n: number) => number,
): Tensor {
  requireTensor(`x of ${name}`, x);
  const { keepDims = false } = check.options(o);
  const reduced = axesOf('axis', axis, x.shape);
  const factor = factorOf(sizeOf(x.shape.filter((_, i) => reduced[i])));
  return record(
    name,
    [x],
    () => {
      // Without axes there is nothing to sum, but a tensor of one element is reduced all the same.
      const sum = sumAxes(x, reduced, factor);
      return keepDims ? sum : reshaped(sum, dropped(x.shape, reduced));
    },
    (g) => [spread(g, x.shape, reduced, factor)],
  );
}

/**
 * Sums; float32 sums are formed in blocks, so that the error grows like the logarithm of the count.
 *
 * @param axis default all
 */
export const sum = (x: Tensor, axis?: Axes, options?: ReduceOptions): Tensor =>
  total('sum', x, axis, options, () => 1);

/** Means; NaN over nothing. */
export const mean = (x: Tensor, axis?: Axes, options?: ReduceOptions): Tensor =>
  total('mean', x, axis, options, (n) => 1 / n);

/** Options of variance. */
export interface VarianceOptions extends ReduceOptions {
  /** The sum of squares is divided by n - correction; default 0. */
  correction?: number;
}

/** Mean squared distances from the mean. */
export function variance(x: Tensor, axis?: Axes, options?: VarianceOptions): Tensor {
  requireTensor('x of variance', x);
  const o = check.options(options);
  const n = sizeOf(x.shape.filter((_, i) => axesOf('axis', axis, x.shape)[i]));
  const squares = mean(square(sub(x, mean(x, axis, { keepDims: true }))), axis, { keepDims: o.keepDims });
  const correction = check.finiteNumber('correction', o.correction ?? 0);
  return correction === 0 ? squares : mul(squares, n / (n - correction));
}

/** Extremes over one axis, which keeps size 1. */
function extremeOver(name: 'max' | 'min', x: Tensor, axis: number): Tensor {
  const [outer, n, inner] = [sizeOf(x.shape.slice(0, axis)), x.shape[axis], sizeOf(x.shape.slice(axis + 1))];
  if (n === 0 && outer * inner > 0)
    throw check.rangeError(`x of ${name}`, 'of at least one element along the axis', shapeText(x.shape));
  const indices = new Int32Array(outer * inner);
  return record(
    name,
    [x],
    () => {
      const y = empty(x.shape.with(axis, 1), x.dtype);
      native('tensorExtreme')(x.data, y.data, indices, outer, n, inner, name === 'min', settings.threads);
      return y;
    },
    (g) => {
      const dx = zerosLike(x.shape, x.dtype);
      const [to, from] = [dx.data, g.data];
      for (let i = 0; i < indices.length; i++)
        to[(Math.floor(i / inner) * n + indices[i]) * inner + (i % inner)] = from[i];
      return [dx];
    },
  );
}

function extreme(name: 'max' | 'min', x: Tensor, axis: Axes, options: ReduceOptions | undefined): Tensor {
  requireTensor(`x of ${name}`, x);
  const { keepDims = false } = check.options(options);
  const reduced = axesOf('axis', axis, x.shape);
  let y = x;
  for (let i = reduced.length - 1; i >= 0; i--) if (reduced[i]) y = extremeOver(name, y, i);
  const shape = keepDims ? kept(x.shape, reduced) : dropped(x.shape, reduced);
  return record(
    name,
    [y],
    () => share(y, shape),
    (g) => [share(g, y.shape)],
  );
}

/** The largest elements; NaN wins. The gradient goes to the first one of equals. */
export const max = (x: Tensor, axis?: Axes, options?: ReduceOptions): Tensor =>
  extreme('max', x, axis, options);

/** The smallest elements; NaN wins. The gradient goes to the first one of equals. */
export const min = (x: Tensor, axis?: Axes, options?: ReduceOptions): Tensor =>
  extreme('min', x, axis, options);

/** log sum e^x, without overflow; -Infinity where all elements are. */
export function logSumExp(x: Tensor, axis?: Axes, options?: ReduceOptions): Tensor {
  requireTensor('x of logSumExp', x);
  const { keepDims = false } = check.options(options);
  const reduced = axesOf('axis', axis, x.shape);
  const keptShape = kept(x.shape, reduced);
  const shape = keepDims ? keptShape : dropped(x.shape, reduced);
  let y: Tensor;
  // A finite stand-in for -Infinity: the difference to it is then -Infinity, not NaN.
  const finite = (t: Tensor): Tensor => map('clamp', t, t.dtype === 'f64' ? -1e308 : -3e38, Infinity);
  return record(
    'logSumExp',
    [x],
    () => {
      const top = x.size === 0 ? zerosLike(keptShape, x.dtype) : finite(max(x, axis, { keepDims: true }));
      const shifted = binary('sub', x, top);
      const terms = map('exp', shifted);
      const sums = sumAxes(terms, reduced);
      const result = map('log', sums);
      addInPlace(result, top);
      for (const each of [top, shifted, terms, sums]) each.release();
      return (y = reshaped(result, shape));
    },
    (g) => {
      const bounded = finite(share(y, keptShape));
      const distance = binary('sub', x, bounded);
      const share1 = map('exp', distance);
      const slope = share(g, keptShape);
      const dx = binary('mul', share1, slope);
      for (const each of [bounded, distance, share1, slope]) each.release();
      return [dx];
    },
  );
}

/**
 * Running sums along an axis, formed in float64: y_i = x_0 + ... + x_i.
 *
 * @param axis default -1
 */
export function cumsum(x: Tensor, axis = -1): Tensor {
  requireTensor('x of cumsum', x);
  const at = axisOf('axis', axis, x.shape);
  const sizes = [sizeOf(x.shape.slice(0, at)), x.shape[at], sizeOf(x.shape.slice(at + 1))];
  const run = (from: Tensor, reverse: boolean): Tensor => {
    const y = empty(x.shape, x.dtype);
    native('tensorCumsum')(from.data, y.data, ...sizes, reverse, settings.threads);
    return y;
  };
  return record(
    'cumsum',
    [x],
    () => run(x, false),
    (g) => [run(g, true)],
  );
}
