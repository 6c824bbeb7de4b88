/**
 * Checks of a contender's answer against plain float64 arithmetic, before it is timed. Small answers are checked whole;
 * of large ones some rows, in them a sample of the elements, and the total of every checked row.
 */
import type { Check } from '../harness/question.js';
import type { CaseDtype, FloatArray } from './inputs.js';

/** Rows and elements that are looked at; the whole row is always summed. */
const CHECKED_ROWS = 16;
const CHECKED_ELEMENTS = 2048;

/** What a contender is allowed: relative error `base + slope * (max - x)` of p, and the distance of a row's total from 1. */
export interface Allowance {
  base: number;
  slope: number;
  mass: number;
}

/** softlane's own accuracy by type of the output; bf16 has 8 significant bits. */
export const OWN_ALLOWANCE: Record<CaseDtype, Allowance> = {
  f32: { base: 1.5e-6, slope: 2.4e-7, mass: 2e-6 },
  f64: { base: 1e-12, slope: 1e-15, mass: 1e-12 },
  bf16: { base: 2 ** -8, slope: 2.4e-7, mass: 2 ** -8 },
};

/** Peers may sum a long row in float32: the check only makes sure that they compute the same function. */
export const PEER_ALLOWANCE: Allowance = { base: 2e-2, slope: 2.4e-7, mass: 2e-2 };

/** Below the smallest normal float32 an instruction set may flush to zero. */
const TINY = 1.2e-38;

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** Element `i` of an array, whose Uint16 elements are bf16. */
function valueAt(array: FloatArray, i: number): number {
  if (!(array instanceof Uint16Array)) return array[i];
  word[0] = array[i] << 16;
  return float[0];
}

/** Maximum and sum of exp(x - max) of one row. */
export interface RowReference {
  row: number;
  max: number;
  sum: number;
}

/** References of the rows to be checked: all of a small matrix, else the first, the last and some between. */
export function referenceRows(x: FloatArray, rows: number, cols: number): RowReference[] {
  const count = rows * cols <= CHECKED_ELEMENTS ? rows : Math.min(rows, CHECKED_ROWS);
  return Array.from({ length: count }, (_, k) => {
    const row = count === 1 ? 0 : Math.floor((k * (rows - 1)) / (count - 1));
    let max = -Infinity;
    for (let i = row * cols; i < (row + 1) * cols; i++) max = Math.max(max, valueAt(x, i));
    let sum = 0;
    for (let i = row * cols; i < (row + 1) * cols; i++) sum += Math.exp(valueAt(x, i) - max);
    return { row, max, sum };
  });
}

/**
 * Compares probabilities with the reference.
 *
 * @param x logits, rows of `cols` contiguous elements; Uint16 elements are bf16
 * @param p the contender's answer, of the same shape
 */
export function checkSoftmax(
  x: FloatArray,
  p: FloatArray,
  cols: number,
  references: readonly RowReference[],
  allowance: Allowance,
): Check {
  let worst = 0;
  let largestError = 0;
  let largestMass = 0;
  for (const { row, max, sum } of references) {
    let mass = 0;
    for (let i = row * cols; i < (row + 1) * cols; i++) mass += valueAt(p, i);
    largestMass = Math.max(largestMass, Math.abs(mass - 1));
    for (const i of sampled(row * cols, cols)) {
      const below = max - valueAt(x, i);
      const expected = Math.exp(-below) / sum;
      const error = Math.abs(valueAt(p, i) - expected);
      worst = Math.max(worst, error / ((allowance.base + allowance.slope * below) * expected + TINY));
      if (expected > TINY) largestError = Math.max(largestError, error / expected);
    }
  }
  return {
    // Math.max hands NaN on, and NaN counts as wrong.
    worst: Math.max(worst, largestMass / allowance.mass),
    detail: `relative error ${largestError.toExponential(1)}, total off by ${largestMass.toExponential(1)}`,
  };
}

/**
 * Compares ln(sum of exp) with the reference, or the loss where `targets` are given.
 *
 * @param values the contender's answer, one per row
 * @param allowance largest absolute error at a value of 1 or less, relative beyond
 */
export function checkRowValues(
  x: FloatArray,
  values: Float64Array,
  cols: number,
  references: readonly RowReference[],
  allowance: number,
  targets?: Int32Array,
): Check {
  let worst = 0;
  for (const { row, max, sum } of references) {
    const lse = max + Math.log(sum);
    const expected = targets ? lse - valueAt(x, row * cols + targets[row]) : lse;
    worst = Math.max(worst, Math.abs(values[row] - expected) / Math.max(1, Math.abs(expected)));
  }
  return { worst: worst / allowance, detail: `error ${worst.toExponential(1)}` };
}

/** Indices of a row to look at: all of a short one, else its ends and an even sample with an odd stride. */
function* sampled(start: number, cols: number): Generator<number> {
  if (cols <= CHECKED_ELEMENTS) {
    for (let i = 0; i < cols; i++) yield start + i;
    return;
  }
  const edge = 128;
  for (let i = 0; i < edge; i++) yield start + i;
  const stride = Math.max(1, Math.floor((cols - 2 * edge) / (CHECKED_ELEMENTS - 2 * edge))) | 1;
  for (let i = edge; i < cols - edge; i += stride) yield start + i;
  for (let i = cols - edge; i < cols; i++) yield start + i;
}
