/** Checks of attention against float64 arithmetic, on a sample of the query heads. */
import type { Check } from '../harness/question.js';
import type { CaseSpec } from './cases.js';
import { rowsOf, type Cache } from './inputs.js';

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

/**
 * Reference answers of some query heads, softmax(q keys^T / sqrt(headDim)) values.
 *
 * @param cache heads by tokens
 */
export function referencesOf(spec: CaseSpec, q: Float32Array, cache: Cache): Reference[] {
  const { length, group, kvHeads, headDim, dtype } = spec;
  return checkedHeads(kvHeads * group).map((head) => {
    const kvHead = Math.floor(head / group);
    const [keys, values] = [cache.keys, cache.values].map((stored) =>
      rowsOf(stored, kvHead * length, length, headDim, dtype),
    );
    const scores = new Float64Array(length);
    let max = -Infinity;
    for (let t = 0; t < length; t++) {
      let score = 0;
      for (let d = 0; d < headDim; d++) score += q[head * headDim + d] * keys[t * headDim + d];
      scores[t] = score / Math.sqrt(headDim);
      max = Math.max(max, scores[t]);
    }
    const out = new Float64Array(headDim);
    let total = 0;
    for (let t = 0; t < length; t++) {
      const weight = Math.exp(scores[t] - max);
      total += weight;
      for (let d = 0; d < headDim; d++) out[d] += weight * values[t * headDim + d];
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
