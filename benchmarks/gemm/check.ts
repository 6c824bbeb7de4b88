/** Checks of a product against float64 arithmetic, on a sample of its outputs. */
import type { Check } from '../harness/question.js';
import type { CaseSpec } from './cases.js';
import type { WeightSet, WeightType } from './weights.js';

/** Columns of the answer that are looked at, in each of its rows. */
const CHECKED_COLUMNS = 48;

/** What a contender is allowed: a share of the sum of |a| |w| of an output. */
export const ALLOWANCE = { own: 1e-6, peer: 1e-5 } as const;

/** One output, and the sum of the absolute values of its terms, against which errors are measured. */
interface Reference {
  at: number;
  value: number;
  scale: number;
}

/** Columns to look at: the first, the last and some between, of which an odd step avoids multiples of a panel. */
export function checkedColumns(n: number): number[] {
  if (n <= CHECKED_COLUMNS) return Array.from({ length: n }, (_, j) => j);
  const step = (n - 1) / (CHECKED_COLUMNS - 1);
  return Array.from({ length: CHECKED_COLUMNS }, (_, i) => Math.round(i * step));
}

/**
 * Reference outputs of a [m, k] times the weights of a type.
 *
 * @param columns of the answer to look at
 */
export function referencesOf(
  { m, n, k }: CaseSpec,
  a: Float32Array,
  weights: WeightSet,
  type: WeightType,
  columns: readonly number[],
): Reference[] {
  return columns.flatMap((j) => {
    const row = weights.row(type, j);
    return Array.from({ length: m }, (_, i): Reference => {
      let value = 0;
      let scale = 0;
      for (let t = 0; t < k; t++) {
        const term = a[i * k + t] * row[t];
        value += term;
        scale += Math.abs(term);
      }
      return { at: i * n + j, value, scale };
    });
  });
}

/** Compares an answer with references. */
export function checkProduct(y: Float32Array, references: readonly Reference[], allowance: number): Check {
  let worst = 0;
  for (const { at, value, scale } of references) {
    // Math.max hands NaN on, and NaN counts as wrong.
    worst = Math.max(worst, Math.abs(y[at] - value) / scale);
  }
  return { worst: worst / allowance, detail: `error ${worst.toExponential(1)} of the sum of |a| |w|` };
}
