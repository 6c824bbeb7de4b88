/**
 * The KV cache for models of one's own: keys and values in, attention out, sequences that grow, fork and are cut back.
 * Keys lie turned in tiles of 16, so that a step reads them once for all query heads that share them.
 * Native: native/llama/cache.cc.
 */
import * as check from '../check.js';
import { heads, softmaxOf, visibilityOf } from '../kernels/attention-options.js';
import type { SoftmaxFormOptions, VisibilityOptions } from '../kernels/attention-options.js';
import type { AttentionResult } from '../kernels/attention.js';
import { arrayOf, threadsOf } from '../kernels/arguments.js';
import { WEIGHT_TYPES } from '../kernels/weights.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { KvCache, KvSequence } from './cache.js';
import { PAGE_TOKENS, pageBytes } from './forward.js';
import type { CacheType } from './forward.js';

/** Sizes of a cache. */
export interface AttentionCacheOptions {
  /** Layers that have keys and values of their own; default 1. */
  layers?: number;
  kvHeads: number;
  headDim: number;
  /** Storage: 'f32' (default), 'bf16', 'f16', or 'int8' with a scale for each key and value of a head. */
  type?: CacheType;
  /** Most tokens of all sequences together, in pages of 16; default no limit but memory. */
  maxTokens?: number;
}

/**
 * The rows of a step: the newest tokens of some sequences. Made by AttentionCache.rows, good for all layers of the step:
 * until one of the sequences is appended to, cut back or released.
 */
export interface CacheRows {
  readonly count: number;
  readonly sequences: Int32Array;
  readonly positions: Int32Array;
  readonly pageTable: Int32Array;
  readonly maxPages: number;
}

/** Options of attend. */
export interface CacheAttentionOptions extends VisibilityOptions, SoftmaxFormOptions {
  /** A multiple of kvHeads. */
  queryHeads: number;
  /** Default 1 / sqrt(headDim). */
  scale?: number;
  /** Threads; default 1. */
  threads?: number;
}

/**
 * A cache of keys and values.
 *
 * @example
 * const cache = new AttentionCache({ layers: 2, kvHeads: 8, headDim: 64, type: 'bf16' });
 * const sequence = cache.sequence();
 * sequence.append(1);                    // room for one more token
 * const rows = cache.rows([sequence]);   // its newest token
 * cache.write(0, rows, k, v);            // of layer 0
 * const { out } = cache.attend(0, rows, q, { queryHeads: 32 });
 */
export class AttentionCache {
  /** The pages underneath: bytes in use, limits. */
  readonly pages: KvCache;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly type: CacheType;
  /** The sequences of the rows that this cache has made. */
  readonly #made = new WeakMap<CacheRows, KvSequence[]>();

  /** @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE */
  constructor(options: AttentionCacheOptions) {
    const o = check.options(options);
    this.layers = check.positiveInteger('layers', o.layers ?? 1);
    this.kvHeads = check.positiveInteger('kvHeads', o.kvHeads);
    this.headDim = check.positiveInteger('headDim', o.headDim);
    this.type = check.oneOf('type', o.type ?? 'f32', WEIGHT_TYPES);
    const tokens = o.maxTokens === undefined ? Infinity : check.positiveInteger('maxTokens', o.maxTokens);
    this.pages = new KvCache({
      pageBytes: pageBytes(this, this.type),
      maxPages: Math.ceil(tokens / PAGE_TOKENS),
    });
  }

  /** An empty sequence; its `append` makes room, `fork` shares what it holds, `truncate` cuts back, `release` frees. */
  sequence(): KvSequence {
    return this.pages.sequence();
  }

  /**
   * The newest tokens of some sequences: counts[i] of sequences[i], default 1 each.
   * @throws RangeError where a sequence holds fewer
   */
  rows(sequences: readonly KvSequence[], counts?: readonly number[]): CacheRows {
    if (!Array.isArray(sequences)) throw check.typeError('sequences', 'an array of sequences', sequences);
    const list = sequences as readonly KvSequence[];
    list.forEach((sequence: unknown, i) => {
      if (!(sequence instanceof KvSequence))
        throw check.typeError(`sequences[${i}]`, 'a sequence of this cache', sequence);
      if (!this.pages.owns(sequence))
        throw check.rangeError(`sequences[${i}]`, 'a sequence of this cache', 'one of another cache');
    });
    const wanted = counts ?? list.map(() => 1);
    if (!Array.isArray(wanted)) throw check.typeError('counts', 'an array of numbers', wanted);
    if (wanted.length !== list.length)
      throw check.rangeError('counts', `${list.length} numbers`, `${wanted.length} numbers`);
    const index: number[] = [];
    const positions: number[] = [];
    const maxPages = Math.max(1, ...list.map(({ pages }) => pages.length));
    const pageTable = new Int32Array(list.length * maxPages).fill(-1);
    list.forEach((sequence, i) => {
      const count: unknown = wanted[i];
      if (typeof count !== 'number') throw check.typeError(`counts[${i}]`, 'an integer', count);
      if (!Number.isSafeInteger(count) || count < 0 || count > sequence.length)
        throw check.rangeError(`counts[${i}]`, `an integer from 0 to ${sequence.length}`, count);
      pageTable.set(sequence.pages, i * maxPages);
      for (let p = sequence.length - count; p < sequence.length; p++) {
        index.push(i);
        positions.push(p);
      }
    });
    const rows: CacheRows = {
      count: index.length,
      sequences: Int32Array.from(index),
      positions: Int32Array.from(positions),
      pageTable,
      maxPages,
    };
    this.#made.set(rows, [...list]);
    return rows;
  }

