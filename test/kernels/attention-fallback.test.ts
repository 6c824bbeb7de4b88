import { decodeAttention, pagedDecodeAttention } from '../../lib/index.js';
import { expectAttention } from '../helpers/attention.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow } from '../helpers/rows.js';
import {
  attention,
  type AttentionOptions,
  breaksElementRule,
  breaksRowRule,
  logDenominator,
  scoresOf,
} from '../reference/attention.js';

/** Length of the caches, and heads: two groups of `group` queries. */
const LENGTH = 40;
const DIM = 16;

interface Built {
  q: Float32Array;
  keys: Float32Array;
  values: Float32Array;
  shape: Omit<AttentionOptions, 'lengths' | 'alibiSlopes' | 'sinks'> & { lengths: Int32Array };
}

/**
 * Queries whose scores are known beforehand: the first component of every key is 1, the rest small, so that row h of
 * the queries, with first component `levels[h]`, has scores of levels[h] and a little more or less.
 */
function built(levels: readonly number[], kvHeads = 2, lengths: readonly number[] = [LENGTH]): Built {
  const queryHeads = levels.length;
  const batch = lengths.length;
  const q = normalRow(batch * queryHeads * DIM, 0.3, 1);
  const keys = normalRow(batch * LENGTH * kvHeads * DIM, 0.3, 2);
  const values = normalRow(batch * LENGTH * kvHeads * DIM, 1, 3);
  for (let i = 0; i < q.length; i += DIM) q[i] = levels[(i / DIM) % queryHeads];
  for (let i = 0; i < keys.length; i += DIM) keys[i] = 1;
  const shape = {
    batch,
    queryHeads,
    kvHeads,
    headDim: DIM,
    maxLength: LENGTH,
    lengths: Int32Array.from(lengths),
    scale: 1,
  };
  return { q, keys, values, shape };
}

/** The rows of batch entry 0 that break a rule; fails where one is too near to the border to tell in float32. */
function broken({ q, keys, shape }: Built, phi: number, range?: [number, number]): boolean[] {
  return Array.from({ length: shape.queryHeads }, (_, h) => {
    const scores = scoresOf(q, keys, shape, { b: 0, t: 0, h });
    if (range) return breaksElementRule(scores, phi, range);
    const log = logDenominator(scores, phi);
    for (const border of [128 * Math.LN2, -60 * Math.LN2]) {
      if (Math.abs(log - border) < 0.5) throw new Error(`row ${h} is too near to the border`);
    }
    return breaksRowRule(scores, phi);
  });
}

const count = (flags: readonly boolean[]): number => flags.filter(Boolean).length;

/** Groups of one, four and eight queries take different kernels; every third row is far above or far below. */
const GROUPS = [1, 4, 8];

