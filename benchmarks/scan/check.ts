/** Checks of scans against float64 arithmetic, on some of the channels. */
import type { Check } from '../harness/question.js';
import type { CaseSpec } from './cases.js';
import type { ScanArrays } from './inputs.js';

/** Channels that are looked at: the first, the last and some between. */
export function checkedChannels(dim: number, wanted = 4): number[] {
  const count = Math.min(wanted, dim);
  return Array.from({ length: count }, (_, i) => Math.round((i * (dim - 1)) / Math.max(1, count - 1)));
}

const softplus = (x: number): number => (x > 20 ? x : Math.log1p(Math.exp(x)));

/** What a channel of a case gives, step by step in float64: of the first row. */
export function channelOf(
  { dim, state, length }: CaseSpec,
  arrays: ScanArrays,
  d: number,
  gated: boolean,
): Float64Array {
  const { u, delta, A, B, C, D, z, deltaBias } = arrays;
  const h = new Float64Array(state);
  return new Float64Array(length).map((_, t) => {
    const at = t * dim + d;
    const s = gated ? softplus(delta[at] + deltaBias[d]) : delta[at];
    let y = 0;
    for (let n = 0; n < state; n++) {
      h[n] = Math.exp(s * A[d * state + n]) * h[n] + s * u[at] * B[t * state + n];
      y += h[n] * C[t * state + n];
    }
    return gated ? ((y + D[d] * u[at]) * z[at]) / (1 + Math.exp(-z[at])) : y;
  });
}

/** Compares numbers with expectations, in units of the largest of these. */
export function compared(
  pairs: Iterable<readonly [actual: number, expected: number]>,
  allowance: number,
): Check {
  let [largest, worst] = [Number.MIN_VALUE, 0];
  for (const [actual, expected] of pairs) {
    largest = Math.max(largest, Math.abs(expected));
    // Math.max hands NaN on, and NaN counts as wrong.
    worst = Math.max(worst, Math.abs(actual - expected));
  }
  const error = worst / largest;
  return { worst: error / allowance, detail: `error ${error.toExponential(1)} of the largest value` };
}
