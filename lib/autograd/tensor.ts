/**
 * Tensors: a shape over a row-major array, and the scopes that give arrays back to the pool.
 */
import * as check from '../check.js';
import { realType } from '../kernels/arguments.js';
import type { Reals } from '../kernels/arguments.js';
import { TapeError } from './errors.js';
import { Storage, take } from './pool.js';
import type { Real } from './pool.js';
import { backward } from './tape.js';
import type { Node } from './tape.js';

/** How a tensor is made. */
export interface TensorOptions {
  /** Sizes of the axes, outermost first; default: those of the nested data, or one axis for a typed array. */
  shape?: readonly number[];
  /** 'f32' (default) or 'f64'; that of the data where it is a typed array. */
  dtype?: Real;
  /** Whether gradients are wanted for it; default false. */
  requiresGrad?: boolean;
}

/** Numbers in lists, all lists of one level equally long. */
export type Nested = number | readonly Nested[];

/** Elements of a shape. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((size, each) => size * each, 1);

/** Checks the sizes of axes and returns a copy. */
export function shapeOf(name: string, shape: readonly number[]): number[] {
  if (!Array.isArray(shape)) throw check.typeError(name, 'a list of sizes', shape);
  return shape.map((each, i) => check.nonNegativeInteger(`${name}[${i}]`, each));
}

/** Whether two shapes are the same. */
export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a === b || (a.length === b.length && a.every((size, i) => size === b[i]));

/** How shapes read in messages. */
export const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

let made = 0;

/** How many tensors have been made so far: a later one has a higher serial. @internal */
export const tensorsMade = (): number => made;

/** Tensors made since the innermost scope began. */
let tracked: Tensor[] | undefined;

/**
 * A shape over a row-major array of float32 or float64 numbers, and its place in the graph. Ops never write to the array
 * of a tensor; what does (an optimiser, a caller) must do so between a backward pass and the next forward pass.
 */
export class Tensor {
  readonly shape: readonly number[];
  readonly dtype: Real;
  readonly size: number;
  /** What backward passes added up for a leaf. */
  grad: Tensor | undefined;
  /** Its number among all tensors. @internal */
  readonly serial = ++made;
  /** What made it; undefined for leaves. @internal */
  node: Node | undefined;
  /** Which of the outputs of `node` it is. @internal */
  index = 0;
  /** Not given back by scopes: the gradients of leaves. @internal */
  held = false;
  #wanted: boolean;
  #storage: Storage | undefined;

  /** @internal */
  constructor(storage: Storage, shape: readonly number[], requiresGrad = false) {
    this.shape = shape;
    this.size = storage.data.length;
    this.dtype = storage.data instanceof Float64Array ? 'f64' : 'f32';
    this.#storage = storage;
    this.#wanted = requiresGrad;
    tracked?.push(this);
  }

  /** @internal */
  get storage(): Storage {
    if (this.#storage === undefined) {
      throw new TapeError(
        'ERR_RELEASED',
        `a tensor of shape ${shapeText(this.shape)} was used after its memory went back to the pool: ` +
          'return it from its scope, or copy its data',
      );
    }
    return this.#storage;
  }

  /** The elements, row-major: the tensor's own memory, in a buffer that may hold others too (never transfer it). */
  get data(): Reals {
    return this.storage.data;
  }

  /** Whether its memory has gone back to the pool. */
  get released(): boolean {
    return this.#storage === undefined;
  }

  /** Whether gradients reach it: settable for leaves. */
  get requiresGrad(): boolean {
    return this.#wanted || this.node !== undefined;
  }

  set requiresGrad(wanted: boolean) {
    if (this.node !== undefined && !wanted)
      throw check.rangeError('requiresGrad', 'true for a result of ops (detach() gives one without)', wanted);
    this.#wanted = check.boolean('requiresGrad', wanted);
  }

  /** The number of a tensor of one element. */
  item(): number {
    if (this.size !== 1) throw check.rangeError('tensor', 'of one element', `shape ${shapeText(this.shape)}`);
    return this.data[0];
  }

  /** As `backward(this, gradient)`. */
  backward(gradient?: Tensor): void {
    backward(this, gradient);
  }

  /** A leaf over the same memory, without history. */
  detach(): Tensor {
    return share(this);
  }

  /** Gives the memory back to the pool before its scope ends, or without one; the tensor cannot be used afterwards. */
  release(): void {
    this.#storage?.release();
    this.#storage = undefined;
  }

  /** Shape and the first elements. */
  toString(): string {
    if (this.released) return `Tensor(${this.dtype}, ${shapeText(this.shape)}, released)`;
    const shown = Array.from(this.data.subarray(0, 8), (x) => String(Number(x.toPrecision(6))));
    const rest = this.size > 8 ? ', ...' : '';
    return `Tensor(${this.dtype}, ${shapeText(this.shape)}, ${shown.join(', ')}${rest})`;
  }
}

/** A tensor of another shape over the same memory, without history. */
export function share(x: Tensor, shape: readonly number[] = x.shape): Tensor {
  const { storage } = x;
  storage.uses += 1;
  return new Tensor(storage, shape);
}

