/**
 * Attention of a few query tokens over a long cache of keys and values: contiguous or in pages, split over the keys.
 * Native: native/attention/.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, arrayOf, threadsOf } from './arguments.js';
import {
  heads,
  pageTableOf,
  requireCache,
  softmaxOf,
  splitsOf,
  visibilityOf,
  type AttentionShape,
  type CacheArray,
  type CacheType,
  type PageTableOptions,
  type SoftmaxFormOptions,
  type Splits,
  type VisibilityOptions,
} from './attention-options.js';

/** What attention gives. */
export interface AttentionResult {
  /** [batch, queryTokens, queryHeads, headDim]; of partials [splits, batch, queryHeads, headDim]. */
  out: Float32Array;
  /** Natural logarithm of the sum of exponentials: [batch, queryTokens, queryHeads]; -Infinity where nothing is seen. */
  logSumExp: Float32Array;
  /** Rows that left the range of the unified maximum and were computed again by the online form. */
  fallbackRows: number;
}

/** Options that contiguous and paged caches share. */
export interface AttentionOptions extends AttentionShape, VisibilityOptions, SoftmaxFormOptions {
  /** Keys of each sequence, the newest query token's own among them: batch elements. */
  lengths: Int32Array;
  /** Query tokens of each sequence; default 1. */
  queryTokens?: number;
  /**
   * With several query tokens: token t of T sees the keys up to position length - T + t (default); false: all see all.
   */
  causal?: boolean;
  /** Scores are scale * <q, k>; default 1 / sqrt(headDim). */
  scale?: number;
  /**
   * How keys are cut into chunks that threads share: {chunk} keys each (default 512: results then depend neither on
   * threads nor on the batch), a number of chunks, or 'auto', as many as threads can use (see attentionSplits).
   */
  splits?: Splits;
  /** The normalised part of each chunk instead of their sum; needs a number of splits and one query token. */
  partials?: boolean;
  /** Threads; default 1. */
  threads?: number;
  /** Where out goes; default a fresh array. */
  out?: Float32Array;
}

/** Options of decodeAttention. */
export interface DecodeAttentionOptions extends AttentionOptions {
  /** Positions that the cache has room for in each sequence. */
  maxLength: number;
  /** Order of the cache: [batch, maxLength, kvHeads, headDim] (default) or [batch, kvHeads, maxLength, headDim]. */
  layout?: 'NHD' | 'HND';
  /** Storage of keys and values; needed for a Uint16Array. */
  kvType?: CacheType;
  /** One for each key of an int8 cache, in the cache's layout. */
  keyScales?: Float32Array;
  /** One for each value of an int8 cache, in the cache's layout. */
  valueScales?: Float32Array;
}

/** Options of pagedDecodeAttention. */
export interface PagedAttentionOptions extends Omit<AttentionOptions, 'lengths'>, PageTableOptions {
  /** Storage of the pages; needed for a Uint16Array. */
  kvType?: CacheType;
  /** Scales of int8 pages: [page, 2, kvHeads, pageSize]. */
  scales?: Float32Array;
}

interface Source {
  keys: CacheArray;
  values?: CacheArray;
  keyScales?: Float32Array;
  valueScales?: Float32Array;
  pageTable?: Int32Array;
  kvType: CacheType;
  layout: 'NHD' | 'HND' | 'paged';
  maxLength: number;
  pageSize: number;
  maxPages: number;
}

/** Lengths within the cache, as an Int32Array of `batch` elements; returns the longest. */
function requireLengths(lengths: Int32Array, batch: number, maxLength: number): number {
  arrayOf('lengths', lengths, Int32Array);
  if (lengths.length !== batch) throw check.rangeError('lengths', `${batch} elements long`, lengths);
  let longest = 0;
  for (const length of lengths) {
    if (length < 0 || length > maxLength) throw check.rangeError('lengths', `in [0, ${maxLength}]`, length);
    longest = Math.max(longest, length);
  }
  return longest;
}

