import {
  AttentionCache,
  type AttentionCacheOptions,
  type CacheAttentionOptions,
} from '../../lib/llm/attention-cache.js';
import type { KvSequence } from '../../lib/llm/cache.js';
import type { AttentionResult } from '../../lib/index.js';
import { attention, type CacheType } from '../reference/attention.js';
import { narrow, widen } from '../reference/convert.js';
import { roundToEven } from '../reference/extended.js';
import { expectAttention } from './attention.js';
import { normalRow } from './rows.js';

/** Storage types of a cache. */
export const CACHE_TYPES: readonly CacheType[] = ['f32', 'bf16', 'f16', 'int8'];

/** What a head's key or value is worth once it is stored: int8 is scaled by its largest magnitude. */
export function asStored(head: Float32Array, type: CacheType): ArrayLike<number> {
  if (type === 'f32') return head;
  if (type !== 'int8') return widen(narrow(head, type), type);
  const largest = head.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const [scale, inverse] = [Math.fround(largest / 127), Math.fround(127 / largest)];
  return Array.from(head, (value) => roundToEven(Math.fround(value * inverse)) * scale);
}

/** A token of a sequence: of each layer what is stored of its key and its value, head by head. */
interface Token {
  keys: number[][];
  values: number[][];
}

/** A cache, and beside it what each of its sequences must hold. */
export class CacheMirror {
  readonly cache: AttentionCache;
  readonly #tokens = new Map<KvSequence, Token[]>();
  #stream = 100;

  constructor(options: AttentionCacheOptions) {
    this.cache = new AttentionCache(options);
  }

  sequence(): KvSequence {
    const sequence = this.cache.sequence();
    this.#tokens.set(sequence, []);
    return sequence;
  }

  fork(sequence: KvSequence): KvSequence {
    const fork = sequence.fork();
    this.#tokens.set(fork, [...this.#tokens.get(sequence)!]);
    return fork;
  }

  truncate(sequence: KvSequence, length: number): void {
    sequence.truncate(length);
    this.#tokens.get(sequence)!.length = length;
  }

  /** New random tokens, counts[i] of sequences[i], in one write for each layer; or all of one value, of no account here. */
  append(sequences: readonly KvSequence[], counts: readonly number[], value?: number): void {
    const { layers, kvHeads, headDim, type } = this.cache;
    sequences.forEach((sequence, i) => sequence.append(counts[i]));
    const rows = this.cache.rows(sequences, counts);
    const size = kvHeads * headDim;
    const fresh: Token[] = Array.from({ length: rows.count }, () => ({ keys: [], values: [] }));
    for (let layer = 0; layer < layers; layer += 1) {
      const [k, v] = [0, 1].map(() => {
        const data = normalRow(rows.count * size, 1, (this.#stream += 1));
        return value === undefined ? data : data.fill(value);
      });
      this.cache.write(layer, rows, k, v);
      fresh.forEach((token, r) => {
        const stored = (x: Float32Array): number[] =>
          Array.from({ length: kvHeads }, (_, h) =>
            Array.from(asStored(x.subarray(r * size + h * headDim, r * size + (h + 1) * headDim), type)),
          ).flat();
        token.keys.push(stored(k));
        token.values.push(stored(v));
      });
    }
    fresh.forEach((token, r) => this.#tokens.get(sequences[rows.sequences[r]])!.push(token));
  }

  /** Fails unless attention of the newest counts[i] tokens of sequences[i] is that of the reference, in every layer. */
  expectAttention(
    sequences: readonly KvSequence[],
    counts: readonly number[],
    options: CacheAttentionOptions,
  ): AttentionResult {
    const { layers, kvHeads, headDim } = this.cache;
    const { queryHeads, scale, window, sinkTokens, softCap, alibiSlopes, sinks } = options;
    const rows = this.cache.rows(sequences, counts);
    let result: AttentionResult | undefined;
    for (let layer = layers - 1; layer >= 0; layer -= 1) {
      const q = normalRow(rows.count * queryHeads * headDim, 1, (this.#stream += 1));
      result = this.cache.attend(layer, rows, q, options);
      let row = 0;
      sequences.forEach((sequence, i) => {
        const tokens = this.#tokens.get(sequence)!;
        expect(sequence.length).toBe(tokens.length);
        if (counts[i] === 0) return;
        const [from, to] = [row, (row += counts[i])].map((r) => r * queryHeads);
        const expected = attention(
          q.subarray(from * headDim, to * headDim),
          tokens.flatMap(({ keys }) => keys[layer]),
          tokens.flatMap(({ values }) => values[layer]),
          {
            batch: 1,
            queryTokens: counts[i],
            queryHeads,
            kvHeads,
            headDim,
            maxLength: tokens.length,
            lengths: [tokens.length],
            ...{ scale, window, sinkTokens, softCap },
            alibiSlopes: alibiSlopes && Float32Array.from(alibiSlopes),
            sinks: sinks && Float32Array.from(sinks),
          },
        );
        const own = {
          out: result!.out.subarray(from * headDim, to * headDim),
          logSumExp: result!.logSumExp.subarray(from, to),
        };
        expectAttention(own, expected, headDim, `layer ${layer}, sequence ${i}`);
      });
      expect(row).toBe(rows.count);
    }
    return result!;
  }
}
