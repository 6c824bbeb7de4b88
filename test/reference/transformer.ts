/** What a decode step does beside products and attention, row by row in plain float64. */
import { silu } from './activations.js';
import { sumOver } from './sums.js';

export { gelu } from './activations.js';

/** x / sqrt(mean(x^2) + eps) * w for each row of w.length elements. */
export function rmsNorm(x: ArrayLike<number>, w: ArrayLike<number>, eps: number): Float64Array {
  const cols = w.length;
  return new Float64Array(x.length).map((_, at) => {
    const start = Math.floor(at / cols) * cols;
    const square = sumOver(cols, (i) => x[start + i] ** 2);
    return (x[at] / Math.sqrt(square / cols + eps)) * w[at - start];
  });
}

/** (x - mean) / sqrt(variance + eps) * w + b for each row, with the variance of the row itself (not of a sample). */
export function layerNorm(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  b: ArrayLike<number>,
  eps: number,
): Float64Array {
  const cols = w.length;
  return new Float64Array(x.length).map((_, at) => {
    const start = Math.floor(at / cols) * cols;
    const mean = sumOver(cols, (i) => x[start + i]) / cols;
    const variance = sumOver(cols, (i) => (x[start + i] - mean) ** 2) / cols;
    return ((x[at] - mean) / Math.sqrt(variance + eps)) * w[at - start] + b[at - start];
  });
}

/** silu(gate) * up, element by element. */
export function swiglu(gate: ArrayLike<number>, up: ArrayLike<number>): Float64Array {
  return new Float64Array(gate.length).map((_, i) => silu(gate[i]) * up[i]);
}
