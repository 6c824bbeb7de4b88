/** Arrays for the cases: one pool for inputs and a few for outputs, reused from case to case. */
import { f32ToBf16, type Dtype } from '../../lib/index.js';
import { Philox } from '../../lib/random.js';

/** Distributions of the logits, by the name that `--distribution` takes. */
export const DISTRIBUTIONS = {
  /** Even over (-10, 10): logits of a network. */
  'uniform-10': (out: Float32Array) => new Philox(2020, 10).uniform(out, -10, 10),
  /** Even over (-1000, 1000): the input of the paper's benchmark, where nearly every exponential vanishes. */
  'uniform-1000': (out: Float32Array) => new Philox(2020, 1000).uniform(out, -1000, 1000),
  /** Normal with a standard deviation of 4: a few large logits above many small ones. */
  'normal-4': (out: Float32Array) => {
    new Philox(2020, 4).normal(out);
    for (let i = 0; i < out.length; i++) out[i] *= 4;
    return out;
  },
} as const;

export type Distribution = keyof typeof DISTRIBUTIONS;

/** Float arrays as softlane takes them. */
export type FloatArray = Float32Array | Float64Array | Uint16Array;
/** Element types that the benchmark has cases for. */
export type CaseDtype = Extract<Dtype, 'f32' | 'f64' | 'bf16'>;

/** Bytes per element. */
export const BYTES: Record<CaseDtype, number> = { f32: 4, f64: 8, bf16: 2 };

/** An array that keeps its memory between cases and grows when a larger case comes. */
class Arena {
  private buffer = new ArrayBuffer(0);

  view(dtype: CaseDtype, count: number): FloatArray {
    const bytes = BYTES[dtype] * count;
    if (this.buffer.byteLength < bytes) this.buffer = new ArrayBuffer(bytes);
    if (dtype === 'f32') return new Float32Array(this.buffer, 0, count);
    if (dtype === 'f64') return new Float64Array(this.buffer, 0, count);
    return new Uint16Array(this.buffer, 0, count);
  }
}

/**
 * Inputs and outputs of all cases. An array is valid until the next one of the same role is asked for. Smaller inputs of
 * a distribution are the beginning of larger ones, so that the numbers are drawn once.
 */
export class Pool {
  private readonly logits = new Arena();
  private readonly other = new Arena();
  private readonly outputArenas: Arena[] = [];
  private drawn: { distribution: Distribution; values: Float32Array } | undefined;

  /** `count` logits of type `dtype`; those of bf16 and f64 are the float32 ones, rounded and widened. */
  input(dtype: CaseDtype, count: number, distribution: Distribution, largest = count): FloatArray {
    if (!this.drawn || this.drawn.distribution !== distribution || this.drawn.values.length < count) {
      const values = this.logits.view('f32', Math.max(count, largest)) as Float32Array;
      DISTRIBUTIONS[distribution](values);
      this.drawn = { distribution, values };
    }
    const logits = this.drawn.values.subarray(0, count);
    if (dtype === 'f32') return logits;
    const out = this.other.view(dtype, count);
    if (dtype === 'bf16') f32ToBf16(logits, { out: out as Uint16Array });
    else (out as Float64Array).set(logits);
    return out;
  }

  /** `buffers` output arrays. Their contents are left over from whoever used them last. */
  outputs(dtype: CaseDtype, count: number, buffers: number): FloatArray[] {
    while (this.outputArenas.length < buffers) this.outputArenas.push(new Arena());
    return this.outputArenas.slice(0, buffers).map((arena) => arena.view(dtype, count));
  }
}
