/**
 * The scan of Mamba-2 in float64, step by step from its definition (arXiv 2405.21060, section 5), with all options of
 * lib/kernels/ssd.ts.
 */
import { sigmoid, softplus } from './recurrence.js';

type Numbers = ArrayLike<number>;

/** Arrays of the scan: any kind of numbers. */
export interface SsdArrays {
  x: Numbers;
  dt: Numbers;
  A: Numbers;
  B: Numbers;
  C: Numbers;
  D?: Numbers;
  z?: Numbers;
  dtBias?: Numbers;
  initialState?: Numbers;
  segmentIds?: Numbers;
}

/** Shape and form. */
export interface SsdForm {
  batch: number;
  length: number;
  heads: number;
  headDim: number;
  state: number;
  groups: number;
  dtSoftplus: boolean;
  dtLimit: readonly [number, number];
}

/** out and the state after the last step. */
export function ssdScan(x: SsdArrays, s: SsdForm): { out: Float64Array; finalState: Float64Array } {
  const { length, heads, headDim: P, state: N } = s;
  const out = new Float64Array(s.batch * length * heads * P);
  const finalState = Float64Array.from(
    { length: s.batch * heads * P * N },
    (_, i) => x.initialState?.[i] ?? 0,
  );
  for (let row = 0; row < s.batch; row += 1)
    for (let h = 0; h < heads; h += 1) {
      const group = Math.floor(h / (heads / s.groups));
      const H = finalState.subarray((row * heads + h) * P * N, (row * heads + h + 1) * P * N);
      for (let t = 0; t < length; t += 1) {
        const time = row * length + t;
        if (x.segmentIds && t > 0 && x.segmentIds[time] !== x.segmentIds[time - 1]) H.fill(0);
        const r = x.dt[time * heads + h] + (x.dtBias?.[h] ?? 0);
        const step = Math.min(s.dtLimit[1], Math.max(s.dtLimit[0], s.dtSoftplus ? softplus(r) : r));
        const decay = Math.exp(step * x.A[h]);
        const weights = (time * s.groups + group) * N;
        for (let p = 0; p < P; p += 1) {
          const at = (time * heads + h) * P + p;
          let y = x.D ? x.D[x.D.length === heads ? h : h * P + p] * x.x[at] : 0;
          for (let n = 0; n < N; n += 1) {
            H[p * N + n] = decay * H[p * N + n] + step * x.x[at] * x.B[weights + n];
            y += H[p * N + n] * x.C[weights + n];
          }
          out[at] = x.z ? y * x.z[at] * sigmoid(x.z[at]) : y;
        }
      }
    }
  return { out, finalState };
}
