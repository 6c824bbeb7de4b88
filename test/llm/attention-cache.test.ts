/** AttentionCache against plain float64 attention over what a naive copy of every sequence holds. */
import {
  AttentionCache,
  type AttentionCacheOptions,
  type CacheAttentionOptions,
} from '../../lib/llm/attention-cache.js';
import type { KvSequence } from '../../lib/llm/cache.js';
import { CacheMirror, CACHE_TYPES } from '../helpers/attention-cache.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { normalRow } from '../helpers/rows.js';

const FORMS = ['online', 'unified', 'pair'] as const;

/** What changes or hides scores, for four query heads. */
const SEEN: readonly (readonly [name: string, options: Partial<CacheAttentionOptions>])[] = [
  ['all keys', {}],
  ['a window', { window: 9 }],
  ['a window and first tokens', { window: 7, sinkTokens: 3 }],
  ['a window longer than the text', { window: 500, sinkTokens: 2 }],
  ['ALiBi', { alibiSlopes: [0.5, 0.25, 0.125, 0] }],
  ['a soft cap', { softCap: 1.5 }],
  ['sinks in the denominator', { sinks: [0, -2, 3, 1] }],
  [
    'everything together',
    {
      window: 20,
      sinkTokens: 4,
      softCap: 5,
      alibiSlopes: [0.1, 0, 0.2, 0.3],
      sinks: [1, 0, -1, 2],
      scale: 0.4,
    },
  ],
];

onEveryIsa(() => {
  describe.each(CACHE_TYPES)('in a cache of %s', (type) => {
    test.each(SEEN)('sequences of several lengths, each with rows of its own: %s', (_, seen) => {
      const mirror = new CacheMirror({ layers: 2, kvHeads: 2, headDim: 12, type });
      const sequences = [1, 16, 17, 40, 5].map((length) => {
        const sequence = mirror.sequence();
        mirror.append([sequence], [length]);
        return sequence;
      });
      // A prompt, a step, a part of a prompt, nothing at all.
      mirror.append(sequences, [1, 3, 1, 2, 0]);
      for (const softmax of FORMS)
        mirror.expectAttention(sequences, [1, 3, 1, 25, 0], { queryHeads: 4, softmax, ...seen });
    });

    test.each([
      [1, 1, 1],
      [1, 8, 64],
      [3, 3, 17],
      [2, 18, 32],
      [1, 70, 5],
    ])('%i heads for %i query heads of %i', (kvHeads, queryHeads, headDim) => {
      const mirror = new CacheMirror({ kvHeads, headDim, type });
      const sequence = mirror.sequence();
      mirror.append([sequence], [35]);
      mirror.expectAttention([sequence], [35], { queryHeads });
      mirror.append([sequence], [1]);
      mirror.expectAttention([sequence], [1], { queryHeads, softmax: 'pair' });
    });
  });

  test('a row has the same bits in any company, cut anywhere, on any number of threads', () => {
    const mirror = new CacheMirror({ kvHeads: 2, headDim: 16, type: 'bf16' });
    const lengths = [1300, 33, 600];
    const sequences = lengths.map((length) => {
      const sequence = mirror.sequence();
      mirror.append([sequence], [length]);
      return sequence;
    });
    const counts = [20, 33, 1];
    const q = normalRow(54 * 4 * 16, 1, 9);
    const { cache } = mirror;
    for (const softmax of FORMS) {
      const options = { queryHeads: 4, softmax, window: 900, sinkTokens: 2 };
      const rows = cache.rows(sequences, counts);
      const together = cache.attend(0, rows, q, options);
      for (const threads of [2, 5]) {
        const other = cache.attend(0, rows, q, { ...options, threads });
        expectSameBits(other.out, together.out, `${threads} threads`);
        expectSameBits(other.logSumExp, together.logSumExp, `${threads} threads`);
      }
      let row = 0;
      sequences.forEach((sequence, i) => {
        for (let left = counts[i]; left > 0; left--, row++) {
          // The newest token of a copy that is cut back to it: alone in its call.
          const copy = sequence.fork();
          copy.truncate(sequence.length - left + 1);
          const own = q.subarray(row * 64, (row + 1) * 64);
          const alone = cache.attend(0, cache.rows([copy]), own, { ...options, threads: 1 + (row % 3) });
          expectSameBits(alone.out, together.out.slice(row * 64, (row + 1) * 64), `row ${row}`);
          expectSameBits(alone.logSumExp, together.logSumExp.slice(row * 4, (row + 1) * 4), `row ${row}`);
          copy.release();
        }
      });
      expect(row).toBe(54);
    }
  });

  test('what a row does not see cannot reach it', () => {
    for (const type of ['f32', 'bf16', 'f16', 'int8'] as const) {
      const mirror = new CacheMirror({ kvHeads: 1, headDim: 8, type });
      // Pages that NaN was written to come back into use.
      const poisoned = mirror.sequence();
      mirror.append([poisoned], [40], Number.NaN);
      poisoned.release();
      const sequence = mirror.sequence();
      mirror.append([sequence], [20]);
      mirror.append([sequence], [1], Number.NaN);
      const q = normalRow(21 * 2 * 8, 1, 3);
      const { out, logSumExp } = mirror.cache.attend(0, mirror.cache.rows([sequence], [21]), q, {
        queryHeads: 2,
      });
      expect(out.subarray(0, 20 * 16).every(Number.isFinite)).toBe(true);
      expect(out.subarray(20 * 16).every(Number.isNaN)).toBe(true);
      expect(logSumExp.subarray(40).every(Number.isNaN)).toBe(true);
      mirror.truncate(sequence, 20);
      mirror.expectAttention([sequence], [20], { queryHeads: 2 });
    }
  });

  test('rows far from the unified maximum are counted and done again', () => {
    const mirror = new CacheMirror({ kvHeads: 2, headDim: 8 });
    const sequence = mirror.sequence();
    mirror.append([sequence], [30]);
    const result = mirror.expectAttention([sequence], [4], { queryHeads: 4, softmax: 'unified', phi: 500 });
    expect(result.fallbackRows).toBe(16);
    expect(mirror.expectAttention([sequence], [4], { queryHeads: 4, softmax: 'unified' }).fallbackRows).toBe(
      0,
    );
    const element = { softmax: 'unified', rule: 'element', range: [-0.001, 0.001] } as const;
    expect(mirror.expectAttention([sequence], [4], { queryHeads: 4, ...element }).fallbackRows).toBe(16);
  });
});