function prepareAttention(q: Float32Array, source: Source, o: AttentionOptions): Prepared<AttentionResult> {
  arrayOf('q', q, Float32Array);
  const { batch, queryHeads, kvHeads, headDim } = heads(o);
  const queryTokens = check.positiveInteger('queryTokens', o.queryTokens ?? 1);
  const rows = batch * queryTokens * queryHeads;
  if (q.length !== rows * headDim) throw check.rangeError('q', `${rows * headDim} elements long`, q);
  const longest = requireLengths(o.lengths, batch, source.maxLength);
  const threads = threadsOf(o.threads);
  const causal = check.boolean('causal', o.causal ?? true);
  const scale = o.scale === undefined ? 1 / Math.sqrt(headDim) : o.scale;
  if (typeof scale !== 'number') throw check.typeError('scale', 'a finite number', scale);
  if (!Number.isFinite(scale)) throw check.rangeError('scale', 'a finite number', scale);
  const seen = visibilityOf(o, queryHeads);
  const form = softmaxOf(o);
  const partials = check.boolean('partials', o.partials ?? false);
  const { chunk, splits } = splitsOf(o.splits, { batch, kvHeads, length: longest, workers: threads });
  if (partials && (splits === 0 || queryTokens > 1))
    throw check.rangeError('partials', 'true only with a number of splits and one query token', partials);
  const parts = partials ? splits : 1;
  // Of a number of splits that nothing else bounds.
  const out = o.out === undefined ? (allocate('f32', parts * rows * headDim) as Float32Array) : o.out;
  arrayOf('out', out, Float32Array);
  if (out.length !== parts * rows * headDim)
    throw check.rangeError('out', `${parts * rows * headDim} elements long`, out);
  const logSumExp = allocate('f32', parts * rows) as Float32Array;
  const sizes = Float64Array.of(
    batch,
    queryTokens,
    queryHeads,
    kvHeads,
    headDim,
    source.maxLength,
    source.pageSize,
    source.maxPages,
    scale,
    seen.window,
    seen.sinkTokens,
    seen.softCap,
    form.phi,
    form.low,
    form.high,
    chunk,
    splits,
  );
  const args = [
    q,
    source.keys,
    source.values,
    source.keyScales,
    source.valueScales,
    source.pageTable,
    o.lengths,
    seen.alibiSlopes,
    seen.sinks,
    out,
    logSumExp,
    sizes,
    source.layout,
    source.kvType,
    form.softmax,
    form.elementRule,
    causal,
    partials,
    threads,
  ];
  return {
    operation: 'attention',
    args,
    result: (returned) => ({ out, logSumExp, fallbackRows: returned as number }),
  };
}

function prepareDecode(
  q: Float32Array,
  keys: CacheArray,
  values: CacheArray,
  given: DecodeAttentionOptions,
): Prepared<AttentionResult> {
  const o = check.options(given);
  const { batch, kvHeads, headDim } = heads(o);
  const maxLength = check.positiveInteger('maxLength', o.maxLength);
  const rows = batch * maxLength * kvHeads;
  const kvType = requireCache('keys', keys, o.kvType, rows * headDim);
  requireCache('values', values, o.kvType ?? kvType, rows * headDim);
  for (const name of ['keyScales', 'valueScales'] as const) {
    if (kvType !== 'int8') {
      if (o[name] !== undefined) throw check.typeError(name, 'given for int8 caches only', o[name]);
    } else if (arrayOf(name, o[name] as Float32Array, Float32Array).length !== rows) {
      throw check.rangeError(name, `${rows} elements long`, o[name]);
    }
  }
  const layout = check.oneOf('layout', o.layout ?? 'NHD', ['NHD', 'HND'] as const);
  const { keyScales, valueScales } = o;
  return prepareAttention(
    q,
    { keys, values, keyScales, valueScales, kvType, layout, maxLength, pageSize: 1, maxPages: 0 },
    o,
  );
}

