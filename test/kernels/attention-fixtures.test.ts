import { decodeAttention, mergeAttention, pagedDecodeAttention, unifiedSoftmax } from '../../lib/index.js';
import { expectClose } from '../helpers/compare.js';
import {
  type AttentionCase,
  type AttentionOptionsCase,
  flashFixture,
  type PagedCase,
  type UnifiedCase,
} from '../helpers/flash-fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';

const SOFTMAXES = ['online', 'unified', 'pair'] as const;

onEveryIsa((name) => {
  describe.each(SOFTMAXES)('softmax %s', (softmax) => {
    it.each(flashFixture<AttentionCase[]>('attention'))('$name', (c) => {
      const wide = c.name === 'wide-scores';
      // Scores around 300 are sums of 16 products: float32 rounds them by 1.5e-5, more or less luckily.
      const [near, nearLse] = wide ? [name === 'avx2' ? 2e-5 : 1e-5, 5e-5] : [2e-6, 2e-6];
      const { batch, queryHeads, kvHeads, headDim, scale } = c;
      const [q, k, v] = [c.q, c.k, c.v].map(({ data }) => Float32Array.from(data));
      const lengths = Int32Array.from(c.kvLengths);
      const shape = { batch, queryHeads, kvHeads, headDim, maxLength: c.k.shape[1], lengths, scale, softmax };
      for (const splits of [1, 2, 3, c.splits.count, 40, 'auto', { chunk: 5 }] as const) {
        const { out, logSumExp, fallbackRows } = decodeAttention(q, k, v, { ...shape, splits });
        expectClose(out, c.out.data, () => near, `splits ${JSON.stringify(splits)}`);
        expectClose(logSumExp, c.logSumExp.data, () => nearLse, 'lse');
        if (!wide || softmax !== 'unified') expect(fallbackRows).toBe(0);
        else expect(fallbackRows).toBeGreaterThan(0);
      }

      const { count } = c.splits;
      const parts = decodeAttention(q, k, v, { ...shape, splits: count, partials: true });
      expectClose(parts.out, c.splits.out.data, () => near, 'partials');
      expectClose(parts.logSumExp, c.splits.logSumExp.data, () => nearLse, 'lse of the partials');
      const merged = mergeAttention(parts.out, parts.logSumExp, { count, rows: batch * queryHeads, headDim });
      expectClose(merged.out, c.out.data, () => near, 'merged');
      expectClose(merged.logSumExp, c.logSumExp.data, () => nearLse, 'merged lse');
    });

    it('an empty sequence gives exact zeros and -Infinity', () => {
      const c = flashFixture<AttentionCase[]>('attention').find(({ name }) => name === 'short-and-empty');
      if (c === undefined) throw new Error('no such case');
      const [q, k, v] = [c.q, c.k, c.v].map(({ data }) => Float32Array.from(data));
      const { batch, queryHeads, kvHeads, headDim } = c;
      const lengths = Int32Array.from(c.kvLengths);
      const options = { batch, queryHeads, kvHeads, headDim, maxLength: 5, lengths };
      const { out, logSumExp } = decodeAttention(q, k, v, { ...options, splits: 3, softmax });
      const [start, end] = [queryHeads, 2 * queryHeads];
      expect(out.subarray(start * headDim, end * headDim).every((x) => Object.is(x, 0))).toBe(true);
      expect([...logSumExp.subarray(start, end)]).toEqual(new Array(queryHeads).fill(-Infinity));
    });

    it.each(flashFixture<AttentionOptionsCase[]>('attention-options'))(
      'window $window, softCap $softCap, $kvType',
      (c) => {
        const { batch, queryHeads, kvHeads, headDim, maxLength, scale, kvType } = c;
        const typed = (values?: { data: number[] }, bits?: { data: number[] }): Float32Array | Uint16Array =>
          values ? Float32Array.from(values.data) : Uint16Array.from(bits?.data ?? []);
        const [k, v] = [typed(c.k, c.kBits), typed(c.v, c.vBits)];
        const lengths = Int32Array.from(c.lengths);
        const shape = { batch, queryHeads, kvHeads, headDim, maxLength, lengths, scale, kvType, softmax };
        const options = { ...shape, window: c.window ?? undefined, softCap: c.softCap ?? undefined };
        for (const splits of [1, 2, 5, { chunk: 3 }]) {
          const { out, logSumExp } = decodeAttention(Float32Array.from(c.q.data), k, v, {
            ...options,
            splits,
          });
          expectClose(out, c.out.data, () => 3e-6, `splits ${JSON.stringify(splits)}`);
          expectClose(logSumExp, c.logSumExp.data, () => 3e-6, 'lse');
        }
      },
    );

    it.each(flashFixture<PagedCase[]>('paged-attention'))('pages of $pageSize, lengths $lengths', (c) => {
      const { batch, queryHeads, kvHeads, headDim, pageSize } = c;
      const [q, pages] = [c.q, c.pages].map(({ data }) => Float32Array.from(data));
      const shape = { batch, queryHeads, kvHeads, headDim, pageSize, softmax };
      const table = { lengths: Int32Array.from(c.lengths), pageTable: Int32Array.from(c.pageTable.flat()) };
      const listed = {
        indptr: Int32Array.from(c.indptr),
        indices: Int32Array.from(c.indices),
        lastPageLength: Int32Array.from(c.lastPageLength),
      };
      for (const description of [table, listed]) {
        for (const splits of [1, 3, { chunk: 4 }]) {
          const result = pagedDecodeAttention(q, pages, { ...shape, ...description, splits });
          expectClose(result.out, c.out.data, () => 2e-6, Object.keys(description).join());
          expectClose(result.logSumExp, c.logSumExp.data, () => 2e-6, 'lse');
        }
      }
    });
  });

  describe('unifiedSoftmax', () => {
    it.each(flashFixture<UnifiedCase[]>('unified-softmax'))('$name', (c) => {
      const [rows, cols] = c.scores.shape;
      const dim = c.v.shape[1];
      const scores = Float32Array.from(c.scores.data);
      const largest = c.v.data.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      for (const rule of ['row', 'element'] as const) {
        const range: [number, number] = [c.a, c.b];
        const result = unifiedSoftmax(scores, { rows, cols, phi: c.phi, rule, range });
        const expected = rule === 'row' ? c.rowRuleFallback : c.elementRuleFallback;
        expect([...result.fallback]).toEqual(expected);
        expect(result.fallbackRows).toBe(expected.reduce((a, b) => a + b));
        expectClose(result.weights, c.weights.data, () => 1e-6, rule);
        expectClose(result.logSumExp, c.logSumExp.data, (_, lse) => 1e-6 * Math.max(1, Math.abs(lse)), 'lse');
        const out = Array.from({ length: rows * dim }, (_, at) => {
          const [r, d] = [Math.floor(at / dim), at % dim];
          let sum = 0;
          for (let i = 0; i < cols; i += 1) sum += result.weights[r * cols + i] * c.v.data[i * dim + d];
          return sum;
        });
        expectClose(out, c.out.data, () => 1e-6 * largest, 'out');
      }
    });

    it('the weights of the paper', () => {
      const result = unifiedSoftmax(Float32Array.of(4, 5, 6, 7), { rows: 1, cols: 4, phi: 6 });
      expectClose(result.weights, [0.0320586, 0.0871443, 0.2368828, 0.6439143], () => 1e-7);
    });
  });
});
