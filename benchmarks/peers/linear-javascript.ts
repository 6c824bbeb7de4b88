/** Plain JavaScript of causal linear attention: what a careful programmer writes without a library. */

/**
 * Token by token with elu(x) + 1 as the feature map, divided by the sum of weights. Sums are kept in float64; the state is
 * updated and read in one pass.
 *
 * @param q [length, dim]
 * @param k [length, dim]
 * @param v [length, valueDim]
 * @param out [length, valueDim]
 */
export function linearAttentionJavaScript(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  { length, dim, valueDim }: { length: number; dim: number; valueDim: number },
  out: Float32Array,
): void {
  const state = new Float64Array(dim * valueDim);
  const sums = new Float64Array(dim);
  const y = new Float64Array(valueDim);
  for (let t = 0; t < length; t++) {
    y.fill(0);
    let total = 0;
    for (let f = 0; f < dim; f++) {
      const [x, z] = [k[t * dim + f], q[t * dim + f]];
      const key = x > 0 ? x + 1 : Math.exp(x);
      const query = z > 0 ? z + 1 : Math.exp(z);
      sums[f] += key;
      total += query * sums[f];
      for (let j = 0, at = f * valueDim; j < valueDim; j++, at++) {
        state[at] += key * v[t * valueDim + j];
        y[j] += query * state[at];
      }
    }
    for (let j = 0; j < valueDim; j++) out[t * valueDim + j] = y[j] / total;
  }
}
