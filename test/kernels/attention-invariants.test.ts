import {
  decodeAttention,
  decodeAttentionAsync,
  type DecodeAttentionOptions,
  prefillAttention,
  prefillAttentionAsync,
} from '../../lib/index.js';
import { type Problem, problemOf, type Stored } from '../helpers/attention.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import type { CacheType } from '../reference/attention.js';

const SOFTMAXES = ['online', 'unified', 'pair'] as const;
const TYPES: readonly CacheType[] = ['f32', 'bf16', 'f16', 'int8'];
const NEAR = (): number => 2e-6;

/** The rows of cache entries [batch, maxLength, heads, headDim] chosen and ordered by a function of the position. */
function rearranged<T extends Stored>(
  x: T,
  { maxLength, kvHeads, headDim }: Problem['shape'],
  b: number,
  from: (i: number, h: number) => [number, number],
  heads = kvHeads,
): T {
  const out = new (x.constructor as new (n: number) => T)(maxLength * heads * headDim);
  for (let i = 0; i < maxLength; i += 1) {
    for (let h = 0; h < heads; h += 1) {
      const [j, head] = from(i, h);
      const start = ((b * maxLength + j) * kvHeads + head) * headDim;
      out.set(x.subarray(start, start + headDim), (i * heads + h) * headDim);
    }
  }
  return out;
}

/** The calls whose results must not change by a bit when something beside them does. */
function bitwise(check: (o: DecodeAttentionOptions, problem: Problem, label: string) => void): void {
  for (const kvType of TYPES) {
    for (const [queryHeads, headDim] of [
      [2, 16],
      [8, 20],
      [14, 64],
    ]) {
      const problem = problemOf({
        queryHeads,
        kvHeads: 2,
        headDim,
        kvType,
        lengths: [61, 5, 0, 40],
        queryTokens: 1,
      });
      for (const softmax of SOFTMAXES) {
        for (const splits of [1, 3, { chunk: 16 }, { chunk: 512 }] as const) {
          const o = { ...problem.options, softmax, splits };
          check(
            o,
            problem,
            `${kvType}, ${queryHeads} heads of ${headDim}, ${softmax}, ${JSON.stringify(splits)}`,
          );
        }
      }
    }
  }
}

