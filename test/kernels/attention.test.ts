import { decodeAttention, decodeAttentionAsync } from '../../lib/index.js';
import { expectAttention, type Problem, type ProblemOptions, problemOf } from '../helpers/attention.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { normalRow, shifted, untouchedOutside } from '../helpers/rows.js';
import { type Attention, attention, type CacheType } from '../reference/attention.js';

const SOFTMAXES = ['online', 'unified', 'pair'] as const;
const TYPES: readonly CacheType[] = ['f32', 'bf16', 'f16', 'int8'];

const DIMENSIONS = [
  1, 2, 3, 5, 8, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 80, 96, 127, 128, 129, 192, 256, 257,
];

/** A problem and its answer, worked out once for all instruction sets and forms. */
const worked = memo((json: string): { problem: Problem; expected: Attention } => {
  const problem = problemOf(JSON.parse(json) as ProblemOptions);
  const { q, wideKeys, wideValues, shape } = problem;
  return { problem, expected: attention(q, wideKeys, wideValues, shape) };
});

/** Every softmax and a few numbers of splits against the reference. */
function expectAnswered(o: ProblemOptions, splits: readonly (number | 'auto' | { chunk: number })[]): void {
  const { problem, expected } = worked(JSON.stringify(o));
  const { q, keys, values, options, shape } = problem;
  for (const softmax of SOFTMAXES) {
    for (const each of splits) {
      const result = decodeAttention(q, keys, values, { ...options, softmax, splits: each });
      const label = `${softmax}, splits ${JSON.stringify(each)}, ${JSON.stringify(o)}`;
      expectAttention(result, expected, shape.headDim, label);
      expect({ label, rows: result.fallbackRows }).toEqual({ label, rows: 0 });
    }
  }
}

