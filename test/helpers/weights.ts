import { type WeightType, widenWeights } from '../reference/gemm.js';
import { narrow } from '../reference/convert.js';
import { memo } from './memo.js';
import { integers, normalRow, uniformRow } from './rows.js';

/** Stored weights w[n, k], the scales of int8 rows, and what they are worth. */
export interface Weights {
  w: Float32Array | Uint16Array | Int8Array;
  scales?: Float32Array;
  values: Float64Array;
}

/** Random weights of a storage type, the same ones for the same shape. They must not be written to. */
export const randomWeights = memo((n: number, k: number, type: WeightType): Weights => {
  const count = n * k;
  const stream = 31 * n + k;
  if (type === 'int8') {
    const w = Int8Array.from(integers(count, 255, stream), (value) => value - 127);
    const scales = uniformRow(n, 0.001, 0.02, stream + 1);
    return { w, scales, values: widenWeights(w, k, type, scales) };
  }
  const normal = normalRow(count, 1, stream);
  const w = type === 'f32' ? normal : narrow(normal, type);
  return { w, values: widenWeights(w, k, type) };
});

/** Random activations a[m, k]; the first rows of a taller matrix are those of a shorter one. */
export const randomActivations = memo((m: number, k: number): Float32Array => {
  const a = new Float32Array(m * k);
  for (let row = 0; row < m; row += 1) a.set(normalRow(k, 1, 900_000 + 1000 * k + row), row * k);
  return a;
});
