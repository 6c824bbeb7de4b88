/**
 * The options that the attention functions share: shapes, what rows see, forms of the softmax, splits, page tables.
 */
import * as check from '../check.js';
import { arrayOf } from './arguments.js';
import { weightTypeOf } from './weights.js';
import type { WeightArray, WeightType } from './weights.js';

/** Storage of keys and values: float32, bf16 or f16 patterns, int8 with a scale for each key and value of a head. */
export type CacheType = WeightType;

/** Arrays that hold keys and values. */
export type CacheArray = WeightArray;

/** Sizes of a call. */
export interface AttentionShape {
  /** Sequences. */
  batch: number;
  /** Heads of the queries. */
  queryHeads: number;
  /** Heads of the cache; a divisor of queryHeads (equal: multi-head, 1: multi-query, between: grouped-query). */
  kvHeads: number;
  /** Elements of a head. */
  headDim: number;
}

/** Checks the sizes of a call. */
export function heads(o: AttentionShape): AttentionShape {
  const batch = check.positiveInteger('batch', o.batch);
  const queryHeads = check.positiveInteger('queryHeads', o.queryHeads);
  const kvHeads = check.positiveInteger('kvHeads', o.kvHeads);
  const headDim = check.positiveInteger('headDim', o.headDim);
  if (queryHeads % kvHeads !== 0)
    throw check.rangeError('kvHeads', `a divisor of the ${queryHeads} queryHeads`, kvHeads);
  return { batch, queryHeads, kvHeads, headDim };
}

/** The storage type of a cache array, of the length wanted. */
export function requireCache(name: string, array: CacheArray, type: unknown, length?: number): CacheType {
  const kind = weightTypeOf(name, array, type, 'kvType');
  if (length !== undefined && array.length !== length)
    throw check.rangeError(name, `${length} elements long`, array);
  return kind;
}

/** What a query row sees, and how its scores are changed. */
export interface VisibilityOptions {
  /** Only the last `window` keys are seen; default all. */
  window?: number;
  /** The first positions that stay visible beside the window (StreamingLLM); default 0. */
  sinkTokens?: number;
  /** s becomes c tanh(s / c); default off. */
  softCap?: number;
  /** ALiBi: slope * (key position - query position) is added: queryHeads elements. */
  alibiSlopes?: ArrayLike<number>;
  /** A logit for each query head that joins the denominator alone (learned attention sinks): queryHeads elements. */
  sinks?: ArrayLike<number>;
}

/** Checked visibility; 0 stands for off. */
export interface Visibility {
  window: number;
  sinkTokens: number;
  softCap: number;
  alibiSlopes?: Float32Array;
  sinks?: Float32Array;
}

/** Checks what rows see. */
export function visibilityOf(o: VisibilityOptions, queryHeads: number): Visibility {
  const window = o.window === undefined ? 0 : check.positiveInteger('window', o.window);
  const sinkTokens = o.sinkTokens ?? 0;
  if (sinkTokens !== 0) check.positiveInteger('sinkTokens', sinkTokens);
  const softCap = o.softCap === undefined ? 0 : check.positiveNumber('softCap', o.softCap);
  return {
    window,
    sinkTokens,
    softCap,
    alibiSlopes: perHead('alibiSlopes', o.alibiSlopes, queryHeads),
    sinks: perHead('sinks', o.sinks, queryHeads),
  };
}

/** Numbers for each query head, as float32. */
function perHead(name: string, given: unknown, queryHeads: number): Float32Array | undefined {
  if (given === undefined) return undefined;
  if (!Array.isArray(given) && !check.isA(given, Float32Array) && !check.isA(given, Float64Array))
    throw check.typeError(name, 'an array of numbers', given);
  const values = Float32Array.from(given as ArrayLike<number>);
  if (values.length !== queryHeads) throw check.rangeError(name, `${queryHeads} elements long`, values);
  return values;
}

