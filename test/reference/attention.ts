/**
 * Attention of a few query tokens against cached keys and values, score by score in plain float64: the yardstick of the
 * attention tests. Nothing here shares code with the package.
 *
 * Query token t of T sits at position p = length - T + t and sees the keys 0..p. Query head h reads KV head
 * floor(h / (queryHeads / kvHeads)). A score is made in this order:
 *   s = scale <q, k>;  s <- softCap tanh(s / softCap);  s <- s + slope (keyPosition - p);  masked by the window: -Infinity
 *   out = sum_i e^{s_i} v_i / L,   lse = ln L,   L = sum_i e^{s_i} (+ e^{sink})
 * The window keeps the positions above p - window and the first `sinkTokens`.
 */
import { type HalfName, widen } from './convert.js';

/** Shapes and options; names and defaults are those of the package. */
export interface AttentionOptions {
  batch: number;
  queryTokens?: number;
  queryHeads: number;
  kvHeads: number;
  headDim: number;
  maxLength: number;
  lengths: ArrayLike<number>;
  layout?: 'NHD' | 'HND';
  scale?: number;
  window?: number;
  sinkTokens?: number;
  softCap?: number;
  alibiSlopes?: ArrayLike<number>;
  sinks?: ArrayLike<number>;
}

/** out [batch, queryTokens, queryHeads, headDim]; the others [batch, queryTokens, queryHeads]. */
export interface Attention {
  out: Float64Array;
  logSumExp: Float64Array;
  /** Largest and smallest score that is not masked, and sum_i p_i |v_i|, by which rounding errors are measured. */
  largest: Float64Array;
  smallest: Float64Array;
  absOut: Float64Array;
}

/** Storage of keys and values. */
export type CacheType = 'f32' | HalfName | 'int8';

/** Stored keys or values as numbers: int8 times the scale of its head at its position. */
export function widenCache(
  cache: ArrayLike<number>,
  type: CacheType,
  headDim: number,
  scales?: ArrayLike<number>,
): Float64Array {
  if (type === 'f32') return Float64Array.from(cache);
  if (type !== 'int8') return widen(cache, type);
  if (scales === undefined) throw new Error('an int8 cache needs scales');
  return new Float64Array(cache.length).map((_, i) => cache[i] * scales[Math.floor(i / headDim)]);
}

/** Index of the first element of a head at a position. */
export function cacheIndex(o: AttentionOptions, b: number, position: number, head: number): number {
  const { maxLength, kvHeads, headDim, layout = 'NHD' } = o;
  const place =
    layout === 'NHD'
      ? (b * maxLength + position) * kvHeads + head
      : (b * kvHeads + head) * maxLength + position;
  return place * headDim;
}

/** One query row: its scores against positions [0, length) of its sequence, -Infinity where masked. */
export function scoresOf(
  q: ArrayLike<number>,
  keys: ArrayLike<number>,
  o: AttentionOptions,
  at: { b: number; t: number; h: number },
): Float64Array {
  const { queryTokens = 1, queryHeads, kvHeads, headDim, lengths, window, sinkTokens = 0 } = o;
  const { scale = 1 / Math.sqrt(headDim), softCap, alibiSlopes } = o;
  const { b, t, h } = at;
  const position = lengths[b] - queryTokens + t;
  const head = Math.floor(h / (queryHeads / kvHeads));
  const start = ((b * queryTokens + t) * queryHeads + h) * headDim;
  return new Float64Array(lengths[b]).map((_, i) => {
    const outside = window !== undefined && i <= position - window && i >= sinkTokens;
    if (i > position || outside) return -Infinity;
    const key = cacheIndex(o, b, i, head);
    let s = 0;
    for (let d = 0; d < headDim; d += 1) s += q[start + d] * keys[key + d];
    s *= scale;
    if (softCap !== undefined) s = softCap * Math.tanh(s / softCap);
    return alibiSlopes ? s + alibiSlopes[h] * (i - position) : s;
  });
}

/** Attention over the positions [from(b), to(b)) of every sequence; all of them by default. */
export function attention(
  q: ArrayLike<number>,
  keys: ArrayLike<number>,
  values: ArrayLike<number>,
  o: AttentionOptions,
  range: (b: number) => [number, number] = (b) => [0, o.lengths[b]],
): Attention {
  const { batch, queryTokens = 1, queryHeads, kvHeads, headDim, sinks } = o;
  const rows = batch * queryTokens * queryHeads;
  const result: Attention = {
    out: new Float64Array(rows * headDim),
    logSumExp: new Float64Array(rows).fill(-Infinity),
    largest: new Float64Array(rows).fill(-Infinity),
    smallest: new Float64Array(rows).fill(Infinity),
    absOut: new Float64Array(rows * headDim),
  };
  for (let row = 0; row < rows; row += 1) {
    const h = row % queryHeads;
    const t = Math.floor(row / queryHeads) % queryTokens;
    const b = Math.floor(row / queryHeads / queryTokens);
    const [from, to] = range(b);
    const scores = scoresOf(q, keys, o, { b, t, h }).subarray(from, Math.max(from, to));
    const seen = scores.filter((s) => s !== -Infinity);
    const sink = sinks ? sinks[h] : -Infinity;
    // Nothing seen: out 0, and no denominator but that of the sink.
    result.logSumExp[row] = sink;
    if (seen.length === 0) continue;
    result.largest[row] = Math.max(...seen);
    result.smallest[row] = Math.min(...seen);
    const top = Math.max(result.largest[row], sink);
    let denominator = Math.exp(sink - top);
    scores.forEach((s, i) => {
      if (s === -Infinity) return;
      const weight = Math.exp(s - top);
      denominator += weight;
      const value = cacheIndex(o, b, from + i, Math.floor(h / (queryHeads / kvHeads)));
      for (let d = 0; d < headDim; d += 1) {
        result.out[row * headDim + d] += weight * values[value + d];
        result.absOut[row * headDim + d] += weight * Math.abs(values[value + d]);
      }
    });
    for (let d = row * headDim; d < (row + 1) * headDim; d += 1) {
      result.out[d] /= denominator;
      result.absOut[d] /= denominator;
    }
    result.logSumExp[row] = top + Math.log(denominator);
  }
  return result;
}

