/**
 * The pool of buffers: a training step asks for arrays of the same lengths again and again, and gets those that the step
 * before gave back, so that memory does not grow and nothing is zeroed or collected on the way.
 */
import * as check from '../check.js';
import type { Reals } from '../kernels/arguments.js';
import { largeArray } from '../large-array.js';

/** Element types of tensors. */
export type Real = 'f32' | 'f64';

/** Arrays that wait for use, by type and length; lengths that were used last come last. */
const waiting = new Map<string, Reals[]>();
let waitingBytes = 0;
let mostWaitingBytes = 2 ** 30;

/**
 * Arrays of a middling size are cut from slabs, which lie on large pages of memory where the system has them: a training
 * step walks through a hundred of them, and would wait for address translation on ordinary pages.
 */
const SLAB_BYTES = 16 * 2 ** 20;
const SLAB_FROM = 2 ** 16;
const SLAB_TO = 4 * 2 ** 20;
/** Between two arrays of a slab, so that the same index of two arrays does not fall on the same place of a page. */
const GAP_BYTES = 5 * 64;

let slab: Uint8Array | undefined;
let slabUsed = 0;

function fresh(dtype: Real, length: number): Reals {
  const kind = dtype === 'f64' ? Float64Array : Float32Array;
  const bytes = length * kind.BYTES_PER_ELEMENT;
  if (bytes < SLAB_FROM || bytes > SLAB_TO)
    return largeArray<Float32ArrayConstructor | Float64ArrayConstructor>(kind, length);
  if (slab === undefined || slabUsed + bytes > SLAB_BYTES) {
    slab = largeArray(Uint8Array, SLAB_BYTES);
    slabUsed = 0;
  }
  const array = new kind(slab.buffer as ArrayBuffer, slab.byteOffset + slabUsed, length);
  slabUsed += Math.ceil(bytes / 64) * 64 + GAP_BYTES;
  return array;
}

/** An array of `length` elements whose contents are whatever they are. Its buffer may be shared with others. */
export function take(dtype: Real, length: number): Reals {
  const found = waiting.get(`${dtype}${length}`)?.pop();
  if (found === undefined) return fresh(dtype, length);
  waitingBytes -= found.byteLength;
  return found;
}

/** Hands an array back; the lengths not used for longest are dropped where too much waits. */
export function give(array: Reals): void {
  if (array.length === 0) return;
  const key = `${array instanceof Float64Array ? 'f64' : 'f32'}${array.length}`;
  const list = waiting.get(key) ?? [];
  waiting.delete(key);
  waiting.set(key, list);
  list.push(array);
  waitingBytes += array.byteLength;
  for (const [oldest, arrays] of waiting) {
    if (waitingBytes <= mostWaitingBytes) break;
    for (const each of arrays) waitingBytes -= each.byteLength;
    waiting.delete(oldest);
  }
}

/** Bytes of the pool that wait for use. */
export const pooledBytes = (): number => waitingBytes;

/**
 * Bounds the bytes that wait in the pool (default 1 GiB) and drops what is above; 0 empties it.
 *
 * @param bytes at least 0
 */
export function limitPool(bytes: number): void {
  if (typeof bytes !== 'number') throw check.typeError('bytes', 'a number', bytes);
  if (!(bytes >= 0)) throw check.rangeError('bytes', 'a number >= 0', bytes);
  mostWaitingBytes = bytes;
  if (waitingBytes <= bytes) return;
  slab = undefined;
  waiting.clear();
  waitingBytes = 0;
}

/** An array and how many tensors look at it: a reshaped tensor shares that of its source. */
export class Storage {
  uses = 1;

  /**
   * @param data the array
   * @param pooled whether it came from the pool; a caller's own array never goes there
   */
  constructor(
    readonly data: Reals,
    readonly pooled: boolean,
  ) {}

  /** One tensor less looks at it. */
  release(): void {
    this.uses -= 1;
    if (this.uses === 0 && this.pooled) give(this.data);
  }
}
