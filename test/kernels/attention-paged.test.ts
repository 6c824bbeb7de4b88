import {
  appendPaged,
  decodeAttention,
  pagedDecodeAttention,
  pagedDecodeAttentionAsync,
} from '../../lib/index.js';
import { problemOf, type ProblemOptions, type Stored } from '../helpers/attention.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow } from '../helpers/rows.js';
import { gatherPages } from '../reference/attention.js';
import { narrow } from '../reference/convert.js';

const SOFTMAXES = ['online', 'unified', 'pair'] as const;

interface Paged {
  pages: Stored;
  pageTable: Int32Array;
  maxPages: number;
  indptr: Int32Array;
  indices: Int32Array;
  lastPageLength: Int32Array;
}

/** A contiguous cache cut into pages that lie in any order in a pool with pages of other sequences between. */
function paged(problem: ReturnType<typeof problemOf>, pageSize: number): Paged {
  const { keys, values, shape } = problem;
  const { batch, kvHeads, headDim, maxLength, lengths } = shape;
  const counts = Array.from(lengths, (length) => Math.ceil(length / pageSize));
  const maxPages = Math.max(1, ...counts) + 1;
  const total = counts.reduce((a, b) => a + b, 0);
  const pool = 2 * total + 3;
  const create = keys.constructor as new (n: number) => Stored;
  const pages = new create(pool * 2 * kvHeads * pageSize * headDim);
  // What no sequence uses would spoil every result that it got into.
  pages.fill(keys instanceof Float32Array ? NaN : 0x7fff);
  const pageTable = new Int32Array(batch * maxPages).fill(-1);
  const indices: number[] = [];
  const indptr = [0];
  let used = 0;
  for (let b = 0; b < batch; b += 1) {
    for (let j = 0; j < counts[b]; j += 1) {
      // Every other page of the pool, from its end.
      const page = 2 * (total - 1 - used) + 1;
      used += 1;
      pageTable[b * maxPages + j] = page;
      indices.push(page);
    }
    indptr.push(indices.length);
    for (let i = 0; i < lengths[b]; i += 1) {
      const page = pageTable[b * maxPages + Math.floor(i / pageSize)];
      for (let h = 0; h < kvHeads; h += 1) {
        [keys, values].forEach((x, kind) => {
          const from = ((b * maxLength + i) * kvHeads + h) * headDim;
          const to = (((page * 2 + kind) * kvHeads + h) * pageSize + (i % pageSize)) * headDim;
          pages.set(x.subarray(from, from + headDim), to);
        });
      }
    }
  }
  const lastPageLength = Int32Array.from(lengths, (length) =>
    length === 0 ? 0 : ((length - 1) % pageSize) + 1,
  );
  return {
    pages,
    pageTable,
    maxPages,
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(indices),
    lastPageLength,
  };
}

