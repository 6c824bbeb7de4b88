/** What the tests of recurrences share: numbers, tolerances of the specification, central differences. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Philox } from '../../lib/index.js';
import { expectClose } from './compare.js';

/** Both real types. */
export const REALS = [
  { type: 'f32' as const, Kind: Float32Array },
  { type: 'f64' as const, Kind: Float64Array },
];
export type RealType = (typeof REALS)[number]['type'];

/** An array of a fixture: numbers in row-major order. */
export interface Stored {
  shape: number[];
  complex?: boolean;
  data: number[];
}

/** A file of test/fixtures/selective-scan. */
export function scanFixture<T>(name: string): T {
  const path = join(__dirname, '..', 'fixtures', 'selective-scan', `${name}.json`);
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

/** A source of normal float32 numbers, which are exact in float64 too. */
export function numbers(seed: number): (length: number, scale?: number, shift?: number) => Float64Array {
  const random = new Philox(seed);
  return (length, scale = 1, shift = 0) => {
    const drawn = random.normal(new Float32Array(length));
    return Float64Array.from(drawn, (value) => Math.fround(value * scale + shift));
  };
}

/** Largest magnitude, at least 1: what errors are measured against. */
export function scaleOf(expected: ArrayLike<number>): number {
  let scale = 1;
  for (let i = 0; i < expected.length; i += 1)
    if (Number.isFinite(expected[i])) scale = Math.max(scale, Math.abs(expected[i]));
  return scale;
}

/** Relative tolerances of the specification, section 6, scaled by the largest magnitude. */
export const TOLERANCES = { values: { f32: 2e-6, f64: 1e-12 }, gradients: { f32: 2e-5, f64: 1e-11 } };

/** Fails unless every value is within the tolerance of its kind. */
export function expectScaled(
  actual: ArrayLike<number> | undefined,
  expected: ArrayLike<number>,
  type: RealType,
  kind: keyof typeof TOLERANCES,
  label: string,
): void {
  const allowed = TOLERANCES[kind][type] * scaleOf(expected);
  expectClose(actual ?? [], expected, () => allowed, label);
}

/** d f / d x by central differences with a step of 1e-5, for every element of x. */
export function differences(x: Float64Array, f: (x: Float64Array) => number): Float64Array {
  return x.map((_, i) => {
    const at = (step: number): number => f(x.map((value, j) => (i === j ? value + step : value)));
    return (at(1e-5) - at(-1e-5)) / 2e-5;
  });
}

/** Sum of products. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}

/** Fails unless float64 gradients agree with central differences, 1e-6 of the largest magnitude. */
export function expectGradient(
  actual: ArrayLike<number> | undefined,
  x: Float64Array,
  f: (x: Float64Array) => number,
  label: string,
): void {
  const expected = differences(x, f);
  expectClose(actual ?? [], expected, () => 1e-6 * scaleOf(expected), label);
}

/** The arrays of a record in another type. */
export function converted<T extends Record<string, Float64Array | undefined>>(
  arrays: T,
  Kind: Float32ArrayConstructor | Float64ArrayConstructor,
): { [K in keyof T]: Float32Array | Float64Array } {
  return Object.fromEntries(
    Object.entries(arrays).flatMap(([name, array]) => (array ? [[name, Kind.from(array)]] : [])),
  ) as { [K in keyof T]: Float32Array | Float64Array };
}
