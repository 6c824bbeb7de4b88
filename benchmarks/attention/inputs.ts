/** Queries and caches of the cases. */
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, largeArray } from '../../lib/index.js';
import { AttentionCache, type CacheRows } from '../../lib/llm/index.js';
import { coldCopies } from '../../lib/tuning-dataflow.js';
import { normal } from '../harness/numbers.js';
import { largeCopy, largeLike, readsOf, type Stream } from '../harness/pages.js';
import type { Work } from '../harness/question.js';
import type { CacheType, CaseSpec } from './cases.js';

/** Bytes of an element. */
const BYTES: Record<CacheType, number> = { f32: 4, bf16: 2, f16: 2, int8: 1 };

/** Keys or values as they are stored. */
export interface Stored {
  data: Stream;
  /** A factor for each head of each token, in the order of the layout; int8 alone. */
  scales?: Float32Array;
}

/** A cache of one sequence. */
export interface Cache {
  keys: Stored;
  values: Stored;
}

/** A cache of one sequence in pages, [page, 2 (keys, values), kvHeads, PAGE_TOKENS, headDim]. */
export interface Pages {
  pages: Stored;
  /** The page of each PAGE_TOKENS tokens. */
  pageTable: Int32Array;
}

/** A decoder's own cache, in which keys lie turned in tiles of 16, with its newest token. */
export interface Tiles {
  cache: AttentionCache;
  rows: CacheRows;
}

/** Tokens in a page. */
export const PAGE_TOKENS = 16;
/** Pages are taken in steps of this prime, as if others had been given back in between. */
const PAGE_STEP = 7919;

/** Order of a cache: tokens by heads, or heads by tokens. */
export type Layout = 'NHD' | 'HND';

type Shape = Pick<CaseSpec, 'length' | 'kvHeads' | 'headDim' | 'dtype'>;

/** Bytes that attention reads: keys and values with their scales. */
export function cacheBytes({ length, kvHeads, headDim, dtype }: Shape): number {
  return 2 * length * kvHeads * (headDim * BYTES[dtype] + (dtype === 'int8' ? 4 : 0));
}

/** Where those bytes lie: all copies are made by `largeArray`, and a decoder's own cache in slabs of it. */
export function readsFor(shape: Shape, layout: Layout | 'pages' | 'tiles'): NonNullable<Work['memory']> {
  const { length, kvHeads, headDim, dtype } = shape;
  const bytes = cacheBytes(shape);
  if (layout === 'tiles') return { readBytes: 0, largeBytes: bytes, copyBytes: 0 };
  const elements = length * kvHeads * headDim * BYTES[dtype];
  const scales = bytes / 2 - elements;
  return readsOf(layout === 'pages' ? [2 * elements, 2 * scales] : [elements, elements, scales, scales]);
}

/** The query of a case, [kvHeads * group, headDim]; scores are then normal with deviation 1. */
export function queryOf({ kvHeads, group, headDim }: CaseSpec): Float32Array {
  return normal(kvHeads * group * headDim, 1);
}

/** Caches of one shape that calls take turns with, in both orders; made when first asked for. */
export class CacheSet {
  readonly #made = new Map<Layout, readonly Cache[]>();
  #paged: readonly Pages[] | undefined;
  #tiled: readonly Tiles[] | undefined;
  #source: { keys: Float32Array; values: Float32Array } | undefined;

  constructor(readonly shape: Shape) {}

