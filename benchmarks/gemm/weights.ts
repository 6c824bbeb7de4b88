/** Weights of the cases: one matrix of random numbers in every storage type, and copies that calls take turns with. */
import {
  bf16ToF32,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  packWeights,
  quantizeWeights,
  type PackedWeights,
} from '../../lib/index.js';
import { coldCopies } from '../../lib/tuning-dataflow.js';
import { normal } from '../harness/numbers.js';
import { largeCopy, type Stream } from '../harness/pages.js';
import type { Weights } from './cases.js';

/** Storage types of weights, in the order of tables. */
export const TYPES = ['f32', 'bf16', 'f16', 'int8'] as const;
export type WeightType = (typeof TYPES)[number];

/** Bytes of an element. */
export const BYTES: Record<WeightType, number> = { f32: 4, bf16: 2, f16: 2, int8: 1 };

/** Rows as a checkpoint stores them, with what it takes to read them. */
export interface StoredWeights {
  w: Stream;
  /** A factor for each row; int8 alone. */
  scales?: Float32Array;
}

/** Bytes of a weight matrix, with its scales. */
export function bytesOf({ n, k }: Weights, type: WeightType): number {
  return n * k * BYTES[type] + (type === 'int8' ? 4 * n : 0);
}

/** The weights of one shape: normal numbers of deviation 1 / sqrt(k), so that outputs are of the size of the inputs. */
export class WeightSet {
  readonly #stored = new Map<WeightType, StoredWeights>();
  readonly #packed = new Map<WeightType, PackedWeights[]>();
  readonly #copies = new Map<WeightType, StoredWeights[]>();
  readonly #source: Float32Array;

  constructor(readonly shape: Weights) {
    const { n, k } = shape;
    this.#source = normal(n * k, 1, 1 / Math.sqrt(k));
  }

  /** The matrix in a type. */
  stored(type: WeightType): StoredWeights {
    let stored = this.#stored.get(type);
    if (!stored) this.#stored.set(type, (stored = this.#convert(type)));
    return stored;
  }

  #convert(type: WeightType): StoredWeights {
    if (type === 'f32') return { w: this.#source };
    if (type === 'bf16') return { w: f32ToBf16(this.#source) };
    if (type === 'f16') return { w: f32ToF16(this.#source) };
    const { data, scales } = quantizeWeights(this.#source, this.shape);
    return { w: data, scales };
  }

  /** Packed copies, which lie on large pages where they are large. */
  packed(type: WeightType): readonly PackedWeights[] {
    let packed = this.#packed.get(type);
    if (!packed) {
      const { w, scales } = this.stored(type);
      packed = Array.from({ length: coldCopies(bytesOf(this.shape, type)) }, () =>
        packWeights(w, { ...this.shape, type, scales }),
      );
      this.#packed.set(type, packed);
    }
    return packed;
  }

  /** Copies of the rows as they are stored, on large pages likewise. */
  copies(type: WeightType): readonly StoredWeights[] {
    let copies = this.#copies.get(type);
    if (!copies) {
      const { w, scales } = this.stored(type);
      const count = coldCopies(bytesOf(this.shape, type));
      copies = Array.from({ length: count }, () => ({ w: largeCopy(w), scales }));
      this.#copies.set(type, copies);
    }
    return copies;
  }

  /** The transpose, [k, n], in float32. */
  transposed(): Float32Array {
    const { n, k } = this.shape;
    const out = new Float32Array(n * k);
    const block = 64;
    for (let j0 = 0; j0 < n; j0 += block) {
      for (let t0 = 0; t0 < k; t0 += block) {
        for (let j = j0; j < Math.min(n, j0 + block); j++) {
          for (let t = t0; t < Math.min(k, t0 + block); t++) out[t * n + j] = this.#source[j * k + t];
        }
      }
    }
    return out;
  }

  /** Row j of the matrix in a type, widened without loss but for the scale. */
  row(type: WeightType, j: number): Float64Array {
    const { w, scales } = this.stored(type);
    const stored = w.subarray(j * this.shape.k, (j + 1) * this.shape.k);
    if (type === 'bf16') return Float64Array.from(bf16ToF32(stored as Uint16Array));
    if (type === 'f16') return Float64Array.from(f16ToF32(stored as Uint16Array));
    const scale = scales ? scales[j] : 1;
    return Float64Array.from(stored, (value) => value * scale);
  }
}