test('a fork shares pages until one of the two is appended to; then each has its own', () => {
  const mirror = new CacheMirror({ layers: 3, kvHeads: 2, headDim: 6, type: 'f16' });
  const parent = mirror.sequence();
  mirror.append([parent], [21]);
  const child = mirror.fork(parent);
  expect(mirror.cache.pages.pagesInUse).toBe(2);
  mirror.append([child], [1]);
  expect(mirror.cache.pages.pagesInUse).toBe(3);
  mirror.append([parent], [2]);
  expect(mirror.cache.pages.pagesInUse).toBe(3);
  expect(child.pages[0]).toBe(parent.pages[0]);
  expect(child.pages[1]).not.toBe(parent.pages[1]);
  mirror.expectAttention([parent, child], [23, 22], { queryHeads: 4 });
  parent.release();
  expect(mirror.cache.pages.pagesInUse).toBe(2);
  mirror.expectAttention([child], [22], { queryHeads: 2 });
});

test('a sequence that was cut back goes on from there, and its fork keeps what was cut', () => {
  const mirror = new CacheMirror({ kvHeads: 1, headDim: 8, type: 'int8' });
  const sequence = mirror.sequence();
  mirror.append([sequence], [30]);
  const kept = mirror.fork(sequence);
  mirror.truncate(sequence, 19);
  mirror.append([sequence], [4]);
  mirror.expectAttention([sequence, kept], [23, 30], { queryHeads: 2 });
  mirror.truncate(sequence, 0);
  mirror.append([sequence], [16]);
  mirror.expectAttention([kept, sequence], [30, 16], { queryHeads: 2 });
});