  /**
   * Writes keys and values of a layer, converted to the cache's type.
   * @param k [rows.count, kvHeads, headDim], rotated already where the model rotates
   * @param v the same shape
   * @throws RangeError naming the argument; nothing is written then
   */
  write(layer: number, rows: CacheRows, k: Float32Array, v: Float32Array): void {
    const held = this.#requireRows(rows);
    arrayOf('k', k, Float32Array);
    arrayOf('v', v, Float32Array);
    for (let i = 0; i < rows.count; i++) {
      const page = held[rows.sequences[i]].pages[Math.floor(rows.positions[i] / PAGE_TOKENS)];
      if (this.pages.isShared(page))
        throw check.rangeError(
          'rows',
          'tokens that were appended after the last fork',
          'tokens that a fork shares',
        );
    }
    const sizes = this.#sizes(layer, rows, this.kvHeads, 1);
    const args = [this.pages.slabs, k, v, rows.sequences, rows.positions, rows.pageTable, sizes, this.type];
    blocking({ operation: 'cacheAppend', args, result: undefined });
  }

  /**
   * Attention of each row over its sequence up to itself; options as decodeAttention's.
   * @param q [rows.count, queryHeads, headDim]
   * @returns out [rows.count, queryHeads, headDim], logSumExp [rows.count, queryHeads]; a row has the same bits in any company
   * @throws TypeError or RangeError naming the argument
   */
  attend(layer: number, rows: CacheRows, q: Float32Array, options: CacheAttentionOptions): AttentionResult {
    return blocking(this.#prepare(layer, rows, q, options));
  }

  /** Promise form of attend. */
  async attendAsync(
    layer: number,
    rows: CacheRows,
    q: Float32Array,
    options: CacheAttentionOptions & AsyncOptions,
  ): Promise<AttentionResult> {
    return promised(this.#prepare(layer, rows, q, options), options);
  }

  #prepare(
    layer: number,
    rows: CacheRows,
    q: Float32Array,
    options: CacheAttentionOptions,
  ): Prepared<AttentionResult> {
    const o = check.options(options);
    this.#requireRows(rows);
    const { kvHeads, headDim } = this;
    const { queryHeads } = heads({ batch: 1, queryHeads: o.queryHeads, kvHeads, headDim });
    arrayOf('q', q, Float32Array);
    const scale: unknown = o.scale === undefined ? 1 / Math.sqrt(headDim) : o.scale;
    if (typeof scale !== 'number') throw check.typeError('scale', 'a finite number', scale);
    if (!Number.isFinite(scale)) throw check.rangeError('scale', 'a finite number', scale);
    const seen = visibilityOf(o, queryHeads);
    const form = softmaxOf(o);
    const out = new Float32Array(q.length);
    const logSumExp = new Float32Array(rows.count * queryHeads);
    const sizes = this.#sizes(layer, rows, queryHeads, scale);
    sizes.set([seen.window, seen.sinkTokens, seen.softCap, form.phi, form.low, form.high], 7);
    const args = [
      q,
      this.pages.slabs,
      rows.sequences,
      rows.positions,
      rows.pageTable,
      seen.alibiSlopes,
      seen.sinks,
      out,
      logSumExp,
      sizes,
      this.type,
      form.softmax,
      form.elementRule,
      threadsOf(o.threads),
    ];
    return {
      operation: 'cacheAttention',
      args,
      result: (returned) => ({ out, logSumExp, fallbackRows: returned as number }),
    };
  }

  /** The sequences of rows that this cache made and that still stand where they stood. */
  #requireRows(rows: CacheRows): KvSequence[] {
    const held = typeof rows === 'object' && rows !== null ? this.#made.get(rows) : undefined;
    if (!held) throw check.typeError('rows', 'what rows() of this cache gave', rows);
    held.forEach((sequence, i) => {
      const { maxPages, pageTable } = rows;
      const { pages } = sequence;
      const last = rows.positions[rows.sequences.lastIndexOf(i)] ?? -1;
      const needed = Math.ceil((last + 1) / PAGE_TOKENS);
      for (let p = 0; p < needed; p++) {
        if (pages[p] !== pageTable[i * maxPages + p] || last >= sequence.length)
          throw check.rangeError(
            'rows',
            'of sequences as they are',
            'rows of a sequence that has changed since',
          );
      }
    });
    return held;
  }

  /** The numbers that both operations read, in the order of native/llama/operations.cc. */
  #sizes(layer: number, rows: CacheRows, queryHeads: number, scale: number): Float64Array {
    if (typeof layer !== 'number') throw check.typeError('layer', 'an integer', layer);
    if (!Number.isSafeInteger(layer) || layer < 0 || layer >= this.layers)
      throw check.rangeError('layer', `an integer from 0 to ${this.layers - 1}`, layer);
    const { layers, kvHeads, headDim } = this;
    return Float64Array.of(
      layers,
      kvHeads,
      headDim,
      layer,
      queryHeads,
      rows.maxPages,
      scale,
      0,
      0,
      0,
      0,
      0,
      0,
    );
  }
}
