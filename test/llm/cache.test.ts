import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import type { KvSequence } from '../../lib/llm/cache.js';
import { CacheFullError, KvCache, PAGE_TOKENS } from '../../lib/llm/cache.js';
import { expectThrown } from '../helpers/refused.js';

/** Four bytes a token, so that a test can write what it likes and read it back. */
const PAGE_BYTES = 4 * PAGE_TOKENS;

/** The bytes of a position, for writing. */
function cell(cache: KvCache, sequence: KvSequence, position: number): DataView {
  const page = sequence.pages[Math.floor(position / PAGE_TOKENS)];
  const slab = cache.slabs[Math.floor(page / cache.pagesPerSlab)];
  const start = (page % cache.pagesPerSlab) * PAGE_BYTES + 4 * (position % PAGE_TOKENS);
  return new DataView(slab.buffer, slab.byteOffset + start, 4);
}

function contents(cache: KvCache, sequence: KvSequence): number[] {
  return Array.from({ length: sequence.length }, (_, t) => cell(cache, sequence, t).getInt32(0));
}

/** Pages that a set of sequences needs at least: those of the model, shared ones once. */
function distinctPages(sequences: readonly KvSequence[]): number {
  return new Set(sequences.flatMap((sequence) => sequence.pages)).size;
}

type Step =
  | { kind: 'append'; which: number; count: number }
  | { kind: 'fork'; which: number }
  | { kind: 'truncate'; which: number; share: number }
  | { kind: 'release'; which: number };

const which = fc.nat(1000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('append' as const), which, count: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fork' as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('truncate' as const),
      which,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), which }) },
);

test('any sequence of append, fork, truncate and release leaves what a naive copy holds', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (steps, pagesPerSlab) => {
      const cache = new KvCache({ pageBytes: PAGE_BYTES, pagesPerSlab, maxPages: 24 });
      const sequences = [cache.sequence()];
      const model: number[][] = [[]];
      let stamp = 0;
      for (const each of steps) {
        const i = each.which % sequences.length;
        const sequence = sequences[i];
        if (each.kind === 'append') {
          const before = [...sequence.pages];
          try {
            expect(sequence.append(each.count)).toBe(model[i].length);
          } catch (error) {
            expect(error).toBeInstanceOf(CacheFullError);
            expect((error as CacheFullError).needed).toBeGreaterThan(cache.pagesLeft);
            expect(sequence.pages).toEqual(before);
            expect(sequence.length).toBe(model[i].length);
            continue;
          }
          for (let n = 0; n < each.count; n++) {
            cell(cache, sequence, model[i].length).setInt32(0, ++stamp);
            model[i].push(stamp);
          }
        } else if (each.kind === 'fork') {
          sequences.push(sequence.fork());
          model.push([...model[i]]);
        } else if (each.kind === 'truncate') {
          const length = Math.floor(each.share * model[i].length);
          sequence.truncate(length);
          model[i].length = length;
        } else {
          sequence.release();
          sequences[i] = cache.sequence();
          model[i] = [];
        }
        expect(sequences.map((one) => contents(cache, one))).toEqual(model);
        expect(cache.pagesInUse).toBe(distinctPages(sequences));
      }
      for (const sequence of sequences) sequence.release();
      expect(cache.bytesInUse).toBe(0);
    }),
    { numRuns: 150, seed: 4 },
  );
});

test('a fork costs nothing until one side writes, and then one page', () => {
  const cache = new KvCache({ pageBytes: PAGE_BYTES, pagesPerSlab: 8 });
  const parent = cache.sequence();
  parent.append(3 * PAGE_TOKENS + 5);
  const child = parent.fork();
  expect(cache.pagesInUse).toBe(4);
  child.append(1);
  expect(cache.pagesInUse).toBe(5);
  expect(child.pages.slice(0, 3)).toEqual(parent.pages.slice(0, 3));
  // The parent is now alone with its last page and writes to it in place.
  const last = parent.pages[3];
  parent.append(1);
  expect(parent.pages[3]).toBe(last);
  // A full last page is shared for good: what follows goes to pages of each one's own.
  parent.truncate(2 * PAGE_TOKENS);
  const other = parent.fork();
  other.append(1);
  expect(cache.pagesInUse).toBe(5);
  expect(cache.bytesInUse).toBe(5 * PAGE_BYTES);
  expect(cache.bytesAllocated).toBe(8 * PAGE_BYTES);
});