test('the limit of tokens counts pages; a refused append changes nothing', () => {
  const mirror = new CacheMirror({ kvHeads: 1, headDim: 4, maxTokens: 33 });
  const sequence = mirror.sequence();
  mirror.append([sequence], [48]);
  const full = expect.objectContaining({ code: 'ERR_CACHE_FULL' }) as Error;
  expect(() => sequence.append(1)).toThrow(full);
  expect(sequence.length).toBe(48);
  mirror.expectAttention([sequence], [48], { queryHeads: 1 });
});

test('bytes in use are those of pages of the storage type', () => {
  for (const [type, bytes] of [
    ['f32', 4],
    ['bf16', 2],
    ['f16', 2],
    ['int8', 1],
  ] as const) {
    const cache = new AttentionCache({ layers: 3, kvHeads: 2, headDim: 10, type });
    cache.sequence().append(17);
    const scales = type === 'int8' ? 4 : 0;
    expect(cache.pages.bytesInUse).toBe(2 * 16 * 3 * 2 * 2 * (10 * bytes + scales));
  }
});

test('the promise form gives the same bits', async () => {
  const mirror = new CacheMirror({ kvHeads: 2, headDim: 16 });
  const sequence = mirror.sequence();
  mirror.append([sequence], [100]);
  const rows = mirror.cache.rows([sequence], [40]);
  const q = normalRow(40 * 6 * 16, 1, 4);
  const blocking = mirror.cache.attend(0, rows, q, { queryHeads: 6 });
  const promised = await mirror.cache.attendAsync(0, rows, q, { queryHeads: 6, threads: 2 });
  expectSameBits(promised.out, blocking.out, 'out');
  expectSameBits(promised.logSumExp, blocking.logSumExp, 'logSumExp');
  await expect(
    mirror.cache.attendAsync(0, rows, q, { queryHeads: 6, signal: AbortSignal.abort() }),
  ).rejects.toMatchObject({ name: 'AbortError' });
});

test('a step of no rows gives nothing', () => {
  const cache = new AttentionCache({ kvHeads: 1, headDim: 4 });
  const sequence = cache.sequence();
  sequence.append(3);
  for (const rows of [cache.rows([]), cache.rows([sequence], [0])]) {
    cache.write(0, rows, new Float32Array(0), new Float32Array(0));
    const { out, logSumExp } = cache.attend(0, rows, new Float32Array(0), { queryHeads: 1 });
    expect([out.length, logSumExp.length]).toEqual([0, 0]);
  }
});

