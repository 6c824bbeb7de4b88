/** What a decode step does beside products and attention, row by row in plain float64. */
import { silu } from './activations.js';
import { sumOver } from './sums.js';

export { gelu } from './activations.js';

/** Applies a function to each row of `cols` elements. */
function eachRow(
  x: ArrayLike<number>,
  cols: number,
  normed: (row: Float64Array) => Float64Array,
): Float64Array {
  const all = Float64Array.from(x);
  for (let at = 0; at < all.length; at += cols) all.set(normed(all.slice(at, at + cols)), at);
  return all;
}

/** x / sqrt(mean(x^2) + eps) * w for each row of w.length elements. */
export function rmsNorm(x: ArrayLike<number>, w: ArrayLike<number>, eps: number): Float64Array {
  return eachRow(x, w.length, (row) => {
    const square = sumOver(row.length, (i) => row[i] ** 2) / row.length;
    return row.map((value, i) => (value / Math.sqrt(square + eps)) * w[i]);
  });
}

/** (x - mean) / sqrt(variance + eps) * w + b for each row, with the variance of the row itself (not of a sample). */
export function layerNorm(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  b: ArrayLike<number>,
  eps: number,
): Float64Array {
  return eachRow(x, w.length, (row) => {
    const mean = sumOver(row.length, (i) => row[i]) / row.length;
    const variance = sumOver(row.length, (i) => (row[i] - mean) ** 2) / row.length;
    return row.map((value, i) => ((value - mean) / Math.sqrt(variance + eps)) * w[i] + b[i]);
  });
}

/** silu(gate) * up, element by element. */
export function swiglu(gate: ArrayLike<number>, up: ArrayLike<number>): Float64Array {
  return new Float64Array(gate.length).map((_, i) => silu(gate[i]) * up[i]);
}