/** A tensor whose elements are yet to be written: what ops fill. */
export function empty(shape: readonly number[], dtype: Real): Tensor {
  return new Tensor(new Storage(take(dtype, sizeOf(shape)), true), shape);
}

/** Checks that a value is a tensor whose memory is its own still, of a type where one is asked. */
export function requireTensor(name: string, x: unknown, dtype?: Real): Tensor {
  if (!(x instanceof Tensor)) throw check.typeError(name, 'a Tensor', x);
  if (x.released) void x.data;
  if (dtype !== undefined && x.dtype !== dtype)
    throw check.typeError(name, `of type '${dtype}'`, `a '${x.dtype}' tensor`);
  return x;
}

function nestedShape(data: Nested): number[] {
  const shape: number[] = [];
  for (let at = data; Array.isArray(at); at = (at as readonly Nested[])[0] ?? 0) {
    shape.push(at.length);
    if (at.length === 0) break;
  }
  return shape;
}

function flatten(data: Nested, shape: readonly number[], level: number, out: Reals, start: number): number {
  if (typeof data === 'number') {
    if (level !== shape.length)
      throw check.rangeError('data', `lists nested as ${shapeText(shape)} says`, data);
    out[start] = data;
    return start + 1;
  }
  if (!Array.isArray(data)) throw check.typeError('data', 'numbers, in lists', data);
  if (data.length !== shape[level])
    throw check.rangeError(
      'data',
      `lists nested as ${shapeText(shape)} says`,
      `one of length ${data.length}`,
    );
  let at = start;
  for (const each of data as readonly Nested[]) at = flatten(each, shape, level + 1, out, at);
  return at;
}

/**
 * A leaf. A typed array is not copied: the tensor is a view of it.
 *
 * @param data a Float32Array or Float64Array, row-major; or a number; or numbers in nested lists
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) where data and shape do not agree
 *
 * @example
 * const w = tensor([[1, 2], [3, 4]], { requiresGrad: true });
 */
export function tensor(data: Reals | Nested, options?: TensorOptions): Tensor {
  const o = check.options(options);
  const requiresGrad = check.boolean('requiresGrad', o.requiresGrad ?? false);
  if (o.dtype !== undefined) check.oneOf('dtype', o.dtype, ['f32', 'f64']);
  let array: Reals;
  let shape: number[];
  let pooled = false;
  if (ArrayBuffer.isView(data)) {
    const type = realType('data', data);
    if (o.dtype !== undefined && o.dtype !== type)
      throw check.rangeError('dtype', `'${type}', that of the data`, o.dtype);
    array = data;
    shape = o.shape === undefined ? [data.length] : shapeOf('shape', o.shape);
  } else {
    const nested = nestedShape(data);
    shape = o.shape === undefined ? nested : shapeOf('shape', o.shape);
    array = take(o.dtype ?? 'f32', sizeOf(nested));
    pooled = true;
    flatten(data, nested, 0, array, 0);
  }
  if (array.length !== sizeOf(shape))
    throw check.rangeError('shape', `of ${array.length} elements, those of the data`, shapeText(shape));
  return new Tensor(new Storage(array, pooled), shape, requiresGrad);
}

/**
 * Every tensor in a value: itself, or in lists, maps and plain objects, however deep.
 *
 * @internal
 */
export function tensorsIn(value: unknown, found = new Set<Tensor>(), seen = new Set<unknown>()): Set<Tensor> {
  if (value instanceof Tensor) found.add(value);
  else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !seen.has(value)) {
    seen.add(value);
    const inside: Iterable<unknown> =
      value instanceof Map ? value.values() : value instanceof Set ? value : Object.values(value);
    for (const each of inside) tensorsIn(each, found, seen);
  }
  return found;
}

/** Adds what the graphs behind tensors still need. */
function withHistory(tensors: Set<Tensor>): Set<Tensor> {
  for (const each of tensors) {
    // A set's iteration comes to what is added meanwhile.
    if (each.grad) tensors.add(each.grad);
    if (each.node) for (const held of each.node.tensors()) tensors.add(held);
  }
  return tensors;
}

/**
 * Runs a function and gives the memory of the tensors made inside back to the pool, except those in what it returns (a
 * tensor, or lists, maps and objects of them), what their graphs need, and the gradients of leaves. A step of training in
 * a scope allocates nothing once the first step has filled the pool. Using a tensor of a scope that has ended is a
 * TapeError (ERR_RELEASED).
 *
 * @param fn not asynchronous
 * @example
 * const loss = scope(() => {
 *   const value = crossEntropy(model(x), y);
 *   value.backward();
 *   return value.item();
 * });
 */
export function scope<T>(fn: () => T): T {
  const outer = tracked;
  const mine: Tensor[] = [];
  tracked = mine;
  let kept = new Set<Tensor>();
  try {
    const result = fn();
    if (result instanceof Promise) throw check.typeError('fn', 'a function that is not asynchronous', result);
    kept = withHistory(tensorsIn(result));
    return result;
  } finally {
    tracked = outer;
    for (const each of mine) {
      if (kept.has(each)) outer?.push(each);
      else if (!each.held) each.release();
    }
  }
}