/** How partial softmaxes are joined. */
export interface SoftmaxFormOptions {
  /**
   * 'online' (default): by the largest score so far; 'unified': by phi, with no rescaling, rows that leave the range being
   * computed again; 'pair': as (mantissa, exponent), which needs neither for scores between -131000 and 131000 (a row
   * beyond is computed again, too).
   */
  softmax?: 'online' | 'unified' | 'pair';
  /** The unified maximum, best within 16 of the usual largest score; default 0. */
  phi?: number;
  /**
   * When a row is computed again: 'row' (default), its sum or values are not finite or the sum is below 2^-60; 'element',
   * some score is not a < s - phi < b, as in the paper.
   */
  rule?: 'row' | 'element';
  /** [a, b] of the element rule; default [-23.3, 40]. */
  range?: readonly [number, number];
}

/** A checked form. */
export interface SoftmaxForm {
  softmax: 'online' | 'unified' | 'pair';
  phi: number;
  elementRule: boolean;
  low: number;
  high: number;
}

/** Bounds of s - phi that leave float32 room on both sides. */
const DEFAULT_RANGE = [-23.3, 40] as const;

/** Checks the form of the softmax. */
export function softmaxOf(o: SoftmaxFormOptions): SoftmaxForm {
  const softmax = check.oneOf('softmax', o.softmax ?? 'online', ['online', 'unified', 'pair'] as const);
  const phi = o.phi === undefined ? 0 : o.phi;
  if (typeof phi !== 'number') throw check.typeError('phi', 'a finite number', phi);
  if (!Number.isFinite(phi)) throw check.rangeError('phi', 'a finite number', phi);
  const rule = check.oneOf('rule', o.rule ?? 'row', ['row', 'element'] as const);
  const range: unknown = o.range ?? DEFAULT_RANGE;
  if (!Array.isArray(range) || range.length !== 2)
    throw check.typeError('range', 'an array of two numbers', range);
  const [low, high] = range as [unknown, unknown];
  if (typeof low !== 'number' || typeof high !== 'number')
    throw check.typeError('range', 'an array of two numbers', range);
  if (!(low < high)) throw check.rangeError('range', '[a, b] with a < b', `[${low}, ${high}]`);
  return { softmax, phi, elementRule: rule === 'element', low, high };
}

/** How keys are cut. */
export type Splits = number | 'auto' | { chunk: number };

/** Keys in a chunk unless told otherwise. */
const CHUNK = 512;

/** What the number of splits depends on. */
export interface SplitsCase {
  batch: number;
  kvHeads: number;
  /** Keys of the longest sequence. */
  length: number;
  /** What can run at once: threads, or on a GPU two blocks for each multiprocessor. */
  workers: number;
  /** Keys of a chunk at least; default 512 (a GPU takes 256). */
  minChunk?: number;
}

/**
 * The number of chunks that keep all workers busy: max(1, min(ceil(workers / (batch kvHeads)), ceil(length / minChunk))).
 * @throws RangeError for a size that is no positive integer (length may be 0)
 * @see "Flash-Decoding", T. Dao et al., 2023
 */
export function attentionSplits(sizes: SplitsCase): number {
  const { batch, kvHeads, length, workers, minChunk = CHUNK } = check.options(sizes);
  for (const [name, value] of Object.entries({ batch, kvHeads, workers, minChunk }))
    check.positiveInteger(name, value);
  if (length !== 0) check.positiveInteger('length', length);
  return Math.max(1, Math.min(Math.ceil(workers / (batch * kvHeads)), Math.ceil(length / minChunk)));
}

/** The chunk of keys, or the number of splits; the other is 0. */
export function splitsOf(splits: Splits | undefined, sizes: SplitsCase): { chunk: number; splits: number } {
  if (splits === undefined) return { chunk: CHUNK, splits: 0 };
  if (splits === 'auto') return { chunk: 0, splits: attentionSplits(sizes) };
  if (typeof splits === 'number') return { chunk: 0, splits: check.positiveInteger('splits', splits) };
  if (typeof splits !== 'object' || splits === null)
    throw check.typeError('splits', "a number, 'auto' or { chunk }", splits);
  return { chunk: check.positiveInteger('splits.chunk', splits.chunk), splits: 0 };
}

