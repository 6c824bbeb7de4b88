import { Philox } from '../../lib/random.js';

/** `count` float32 numbers uniform in [low, high), the same ones for the same stream. */
export function uniformRow(count: number, low: number, high: number, stream: number): Float32Array {
  const x = new Float32Array(count);
  new Philox(20200107, stream).uniform(x, low, high);
  return x;
}

/** `count` float32 numbers from a normal distribution of the given deviation. */
export function normalRow(count: number, deviation: number, stream: number): Float32Array {
  const x = new Float32Array(count);
  new Philox(20200107, stream).normal(x);
  return x.map((value) => value * deviation);
}

/** `count` float64 numbers from a normal distribution of the given deviation. */
export function normalRow64(count: number, deviation: number, stream: number): Float64Array {
  const x = new Float64Array(count);
  new Philox(20200107, stream).normal(x);
  return x.map((value) => value * deviation);
}

/** Integers in [0, below), the same ones for the same stream. */
export function integers(count: number, below: number, stream: number): Int32Array {
  return Int32Array.from(uniformRow(count, 0, below, stream), (value) =>
    Math.min(Math.floor(value), below - 1),
  );
}

/** What arrays are filled with before a call that must not touch them. */
export const POISON = 12345.678;

/** A copy of `x` that starts `offset` elements into a larger buffer, poisoned outside. */
export function shifted(x: Float32Array, offset: number): { view: Float32Array; whole: Float32Array } {
  const whole = new Float32Array(x.length + offset + 16).fill(POISON);
  const view = whole.subarray(offset, offset + x.length);
  view.set(x);
  return { view, whole };
}

/** Whether every element outside [start, end) still is the poison. */
export function untouchedOutside(whole: Float32Array, start: number, end: number): boolean {
  const poison = Math.fround(POISON);
  return whole.every((value, i) => (i >= start && i < end) || value === poison);
}
