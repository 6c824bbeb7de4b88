import type { Decoder } from '../../lib/llm/decoder.js';
import type { ForwardBatch, ForwardResult } from '../../lib/llm/forward.js';

/** How a ToyDecoder behaves. */
export interface ToyOptions {
  vocabSize?: number;
  maxLength?: number;
  eosTokens?: number[];
  /** Called before each pass; may wait, or throw. */
  before?: (batch: ForwardBatch, signal?: AbortSignal) => void | Promise<void>;
  /** Changes the logits of a row, whose context is given. */
  adjust?: (logits: Float32Array, context: readonly number[]) => void;
}

/** Bytes of a token in the toy's cache: its id. */
const CELL = 4;

/** A mix of two 32-bit numbers. */
function mix(a: number, b: number): number {
  let h = Math.imul(a ^ (b + 0x9e3779b9), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The logits after a context: as good as random, and a function of the context alone. */
export function toyLogits(context: readonly number[], vocabSize: number): Float32Array {
  const state = context.reduce(mix, 1);
  return Float32Array.from({ length: vocabSize }, (_, v) => (mix(state, v) / 2 ** 32) * 8 - 4);
}

/**
 * A decoder without weights: the forward pass writes its tokens to the cache's pages, then reads each row's whole context
 * back from them. Whoever mixes up pages, positions or the copies of forks gets other logits.
 */
export class ToyDecoder implements Decoder {
  readonly vocabSize: number;
  readonly maxLength: number;
  readonly eosTokens: readonly number[];
  readonly pageBytes = CELL * 16;
  readonly threads = 1;
  /** Rows of each pass by sequence: how many each brought. */
  readonly passes: number[][] = [];
  readonly #options: ToyOptions;

  constructor(options: ToyOptions = {}) {
    this.vocabSize = options.vocabSize ?? 50;
    this.maxLength = options.maxLength ?? 400;
    this.eosTokens = options.eosTokens ?? [];
    this.#options = options;
  }

  async forward(batch: ForwardBatch, slabs: Uint8Array[], signal?: AbortSignal): Promise<ForwardResult> {
    await this.#options.before?.(batch, signal);
    await new Promise(setImmediate);
    signal?.throwIfAborted();
    const cell = (sequence: number, position: number): DataView => {
      const page = batch.pageTable[sequence * batch.maxPages + Math.floor(position / 16)];
      const perSlab = slabs[0].length / this.pageBytes;
      const slab = slabs[Math.floor(page / perSlab)];
      const offset = (page % perSlab) * this.pageBytes + (position % 16) * CELL;
      return new DataView(slab.buffer, slab.byteOffset + offset, CELL);
    };
    const counts: number[] = [];
    batch.tokens.forEach((token, row) => {
      const sequence = batch.sequences[row];
      counts[sequence] = (counts[sequence] ?? 0) + 1;
      cell(sequence, batch.positions[row]).setInt32(0, token);
    });
    this.passes.push(counts);
    const logits = new Float32Array(batch.logitRows.length * this.vocabSize);
    batch.logitRows.forEach((row, i) => {
      const context = Array.from({ length: batch.positions[row] + 1 }, (_, t) =>
        cell(batch.sequences[row], t).getInt32(0),
      );
      const own = toyLogits(context, this.vocabSize);
      this.#options.adjust?.(own, context);
      logits.set(own, i * this.vocabSize);
    });
    return { logits, fallbackRows: batch.tokens.length };
  }
}

/** All of an iterator's results. */
export async function collect<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of iterable) all.push(each);
  return all;
}

/** Random ids. */
export const toyTokens = (count: number, seed: number, vocabSize = 50): number[] =>
  Array.from({ length: count }, (_, i) => mix(seed, i) % vocabSize);
