/**
 * What ops share: operands, axes, and the short form of `apply` for one output.
 */
import * as check from '../../check.js';
import { apply } from '../tape.js';
import type { Gradients, OpContext } from '../tape.js';
import type { Real } from '../pool.js';
import { requireTensor, shapeText, Tensor, tensor } from '../tensor.js';

/** A tensor, or a number that stands for one of its type and no axes. */
export type Operand = Tensor | number;

/** `apply` for an op of one output: its gradient has come when backward is called. */
export function record(
  name: string,
  inputs: readonly Tensor[],
  forward: (context: OpContext) => Tensor,
  backward: (g: Tensor, context: OpContext) => Gradients,
): Tensor {
  return apply<Tensor>({
    name,
    inputs,
    forward,
    backward: ([g], context) => (g ? backward(g, context) : []),
  });
}

/** A scalar of a type. */
export const scalar = (value: number, dtype: Real): Tensor => tensor(value, { dtype });

/** Two operands as tensors of one type; one of them at least is a tensor. */
export function operands(name: string, a: Operand, b: Operand): [Tensor, Tensor] {
  if (typeof a === 'number') {
    if (!(b instanceof Tensor)) throw check.typeError(`b of ${name}`, 'a Tensor where a is a number', b);
    return [scalar(a, b.dtype), requireTensor(`b of ${name}`, b)];
  }
  requireTensor(`a of ${name}`, a);
  if (typeof b === 'number') return [a, scalar(b, a.dtype)];
  return [a, requireTensor(`b of ${name}`, b, a.dtype)];
}

/** An axis from 0, given from either end. */
export function axisOf(name: string, axis: unknown, shape: readonly number[]): number {
  if (typeof axis !== 'number') throw check.typeError(name, 'an integer', axis);
  if (!Number.isInteger(axis) || axis < -shape.length || axis >= shape.length)
    throw check.rangeError(name, `an axis of a tensor of shape ${shapeText(shape)}`, axis);
  return axis < 0 ? axis + shape.length : axis;
}

/** Which axes a reduction takes: one, several, or (undefined) all. */
export function axesOf(
  name: string,
  axis: number | readonly number[] | undefined,
  shape: readonly number[],
): boolean[] {
  const marked = shape.map(() => axis === undefined);
  if (axis !== undefined && typeof axis !== 'number' && !Array.isArray(axis))
    throw check.typeError(name, 'an axis or a list of axes', axis);
  if (axis !== undefined)
    for (const each of typeof axis === 'number' ? [axis] : axis) marked[axisOf(name, each, shape)] = true;
  return marked;
}

/** Checks indices. */
export function requireIndices(name: string, indices: unknown): Int32Array {
  if (!check.isA(indices, Int32Array)) throw check.typeError(name, 'an Int32Array', indices);
  return check.attached(name, indices);
}
