/**
 * y[m, n] = activation(a[m, k] w[n, k]^T + bias[n]) + residual[m, n] in plain float64, for weights of every storage
 * type, widened exactly: the yardstick of the GEMM tests. Nothing here shares code with the package.
 */
import { gelu, geluTanh, silu } from './activations.js';
import { type HalfName, widen } from './convert.js';

/** Storage of weights. */
export type WeightType = 'f32' | HalfName | 'int8';

/** All of them. */
export const WEIGHT_TYPES: readonly WeightType[] = ['f32', 'bf16', 'f16', 'int8'];

/** What is applied to the product plus bias. */
export const ACTIVATIONS = {
  none: (z: number) => z,
  silu,
  gelu,
  'gelu-tanh': geluTanh,
  relu: (z: number) => (z < 0 ? 0 : z),
} as const satisfies Record<string, (z: number) => number>;

/** Name of an activation. */
export type Activation = keyof typeof ACTIVATIONS;

/** Stored weights w[n, k] as numbers: int8 times the scale of its row. */
export function widenWeights(
  w: ArrayLike<number>,
  k: number,
  type: WeightType,
  scales?: ArrayLike<number>,
): Float64Array {
  if (type === 'f32') return Float64Array.from(w);
  if (type !== 'int8') return widen(w, type);
  if (scales === undefined) throw new Error('int8 weights need scales');
  return new Float64Array(w.length).map((_, i) => w[i] * scales[Math.floor(i / k)]);
}

/** Shape and what is done beside the product. */
export interface GemmOptions {
  m: number;
  n: number;
  k: number;
  bias?: ArrayLike<number>;
  residual?: ArrayLike<number>;
  activation?: Activation;
}

/** The result, and what its rounding errors are in proportion to. */
export interface GemmResult {
  y: Float64Array;
  /** sum_k |a||w| + |bias| + |residual| of each element. */
  absSum: Float64Array;
}

/** The product of a and weights that have been widened. */
export function gemm(a: ArrayLike<number>, w: ArrayLike<number>, o: GemmOptions): GemmResult {
  const { m, n, k, bias, residual, activation = 'none' } = o;
  const y = new Float64Array(m * n);
  const absSum = new Float64Array(m * n);
  for (let i = 0; i < m; i += 1) {
    for (let j = 0; j < n; j += 1) {
      let [sum, size] = [0, 0];
      for (let c = 0; c < k; c += 1) {
        const term = a[i * k + c] * w[j * k + c];
        sum += term;
        size += Math.abs(term);
      }
      const at = i * n + j;
      const z = sum + (bias ? bias[j] : 0);
      y[at] = ACTIVATIONS[activation](z) + (residual ? residual[at] : 0);
      absSum[at] = size + Math.abs(bias ? bias[j] : 0) + Math.abs(residual ? residual[at] : 0);
    }
  }
  return { y, absSum };
}