/** Where the pages of each sequence are. */
export interface PageTableOptions {
  /** Tokens in a page. */
  pageSize: number;
  /** [batch, maxPages]: page numbers in order, -1 where there is none. */
  pageTable?: Int32Array;
  /** Instead of a page table: pages indices[indptr[b]] to indices[indptr[b + 1] - 1] are those of sequence b. */
  indptr?: Int32Array;
  indices?: Int32Array;
  /** Tokens in the last page of each sequence, 1 to pageSize; 0 only for an empty one. Gives the lengths. */
  lastPageLength?: Int32Array;
  /** Tokens of each sequence; known where lastPageLength is given. */
  lengths?: Int32Array;
}

/** A page table with rows of equal length, and the lengths. */
export interface PageTable {
  pageTable: Int32Array;
  maxPages: number;
  lengths: Int32Array;
}

/** Checks either description of the pages; every page that a length needs must exist. */
export function pageTableOf(o: PageTableOptions, batch: number, count: number): PageTable {
  const table = o.pageTable === undefined ? fromIndices(o, batch) : fromTable(o, batch);
  const { pageTable, maxPages, lengths } = table;
  for (let b = 0; b < Math.min(batch, lengths.length); b++) {
    const needed = Math.min(maxPages, Math.ceil(lengths[b] / o.pageSize));
    for (let p = 0; p < needed; p++) {
      const page = pageTable[b * maxPages + p];
      if (page < 0 || page >= count) {
        const name = o.pageTable === undefined ? 'indices' : 'pageTable';
        throw check.rangeError(name, `pages in [0, ${count}) for every position of sequence ${b}`, page);
      }
    }
  }
  return table;
}

function fromTable(o: PageTableOptions, batch: number): PageTable {
  const pageTable = arrayOf('pageTable', o.pageTable as Int32Array, Int32Array);
  if (o.indptr !== undefined || o.indices !== undefined || o.lastPageLength !== undefined)
    throw check.typeError('pageTable', 'given without indptr, indices and lastPageLength', pageTable);
  if (pageTable.length === 0 || pageTable.length % batch !== 0)
    throw check.rangeError('pageTable', `${batch} rows of equal length`, pageTable);
  const lengths = o.lengths === undefined ? new Int32Array(0) : o.lengths;
  return { pageTable, maxPages: pageTable.length / batch, lengths: arrayOf('lengths', lengths, Int32Array) };
}

function fromIndices(o: PageTableOptions, batch: number): PageTable {
  const indptr = arrayOf('indptr', o.indptr as Int32Array, Int32Array);
  const indices = arrayOf('indices', o.indices as Int32Array, Int32Array);
  const last = arrayOf('lastPageLength', o.lastPageLength as Int32Array, Int32Array);
  if (indptr.length !== batch + 1) throw check.rangeError('indptr', `${batch + 1} elements long`, indptr);
  if (last.length !== batch) throw check.rangeError('lastPageLength', `${batch} elements long`, last);
  const lengths = new Int32Array(batch);
  let maxPages = 1;
  for (let b = 0; b < batch; b++) {
    const pages = indptr[b + 1] - indptr[b];
    if (indptr[b] < 0 || pages < 0 || indptr[b + 1] > indices.length)
      throw check.rangeError('indptr', `ascending in [0, ${indices.length}]`, indptr[b + 1]);
    if (pages === 0 ? last[b] !== 0 : last[b] < 1 || last[b] > o.pageSize)
      throw check.rangeError(
        'lastPageLength',
        pages === 0 ? '0 for an empty sequence' : `in [1, ${o.pageSize}]`,
        last[b],
      );
    lengths[b] = pages === 0 ? 0 : (pages - 1) * o.pageSize + last[b];
    maxPages = Math.max(maxPages, pages);
  }
  const pageTable = new Int32Array(batch * maxPages).fill(-1);
  for (let b = 0; b < batch; b++) pageTable.set(indices.subarray(indptr[b], indptr[b + 1]), b * maxPages);
  if (o.lengths !== undefined && lengths.some((length, b) => o.lengths?.[b] !== length))
    throw check.rangeError('lengths', 'those that lastPageLength says, or absent', o.lengths);
  return { pageTable, maxPages, lengths };
}
