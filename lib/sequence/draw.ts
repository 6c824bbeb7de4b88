/** Choices made with a stream of random words. */
import type { Philox } from '../random.js';

/** An integer from 0 to n - 1, n at most 2^32; no one is more probable than another by more than n / 2^32. */
export function below(n: number, random: Philox): number {
  return Math.floor((random.uint32() / 2 ** 32) * n);
}

/** `count` different elements of a list in random order: the beginning of a Fisher-Yates shuffle of a copy. */
export function distinct(list: ArrayLike<number>, count: number, random: Philox): Int32Array {
  const all = Int32Array.from(list);
  for (let i = 0; i < count; i++) {
    const j = i + below(all.length - i, random);
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all.subarray(0, count);
}

/** first, first + 1, ..., end - 1. */
export function range(first: number, end: number): Int32Array {
  return Int32Array.from({ length: end - first }, (_, i) => first + i);
}
