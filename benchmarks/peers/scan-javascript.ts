/**
 * Plain JavaScript contenders for scans: what a careful programmer writes without a library, one channel after the other,
 * its states in an array that stays in the cache, sums in float64, nothing allocated.
 */

/** Arrays of a scan of one sequence; u, delta and z hold channels of `length` steps. */
export interface PlainScan {
  u: Float32Array;
  delta: Float32Array;
  /** [dim, state] */
  A: Float32Array;
  /** [length, state] */
  B: Float32Array;
  C: Float32Array;
  /** With these, softplus, skip and gate take part. */
  gate?: { D: Float32Array; z: Float32Array; deltaBias: Float32Array };
}

/** Writes the first `channels` channels of the result, [channels, length]. */
export function scanJavaScript(
  { u, delta, A, B, C, gate }: PlainScan,
  { channels, length, state }: { channels: number; length: number; state: number },
  out: Float32Array,
): void {
  const h = new Float64Array(state);
  for (let d = 0; d < channels; d++) {
    h.fill(0);
    for (let t = 0; t < length; t++) {
      const at = d * length + t;
      let s = delta[at];
      if (gate) {
        s += gate.deltaBias[d];
        if (s <= 20) s = Math.log1p(Math.exp(s));
      }
      const x = s * u[at];
      let y = gate ? gate.D[d] * u[at] : 0;
      for (let n = 0; n < state; n++) {
        h[n] = Math.exp(s * A[d * state + n]) * h[n] + x * B[t * state + n];
        y += h[n] * C[t * state + n];
      }
      out[at] = gate ? (y * gate.z[at]) / (1 + Math.exp(-gate.z[at])) : y;
    }
  }
}

/** Arrays of a decode step. */
export interface PlainStep {
  x: Float32Array;
  dt: Float32Array;
  A: Float32Array;
  B: Float32Array;
  C: Float32Array;
  D: Float32Array;
  z: Float32Array;
  dtBias: Float32Array;
}

/** One step of the first `rows` rows: state [rows, dim, n] in place, out [rows, dim]. */
export function stepJavaScript(
  state: Float32Array,
  { x, dt, A, B, C, D, z, dtBias }: PlainStep,
  { rows, dim, n }: { rows: number; dim: number; n: number },
  out: Float32Array,
): void {
  for (let row = 0; row < rows; row++) {
    for (let d = 0; d < dim; d++) {
      const at = row * dim + d;
      const r = dt[at] + dtBias[d];
      const s = r > 20 ? r : Math.log1p(Math.exp(r));
      let y = D[d] * x[at];
      for (let k = 0; k < n; k++) {
        const h = Math.exp(s * A[d * n + k]) * state[at * n + k] + s * x[at] * B[row * n + k];
        state[at * n + k] = h;
        y += h * C[row * n + k];
      }
      out[at] = (y * z[at]) / (1 + Math.exp(-z[at]));
    }
  }
}

/** Arrays of the scan of Mamba-2: x and dt hold channels, and heads, of `length` steps. */
export interface PlainSsd {
  x: Float32Array;
  dt: Float32Array;
  /** One for each head. */
  A: Float32Array;
  /** [length, state] */
  B: Float32Array;
  C: Float32Array;
}

/** Writes the first `channels` channels of the result, [channels, length]; heads have `headDim` of them. */
export function ssdJavaScript(
  { x, dt, A, B, C }: PlainSsd,
  { channels, headDim, length, state }: { channels: number; headDim: number; length: number; state: number },
  out: Float32Array,
): void {
  const h = new Float64Array(state);
  for (let d = 0; d < channels; d++) {
    const head = Math.floor(d / headDim);
    h.fill(0);
    for (let t = 0; t < length; t++) {
      const s = dt[head * length + t];
      const decay = Math.exp(s * A[head]);
      const input = s * x[d * length + t];
      let y = 0;
      for (let n = 0; n < state; n++) {
        h[n] = decay * h[n] + input * B[t * state + n];
        y += h[n] * C[t * state + n];
      }
      out[d * length + t] = y;
    }
  }
}
