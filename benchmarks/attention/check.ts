/** Checks of attention against float64 arithmetic, on a sample of the query heads. */
import { bf16ToF32, f16ToF32 } from '../../lib/index.js';
import type { Check } from '../harness/question.js';
import type { CaseSpec } from './cases.js';
import type { Cache, Stored } from './inputs.js';

/** Query heads that are looked at. */
const CHECKED_HEADS = 4;

/** What a contender is allowed: a share of the largest |value|. */
export const ALLOWANCE = { own: 2e-6, peer: 1e-5 } as const;

/** The answer of one query head. */
interface Reference {
  head: number;
  out: Float64Array;
}

/** Query heads to look at: the first, the last and some between. */
export function checkedHeads(count: number): number[] {
  const wanted = Math.min(CHECKED_HEADS, count);
  return Array.from({ length: wanted }, (_, i) => Math.round((i * (count - 1)) / Math.max(1, wanted - 1)));
}

/** A row of a stored cache as numbers. */
function rowOf({ data, scales }: Stored, row: number, headDim: number): ArrayLike<number> {
  const stored = data.subarray(row * headDim, (row + 1) * headDim);
  if (stored instanceof Float32Array) return stored;
  if (stored instanceof Int8Array) return Array.from(stored, (value) => value * (scales?.[row] ?? 1));
  throw new TypeError('16-bit caches are widened beforehand');
}

/** Keys or values of one head, in order of tokens; 16-bit ones widened whole, which is faster than row by row. */
function headOf(stored: Stored, { length, headDim, dtype }: CaseSpec, head: number): Stored {
  const data = stored.data.subarray(head * length * headDim, (head + 1) * length * headDim);
  const scales = stored.scales?.subarray(head * length, (head + 1) * length);
  if (!(data instanceof Uint16Array)) return { data, scales };
  return { data: dtype === 'bf16' ? bf16ToF32(data) : f16ToF32(data) };
}

/**
 * Reference answers of some query heads, softmax(q keys^T / sqrt(headDim)) values.
 *
 * @param cache heads by tokens
 */
export function referencesOf(spec: CaseSpec, q: Float32Array, cache: Cache): Reference[] {
  const { length, group, kvHeads, headDim } = spec;
  return checkedHeads(kvHeads * group).map((head) => {
    const kvHead = Math.floor(head / group);
    const [keys, values] = [cache.keys, cache.values].map((each) => headOf(each, spec, kvHead));
    const scores = new Float64Array(length);
    let max = -Infinity;
    for (let t = 0; t < length; t++) {
      const key = rowOf(keys, t, headDim);
      let score = 0;
      for (let d = 0; d < headDim; d++) score += q[head * headDim + d] * key[d];
      scores[t] = score / Math.sqrt(headDim);
      max = Math.max(max, scores[t]);
    }
    const out = new Float64Array(headDim);
    let total = 0;
    for (let t = 0; t < length; t++) {
      const weight = Math.exp(scores[t] - max);
      const value = rowOf(values, t, headDim);
      total += weight;
      for (let d = 0; d < headDim; d++) out[d] += weight * value[d];
    }
    return { head, out: out.map((sum) => sum / total) };
  });
}

/** Largest |value| that normal numbers reach here; errors are measured against it. */
const LARGEST = 5;

/** Compares the answer of the first `heads` query heads, all by default, with references. */
export function checkAttention(
  out: Float32Array,
  references: readonly Reference[],
  allowance: number,
  heads = Infinity,
): Check {
  let worst = 0;
  for (const { head, out: expected } of references) {
    if (head >= heads) continue;
    expected.forEach((value, d) => {
      // Math.max hands NaN on, and NaN counts as wrong.
      worst = Math.max(worst, Math.abs(out[head * expected.length + d] - value) / LARGEST);
    });
  }
  return { worst: worst / allowance, detail: `error ${worst.toExponential(1)} of the largest value` };
}