/**
 * Attention of one or a few query tokens of each sequence over its cached keys and values:
 * out = sum_i e^(s_i) V_i / sum_i e^(s_i), s_i = scale <q, K_i>, then soft cap, ALiBi and mask, in this order. Query head h
 * reads head floor(h / (queryHeads / kvHeads)) of the cache, which is read once for all the heads that share it. A
 * sequence of length 0 gives zeros and -Infinity. Where scores are NaN or +Infinity the row's result is NaN, and no other's.
 * Within 2e-6 of exact for scores up to some tens.
 *
 * @param q [batch, queryTokens, queryHeads, headDim]
 * @param keys the cache in its layout: Float32Array, Uint16Array (bf16, f16) or Int8Array with scales
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see "Flash-Decoding", T. Dao et al., 2023; "FlashDecoding++", K. Hong et al., MLSys 2024, section 3
 *
 * @example
 * const { out, logSumExp } = decodeAttention(q, keys, values, {
 *   batch: 1, queryHeads: 32, kvHeads: 8, headDim: 128, maxLength: 4096, lengths: Int32Array.of(1000),
 * });
 */
export const decodeAttention = (
  q: Float32Array,
  keys: CacheArray,
  values: CacheArray,
  options: DecodeAttentionOptions,
): AttentionResult => blocking(prepareDecode(q, keys, values, options));

/** Promise form of decodeAttention. */
export const decodeAttentionAsync = async (
  q: Float32Array,
  keys: CacheArray,
  values: CacheArray,
  options: DecodeAttentionOptions & AsyncOptions,
): Promise<AttentionResult> => promised(prepareDecode(q, keys, values, options), options);

function preparePaged(
  q: Float32Array,
  pages: CacheArray,
  given: PagedAttentionOptions,
): Prepared<AttentionResult> {
  const o = check.options(given);
  const { batch, kvHeads, headDim } = heads(o);
  const pageSize = check.positiveInteger('pageSize', o.pageSize);
  const kvType = requireCache('pages', pages, o.kvType);
  const pageRows = 2 * kvHeads * pageSize;
  const count = pages.length / (pageRows * headDim);
  if (!Number.isInteger(count))
    throw check.rangeError('pages', `whole pages of ${pageRows * headDim} elements`, pages);
  if (kvType !== 'int8') {
    if (o.scales !== undefined) throw check.typeError('scales', 'given for int8 pages only', o.scales);
  } else if (arrayOf('scales', o.scales as Float32Array, Float32Array).length !== count * pageRows) {
    throw check.rangeError('scales', `${count * pageRows} elements long`, o.scales);
  }
  if (o.pageTable !== undefined) arrayOf('lengths', o.lengths, Int32Array);
  const { pageTable, maxPages, lengths } = pageTableOf(o, batch, count);
  const source: Source = {
    keys: pages,
    keyScales: o.scales,
    pageTable,
    kvType,
    layout: 'paged',
    maxLength: maxPages * pageSize,
    pageSize,
    maxPages,
  };
  return prepareAttention(q, source, { ...o, lengths });
}

/**
 * decodeAttention over a cache in pages, [page, 2 (keys, values), kvHeads, pageSize, headDim], given by a page table or
 * by indptr, indices and lastPageLength.
 * @throws RangeError for a page outside the pool, or missing inside a length; else as decodeAttention
 * @see "Efficient Memory Management for Large Language Model Serving with PagedAttention", W. Kwon et al., SOSP 2023
 */
export const pagedDecodeAttention = (
  q: Float32Array,
  pages: CacheArray,
  options: PagedAttentionOptions,
): AttentionResult => blocking(preparePaged(q, pages, options));

/** Promise form of pagedDecodeAttention. */
export const pagedDecodeAttentionAsync = async (
  q: Float32Array,
  pages: CacheArray,
  options: PagedAttentionOptions & AsyncOptions,
): Promise<AttentionResult> => promised(preparePaged(q, pages, options), options);

/** Options of prefillAttention. */
export interface PrefillAttentionOptions extends Omit<
  DecodeAttentionOptions,
  'maxLength' | 'queryTokens' | 'partials' | 'lengths'
> {
  /** Tokens of each sequence. */
  length: number;
}