  /** Copies in the order of a layout, on large pages, enough of them that none is in a cache when its turn comes. */
  of(layout: Layout): readonly Cache[] {
    let caches = this.#made.get(layout);
    if (!caches) {
      const first = { keys: this.#stored('keys', layout), values: this.#stored('values', layout) };
      caches = Array.from({ length: coldCopies(cacheBytes(this.shape)) }, () => copyOf(first));
      this.#made.set(layout, caches);
    }
    return caches;
  }

  /** Copies in pages. */
  paged(): readonly Pages[] {
    return (this.#paged ??= this.of('HND').map((cache) => pagesOf(cache, this.shape)));
  }

  /** Copies in tiles. */
  tiled(): readonly Tiles[] {
    return (this.#tiled ??= this.of('HND').map((cache) => tilesOf(cache, this.shape)));
  }

  /** Keys and values in float32, heads by tokens. */
  get #floats() {
    const { length, kvHeads, headDim } = this.shape;
    const count = length * kvHeads * headDim;
    return (this.#source ??= { keys: normal(count, 2), values: normal(count, 3) });
  }

  #stored(what: 'keys' | 'values', layout: Layout): Stored {
    const { length, kvHeads, headDim, dtype } = this.shape;
    let floats = this.#floats[what];
    if (layout === 'NHD') {
      const turned = new Float32Array(floats.length);
      for (let h = 0; h < kvHeads; h++) {
        for (let t = 0; t < length; t++) {
          const from = (h * length + t) * headDim;
          turned.set(floats.subarray(from, from + headDim), (t * kvHeads + h) * headDim);
        }
      }
      floats = turned;
    }
    if (dtype === 'f32') return { data: floats };
    if (dtype === 'bf16') return { data: f32ToBf16(floats) };
    if (dtype === 'f16') return { data: f32ToF16(floats) };
    return quantized(floats, headDim);
  }
}

/** int8 with a scale for each row of `headDim` numbers: the largest of a row is 127. */
function quantized(x: Float32Array, headDim: number): Stored {
  const rows = x.length / headDim;
  const data = new Int8Array(x.length);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let largest = 0;
    for (let i = row * headDim; i < (row + 1) * headDim; i++) largest = Math.max(largest, Math.abs(x[i]));
    scales[row] = largest / 127;
    for (let i = row * headDim; i < (row + 1) * headDim; i++) data[i] = Math.round(x[i] / scales[row]);
  }
  return { data, scales };
}

/** Distributes a cache, heads by tokens, to pages. */
function pagesOf({ keys, values }: Cache, { length, kvHeads, headDim }: Shape): Pages {
  const count = Math.ceil(length / PAGE_TOKENS);
  const pageTable = Int32Array.from({ length: count }, (_, i) => (i * PAGE_STEP) % count);
  const pages: Stored = { data: largeLike(keys.data, 2 * count * kvHeads * PAGE_TOKENS * headDim) };
  if (keys.scales) pages.scales = largeArray(Float32Array, 2 * count * kvHeads * PAGE_TOKENS);
  for (const [which, stored] of [keys, values].entries()) {
    for (let i = 0; i < count; i++) {
      const end = Math.min(length, (i + 1) * PAGE_TOKENS);
      for (let h = 0; h < kvHeads; h++) {
        const from = h * length + i * PAGE_TOKENS;
        const rows = end - i * PAGE_TOKENS;
        const to = ((pageTable[i] * 2 + which) * kvHeads + h) * PAGE_TOKENS;
        pages.data.set(stored.data.subarray(from * headDim, (from + rows) * headDim), to * headDim);
        if (stored.scales) pages.scales?.set(stored.scales.subarray(from, from + rows), to);
      }
    }
  }
  return { pages, pageTable };
}

/** Tokens that are written to tiles at a time. */
const WRITTEN = 1024;

/** Writes a cache, heads by tokens, to tiles, where every number is stored as it was. */
function tilesOf({ keys, values }: Cache, { length, kvHeads, headDim, dtype }: Shape): Tiles {
  const cache = new AttentionCache({ kvHeads, headDim, type: dtype });
  const sequence = cache.sequence();
  while (sequence.length < length) {
    const begin = sequence.length;
    const count = Math.min(WRITTEN, length - begin);
    const [k, v] = [keys, values].map((stored) => {
      const rows = new Float32Array(count * kvHeads * headDim);
      for (let h = 0; h < kvHeads; h++) {
        const widened = rowsOf(stored, h * length + begin, count, headDim, dtype);
        for (let t = 0; t < count; t++) {
          rows.set(widened.subarray(t * headDim, (t + 1) * headDim), (t * kvHeads + h) * headDim);
        }
      }
      return rows;
    });
    sequence.append(count);
    cache.write(0, cache.rows([sequence], [count]), k, v);
  }
  return { cache, rows: cache.rows([sequence]) };
}

/** Rows of a stored array in float32. */
export function rowsOf(
  { data, scales }: Stored,
  row: number,
  count: number,
  headDim: number,
  dtype: CacheType,
): Float32Array {
  const part = data.subarray(row * headDim, (row + count) * headDim);
  if (part instanceof Float32Array) return part;
  if (part instanceof Uint16Array) return dtype === 'bf16' ? bf16ToF32(part) : f16ToF32(part);
  return Float32Array.from(part, (value, i) => value * (scales?.[row + Math.floor(i / headDim)] ?? 1));
}

function copyOf({ keys, values }: Cache): Cache {
  const copy = ({ data, scales }: Stored): Stored => {
    return { data: largeCopy(data), scales: scales && largeCopy(scales) };
  };
  return { keys: copy(keys), values: copy(values) };
}