describe('refuses', () => {
  const cache = new AttentionCache({ layers: 2, kvHeads: 2, headDim: 4 });
  const sequence = cache.sequence();
  sequence.append(5);
  const rows = cache.rows([sequence], [3]);
  const k = new Float32Array(3 * 2 * 4).fill(1);
  const q = new Float32Array(3 * 4 * 4).fill(1);

  test.each<[keyof AttentionCacheOptions, unknown, 'type' | 'range']>([
    ['layers', 0, 'range'],
    ['kvHeads', 0, 'range'],
    ['kvHeads', '2', 'type'],
    ['headDim', 1.5, 'range'],
    ['type', 'f64', 'range'],
    ['maxTokens', 0, 'range'],
  ])('a cache with %s %p', (name, value, kind) => {
    const options = { layers: 1, kvHeads: 1, headDim: 4, [name]: value };
    expectThrown(() => new AttentionCache(options), kind, name);
  });

  test('rows that are not there', () => {
    const other = cache.sequence();
    expectThrown(() => cache.rows(sequence as unknown as KvSequence[]), 'type', 'sequences');
    expectThrown(() => cache.rows([sequence, other]), 'range', 'counts[1]');
    expectThrown(() => cache.rows([sequence], [6]), 'range', 'counts[0]');
    expectThrown(() => cache.rows([sequence], [-1]), 'range', 'counts[0]');
    expectThrown(() => cache.rows([sequence], [0.5]), 'range', 'counts[0]');
    expectThrown(() => cache.rows([sequence], [1, 1]), 'range', 'counts');
    other.release();
    expectThrown(() => cache.rows([other], [1]), 'range', 'counts[0]');
  });

  test('keys and values of another shape, and writes nothing', () => {
    const before = cache.pages.slabs.map((slab) => slab.slice());
    const wrong = new Float32Array(23);
    expectThrown(() => cache.write(2, rows, k, k), 'range', 'layer');
    expectThrown(() => cache.write(-1, rows, k, k), 'range', 'layer');
    expectThrown(() => cache.write(0, rows, wrong, k), 'range', 'k');
    expectThrown(() => cache.write(0, rows, k, wrong), 'range', 'v');
    expectThrown(() => cache.write(0, rows, Float64Array.from(k) as never, k), 'type', 'k');
    expectThrown(() => cache.write(0, rows, k, Array.from(k) as never), 'type', 'v');
    expectThrown(() => cache.write('0' as never, rows, k, k), 'type', 'layer');
    expectThrown(() => cache.write(0, { ...rows }, k, k), 'type', 'rows');
    expectThrown(() => cache.write(0, undefined as never, k, k), 'type', 'rows');
    cache.pages.slabs.forEach((slab, i) => expectSameBits(slab, before[i], `slab ${i}`));
  });

  test('what is no sequence, and sequences of another cache', () => {
    const other = new AttentionCache({ kvHeads: 2, headDim: 4 }).sequence();
    expectThrown(() => cache.rows([null as never]), 'type', 'sequences[0]');
    expectThrown(() => cache.rows([other]), 'range', 'sequences[0]');
    expectThrown(() => cache.rows([cache.sequence()], 3 as never), 'type', 'counts');
    expectThrown(() => cache.rows([cache.sequence()], ['1'] as never), 'type', 'counts[0]');
  });

  test('writing what a fork shares, and rows of sequences that have changed since', () => {
    const own = new AttentionCache({ kvHeads: 1, headDim: 2 });
    const [one, two] = [new Float32Array(2).fill(1), new Float32Array(2).fill(9)];
    const parent = own.sequence();
    parent.append(1);
    const rows1 = own.rows([parent]);
    own.write(0, rows1, one, one);
    const fork = parent.fork();
    expectThrown(() => own.write(0, own.rows([fork]), two, two), 'range', 'rows');
    const read = (): number => own.attend(0, own.rows([parent]), one, { queryHeads: 1 }).out[0];
    expect(read()).toBe(1);
    fork.append(1);
    own.write(0, own.rows([fork]), two, two);
    expect(read()).toBe(1);
    const stale = own.rows([parent]);
    parent.truncate(0);
    expectThrown(() => own.write(0, stale, two, two), 'range', 'rows');
    expectThrown(() => own.attend(0, stale, one, { queryHeads: 1 }), 'range', 'rows');
  });

  test.each<[name: string, value: unknown, kind: 'type' | 'range']>([
    ['queryHeads', 0, 'range'],
    ['scale', '1', 'type'],
    ['scale', Number.NaN, 'range'],
    ['window', 0, 'range'],
    ['sinkTokens', -1, 'range'],
    ['softCap', -1, 'range'],
    ['alibiSlopes', [1, 2, 3], 'range'],
    ['sinks', new Float32Array(5), 'range'],
    ['sinks', 3, 'type'],
    ['softmax', 'two-pass', 'range'],
    ['phi', Number.POSITIVE_INFINITY, 'range'],
    ['rule', 'column', 'range'],
    ['range', [1, 1], 'range'],
    ['threads', 0, 'range'],
  ])('attention with %s %p', async (name, value, kind) => {
    const options = { queryHeads: 4, softmax: 'unified', [name]: value } as CacheAttentionOptions;
    expectThrown(() => cache.attend(0, rows, q, options), kind, name);
    await expectRejected(() => cache.attendAsync(0, rows, q, options), kind, name);
  });

  test('queries of another shape, layer or number of heads', () => {
    const options = { queryHeads: 4 };
    expectThrown(() => cache.attend(2, rows, q, options), 'range', 'layer');
    expectThrown(() => cache.attend(0, rows, q.subarray(1), options), 'range', 'q');
    expectThrown(() => cache.attend(0, rows, new Float32Array(0), options), 'range', 'q');
    expectThrown(() => cache.attend(0, rows, Array.from(q) as never, options), 'type', 'q');
    expectThrown(() => cache.attend(0, rows, q, { queryHeads: 3 }), 'range', 'kvHeads');
  });
});
