/**
 * Steps of a layer of softmax-free attention around its kernels. Native: native/soft/module.cc.
 */
import { native } from '../native.js';
import type { Reals } from '../kernels/arguments.js';

/** A fresh array of the type of another. */
export function like<T extends Reals>(x: T, length: number): T {
  return (x instanceof Float64Array ? new Float64Array(length) : new Float32Array(length)) as T;
}

/** x [outer, first, second, inner] as [outer, second, first, inner]. */
export function swapAxes<T extends Reals>(
  x: T,
  outer: number,
  first: number,
  second: number,
  inner: number,
  threads: number,
): T {
  const out = like(x, x.length);
  native('swapAxes')(x, out, outer, first, second, inner, threads);
  return out;
}

/** GELU of the layer norm (epsilon 1e-5) of rows as wide as `weight`. */
export function normGelu<T extends Reals>(x: T, weight: T, bias: T): T {
  const out = like(x, x.length);
  native('normGelu')(x, weight, bias, out, undefined, undefined, x.length / weight.length, 1e-5);
  return out;
}

/** Gradients of normGelu with respect to rows, weight and bias. */
export function normGeluBackward<T extends Reals>(
  x: T,
  weight: T,
  bias: T,
  gradient: T,
): { dx: T; dWeight: T; dBias: T } {
  const [dx, both] = [like(x, x.length), like(x, 2 * weight.length)];
  native('normGelu')(x, weight, bias, both, gradient, dx, x.length / weight.length, 1e-5);
  return {
    dx,
    dWeight: both.subarray(0, weight.length) as T,
    dBias: both.subarray(weight.length) as T,
  };
}

/** Sizes of a convolution: images, heads, height, width, channels of a head, and the width of the kernel. */
export type ConvolutionSizes = readonly [number, number, number, number, number, number];

/**
 * Adds to `out` each head's x [images, heads, height, width, d] convolved with the head's kernel [size, size], padded by
 * floor(size / 2); with `transposed` the adjoint of that.
 */
export function addHeadConvolution<T extends Reals>(
  x: T,
  kernel: T,
  out: T,
  sizes: ConvolutionSizes,
  transposed: boolean,
  threads: number,
): void {
  native('headConvolution')(x, kernel, out, Float64Array.from(sizes), transposed, threads);
}

/** The gradient of addHeadConvolution with respect to the kernels. */
export function headConvolutionWeights<T extends Reals>(
  x: T,
  gradient: T,
  sizes: ConvolutionSizes,
  threads: number,
): T {
  const sums = new Float64Array(sizes[1] * sizes[5] * sizes[5]);
  native('headConvolutionWeights')(x, gradient, sums, Float64Array.from(sizes), threads);
  const out = like(x, sums.length);
  out.set(sums);
  return out;
}