test('slabs grow on demand and are used again', () => {
  const cache = new KvCache({ pageBytes: PAGE_BYTES, pagesPerSlab: 2 });
  expect(cache.slabs).toHaveLength(0);
  const first = cache.sequence();
  first.append(5 * PAGE_TOKENS);
  expect(cache.slabs.map((slab) => slab.length)).toEqual([2 * PAGE_BYTES, 2 * PAGE_BYTES, 2 * PAGE_BYTES]);
  first.release();
  first.release();
  expect(first.released).toBe(true);
  cache.sequence().append(6 * PAGE_TOKENS);
  expect(cache.slabs).toHaveLength(3);
});

test('beyond the limit: a named error, nothing changed', () => {
  const cache = new KvCache({ pageBytes: PAGE_BYTES, maxPages: 2 });
  const sequence = cache.sequence();
  sequence.append(PAGE_TOKENS + 1);
  const fork = sequence.fork();
  // One token more: the shared page would have to be copied.
  expect(() => fork.append(1)).toThrow(
    expect.objectContaining({ code: 'ERR_CACHE_FULL', needed: 1, available: 0 }),
  );
  expect([fork.length, sequence.length, cache.pagesInUse]).toEqual([PAGE_TOKENS + 1, PAGE_TOKENS + 1, 2]);
  fork.release();
  expect(sequence.append(1)).toBe(PAGE_TOKENS + 1);
});

test('pages of forgotten sequences come back', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const cache = new KvCache({ pageBytes: PAGE_BYTES });
  const kept = cache.sequence();
  kept.append(1);
  (() => {
    cache.sequence().append(100);
    kept.fork().append(1);
  })();
  expect(cache.pagesInUse).toBe(1 + 7 + 1);
  for (let i = 0; i < 200 && cache.pagesInUse > 1; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(cache.pagesInUse).toBe(1);
  expect(kept.length).toBe(1);
});

test('refuses wrong sizes and released sequences', () => {
  const cache = new KvCache({ pageBytes: PAGE_BYTES });
  const sequence = cache.sequence();
  sequence.append(3);
  expectThrown(() => new KvCache({ pageBytes: 0 }), 'range', 'pageBytes');
  expectThrown(() => new KvCache({ pageBytes: 4, pagesPerSlab: 1.5 }), 'range', 'pagesPerSlab');
  expectThrown(() => new KvCache({ pageBytes: 4, maxPages: -1 }), 'range', 'maxPages');
  expectThrown(() => sequence.append(-1), 'range', 'count');
  expectThrown(() => sequence.truncate(4), 'range', 'length');
  expectThrown(() => sequence.truncate(NaN), 'range', 'length');
  sequence.release();
  expectThrown(() => sequence.append(1), 'range', 'sequence');
  expectThrown(() => sequence.fork(), 'range', 'sequence');
});

test('trim gives the slabs back where no page is in use, and the cache goes on from nothing', () => {
  const cache = new KvCache({ pageBytes: PAGE_BYTES, pagesPerSlab: 2, maxPages: 6 });
  expect(cache.trim()).toBe(true);
  const sequence = cache.sequence();
  sequence.append(5 * PAGE_TOKENS);
  const fork = sequence.fork();
  sequence.release();
  expect([cache.trim(), cache.bytesAllocated, cache.slabs.length]).toEqual([false, 6 * PAGE_BYTES, 3]);
  const waiting = fork.fork();
  fork.release();
  waiting.truncate(0); // holds no page, but may be appended to later
  expect([cache.trim(), cache.bytesAllocated, cache.slabs.length]).toEqual([true, 0, 0]);
  expect([cache.pagesInUse, cache.pagesLeft]).toEqual([0, 6]);
  waiting.append(6 * PAGE_TOKENS);
  expect([...waiting.pages].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  expect(contents(cache, waiting)).toEqual(Array(6 * PAGE_TOKENS).fill(0));
  expect(() => waiting.append(1)).toThrow(CacheFullError);
});
