/**
 * Plain JavaScript contenders for the two products of a decode step: what a careful programmer writes without a library.
 * Sums are kept in float64 (every number of JavaScript is one), four at a time where a chain of additions would bind, and
 * nothing is allocated.
 */

/** Sum of products of `length` elements of `x` from `i` on and of `y` from `j` on. */
function dot(x: Float32Array, i: number, y: Float32Array, j: number, length: number): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = length - (length % 4);
  for (let t = 0; t < whole; t += 4) {
    a += x[i + t] * y[j + t];
    b += x[i + t + 1] * y[j + t + 1];
    c += x[i + t + 2] * y[j + t + 2];
    d += x[i + t + 3] * y[j + t + 3];
  }
  for (let t = whole; t < length; t++) a += x[i + t] * y[j + t];
  return a + b + (c + d);
}

/**
 * y = a w^T for the first `rows` rows of w: y[i, j] = <a_i, w_j>. Each row of w is read once and multiplied with all rows
 * of a.
 *
 * @param a [m, k]
 * @param w [n, k]
 * @param y [m, n], of which the first `rows` columns are written
 */
export function gemmJavaScript(
  a: Float32Array,
  w: Float32Array,
  { m, n, k, rows = n }: { m: number; n: number; k: number; rows?: number },
  y: Float32Array,
): void {
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < m; i++) y[i * n + j] = dot(a, i * k, w, j * k, k);
  }
}

/** Sizes of attention of one query token. */
export interface AttentionSizes {
  kvHeads: number;
  /** Query heads that share keys and values. */
  group: number;
  headDim: number;
  /** Tokens in the cache. */
  length: number;
}

/**
 * out = softmax(q keys^T / sqrt(headDim)) values for the first `heads` heads of the cache, one query token.
 *
 * @param q [kvHeads, group, headDim]
 * @param keys [kvHeads, length, headDim], values likewise
 * @param out like q
 * @param scores scratch of at least `length` numbers
 */
export function attentionJavaScript(
  q: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  { kvHeads, group, headDim, length, heads = kvHeads }: AttentionSizes & { heads?: number },
  out: Float32Array,
  scores: Float64Array,
): void {
  const scale = 1 / Math.sqrt(headDim);
  const sum = new Float64Array(headDim);
  for (let head = 0; head < heads; head++) {
    const base = head * length * headDim;
    for (let row = head * group; row < (head + 1) * group; row++) {
      let max = -Infinity;
      for (let t = 0; t < length; t++) {
        const score = scale * dot(q, row * headDim, keys, base + t * headDim, headDim);
        scores[t] = score;
        if (score > max) max = score;
      }
      sum.fill(0);
      let total = 0;
      for (let t = 0; t < length; t++) {
        const weight = Math.exp(scores[t] - max);
        total += weight;
        const at = base + t * headDim;
        for (let d = 0; d < headDim; d++) sum[d] += weight * values[at + d];
      }
      for (let d = 0; d < headDim; d++) out[row * headDim + d] = sum[d] / total;
    }
  }
}
