/** Arrays of the cases, time-first: what a product of matrices gives. */
import { bf16ToF32, f32ToBf16 } from '../../lib/index.js';
import { Philox } from '../../lib/random.js';
import { normal } from '../harness/numbers.js';
import type { CaseSpec } from './cases.js';

/** Arrays of a scan or of a decode step (a scan of one step, in which every row is a sequence). */
export interface ScanArrays {
  u: Float32Array;
  /** In (0.001, 0.1), as Mamba begins. */
  delta: Float32Array;
  /** -(n + 1) in every channel: S4D-real, which shares powers. */
  A: Float32Array;
  B: Float32Array;
  C: Float32Array;
  D: Float32Array;
  z: Float32Array;
  /** The inverse softplus of steps in (0.001, 0.1). */
  deltaBias: Float32Array;
}

/** Numbers even over (low, high), the same million again and again. */
function uniform(length: number, low: number, high: number, stream: number): Float32Array {
  const out = new Float32Array(length);
  const drawn = out.subarray(0, Math.min(length, 1_000_003));
  new Philox(2023, stream).uniform(drawn, low, high);
  for (let at = drawn.length; at > 0 && at < length; at *= 2)
    out.copyWithin(at, 0, Math.min(at, length - at));
  return out;
}

/** The arrays of a case. */
export function arraysOf({ batch, dim, state, length }: CaseSpec): ScanArrays {
  const values = batch * dim * length;
  return {
    u: normal(values, 1),
    delta: uniform(values, 0.001, 0.1, 2),
    A: Float32Array.from({ length: dim * state }, (_, i) => -((i % state) + 1)),
    B: normal(batch * length * state, 3),
    C: normal(batch * length * state, 4),
    D: normal(dim, 5),
    z: normal(values, 6),
    deltaBias: uniform(dim, -6.9, -2.25, 7),
  };
}

/** u, delta, B, C and z in bf16, and the numbers that these are. */
export function shortened(arrays: ScanArrays) {
  const { u, delta, B, C, z } = arrays;
  const short = {
    u: f32ToBf16(u),
    delta: f32ToBf16(delta),
    B: f32ToBf16(B),
    C: f32ToBf16(C),
    z: f32ToBf16(z),
  };
  const wide = {
    ...arrays,
    u: bf16ToF32(short.u),
    delta: bf16ToF32(short.delta),
    B: bf16ToF32(short.B),
    C: bf16ToF32(short.C),
    z: bf16ToF32(short.z),
  };
  return { short, wide };
}

/** A matrix of rows x cols turned over. */
export function turned(x: Float32Array, rows: number, cols: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out[j * rows + i] = x[i * cols + j];
  return out;
}