onEveryIsa(() => {
  it('threads do not change a bit', () => {
    bitwise((o, { q, keys, values }, label) => {
      const one = decodeAttention(q, keys, values, { ...o, threads: 1 });
      for (const threads of [2, 3]) {
        const many = decodeAttention(q, keys, values, { ...o, threads });
        expectSameBits(many.out, one.out, `${threads} threads, ${label}`);
        expectSameBits(many.logSumExp, one.logSumExp, `${threads} threads, ${label}`);
      }
    });
  });

  it('caches that are large enough for several threads have the bits of one', () => {
    // Two tasks of many chunks, many tasks of few, and rows that leave the range of the unified maximum.
    for (const [queryHeads, kvHeads, lengths] of [
      [8, 2, [3000]],
      [16, 8, [700, 0, 650]],
    ] as [number, number, number[]][]) {
      const { q, keys, values, options } = problemOf({ queryHeads, kvHeads, headDim: 64, lengths });
      q.subarray(0, 64).forEach((value, d) => (q[d] = 40 * value));
      for (const softmax of SOFTMAXES) {
        for (const splits of [1, 3, { chunk: 100 }, { chunk: 512 }] as const) {
          const o = { ...options, softmax, splits };
          const one = decodeAttention(q, keys, values, o);
          for (const threads of [2, 3, 8]) {
            const many = decodeAttention(q, keys, values, { ...o, threads });
            const label = `${threads} threads, ${softmax}, ${JSON.stringify(splits)}`;
            expectSameBits(many.out, one.out, label);
            expectSameBits(many.logSumExp, one.logSumExp, label);
            expect([label, many.fallbackRows]).toEqual([label, one.fallbackRows]);
          }
          expect(one.fallbackRows > 0).toBe(softmax === 'unified');
        }
      }
    }
  });

  it('a sequence in a batch has the bits of the sequence alone, where the chunk is fixed', () => {
    bitwise((o, { q, keys, values, shape, keyScales, valueScales }, label) => {
      if (typeof o.splits === 'number' && o.splits > 1) return;
      const { batch, queryHeads, kvHeads, headDim, maxLength, lengths } = shape;
      const together = decodeAttention(q, keys, values, o);
      for (let b = 0; b < batch; b += 1) {
        const size = maxLength * kvHeads;
        const part = <T extends Stored>(x: T | undefined, each: number): T | undefined =>
          x?.subarray(b * each, (b + 1) * each) as T | undefined;
        const count = queryHeads * headDim;
        const alone = decodeAttention(
          q.subarray(b * count, (b + 1) * count),
          keys.subarray(b * size * headDim, (b + 1) * size * headDim),
          values.subarray(b * size * headDim, (b + 1) * size * headDim),
          {
            ...o,
            batch: 1,
            lengths: Int32Array.of(lengths[b]),
            keyScales: part(keyScales, size),
            valueScales: part(valueScales, size),
          },
        );
        expectSameBits(alone.out, together.out.subarray(b * count, (b + 1) * count), `${b}, ${label}`);
      }
    });
  });

  it('the promise form gives the same bits, several at once', async () => {
    const { q, keys, values, options } = problemOf({
      queryHeads: 8,
      kvHeads: 2,
      headDim: 32,
      lengths: [90, 33],
    });
    const calls = SOFTMAXES.flatMap((softmax) =>
      [1, 2, 5].map((splits) => ({ ...options, softmax, splits })),
    );
    const results = await Promise.all(
      calls.map((o) => decodeAttentionAsync(q, keys, values, { ...o, threads: 2 })),
    );
    results.forEach(({ out, logSumExp, fallbackRows }, i) => {
      const expected = decodeAttention(q, keys, values, calls[i]);
      expectSameBits(out, expected.out, JSON.stringify(calls[i].splits));
      expectSameBits(logSumExp, expected.logSumExp);
      expect(fallbackRows).toBe(expected.fallbackRows);
    });
  });

  it('any number of splits, and chunks of any length', () => {
    const { q, keys, values, options } = problemOf({
      queryHeads: 6,
      kvHeads: 2,
      headDim: 24,
      lengths: [77, 1, 30],
    });
    for (const softmax of SOFTMAXES) {
      const one = decodeAttention(q, keys, values, { ...options, softmax, splits: 1 });
      const counts = Array.from({ length: 20 }, (_, i) => i + 2);
      const chunks = [1, 2, 3, 8, 16, 31, 76, 77, 1000].map((chunk) => ({ chunk }));
      for (const splits of [...counts, 100, 'auto' as const, ...chunks]) {
        const { out, logSumExp } = decodeAttention(q, keys, values, { ...options, softmax, splits });
        expectClose(out, one.out, NEAR, `${softmax} ${JSON.stringify(splits)}`);
        expectClose(logSumExp, one.logSumExp, NEAR);
      }
    }
  });

  it('the order of keys does not matter', () => {
    const { q, keys, values, options, shape } = problemOf({
      queryHeads: 6,
      kvHeads: 2,
      headDim: 24,
      lengths: [67],
    });
    const [k, v] = [keys, values].map((x) => rearranged(x, shape, 0, (i, h) => [(i * 29 + 11) % 67, h]));
    for (const softmax of SOFTMAXES) {
      const [a, b] = [
        decodeAttention(q, keys, values, { ...options, softmax }),
        decodeAttention(q, k, v, { ...options, softmax }),
      ];
      expectClose(b.out, a.out, NEAR, softmax);
      expectClose(b.logSumExp, a.logSumExp, NEAR, softmax);
    }
  });

  it.each([2, 3, 4, 7, 8, 12])('%i queries on a head are as many heads with the same keys', (group) => {
    const { q, keys, values, options, shape } = problemOf({
      queryHeads: 2 * group,
      kvHeads: 2,
      headDim: 40,
      lengths: [45],
    });
    const heads = 2 * group;
    const [k, v] = [keys, values].map((x) =>
      rearranged(x, shape, 0, (i, h) => [i, Math.floor(h / group)], heads),
    );
    for (const softmax of SOFTMAXES) {
      const grouped = decodeAttention(q, keys, values, { ...options, softmax });
      const each = decodeAttention(q, k, v, { ...options, kvHeads: heads, softmax });
      expectClose(each.out, grouped.out, NEAR, softmax);
      expectClose(each.logSumExp, grouped.logSumExp, NEAR, softmax);
    }
  });

  it('the unified maximum may be anything from -8 to 8', () => {
    for (const queryHeads of [2, 8]) {
      const { q, keys, values, options } = problemOf({
        queryHeads,
        kvHeads: 2,
        headDim: 32,
        lengths: [100, 9],
      });
      const online = decodeAttention(q, keys, values, { ...options, softmax: 'online' });
      for (const phi of [-8, -3.5, -1, 0, 0.25, 2, 8]) {
        for (const splits of [1, 4]) {
          const unified = { ...options, softmax: 'unified', phi, splits } as const;
          const result = decodeAttention(q, keys, values, unified);
          expect(result.fallbackRows).toBe(0);
          expectClose(result.out, online.out, NEAR, `phi ${phi}`);
          expectClose(result.logSumExp, online.logSumExp, NEAR, `phi ${phi}`);
        }
      }
    }
  });

  it('several query tokens have the bits of the tokens one by one', () => {
    for (const kvType of TYPES) {
      for (const [queryHeads, kvHeads, headDim] of [
        [1, 1, 16],
        [8, 2, 20],
        [7, 1, 64],
      ]) {
        for (const layout of ['NHD', 'HND'] as const) {
          const tokens = 5;
          const o = {
            queryHeads,
            kvHeads,
            headDim,
            kvType,
            layout,
            queryTokens: tokens,
            lengths: [40, 5],
            window: 30,
          };
          const { q, keys, values, options, shape } = problemOf(o);
          for (const softmax of SOFTMAXES) {
            for (const splits of [1, { chunk: 8 }, { chunk: 512 }] as const) {
              const together = decodeAttention(q, keys, values, { ...options, softmax, splits });
              for (let t = 0; t < tokens; t += 1) {
                const count = queryHeads * headDim;
                const row = (x: Float32Array): Float32Array => {
                  const out = new Float32Array(2 * count);
                  for (const b of [0, 1])
                    out.set(x.subarray((b * tokens + t) * count, (b * tokens + t + 1) * count), b * count);
                  return out;
                };
                const lengths = Int32Array.from(shape.lengths, (length) => length - tokens + t + 1);
                const alone = decodeAttention(row(q), keys, values, {
                  ...options,
                  queryTokens: 1,
                  lengths,
                  softmax,
                  splits,
                });
                const label = `${kvType} ${layout} ${queryHeads}/${kvHeads}x${headDim} ${softmax} ${JSON.stringify(splits)}, token ${t}`;
                expectSameBits(alone.out, row(together.out), label);
              }
            }
          }
        }
      }
    }
  });

  it('a prompt at once has the bits of its tokens step by step', async () => {
    for (const [queryHeads, kvHeads, headDim, length] of [
      [2, 2, 16, 33],
      [6, 2, 20, 50],
      [7, 1, 8, 150],
      [1, 1, 4, 600],
    ]) {
      const problem = problemOf({ queryHeads, kvHeads, headDim, lengths: [length], queryTokens: length });
      const { q, keys, values, options } = problem;
      const count = queryHeads * headDim;
      for (const softmax of SOFTMAXES) {
        for (const splits of [undefined, 1, { chunk: 64 }]) {
          const prompt = { batch: 1, queryHeads, kvHeads, headDim, length, softmax, splits };
          const prefill = prefillAttention(q, keys, values, prompt);
          const decode = decodeAttention(q, keys, values, { ...options, softmax, splits });
          expectSameBits(prefill.out, decode.out, 'prefill is decode with as many query tokens');
          const later = await prefillAttentionAsync(q, keys, values, { ...prompt, threads: 2 });
          expectSameBits(later.out, decode.out, 'promise');
          for (let t = 0; t < length; t += length > 100 ? 7 : 1) {
            const row = q.subarray(t * count, (t + 1) * count);
            const one = { ...options, queryTokens: 1, lengths: Int32Array.of(t + 1), softmax, splits };
            const { out } = decodeAttention(row, keys, values, one);
            expectSameBits(prefill.out.subarray(t * count, (t + 1) * count), out, `${softmax}, token ${t}`);
          }
        }
      }
    }
  });

  it('without a causal mask all query tokens see all keys', () => {
    const problem = problemOf({ queryHeads: 4, kvHeads: 2, headDim: 20, lengths: [35], queryTokens: 6 });
    const { q, keys, values, options } = problem;
    for (const softmax of SOFTMAXES) {
      const { out } = decodeAttention(q, keys, values, { ...options, causal: false, softmax });
      for (let t = 0; t < 6; t += 1) {
        const row = q.subarray(t * 80, (t + 1) * 80);
        const alone = decodeAttention(row, keys, values, { ...options, queryTokens: 1, softmax });
        expectSameBits(out.subarray(t * 80, (t + 1) * 80), alone.out, `${softmax}, token ${t}`);
      }
    }
  });
});
