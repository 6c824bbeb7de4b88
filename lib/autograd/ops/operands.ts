/**
 * What ops over kernels have in common: named operands, some of them optional, of one type, and results that kernels
 * allocate.
 */
import * as check from '../../check.js';
import type { Reals } from '../../kernels/arguments.js';
import type { Real } from '../pool.js';
import { apply, type Gradients, type OpContext } from '../tape.js';
import { empty, requireTensor, shapeText, Tensor, tensor } from '../tensor.js';

/** The operands of a call that are given, in a fixed order. */
export interface Operands<K extends string> {
  names: K[];
  inputs: Tensor[];
  dtype: Real;
  /** Their data by name. */
  data: () => Record<K, Reals>;
}

/**
 * Reads the operands of an op from a record.
 *
 * @param record tensors by name; those that are undefined are left out
 * @param required names that must be there, the first of which decides the type
 * @param optional names that may be there
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is not a tensor of that type
 */
export function operands<K extends string>(
  record: unknown,
  required: readonly K[],
  optional: readonly K[] = [],
): Operands<K> {
  if (typeof record !== 'object' || record === null || ArrayBuffer.isView(record))
    throw check.typeError('input', 'an object of tensors', record);
  const given = record as Record<K, unknown>;
  const { dtype } = requireTensor(required[0], given[required[0]]);
  const names = [...required, ...optional.filter((name) => given[name] !== undefined)];
  const inputs = names.map((name) => requireTensor(name, given[name], dtype));
  const data = () => Object.fromEntries(names.map((name, i) => [name, inputs[i].data])) as Record<K, Reals>;
  return { names, inputs, dtype, data };
}

/** Checks the shape of an operand: a size each axis, undefined for any. */
export function requireShape(name: string, x: Tensor, shape: readonly (number | undefined)[]): void {
  if (x.shape.length === shape.length && shape.every((size, i) => size === undefined || size === x.shape[i]))
    return;
  const wanted = `[${shape.map((size) => size ?? 'any').join(', ')}]`;
  throw check.rangeError(name, `of shape ${wanted}`, `shape ${shapeText(x.shape)}`);
}

/** Checks the number of axes of an operand. */
export function requireAxes(name: string, x: Tensor, axes: string): readonly number[] {
  const count = axes.split(',').length;
  if (x.shape.length !== count)
    throw check.rangeError(name, `of axes [${axes}]`, `shape ${shapeText(x.shape)}`);
  return x.shape;
}

/** Checks q, k [batch, heads, length, headDim] and v [batch, heads, length, valueDim], and returns the sizes. */
export function attentionSizes({ q, k, v }: { q: Tensor; k: Tensor; v: Tensor }) {
  const [batch, heads, length, headDim] = requireAxes('q', q, 'batch, heads, length, dim');
  requireShape('k', k, q.shape);
  requireShape('v', v, [batch, heads, length, undefined]);
  return { batch, heads, length, headDim, valueDim: v.shape[3] };
}

/** A result of a kernel as a tensor of that shape. */
export const resultOf = (data: Reals, shape: readonly number[]): Tensor => tensor(data, { shape });

/** The gradient of an output, zeros where none came. */
export function gradientOr(gradient: Tensor | undefined, like: Pick<Tensor, 'shape' | 'dtype'>): Tensor {
  if (gradient) return gradient;
  const zero = empty(like.shape, like.dtype);
  zero.data.fill(0);
  return zero;
}

/**
 * Records an op over a kernel.
 *
 * @param name what errors and profiles call it
 * @param operands what `operands` read
 * @param forward calls the kernel and gives the outputs
 * @param backward calls the kernel of the gradient: arrays, or tensors of the pool, by the names of the operands
 */
export function kernelOp<K extends string>(
  name: string,
  { names, inputs }: Operands<K>,
  forward: (context: OpContext) => Tensor[],
  backward: (gradients: Gradients) => Partial<Record<K, Reals | Tensor>>,
): Tensor[] {
  return apply<Tensor[]>({
    name,
    inputs,
    forward,
    backward: (gradients) => {
      const found = backward(gradients);
      return names.map((each, i) => {
        const gradient: Reals | Tensor | undefined = found[each];
        return gradient === undefined || gradient instanceof Tensor
          ? gradient
          : resultOf(gradient, inputs[i].shape);
      });
    },
  });
}

/** A copy of an array that is no tensor: the caller may fill it anew before the gradient is asked for. */
export function kept<T extends Int32Array | Uint8Array | undefined>(x: T): T {
  // Of another kind it stays what it is, for the kernel to refuse by name.
  return x instanceof Int32Array || x instanceof Uint8Array ? (x.slice() as T) : x;
}