const asDecode = (q: Float32Array, given: PrefillAttentionOptions): DecodeAttentionOptions => {
  const o = check.options(given);
  const { batch, queryHeads, headDim } = heads(o);
  const length = check.positiveInteger('length', o.length);
  const elements = batch * length * queryHeads * headDim;
  if (arrayOf('q', q, Float32Array).length !== elements)
    throw check.rangeError('q', `${elements} elements long`, q);
  return { ...o, maxLength: length, queryTokens: length, lengths: new Int32Array(batch).fill(length) };
};

/**
 * Self attention of whole prompts, causal unless told otherwise. Each row has the bits that decodeAttention gives for the
 * prompt up to it.
 * @param q [batch, length, queryHeads, headDim]
 * @param k [batch, length, kvHeads, headDim] (or HND)
 * @throws as decodeAttention
 */
export const prefillAttention = (
  q: Float32Array,
  k: CacheArray,
  v: CacheArray,
  options: PrefillAttentionOptions,
): AttentionResult => decodeAttention(q, k, v, asDecode(q, options));

/** Promise form of prefillAttention. */
export const prefillAttentionAsync = async (
  q: Float32Array,
  k: CacheArray,
  v: CacheArray,
  options: PrefillAttentionOptions & AsyncOptions,
): Promise<AttentionResult> => decodeAttentionAsync(q, k, v, { ...options, ...asDecode(q, options) });

/** Options of appendPaged. */
export interface AppendPagedOptions extends PageTableOptions {
  kvHeads: number;
  headDim: number;
  batch: number;
  /** Position of each token in its sequence: [tokens]. */
  positions: Int32Array;
  /** Sequence of each token, a row of the page table: [tokens]. */
  sequences: Int32Array;
  /** Storage of the pages; needed for a Uint16Array. */
  kvType?: CacheType;
  /** Scales of int8 pages, written too: [page, 2, kvHeads, pageSize]. */
  scales?: Float32Array;
}

/**
 * Writes new keys and values, [tokens, kvHeads, headDim], into pages at their positions, converted to the pages' type.
 * @throws RangeError for a position without a page
 */
export function appendPaged(
  k: Float32Array,
  v: Float32Array,
  pages: CacheArray,
  given: AppendPagedOptions,
): void {
  const o = check.options(given);
  const kvHeads = check.positiveInteger('kvHeads', o.kvHeads);
  const headDim = check.positiveInteger('headDim', o.headDim);
  const batch = check.positiveInteger('batch', o.batch);
  const pageSize = check.positiveInteger('pageSize', o.pageSize);
  const kvType = requireCache('pages', pages, o.kvType);
  const count = Math.floor(pages.length / (2 * kvHeads * pageSize * headDim));
  const { pageTable, maxPages } = pageTableOf(o, batch, count);
  arrayOf('positions', o.positions, Int32Array);
  arrayOf('sequences', o.sequences, Int32Array);
  const tokens = o.positions.length;
  if (o.sequences.length !== tokens)
    throw check.rangeError('sequences', `${tokens} elements long`, o.sequences);
  for (const [name, array] of [
    ['k', k],
    ['v', v],
  ] as const) {
    if (arrayOf(name, array, Float32Array).length !== tokens * kvHeads * headDim)
      throw check.rangeError(name, `${tokens * kvHeads * headDim} elements long`, array);
  }
  const slots = Int32Array.from(o.positions, (position, i) => {
    const sequence = o.sequences[i];
    if (sequence < 0 || sequence >= batch) throw check.rangeError('sequences', `in [0, ${batch})`, sequence);
    const page = Math.floor(position / pageSize);
    const id = position >= 0 && page < maxPages ? pageTable[sequence * maxPages + page] : -1;
    if (id < 0 || id >= count)
      throw check.rangeError('positions', 'positions that the page table has pages for', position);
    return id * pageSize + (position % pageSize);
  });
  const args = [k, v, pages, o.scales, slots, kvHeads, headDim, pageSize, kvType];
  blocking({ operation: 'appendPaged', args, result: undefined });
}