onEveryIsa(() => {
  it.each(GROUPS)('rows far above and far below are redone and counted, groups of %i', (group) => {
    const levels = Array.from({ length: 2 * group }, (_, h) => [0, 200, -3, -150, 5, 95, -70, 1][h % 8]);
    const problem = built(levels);
    const { q, keys, values, shape } = problem;
    const expected = attention(q, keys, values, shape);
    for (const phi of [0, 6, -20, 150]) {
      const rows = broken(problem, phi);
      for (const splits of [1, 2, 5, { chunk: 16 }] as const) {
        for (const threads of [1, 3]) {
          const o = { ...shape, splits, phi, threads };
          const unified = decodeAttention(q, keys, values, { ...o, softmax: 'unified' });
          const online = decodeAttention(q, keys, values, { ...o, softmax: 'online' });
          const label = `phi ${phi}, splits ${JSON.stringify(splits)}`;
          expect([label, unified.fallbackRows]).toEqual([label, count(rows)]);
          expect(online.fallbackRows).toBe(0);
          rows.forEach((redone, h) => {
            const [start, end] = [h * DIM, (h + 1) * DIM];
            const [u, w] = [unified, online].map(({ out }) => out.subarray(start, end));
            if (redone) expectSameBits(u, w, `${label}, row ${h} is the online result`);
          });
          // Rows that were not redone are off by their distance from phi.
          const distance = Math.max(...levels.filter((_, h) => !rows[h]).map((s) => Math.abs(s - phi)), 0);
          const relaxed = {
            ...expected,
            largest: expected.largest.map((s) => Math.max(Math.abs(s), distance)),
          };
          expectAttention(unified, relaxed, DIM, label);
        }
      }
    }
    // The inputs do what they are built for.
    expect(count(broken(problem, 0))).toBeGreaterThan(0);
    if (group > 1) expect(count(broken(problem, 0))).toBeLessThan(2 * group);
  });

  it.each(GROUPS)('the rule of the paper, groups of %i', (group) => {
    const levels = Array.from({ length: 2 * group }, (_, h) => [0, 30, -3, -40, 9, -12, 20, 1][h % 8]);
    const problem = built(levels);
    const { q, keys, values, shape } = problem;
    const expected = attention(q, keys, values, shape);
    for (const [phi, range] of [
      [0, [-16.8, 6.5]],
      [0, [-50, 50]],
      [-16.8, [-23.3, 40]],
      [4, [-6, 6]],
    ] as [number, [number, number]][]) {
      const rows = broken(problem, phi, range);
      for (const splits of [1, 3]) {
        const o = { ...shape, softmax: 'unified', rule: 'element', phi, range, splits } as const;
        const result = decodeAttention(q, keys, values, o);
        const label = `phi ${phi}, range ${range.join()}`;
        expect([label, result.fallbackRows]).toEqual([label, count(rows)]);
        expectAttention(result, expected, DIM, label);
      }
    }
  });

  it('one score out of range is enough for the rule of the paper, on either side and in any place', () => {
    for (const group of [1, 4]) {
      for (const at of [0, 1, 15, 16, 38, 39]) {
        for (const score of [7, -18]) {
          const { q, keys, values, shape } = built(new Array<number>(2 * group).fill(1));
          // The second KV head's key at this place alone; the scores of the others stay within (-5, 5).
          keys[(at * 2 + 1) * DIM] = score;
          keys.fill(0, (at * 2 + 1) * DIM + 1, (at * 2 + 2) * DIM);
          const o = { ...shape, softmax: 'unified', rule: 'element', phi: 0, range: [-16.8, 6.5] } as const;
          const result = decodeAttention(q, keys, values, o);
          expect([group, at, score, result.fallbackRows]).toEqual([group, at, score, group]);
          expectAttention(result, attention(q, keys, values, shape), DIM, `${at}`);
          // The rule by rows sees nothing wrong.
          expect(decodeAttention(q, keys, values, { ...o, rule: 'row' }).fallbackRows).toBe(0);
        }
      }
    }
  });

  it('masked scores are exempt from the rule of the paper', () => {
    const { q, keys, values, shape } = built([1, 1]);
    for (let i = 0; i < 5; i += 1) keys[i * 2 * DIM] = -Infinity;
    // Keys beyond the window would be out of range.
    keys[10 * 2 * DIM] = 1000;
    const o = {
      ...shape,
      window: 20,
      softmax: 'unified',
      rule: 'element',
      phi: 0,
      range: [-16.8, 6.5],
    } as const;
    expect(decodeAttention(q, keys, values, o).fallbackRows).toBe(0);
    expect(decodeAttention(q, keys, values, { ...o, window: 40 }).fallbackRows).toBe(1);
  });

  it('partial sums that are finite may overflow together', () => {
    const { q, keys, values, shape } = built([0, 0]);
    q.fill(0);
    q[0] = 85.9;
    keys.fill(0);
    for (let i = 0; i < keys.length; i += DIM) keys[i] = 1;
    // 40 and 20 times e^85.9 = 2e37 are more than float32 holds, 10 times and 5 times are not.
    for (const splits of [1, 2, 4, 8]) {
      const o = { ...shape, softmax: 'unified', phi: 0, splits } as const;
      const result = decodeAttention(q, keys, values, o);
      expect([splits, result.fallbackRows]).toEqual([splits, 1]);
      expectAttention(result, attention(q, keys, values, shape), DIM, `${splits} splits`);
    }
  });

  it('values that overflow the accumulator alone are enough', () => {
    const { q, keys, values, shape } = built([40, 0]);
    const large = values.map((value) => value * 1e25);
    const result = decodeAttention(q, keys, large, { ...shape, softmax: 'unified', phi: 0, splits: 2 });
    // e^40 1e25 is more than float32 holds, e^0 1e25 is not.
    expect(result.fallbackRows).toBe(1);
    const online = decodeAttention(q, keys, large, { ...shape, softmax: 'online', splits: 2 });
    expectSameBits(result.out.subarray(0, DIM), online.out.subarray(0, DIM), 'the online result');
    expect(result.out.every(Number.isFinite)).toBe(true);
  });

  it('a denominator below 2^-60 is enough, one above it is not', () => {
    // 40 e^level is e^(level + 3.7); 2^-60 is e^-41.6.
    const problem = built([-44, -47]);
    problem.keys.fill(0);
    for (let i = 0; i < problem.keys.length; i += DIM) problem.keys[i] = 1;
    const { q, keys, values, shape } = problem;
    expect(broken(problem, 0)).toEqual([false, true]);
    const result = decodeAttention(q, keys, values, { ...shape, softmax: 'unified', phi: 0 });
    expect(result.fallbackRows).toBe(1);
    const relaxed = attention(q, keys, values, shape);
    expectAttention(result, relaxed, DIM, 'far below');
  });

  it('NaN trips the rule, is counted, and stays NaN', () => {
    for (const group of [1, 4, 8]) {
      const { q, keys, values, shape } = built(new Array<number>(2 * group).fill(1));
      q[DIM - 1] = NaN;
      for (const rule of ['row', 'element'] as const) {
        const o = { ...shape, softmax: 'unified', phi: 0, rule, range: [-20, 20] } as const;
        const result = decodeAttention(q, keys, values, o);
        expect([group, rule, result.fallbackRows]).toEqual([group, rule, 1]);
        expect(result.out.subarray(0, DIM).every(Number.isNaN)).toBe(true);
        expect(result.logSumExp[0]).toBeNaN();
        expect(result.out.subarray(DIM).every(Number.isFinite)).toBe(true);
      }
    }
  });

  it('empty sequences are not counted', () => {
    const { q, keys, values, shape } = built([200, 0], 2, [LENGTH, 0]);
    for (const rule of ['row', 'element'] as const) {
      const o = { ...shape, softmax: 'unified', phi: 0, rule, range: [-20, 20] } as const;
      expect(decodeAttention(q, keys, values, o).fallbackRows).toBe(1);
    }
  });

  it('a good phi spares the fallback', () => {
    const { q, keys, values, shape } = built([200, 203, 199, 202]);
    const o = { ...shape, softmax: 'unified' } as const;
    expect(decodeAttention(q, keys, values, { ...o, phi: 0 }).fallbackRows).toBe(4);
    expect(decodeAttention(q, keys, values, { ...o, phi: 200 }).fallbackRows).toBe(0);
  });

  it('is counted through page tables too, and with several query tokens', () => {
    const { q, keys, values, shape } = built([0, 200, -150, 3], 2);
    const pageSize = 8;
    const pages = new Float32Array(2 * keys.length);
    for (let i = 0; i < LENGTH; i += 1) {
      for (let h = 0; h < 2; h += 1) {
        [keys, values].forEach((x, kind) => {
          const to = (((Math.floor(i / pageSize) * 2 + kind) * 2 + h) * pageSize + (i % pageSize)) * DIM;
          pages.set(x.subarray((i * 2 + h) * DIM, (i * 2 + h + 1) * DIM), to);
        });
      }
    }
    const o = { ...shape, softmax: 'unified', phi: 0, splits: 3 } as const;
    const contiguous = decodeAttention(q, keys, values, o);
    const paged = pagedDecodeAttention(q, pages, { ...o, pageSize, pageTable: Int32Array.of(0, 1, 2, 3, 4) });
    expect([contiguous.fallbackRows, paged.fallbackRows]).toEqual([2, 2]);
    const twice = Float32Array.from([...q, ...q]);
    expect(decodeAttention(twice, keys, values, { ...o, queryTokens: 2 }).fallbackRows).toBe(4);
  });
});
