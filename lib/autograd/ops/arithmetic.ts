/**
 * Arithmetic with broadcasting by the rules of NumPy: axes are matched from the last, and one of size 1 is repeated. A
 * number stands for a scalar of the other operand's type. Operands have one type; shapes that do not broadcast are a
 * RangeError (ERR_OUT_OF_RANGE) that names both.
 */
import * as check from '../../check.js';
import {
  binary,
  copyBlock,
  broadcastShape,
  broadcastStrides,
  map,
  mapGradient,
  stridesOf,
  sumTo,
} from '../kernels.js';
import type { BinaryName, MapName } from '../kernels.js';
import { empty, requireTensor, shapeOf, shapeText } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { operands, record } from './op.js';
import type { Operand } from './op.js';

/** f(x, ...) of every element as an op; `keepsOutput`: the derivative is one of y. */
export function elementwise(opName: string, name: MapName, x: Tensor, a = 0, b = 0): Tensor {
  requireTensor(`x of ${opName}`, x);
  let y: Tensor | undefined;
  return record(
    opName,
    [x],
    () => (y = map(name, x, a, b)),
    (g) => [mapGradient(name, x, y, g, a, b)],
  );
}

/** Gradients of an op of two broadcast operands: functions of the gradient at the full shape. */
function broadcast(
  name: BinaryName,
  a: Operand,
  b: Operand,
  da: (g: Tensor, a: Tensor, b: Tensor) => Tensor,
  db: (g: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor,
): Tensor {
  const [x, z] = operands(name, a, b);
  let y: Tensor;
  const reduced = (g: Tensor, full: Tensor, shape: readonly number[]): Tensor =>
    sumTo(full, shape, full !== g);
  return record(
    name,
    [x, z],
    () => (y = binary(name, x, z)),
    (g, { needs }) => [
      needs[0] ? reduced(g, da(g, x, z), x.shape) : undefined,
      needs[1] ? reduced(g, db(g, x, z, y), z.shape) : undefined,
    ],
  );
}

/** Frees a temporary once another tensor has been made from it. */
function after(temporary: Tensor, make: (temporary: Tensor) => Tensor): Tensor {
  const made = make(temporary);
  temporary.release();
  return made;
}

/** a + b */
export function add(a: Operand, b: Operand): Tensor {
  if (typeof b === 'number') return elementwise('add', 'affine', a as Tensor, 1, b);
  if (typeof a === 'number') return elementwise('add', 'affine', b, 1, a);
  return broadcast(
    'add',
    a,
    b,
    (g) => g,
    (g) => g,
  );
}

/** a - b */
export function sub(a: Operand, b: Operand): Tensor {
  if (typeof b === 'number') return elementwise('sub', 'affine', a as Tensor, 1, -b);
  if (typeof a === 'number') return elementwise('sub', 'affine', b, -1, a);
  return broadcast(
    'sub',
    a,
    b,
    (g) => g,
    (g) => map('affine', g, -1, 0),
  );
}

/** a b */
export function mul(a: Operand, b: Operand): Tensor {
  if (typeof b === 'number') return elementwise('mul', 'affine', a as Tensor, b, 0);
  if (typeof a === 'number') return elementwise('mul', 'affine', b, a, 0);
  return broadcast(
    'mul',
    a,
    b,
    (g, _, z) => binary('mul', g, z),
    (g, x) => binary('mul', g, x),
  );
}

/** a / b */
export const div = (a: Operand, b: Operand): Tensor =>
  broadcast(
    'div',
    a,
    b,
    (g, _, z) => binary('div', g, z),
    (g, _, z, y) =>
      after(binary('mul', g, y), (gy) =>
        after(binary('div', gy, z), (quotient) => map('affine', quotient, -1, 0)),
      ),
  );

/** The larger one; the gradient goes to a where both are equal. NaN where either is. */
export const maximum = (a: Operand, b: Operand): Tensor =>
  broadcast(
    'maximum',
    a,
    b,
    (g, x, z) => after(binary('notLess', x, z), (mask) => binary('keep', g, mask)),
    (g, x, z) => after(binary('notLess', x, z), (mask) => binary('drop', g, mask)),
  );

/** The smaller one; the gradient goes to a where both are equal. NaN where either is. */
export const minimum = (a: Operand, b: Operand): Tensor =>
  broadcast(
    'minimum',
    a,
    b,
    (g, x, z) => after(binary('notLess', z, x), (mask) => binary('keep', g, mask)),
    (g, x, z) => after(binary('notLess', z, x), (mask) => binary('drop', g, mask)),
  );

/** -x */
export const neg = (x: Tensor): Tensor => elementwise('neg', 'affine', x, -1, 0);

/** x^exponent for a number; derivative exponent x^(exponent - 1). */
export const pow = (x: Tensor, exponent: number): Tensor =>
  elementwise('pow', 'pow', x, check.finiteNumber('exponent', exponent));

/** x^2 */
export const square = (x: Tensor): Tensor => elementwise('square', 'square', x);

/** The square root; derivative infinite at 0. */
export const sqrt = (x: Tensor): Tensor => elementwise('sqrt', 'sqrt', x);

/** e^x, relative error in float32 at most 2e-7. */
export const exp = (x: Tensor): Tensor => elementwise('exp', 'exp', x);

/** The natural logarithm. */
export const log = (x: Tensor): Tensor => elementwise('log', 'log', x);

/** |x|, with derivative 0 at 0. */
export const abs = (x: Tensor): Tensor => elementwise('abs', 'abs', x);

/** -1, 0 or 1; its derivative is 0. */
export const sign = (x: Tensor): Tensor => elementwise('sign', 'sign', x);

/**
 * min(max(x, low), high), with derivative 1 within [low, high].
 *
 * @param low at most high; -Infinity for no bound
 * @param high Infinity for no bound
 */
export function clamp(x: Tensor, low: number, high: number): Tensor {
  if (typeof low !== 'number' || Number.isNaN(low)) throw check.typeError('low', 'a number', low);
  if (typeof high !== 'number' || !(high >= low))
    throw check.rangeError('high', `a number >= low (${low})`, high);
  return elementwise('clamp', 'clamp', x, low, high);
}

/**
 * a where the mask is not 0, b elsewhere, broadcast; gradients flow to the one that was chosen, and NaN in the other does
 * not spread.
 *
 * @param mask no gradient reaches it
 */
export function where(mask: Tensor, a: Operand, b: Operand): Tensor {
  const [x, z] = operands('where', a, b);
  requireTensor('mask', mask, x.dtype);
  const shape = broadcastShape('where', mask.shape, broadcastShape('where', x.shape, z.shape));
  return record(
    'where',
    [x, z],
    () => {
      const [fullX, fullZ] = [expanded(x, shape), expanded(z, shape)];
      const [kept, dropped] = [binary('keep', fullX, mask), binary('drop', fullZ, mask)];
      const y = binary('add', kept, dropped);
      for (const each of [fullX, fullZ, kept, dropped]) each.release();
      return y;
    },
    (g, { needs }) => [
      needs[0] ? sumTo(binary('keep', g, mask), x.shape, true) : undefined,
      needs[1] ? sumTo(binary('drop', g, mask), z.shape, true) : undefined,
    ],
  );
}

/** A copy of a tensor with its repeated axes written out. */
function expanded(x: Tensor, shape: readonly number[]): Tensor {
  const y = empty(shape, x.dtype);
  copyBlock(
    x,
    y,
    shape,
    { start: 0, strides: broadcastStrides(x.shape, shape) },
    { start: 0, strides: stridesOf(shape) },
  );
  return y;
}

/**
 * A tensor of a larger shape, repeated along axes of size 1 and new leading ones.
 *
 * @throws RangeError (ERR_OUT_OF_RANGE) naming both shapes where they do not broadcast
 */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  requireTensor('x', x);
  const to = shapeOf('shape', shape);
  const full = broadcastShape('broadcastTo', x.shape, to);
  if (shapeText(full) !== shapeText(to))
    throw check.rangeError('shape', `one that ${shapeText(x.shape)} broadcasts to`, shapeText(to));
  return record(
    'broadcastTo',
    [x],
    () => expanded(x, to),
    (g) => [sumTo(g, x.shape)],
  );
}