onEveryIsa(() => {
  it.each(DIMENSIONS)('heads of %i, every cache type', (headDim) => {
    TYPES.forEach((kvType, stream) => {
      expectAnswered({ headDim, kvType, stream, queryHeads: 2, kvHeads: 2, lengths: [37, 18] }, [1, 3]);
      expectAnswered({ headDim, kvType, stream, queryHeads: 8, kvHeads: 1, lengths: [35] }, [
        1,
        { chunk: 16 },
      ]);
    });
  });

  it.each(Array.from({ length: 16 }, (_, i) => i + 1))('groups of %i query heads', (group) => {
    for (const [kvHeads, layout] of [
      [1, 'NHD'],
      [3, 'HND'],
      [2, 'NHD'],
    ] as const) {
      for (const headDim of [20, 64]) {
        const shape = { queryHeads: group * kvHeads, kvHeads, headDim, layout, lengths: [33, 7] };
        expectAnswered({ ...shape, stream: group }, [1, 2]);
        expectAnswered({ ...shape, kvType: TYPES[group % 4], queryTokens: 2 }, [{ chunk: 9 }]);
      }
    }
  });

  it.each([1, 2, 3, 4, 5, 9])('%i query tokens are causal', (queryTokens) => {
    for (const [queryHeads, kvHeads] of [
      [1, 1],
      [4, 2],
      [7, 1],
    ]) {
      const lengths = [queryTokens, 40, 17];
      for (const layout of ['NHD', 'HND'] as const) {
        expectAnswered({ queryTokens, queryHeads, kvHeads, layout, lengths }, [1, 4, 'auto', { chunk: 8 }]);
      }
      expectAnswered({ queryTokens, queryHeads, kvHeads, headDim: 33, lengths, kvType: 'bf16' }, [1, 2]);
    }
  });

  it.each([0, 1, 15, 16, 17, 33, 63, 64, 65, 100, 513, 700])('%i keys in a longer cache', (length) => {
    for (const kvType of TYPES) {
      for (const [queryHeads, layout] of [
        [2, 'NHD'],
        [8, 'HND'],
      ] as const) {
        const shape = {
          queryHeads,
          kvHeads: 2,
          headDim: 16,
          layout,
          lengths: [length, 1],
          maxLength: length + 13,
        };
        expectAnswered({ ...shape, kvType }, [1, 7, { chunk: 512 }]);
      }
    }
  });

  const optional: [string, Partial<ProblemOptions>][] = [
    ['scale 0.5', { scale: 0.5 }],
    ['a negative scale', { scale: -0.3 }],
    ['a window of 1', { window: 1 }],
    ['a window of 7', { window: 7 }],
    ['a window beyond all', { window: 1000 }],
    ['a window with sink tokens', { window: 5, sinkTokens: 4 }],
    ['a window that meets its sink tokens', { window: 20, sinkTokens: 30 }],
    ['a soft cap', { softCap: 2 }],
    ['ALiBi', { alibiSlopes: [0.5, 0.25, 0.125, 1] }],
    ['sinks', { sinks: [0, 3, -5, 1] }],
    [
      'all at once',
      {
        window: 9,
        sinkTokens: 2,
        softCap: 3,
        alibiSlopes: [0.1, 0.2, 0.3, 0.4],
        sinks: [1, 0, -1, 2],
        scale: 0.4,
      },
    ],
  ];

  it.each(optional)('%s', (_name, o) => {
    for (const kvType of TYPES) {
      for (const queryTokens of [1, 4]) {
        for (const layout of ['NHD', 'HND'] as const) {
          const shape = {
            queryHeads: 4,
            kvHeads: 2,
            queryTokens,
            layout,
            kvType,
            lengths: [37, 5, 20],
            ...o,
          };
          expectAnswered(shape, [1, 3, { chunk: 8 }]);
        }
      }
    }
  });

  it('arrays may begin anywhere, and nothing else is touched', async () => {
    const { q, keys, values, options, shape } = problemOf({
      queryHeads: 6,
      kvHeads: 2,
      headDim: 24,
      lengths: [50, 9],
    });
    const expected = decodeAttention(q, keys, values, options);
    for (const offset of [1, 3, 6]) {
      const [qq, kk, vv] = [q, keys as Float32Array, values as Float32Array].map(
        (x) => shifted(x, offset).view,
      );
      const { view, whole } = shifted(new Float32Array(q.length), offset);
      const result = decodeAttention(qq, kk, vv, { ...options, out: view });
      expect(result.out).toBe(view);
      expectSameBits(result.out, expected.out, `offset ${offset}`);
      expect(untouchedOutside(whole, offset, offset + q.length)).toBe(true);
    }
    expect(expected.out).toHaveLength(shape.batch * 6 * 24);
    const later = await decodeAttentionAsync(q, keys, values, options);
    expectSameBits(later.out, expected.out, 'promise');
    expectSameBits(later.logSumExp, expected.logSumExp, 'promise');
  });

  it('what lies behind the length of a sequence is not looked at', () => {
    for (const layout of ['NHD', 'HND'] as const) {
      const o = { queryHeads: 4, kvHeads: 2, headDim: 20, maxLength: 40, lengths: [17, 0, 33], layout };
      const { q, keys, values, options, shape } = problemOf(o);
      const clean = decodeAttention(q, keys, values, options);
      const spoilt = [keys, values].map((x) => Float32Array.from(x));
      for (let b = 0; b < shape.batch; b += 1) {
        for (let i = shape.lengths[b]; i < 40; i += 1) {
          for (let h = 0; h < 2; h += 1) {
            const at = layout === 'NHD' ? (b * 40 + i) * 2 + h : (b * 2 + h) * 40 + i;
            spoilt.forEach((x) => x.fill(NaN, at * 20, (at + 1) * 20));
          }
        }
      }
      for (const softmax of SOFTMAXES) {
        for (const splits of [1, 3]) {
          const result = decodeAttention(q, spoilt[0], spoilt[1], { ...options, softmax, splits });
          const same = decodeAttention(q, keys, values, { ...options, softmax, splits });
          expectSameBits(result.out, same.out, softmax);
          expectSameBits(result.logSumExp, same.logSumExp, softmax);
        }
      }
      expect(clean.out.every(Number.isFinite)).toBe(true);
    }
  });

  it('what lies outside the window is not looked at', () => {
    for (const headDim of [16, 20]) {
      for (const queryTokens of [1, 3]) {
        const o = {
          queryHeads: 4,
          kvHeads: 2,
          headDim,
          lengths: [100],
          window: 30,
          sinkTokens: 4,
          queryTokens,
        };
        const { q, keys, values, options } = problemOf(o);
        const spoilt = [keys, values].map((x) => Float32Array.from(x));
        // The first of the query tokens sits at 100 - queryTokens and sees 29 keys before it.
        spoilt.forEach((x) => x.fill(NaN, 4 * 2 * headDim, (101 - queryTokens - 30) * 2 * headDim));
        for (const softmax of SOFTMAXES) {
          for (const splits of [1, 3, { chunk: 16 }]) {
            const result = decodeAttention(q, spoilt[0], spoilt[1], { ...options, softmax, splits });
            const same = decodeAttention(q, keys, values, { ...options, softmax, splits });
            const label = `${softmax}, ${JSON.stringify(splits)}, ${queryTokens} tokens`;
            expectClose(result.out, same.out, () => 1e-6, label);
            expectClose(result.logSumExp, same.logSumExp, () => 1e-6, label);
          }
        }
      }
    }
  });

  it('NaN in a query, a key or a value stays in the rows that see it', () => {
    const o = { queryHeads: 4, kvHeads: 2, headDim: 20, lengths: [21, 33], queryTokens: 3 };
    const rows = 2 * 3 * 4;
    const spoilers: [string, (p: Problem) => void, (b: number, t: number, h: number) => boolean][] = [
      ['query', ({ q }) => (q[(1 * 4 + 2) * 20 + 5] = NaN), (b, t, h) => b === 0 && t === 1 && h === 2],
      // Position 19 of the first sequence: its query tokens sit at 18, 19 and 20.
      ['key', ({ keys }) => (keys[(19 * 2 + 1) * 20] = NaN), (b, t, h) => b === 0 && t >= 1 && h >= 2],
      ['value', ({ values }) => values.fill(NaN, 38 * 20, 39 * 20), (b, t, h) => b === 0 && t >= 1 && h < 2],
    ];
    for (const softmax of SOFTMAXES) {
      for (const [name, spoil, sees] of spoilers) {
        const problem = problemOf(o);
        const { q, keys, values, options } = problem;
        const clean = decodeAttention(q, keys, values, { ...options, softmax, splits: 2 });
        spoil(problem);
        const result = decodeAttention(q, keys, values, { ...options, softmax, splits: 2 });
        for (let row = 0; row < rows; row += 1) {
          const [b, t, h] = [Math.floor(row / 12), Math.floor(row / 4) % 3, row % 4];
          const [out, same] = [result, clean].map((each) => each.out.subarray(row * 20, (row + 1) * 20));
          const label = `${softmax}, ${name}, row ${row}`;
          if (sees(b, t, h)) expect([label, out.every(Number.isNaN)]).toEqual([label, true]);
          // A unified row that goes with a spoilt one is computed again, by the other form.
          else if (softmax === 'unified' && b === 0) expectClose(out, same, () => 1e-6, label);
          else expectSameBits(out, same, label);
        }
      }
    }
  });

  it('a key of -Infinity is a mask, and a row of nothing else is empty', () => {
    const { q, keys, values, options } = problemOf({ queryHeads: 2, kvHeads: 2, headDim: 16, lengths: [20] });
    q.fill(1, 0, 1);
    q.fill(1, 16, 17);
    const masked = keys as Float32Array;
    const seen = [3, 4, 11];
    for (let i = 0; i < 20; i += 1) {
      // Head 0 sees three keys, head 1 none.
      if (!seen.includes(i)) masked[i * 32] = -Infinity;
      masked[i * 32 + 16] = -Infinity;
    }
    const kept = (x: ArrayLike<number>): Float32Array =>
      Float32Array.from(seen.flatMap((i) => Array.from({ length: 16 }, (_, d) => x[i * 32 + d])));
    const one = { queryHeads: 1, kvHeads: 1, headDim: 16, maxLength: 3, lengths: [3], batch: 1 };
    const expected = attention(q, kept(masked), kept(values), one);
    for (const softmax of SOFTMAXES) {
      for (const splits of [1, 2, 7]) {
        const { out, logSumExp } = decodeAttention(q, masked, values, { ...options, softmax, splits });
        const first = { out: out.subarray(0, 16), logSumExp: logSumExp.subarray(0, 1) };
        expectAttention(first, expected, 16, `${softmax} ${splits}`);
        expect(out.subarray(16).every((x) => x === 0)).toBe(true);
        expect(logSumExp[1]).toBe(-Infinity);
      }
    }
  });

  it('scores of hundreds do not overflow', () => {
    for (const spread of [4, 10]) {
      const o = { queryHeads: 4, kvHeads: 2, headDim: 16, lengths: [60], spread };
      const { problem, expected } = worked(JSON.stringify(o));
      for (const softmax of SOFTMAXES) {
        const { q, keys, values, options } = problem;
        const result = decodeAttention(q, keys, values, { ...options, softmax, splits: 2 });
        expectAttention(result, expected, 16, `${softmax}, spread ${spread}`);
      }
    }
  });

  it('one key alone is its value, whatever its score', () => {
    for (const score of [0, 50, -50, 3000, -3000]) {
      const q = Float32Array.of(score, 0);
      const values = normalRow(2, 1, 1);
      for (const softmax of SOFTMAXES) {
        const { out, logSumExp } = decodeAttention(q, Float32Array.of(1, 1), values, {
          batch: 1,
          queryHeads: 1,
          kvHeads: 1,
          headDim: 2,
          maxLength: 1,
          lengths: Int32Array.of(1),
          scale: 1,
          softmax,
        });
        for (let d = 0; d < 2; d += 1) expect(Math.abs(out[d] / values[d] - 1)).toBeLessThan(2e-6);
        expect(Math.abs(logSumExp[0] - score)).toBeLessThan(2e-6 * Math.max(1, Math.abs(score)));
      }
    }
  });
});
