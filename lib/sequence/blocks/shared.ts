/** What the blocks share: the residual branch, projections, heads. */
import * as check from '../../check.js';
import {
  add,
  linear,
  ones,
  reshape,
  rmsNorm,
  transpose,
  uniform,
  type Parameters,
  type Tensor,
} from '../../autograd/index.js';
import type { Philox } from '../../random.js';

/** Added to the mean square in the norm at the head of a block. */
export const NORM_EPS = 1e-5;

/** What every init function takes. */
export interface InitOptions {
  /** Width of the residual stream. */
  dModel: number;
  /** Where random numbers come from. */
  generator: Philox;
  /** Default 'f32'. */
  dtype?: 'f32' | 'f64';
}

/** Checks the options that every init function takes. */
export function requireInit(o: InitOptions): InitOptions {
  check.positiveInteger('dModel', check.options(o).dModel);
  return o;
}

/** A weight [out, in] whose elements are uniform within in^-1/2: the usual start of a linear layer. */
export function projection(out: number, inputs: number, { generator, dtype }: InitOptions): Tensor {
  const bound = inputs ** -0.5;
  return uniform([out, inputs], { low: -bound, high: bound, generator, dtype });
}

/** A norm's weight: ones. */
export const normWeight = (width: number, { dtype }: InitOptions): Tensor =>
  ones([width], { dtype, requiresGrad: true });

/** x + branch(norm(x)): what a block does to the residual stream. */
export function residual(
  params: Readonly<Parameters>,
  x: Tensor,
  branch: (normed: Tensor) => Tensor,
): Tensor {
  return add(x, branch(rmsNorm(x, params['norm.weight'], NORM_EPS)));
}

/** [batch, length, dModel] times a weight by its name, as heads: [batch, heads, length, width / heads]. */
export function heads(params: Readonly<Parameters>, name: string, x: Tensor, count: number): Tensor {
  const y = linear(x, params[`${name}.weight`]);
  const [batch, length, width] = y.shape;
  return transpose(reshape(y, [batch, length, count, width / count]), [0, 2, 1, 3]);
}

/** The way back: [batch, heads, length, dim] to [batch, length, heads dim], then the output projection. */
export function output(params: Readonly<Parameters>, y: Tensor): Tensor {
  const [batch, count, length, dim] = y.shape;
  return linear(reshape(transpose(y, [0, 2, 1, 3]), [batch, length, count * dim]), params['out.weight']);
}

/** Checks that an input is [batch, length, dModel]. */
export function requireSequence(x: Tensor): void {
  if (x.shape.length !== 3)
    throw check.rangeError('x', 'of shape [batch, length, dModel]', `[${x.shape.join(', ')}]`);
}
