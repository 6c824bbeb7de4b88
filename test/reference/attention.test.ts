import { expectClose } from '../helpers/compare.js';
import {
  type AttentionCase,
  type AttentionOptionsCase,
  flashFixture,
  type PagedCase,
  type UnifiedCase,
} from '../helpers/flash-fixtures.js';
import { normalRow } from '../helpers/rows.js';
import {
  attention,
  breaksElementRule,
  breaksRowRule,
  gatherPages,
  merge,
  partials,
  tableOf,
  widenCache,
} from './attention.js';

/** Two float64 programs agree to about this. */
const near = (): number => 1e-12;

it.each(flashFixture<AttentionCase[]>('attention'))('$name: out, lse, partials and their merge', (c) => {
  const o = { ...c, maxLength: c.k.shape[1], lengths: c.kvLengths, layout: 'NHD' } as const;
  const whole = attention(c.q.data, c.k.data, c.v.data, o);
  expectClose(whole.out, c.out.data, near, 'out');
  expectClose(whole.logSumExp, c.logSumExp.data, near, 'lse');
  const { count } = c.splits;
  const parts = partials(c.q.data, c.k.data, c.v.data, o, count);
  expectClose(
    parts.flatMap(({ out }) => [...out]),
    c.splits.out.data,
    near,
    'partials',
  );
  expectClose(
    parts.flatMap(({ logSumExp }) => [...logSumExp]),
    c.splits.logSumExp.data,
    near,
    'lse of partials',
  );
  const rows = c.batch * c.queryHeads;
  const merged = merge(c.splits.out.data, c.splits.logSumExp.data, { count, rows, headDim: c.headDim });
  expectClose(merged.out, c.out.data, near, 'merged');
  expectClose(merged.logSumExp, c.logSumExp.data, near, 'merged lse');
});

it.each(flashFixture<AttentionOptionsCase[]>('attention-options'))(
  'window $window, softCap $softCap, $kvType',
  (c) => {
    const o = {
      ...c,
      window: c.window ?? undefined,
      softCap: c.softCap ?? undefined,
      layout: 'NHD',
    } as const;
    const [k, v] = [c.k ?? c.kBits, c.v ?? c.vBits].map((x) =>
      widenCache(x?.data ?? [], c.kvType, c.headDim),
    );
    const { out, logSumExp } = attention(c.q.data, k, v, o);
    expectClose(out, c.out.data, near, 'out');
    expectClose(logSumExp, c.logSumExp.data, near, 'lse');
  },
);

it.each(flashFixture<PagedCase[]>('paged-attention'))(
  'pages of $pageSize, lengths $lengths: both descriptions',
  (c) => {
    const o = { ...c, maxLength: Math.max(...c.lengths), layout: 'NHD' } as const;
    const listed = tableOf(c.indptr, c.indices);
    const table = { pageTable: c.pageTable.flat(), maxPages: c.pageTable[0].length };
    for (const { pageTable, maxPages } of [table, listed]) {
      const { keys, values } = gatherPages(o, {
        pages: c.pages.data,
        pageSize: c.pageSize,
        pageTable,
        maxPages,
      });
      const { out, logSumExp } = attention(c.q.data, keys, values, o);
      expectClose(out, c.out.data, near, 'out');
      expectClose(logSumExp, c.logSumExp.data, near, 'lse');
    }
  },
);

it.each(flashFixture<UnifiedCase[]>('unified-softmax'))('$name: which rows fall back', (c) => {
  const [rows, cols] = c.scores.shape;
  const each = Array.from({ length: rows }, (_, r) => c.scores.data.slice(r * cols, (r + 1) * cols));
  expect(each.map((row) => Number(breaksElementRule(row, c.phi, [c.a, c.b])))).toEqual(c.elementRuleFallback);
  expect(each.map((row) => Number(breaksRowRule(row, c.phi)))).toEqual(c.rowRuleFallback);
});

describe('options', () => {
  const o = { batch: 1, queryHeads: 2, kvHeads: 1, headDim: 4, maxLength: 9, lengths: [9] };
  const [q, k, v] = [8, 36, 36].map((count, stream) => normalRow(count, 1, stream));

  it('the example of the specification: scores 0, ln 2, ln 3 and values 1, 2, 4', () => {
    const one = { batch: 1, queryHeads: 1, kvHeads: 1, headDim: 1, maxLength: 3, lengths: [3], scale: 1 };
    const { out, logSumExp } = attention([1], [0, Math.LN2, Math.log(3)], [1, 2, 4], one);
    expectClose(out, [17 / 6], near);
    expectClose(logSumExp, [Math.log(6)], near);
  });

  it('several query tokens are the tokens one by one', () => {
    const qs = normalRow(3 * 8, 1, 7);
    const together = attention(qs, k, v, { ...o, queryTokens: 3 });
    const alone = [7, 8, 9].map((length, t) =>
      attention(qs.subarray(8 * t, 8 * t + 8), k, v, { ...o, lengths: [length] }),
    );
    expectClose(
      together.out,
      alone.flatMap(({ out }) => [...out]),
      () => 0,
    );
  });

  it('the window keeps its last positions and the first sinkTokens', () => {
    const windowed = attention(q, k, v, { ...o, window: 3, sinkTokens: 2 });
    const kept = (x: Float32Array): number[] =>
      [0, 1, 6, 7, 8].flatMap((i) => [...x.slice(4 * i, 4 * i + 4)]);
    const { out } = attention(q, kept(k), kept(v), { ...o, maxLength: 5, lengths: [5] });
    expectClose(windowed.out, out, near);
  });

  it('a sink takes weight from all values alike', () => {
    const sinks = [0.5, -2];
    const [plain, sunk] = [attention(q, k, v, o), attention(q, k, v, { ...o, sinks })];
    const share = sinks.map((sink, h) => 1 / (1 + Math.exp(sink - plain.logSumExp[h])));
    expectClose(
      sunk.out,
      plain.out.map((x, i) => x * share[Math.floor(i / 4)]),
      near,
    );
    expectClose(
      sunk.logSumExp,
      sinks.map((sink, h) => Math.log(Math.exp(sink) + Math.exp(plain.logSumExp[h]))),
      near,
    );
  });

  it('ALiBi is a bias by distance, after the soft cap', () => {
    const slopes = [0.25, 1];
    const capped = attention(q, k, v, { ...o, softCap: 0.5, alibiSlopes: slopes });
    expectClose(capped.largest, attention(q, k, v, { ...o, softCap: 0.5 }).largest, () => 2);
    // The first key lies 8 positions back: capped at 0.5, it cannot be above 0.5 - 8 slope.
    expect(capped.smallest[1]).toBeLessThanOrEqual(-7.5);
    expect(capped.smallest[1]).toBeGreaterThanOrEqual(-8.5);
  });

  it('both layouts hold the same', () => {
    const two = { ...o, kvHeads: 2, queryHeads: 2, maxLength: 4, lengths: [4] };
    const [kk, vv] = [k, v].map((x) => x.subarray(0, 32));
    const turned = (x: Float32Array): Float32Array =>
      x.map((_, i) => x[((Math.floor(i / 4) % 4) * 2 + Math.floor(i / 16)) * 4 + (i % 4)]);
    const { out } = attention(q, turned(kk), turned(vv), { ...two, layout: 'HND' });
    expectClose(out, attention(q, kk, vv, two).out, () => 0);
  });
});
