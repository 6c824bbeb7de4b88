/**
 * Softmax of one row and its relatives in plain float64: the yardstick of the kernel tests. Nothing here
 * is fast, and nothing here shares code with the package.
 *
 * With mu = max x and T = temperature:
 *   p_i    = exp((x_i - mu) / T) / S,   S = sum_k exp((x_k - mu) / T)
 *   logp_i = (x_i - mu) / T - ln S
 *   lse    = mu / T + ln S
 *   H      = -sum_i p_i logp_i                                   (nats, 0 ln 0 = 0)
 */
import { sumOver } from './sums.js';

/** What the reference needs to know beside the numbers of the row. */
export interface ReferenceOptions {
  /** Divides the logits; default 1. */
  temperature?: number;
  /** What a row without any finite entry gives: zeros (and -Infinity for logarithms), or NaN; default 'zero'. */
  emptyRow?: 'zero' | 'nan';
}

/** A row is one of four kinds; only an ordinary one has a softmax in the usual sense. */
export type RowKind = 'ordinary' | 'empty' | 'infinite' | 'nan';

/** Kind, maximum and ln S of a row; the last two mean nothing unless the row is ordinary. */
export interface RowSummary {
  kind: RowKind;
  max: number;
  logSum: number;
}

/** 'nan' if any entry is NaN, else 'infinite' if any is +Infinity, else 'empty' if none is finite. */
export function kindOf(x: ArrayLike<number>): RowKind {
  let plusInfinity = false;
  let finite = false;
  for (let i = 0; i < x.length; i += 1) {
    if (Number.isNaN(x[i])) return 'nan';
    if (x[i] === Infinity) plusInfinity = true;
    if (x[i] !== -Infinity) finite = true;
  }
  if (plusInfinity) return 'infinite';
  return finite ? 'ordinary' : 'empty';
}

/** The largest entry, -Infinity for an empty row. Ignores NaN; ask `kindOf` first. */
export function maximum(x: ArrayLike<number>): number {
  let max = -Infinity;
  for (let i = 0; i < x.length; i += 1) if (x[i] > max) max = x[i];
  return max;
}

/** Kind, maximum and ln S of a row. */
export function summarize(x: ArrayLike<number>, temperature = 1): RowSummary {
  const kind = kindOf(x);
  if (kind !== 'ordinary') return { kind, max: NaN, logSum: NaN };
  const max = maximum(x);
  return { kind, max, logSum: Math.log(sumOver(x.length, (i) => Math.exp((x[i] - max) / temperature))) };
}

/** What every probability of a row of this kind is (`ordinary` aside). */
function constantProbability(kind: RowKind, emptyRow: 'zero' | 'nan'): number {
  return kind === 'empty' && emptyRow === 'zero' ? 0 : NaN;
}

/** Probabilities of one row. */
export function softmax(x: ArrayLike<number>, options: ReferenceOptions = {}): Float64Array {
  return logSoftmax(x, options).map(Math.exp);
}

/** Log-probabilities of one row. */
export function logSoftmax(x: ArrayLike<number>, options: ReferenceOptions = {}): Float64Array {
  const { temperature = 1, emptyRow = 'zero' } = options;
  const { kind, max, logSum } = summarize(x, temperature);
  const result = new Float64Array(x.length);
  if (kind !== 'ordinary') return result.fill(Math.log(constantProbability(kind, emptyRow)));
  return result.map((_, i) => (x[i] - max) / temperature - logSum);
}

/** ln sum exp(x / T) of one row: -Infinity for an empty row, NaN if any entry is, +Infinity if any entry is. */
export function logSumExp(x: ArrayLike<number>, options: ReferenceOptions = {}): number {
  const { temperature = 1 } = options;
  const { kind, max, logSum } = summarize(x, temperature);
  if (kind === 'empty') return -Infinity;
  if (kind === 'infinite') return Infinity;
  return kind === 'nan' ? NaN : max / temperature + logSum;
}

/** Entropy in nats of one row: 0 for an empty row, NaN where the probabilities are NaN. */
export function entropy(x: ArrayLike<number>, options: ReferenceOptions = {}): number {
  const logp = logSoftmax(x, options);
  const terms = sumOver(x.length, (i) => (logp[i] === -Infinity ? 0 : Math.exp(logp[i]) * logp[i]));
  return 0 - terms;
}

/** dx_i = p_i (dp_i - sum_k p_k dp_k) / T for one row of probabilities p. */
export function softmaxBackward(
  p: ArrayLike<number>,
  dp: ArrayLike<number>,
  options: ReferenceOptions = {},
): Float64Array {
  const { temperature = 1 } = options;
  const dot = sumOver(p.length, (k) => p[k] * dp[k]);
  return new Float64Array(p.length).map((_, i) => (p[i] * (dp[i] - dot)) / temperature);
}

/** dx_i = (dl_i - exp(logp_i) sum_k dl_k) / T for one row of log-probabilities. */
export function logSoftmaxBackward(
  logp: ArrayLike<number>,
  dl: ArrayLike<number>,
  options: ReferenceOptions = {},
): Float64Array {
  const { temperature = 1 } = options;
  const total = sumOver(dl.length, (k) => dl[k]);
  return new Float64Array(logp.length).map((_, i) => (dl[i] - Math.exp(logp[i]) * total) / temperature);
}

/** dx_i = p_i d / T for one row of logits and the derivative d of its log-sum-exp. */
export function logSumExpBackward(
  x: ArrayLike<number>,
  d: number,
  options: ReferenceOptions = {},
): Float64Array {
  const { temperature = 1 } = options;
  return softmax(x, options).map((p) => (p * d) / temperature);
}

/** The rows of a row-major matrix as separate float64 arrays; `rowStride` counts elements between starts. */
export function rowsOf(x: ArrayLike<number>, rows: number, cols: number, rowStride = cols): Float64Array[] {
  return Array.from({ length: rows }, (_, r) =>
    new Float64Array(cols).map((_zero, c) => x[r * rowStride + c]),
  );
}

/** Rows put one after another again: the inverse of `rowsOf` with no gaps. */
export function joined(rows: readonly Float64Array[]): Float64Array {
  const result = new Float64Array(rows.reduce((sum, row) => sum + row.length, 0));
  let start = 0;
  for (const row of rows) {
    result.set(row, start);
    start += row.length;
  }
  return result;
}
