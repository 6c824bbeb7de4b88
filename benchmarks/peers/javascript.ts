/**
 * The plain JavaScript contender: what a careful programmer writes without a library. The maximum is subtracted, the sum
 * is kept in float64 (every number of JavaScript is one), each element costs one `Math.exp`, and nothing is allocated.
 */

type FloatArray = Float32Array | Float64Array;

/** Softmax of `rows` rows of `cols` contiguous elements of `x`, written to `out`. */
export function softmaxJavaScript(x: FloatArray, rows: number, cols: number, out: FloatArray): void {
  for (let start = 0; start < rows * cols; start += cols) {
    const end = start + cols;
    let max = -Infinity;
    for (let i = start; i < end; i++) if (x[i] > max) max = x[i];
    let sum = 0;
    for (let i = start; i < end; i++) {
      const e = Math.exp(x[i] - max);
      out[i] = e;
      sum += e;
    }
    const scale = 1 / sum;
    for (let i = start; i < end; i++) out[i] *= scale;
  }
}

/** ln(sum of exp) of each of `rows` rows of `cols` contiguous elements of `x`, written to `out`. */
export function logSumExpJavaScript(x: FloatArray, rows: number, cols: number, out: Float64Array): void {
  for (let row = 0; row < rows; row++) {
    const start = row * cols;
    const end = start + cols;
    let max = -Infinity;
    for (let i = start; i < end; i++) if (x[i] > max) max = x[i];
    let sum = 0;
    for (let i = start; i < end; i++) sum += Math.exp(x[i] - max);
    out[row] = max + Math.log(sum);
  }
}

/** Cross-entropy -ln p[target] of each row, in nats, written to `out`. */
export function crossEntropyJavaScript(
  x: FloatArray,
  rows: number,
  cols: number,
  targets: Int32Array,
  out: Float64Array,
): void {
  logSumExpJavaScript(x, rows, cols, out);
  for (let row = 0; row < rows; row++) out[row] -= x[row * cols + targets[row]];
}
