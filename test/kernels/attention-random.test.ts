/** Attention with all options at once, drawn at random, against the reference; contiguous and through pages. */
import fc from 'fast-check';

import { decodeAttention, pagedDecodeAttention } from '../../lib/index.js';
import { expectAttention, problemOf, type ProblemOptions, type Stored } from '../helpers/attention.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { attention, type CacheType } from '../reference/attention.js';

/** null: the option is absent. */
const perhaps = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

const small = fc.float({ min: -3, max: 3, noNaN: true });

const problems = fc
  .record({
    kvHeads: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 9 }),
    headDim: fc.integer({ min: 1, max: 70 }),
    queryTokens: fc.integer({ min: 1, max: 6 }),
    layout: fc.constantFrom('NHD' as const, 'HND' as const),
    kvType: fc.constantFrom<CacheType>('f32', 'bf16', 'f16', 'int8'),
    // Also fewer keys than query tokens: the first of these see nothing.
    lengths: fc.array(fc.integer({ min: 0, max: 140 }), { minLength: 1, maxLength: 3 }),
    window: perhaps(fc.integer({ min: 1, max: 90 })),
    sinkTokens: perhaps(fc.integer({ min: 0, max: 20 })),
    softCap: perhaps(fc.float({ min: 1, max: 30, noNaN: true })),
    alibi: perhaps(fc.array(small, { minLength: 27, maxLength: 27 })),
    sinks: perhaps(fc.array(small, { minLength: 27, maxLength: 27 })),
    stream: fc.integer({ min: 0, max: 1000 }),
  })
  .map(({ group, alibi, sinks, ...o }): ProblemOptions => {
    const queryHeads = group * o.kvHeads;
    return {
      ...o,
      queryHeads,
      maxLength: Math.max(1, ...o.lengths),
      // Slopes of one sign, as they are: far keys fade.
      alibiSlopes: alibi?.slice(0, queryHeads).map((slope) => Math.fround(Math.abs(slope) / 8)),
      sinks: sinks?.slice(0, queryHeads).map(Math.fround),
    };
  });

const calls = fc.record({
  softmax: fc.constantFrom('online' as const, 'unified' as const, 'pair' as const),
  splits: fc.oneof(
    fc.constantFrom(undefined, 'auto' as const),
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 100 }).map((chunk) => ({ chunk })),
  ),
  threads: fc.integer({ min: 1, max: 3 }),
});

/** The cache of a problem in pages that lie backwards in a pool. */
function inPages(
  { keys, values, shape }: ReturnType<typeof problemOf>,
  pageSize: number,
): { pages: Stored; pageTable: Int32Array } {
  const { batch, maxLength, kvHeads, headDim, lengths, layout } = shape;
  const maxPages = Math.ceil(maxLength / pageSize);
  const count = batch * maxPages;
  const pages = new (keys.constructor as new (n: number) => Stored)(count * 2 * kvHeads * pageSize * headDim);
  const pageTable = Int32Array.from({ length: count }, (_, i) => count - 1 - i);
  for (let b = 0; b < batch; b += 1) {
    for (let i = 0; i < lengths[b]; i += 1) {
      const page = pageTable[b * maxPages + Math.floor(i / pageSize)];
      for (let h = 0; h < kvHeads; h += 1) {
        const place =
          layout === 'HND' ? (b * kvHeads + h) * maxLength + i : (b * maxLength + i) * kvHeads + h;
        [keys, values].forEach((x, kind) => {
          const to = (((page * 2 + kind) * kvHeads + h) * pageSize + (i % pageSize)) * headDim;
          (pages as Float32Array).set(x.subarray(place * headDim, (place + 1) * headDim), to);
        });
      }
    }
  }
  return { pages, pageTable };
}

onEveryIsa(() => {
  it('agrees with the reference', () => {
    fc.assert(
      fc.property(problems, calls, (o, call) => {
        const { q, keys, values, wideKeys, wideValues, shape, options } = problemOf(o);
        const expected = attention(q, wideKeys, wideValues, shape);
        const result = decodeAttention(q, keys, values, { ...options, ...call });
        expectAttention(result, expected, shape.headDim, '');
      }),
      { numRuns: 80 },
    );
  });

  it('is the same through pages of any size', () => {
    fc.assert(
      fc.property(problems, calls, fc.integer({ min: 1, max: 70 }), (o, call, pageSize) => {
        const problem = problemOf({ ...o, kvType: o.kvType === 'int8' ? 'f32' : o.kvType });
        const { q, keys, values, options } = problem;
        const contiguous = decodeAttention(q, keys, values, { ...options, ...call });
        const { pages, pageTable } = inPages(problem, pageSize);
        const { batch, queryHeads, kvHeads, headDim, queryTokens, lengths, kvType } = options;
        const { window, sinkTokens, softCap, alibiSlopes, sinks } = options;
        const seen = { window, sinkTokens, softCap, alibiSlopes, sinks };
        const shape = { batch, queryHeads, kvHeads, headDim, queryTokens, lengths, kvType };
        const paged = pagedDecodeAttention(q, pages, { ...shape, ...seen, ...call, pageSize, pageTable });
        // Rows of a cache are read one by one either way.
        expectSameBits(paged.out, contiguous.out, 'out');
        expectSameBits(paged.logSumExp, contiguous.logSumExp, 'lse');
      }),
      { numRuns: 40 },
    );
  });
});
