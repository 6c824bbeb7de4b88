/**
 * The accuracy that the kernels promise, as functions of what the error grows with: d = |x_i - mu| / T,
 * the distance of a logit from the maximum. Forms that subtract the maximum first round x_i - mu, which
 * costs up to half a unit in the last place of d; the pair form (two-pass) does not.
 */
import type { Tolerance } from './compare.js';
import { maximum } from '../reference/softmax.js';

/** Smallest normal float32: results below it may be flushed to zero. */
const SMALLEST_NORMAL = 1.2e-38;

/** Distances d_i of a row. */
function distances(x: ArrayLike<number>, temperature: number): Float64Array {
  const max = maximum(x);
  return new Float64Array(x.length).map((_, i) => Math.abs(x[i] - max) / temperature);
}

/** Largest finite |x_i / T| of a row. */
function largest(x: ArrayLike<number>, temperature: number): number {
  let result = 0;
  for (let i = 0; i < x.length; i += 1) {
    if (Number.isFinite(x[i])) result = Math.max(result, Math.abs(x[i] / temperature));
  }
  return result;
}

/** Probabilities in float32: 1.5e-6 + 2.4e-7 d relative; two-pass 1.5e-6 flat while |x / T| <= 1e5. */
export function softmaxTolerance(x: ArrayLike<number>, temperature = 1, algorithm = 'auto'): Tolerance {
  const d = distances(x, temperature);
  const flat = algorithm === 'two-pass' && largest(x, temperature) <= 1e5;
  return (i, p) =>
    (1.5e-6 + (flat || !Number.isFinite(d[i]) ? 0 : 2.4e-7 * d[i])) * Math.abs(p) + SMALLEST_NORMAL;
}

/** Log-probabilities in float32: 2e-6 + 2.4e-7 (|value| + d) absolute. */
export function logSoftmaxTolerance(x: ArrayLike<number>, temperature = 1): Tolerance {
  const d = distances(x, temperature);
  return (i, value) => 2e-6 + 2.4e-7 * (Math.abs(value) + d[i]);
}

/** Log-sum-exp of float32 rows: 2e-6 + 1e-9 |value| absolute, since some values are near 0. */
export function logSumExpTolerance(value: number): number {
  return 2e-6 + 1e-9 * Math.abs(value);
}

/** Losses of float32 rows: 2e-6 max(1, |loss|) absolute. */
export function lossTolerance(loss: number): number {
  return 2e-6 * Math.max(1, Math.abs(loss));
}

/** Gradients in float32: 1e-6 max(1, max |g|) absolute. */
export function gradientTolerance(gradient: ArrayLike<number>): Tolerance {
  let scale = 1;
  for (let i = 0; i < gradient.length; i += 1) scale = Math.max(scale, Math.abs(gradient[i]));
  return () => 1e-6 * scale;
}

/** Results in float64: a few roundings, growing with the distance as exp does. */
export function float64Tolerance(x: ArrayLike<number>, temperature = 1): Tolerance {
  const d = distances(x, temperature);
  return (i, value) => (4e-15 + (Number.isFinite(d[i]) ? 4.5e-16 * d[i] : 0)) * Math.abs(value) + 2.3e-308;
}

/** Entropies of float32 rows: 4e-6 (1 + H) absolute, whatever the offset of the row. */
export function entropyTolerance(value: number): number {
  return 4e-6 * (1 + value);
}