onEveryIsa(() => {
  it.each([1, 3, 16, 64])('pages of %i are the contiguous cache', async (pageSize) => {
    for (const kvType of ['f32', 'bf16', 'f16'] as const) {
      for (const [queryHeads, headDim, queryTokens] of [
        [2, 16, 1],
        [8, 20, 1],
        [14, 64, 3],
      ]) {
        const o: ProblemOptions = {
          queryHeads,
          kvHeads: 2,
          headDim,
          kvType,
          queryTokens,
          lengths: [70, 0, 16, 33],
        };
        if (queryTokens > 1) o.lengths = [70, 5, 16, 33];
        const problem = problemOf(o);
        const { q, keys, values, options, shape } = problem;
        const { pages, pageTable, indptr, indices, lastPageLength } = paged(problem, pageSize);
        const { batch, kvHeads } = shape;
        const common = { batch, queryHeads, kvHeads, headDim, queryTokens, kvType, pageSize };
        for (const softmax of SOFTMAXES) {
          for (const splits of [1, 3, { chunk: 16 }] as const) {
            for (const extra of [{}, { window: 20, sinkTokens: 3 }]) {
              const expected = decodeAttention(q, keys, values, { ...options, softmax, splits, ...extra });
              const each = { ...common, softmax, splits, ...extra };
              const lengths = Int32Array.from(shape.lengths);
              const table = pagedDecodeAttention(q, pages, { ...each, lengths, pageTable });
              const label = `${kvType}, ${queryHeads} x ${headDim}, ${softmax}, ${JSON.stringify(splits)}`;
              expectClose(table.out, expected.out, () => 2e-6, label);
              expectClose(table.logSumExp, expected.logSumExp, () => 2e-6, label);
              const listed = pagedDecodeAttention(q, pages, { ...each, indptr, indices, lastPageLength });
              expectSameBits(listed.out, table.out, `both descriptions, ${label}`);
              const many = await pagedDecodeAttentionAsync(q, pages, {
                ...each,
                lengths,
                pageTable,
                threads: 3,
              });
              expectSameBits(many.out, table.out, `threads, ${label}`);
            }
          }
        }
      }
    }
  });

  it('pages may be shared by sequences', () => {
    const problem = problemOf({ queryHeads: 4, kvHeads: 2, headDim: 16, lengths: [40] });
    const { pages, pageTable, maxPages } = paged(problem, 8);
    const q = normalRow(3 * 4 * 16, 1, 1);
    const lengths = Int32Array.of(40, 17, 24);
    const table = Int32Array.from({ length: 3 * maxPages }, (_, i) => pageTable[i % maxPages]);
    const common = { queryHeads: 4, kvHeads: 2, headDim: 16, pageSize: 8, splits: 1 };
    const { out } = pagedDecodeAttention(q, pages, { ...common, batch: 3, lengths, pageTable: table });
    for (let b = 0; b < 3; b += 1) {
      const one = { ...common, batch: 1, lengths: lengths.subarray(b, b + 1), pageTable };
      const alone = pagedDecodeAttention(q.subarray(b * 64, (b + 1) * 64), pages, one);
      expectSameBits(alone.out, out.subarray(b * 64, (b + 1) * 64), `sequence ${b}`);
    }
  });

  it.each(['f32', 'bf16', 'f16'] as const)(
    'appendPaged writes its tokens as %s and nothing else',
    (kvType) => {
      const [batch, kvHeads, headDim, pageSize, pool] = [3, 2, 12, 4, 9];
      const count = pool * 2 * kvHeads * pageSize * headDim;
      const empty = (): Float32Array | Uint16Array =>
        kvType === 'f32' ? new Float32Array(count) : new Uint16Array(count);
      const pages = empty();
      const pageTable = Int32Array.of(4, 0, 7, 8, -1, -1, 2, 6, -1);
      const written = Array.from({ length: batch }, () => 0);
      const steps: [Float32Array, Float32Array][] = [];
      for (let step = 0; step < 6; step += 1) {
        const [k, v] = [1, 2].map((stream) => normalRow(batch * kvHeads * headDim, 1, 10 * step + stream));
        steps.push([k, v]);
        // Sequence 1 has one page only: its position stays in it.
        const positions = Int32Array.from(written, (length, b) => (b === 1 ? length % pageSize : length));
        const sequences = Int32Array.of(0, 1, 2);
        appendPaged(k, v, pages, {
          batch,
          kvHeads,
          headDim,
          pageSize,
          kvType,
          pageTable,
          positions,
          sequences,
        });
        written.forEach((_, b) => (written[b] += 1));
      }
      const shape = { batch, queryHeads: 2, kvHeads, headDim, maxLength: 6, lengths: [6, 4, 6] };
      const { keys, values } = gatherPages(shape, { pages, pageSize, pageTable, maxPages: 3 });
      const typed = (x: Float32Array): ArrayLike<number> => (kvType === 'f32' ? x : narrow(x, kvType));
      const size = kvHeads * headDim;
      for (let b = 0; b < batch; b += 1) {
        for (let i = 0; i < shape.lengths[b]; i += 1) {
          const step = b === 1 && i < 2 ? i + 4 : i;
          const [k, v] = steps[step].map((x) => [...Array.from(typed(x)).slice(b * size, (b + 1) * size)]);
          const at = (b * 6 + i) * size;
          expect(keys.slice(at, at + size)).toEqual(k);
          expect(values.slice(at, at + size)).toEqual(v);
        }
      }
      const touched = new Set([4, 0, 8, 2, 6]);
      const page = 2 * kvHeads * pageSize * headDim;
      for (let p = 0; p < pool; p += 1) {
        const zero = pages.subarray(p * page, (p + 1) * page).every((x) => x === 0);
        expect([p, zero]).toEqual([p, !touched.has(p)]);
      }
    },
  );
});