/** Normalised partial results of `count` chunks of ceil(length / count) positions each. */
export function partials(
  q: ArrayLike<number>,
  keys: ArrayLike<number>,
  values: ArrayLike<number>,
  o: AttentionOptions,
  count: number,
): Attention[] {
  return Array.from({ length: count }, (_, s) =>
    attention(q, keys, values, o, (b) => {
      const chunk = Math.ceil(o.lengths[b] / count);
      return [Math.min(s * chunk, o.lengths[b]), Math.min((s + 1) * chunk, o.lengths[b])];
    }),
  );
}

/** Merges `count` partial results, each [rows, headDim] with [rows] log-sum-exps, one after another. */
export function merge(
  outs: ArrayLike<number>,
  logSumExps: ArrayLike<number>,
  { count, rows, headDim }: { count: number; rows: number; headDim: number },
): { out: Float64Array; logSumExp: Float64Array } {
  const out = new Float64Array(rows * headDim);
  const logSumExp = new Float64Array(rows);
  for (let r = 0; r < rows; r += 1) {
    const lses = Array.from({ length: count }, (_, j) => logSumExps[j * rows + r]);
    const top = Math.max(...lses);
    const weights = lses.map((lse) => (top === -Infinity ? 0 : Math.exp(lse - top)));
    const total = weights.reduce((a, b) => a + b, 0);
    logSumExp[r] = top === -Infinity ? -Infinity : top + Math.log(total);
    for (let d = 0; d < headDim; d += 1) {
      weights.forEach((w, j) => {
        if (w > 0) out[r * headDim + d] += (w * outs[(j * rows + r) * headDim + d]) / total;
      });
    }
  }
  return { out, logSumExp };
}

/** Where pages lie: pages [page, 2 (K, V), kvHeads, pageSize, headDim] and a table [batch, maxPages]. */
export interface Pages {
  pages: ArrayLike<number>;
  pageSize: number;
  pageTable: ArrayLike<number>;
  maxPages: number;
}

/** Contiguous keys and values [batch, maxLength, kvHeads, headDim] read through a page table; elements as stored. */
export function gatherPages(o: AttentionOptions, p: Pages): { keys: number[]; values: number[] } {
  const { batch, maxLength, kvHeads, headDim, lengths } = o;
  const [keys, values] = [0, 1].map(() => new Array<number>(batch * maxLength * kvHeads * headDim).fill(0));
  for (let b = 0; b < batch; b += 1) {
    for (let i = 0; i < lengths[b]; i += 1) {
      const page = p.pageTable[b * p.maxPages + Math.floor(i / p.pageSize)];
      for (let h = 0; h < kvHeads; h += 1) {
        const to = ((b * maxLength + i) * kvHeads + h) * headDim;
        [keys, values].forEach((target, kind) => {
          const from = (((page * 2 + kind) * kvHeads + h) * p.pageSize + (i % p.pageSize)) * headDim;
          for (let d = 0; d < headDim; d += 1) target[to + d] = p.pages[from + d];
        });
      }
    }
  }
  return { keys, values };
}

/** A page table from FlashInfer's description: pages of sequence b are indices[indptr[b]..indptr[b+1]). */
export function tableOf(
  indptr: ArrayLike<number>,
  indices: ArrayLike<number>,
): { pageTable: Int32Array; maxPages: number } {
  const batch = indptr.length - 1;
  const maxPages = Math.max(1, ...Array.from({ length: batch }, (_, b) => indptr[b + 1] - indptr[b]));
  const pageTable = new Int32Array(batch * maxPages).fill(-1);
  for (let b = 0; b < batch; b += 1) {
    for (let j = indptr[b]; j < indptr[b + 1]; j += 1) pageTable[b * maxPages + j - indptr[b]] = indices[j];
  }
  return { pageTable, maxPages };
}

/** Whether a row breaks the paper's rule a < s - phi < b; masked scores are exempt. */
export function breaksElementRule(scores: ArrayLike<number>, phi: number, [a, b]: [number, number]): boolean {
  return Array.from(scores).some((s) => s !== -Infinity && !(s - phi > a && s - phi < b));
}

/**
 * ln of sum_i e^{s_i - phi}: the row rule fires where float32 cannot hold the sum (ln 2^128) or it lies below 2^-60.
 * Tests keep away from both borders, where float32 itself decides.
 */
export function logDenominator(scores: ArrayLike<number>, phi: number): number {
  const seen = Array.from(scores).filter((s) => s !== -Infinity);
  const top = Math.max(...seen);
  return top - phi + Math.log(seen.reduce((sum, s) => sum + Math.exp(s - top), 0));
}

/** Whether float32 cannot hold the denominator, or it is below 2^-60. */
export function breaksRowRule(scores: ArrayLike<number>, phi: number): boolean {
  const log = logDenominator(scores, phi);
  return !(log < 128 * Math.LN2 && log >= -60 * Math.LN2);
}
