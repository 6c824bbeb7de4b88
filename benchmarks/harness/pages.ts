/**
 * Arrays on large pages, as a service that wants speed allocates what it streams through, and the account of which memory
 * a call reads: the two are read at different rates (`readGBps`, `readLargeGBps`).
 */
import { largeArray } from '../../lib/index.js';
import type { Work } from './question.js';

/** Arrays of weights, keys and values. */
export type Stream = Float32Array | Uint16Array | Int8Array;

/** `largeArray` takes large pages from this many bytes on; smaller arrays lie in ordinary memory. */
const LARGE_FROM = 4 * 2 ** 20;

/** Zeros of the kind of another array, on large pages where they are many. */
export function largeLike<T extends Stream>(like: T, length: number): T {
  if (like instanceof Float32Array) return largeArray(Float32Array, length) as T;
  return (like instanceof Int8Array ? largeArray(Int8Array, length) : largeArray(Uint16Array, length)) as T;
}

/** A copy on large pages where it is large. */
export function largeCopy<T extends Stream>(x: T): T {
  const copy = largeLike(x, x.length);
  copy.set(x);
  return copy;
}

/**
 * What `times` readings of arrays that `largeArray` made cost memory: those of 4 MiB and more lie on large pages.
 *
 * @param arrays bytes of each
 */
export function readsOf(arrays: readonly number[], times = 1): NonNullable<Work['memory']> {
  const total = (list: readonly number[]): number => times * list.reduce((sum, bytes) => sum + bytes, 0);
  return {
    readBytes: total(arrays.filter((bytes) => bytes < LARGE_FROM)),
    largeBytes: total(arrays.filter((bytes) => bytes >= LARGE_FROM)),
    copyBytes: 0,
  };
}
