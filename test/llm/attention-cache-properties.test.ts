/** Any sequence of operations on an AttentionCache leaves what a naive copy of every sequence holds. */
import fc from 'fast-check';
import type { KvSequence } from '../../lib/llm/cache.js';
import { CACHE_TYPES, CacheMirror } from '../helpers/attention-cache.js';

const which = fc.nat(1000);
const perhaps = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

type Step =
  | { kind: 'append'; which: number; counts: number[] }
  | { kind: 'fork'; which: number }
  | { kind: 'truncate'; which: number; share: number }
  | { kind: 'release'; which: number };

/** Appends are of one to three sequences at a time. */
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      which,
      counts: fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }),
    }),
  },
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

const seen = fc.record({
  window: perhaps(fc.integer({ min: 1, max: 40 })),
  sinkTokens: perhaps(fc.nat(20)),
  softCap: perhaps(fc.double({ min: 1, max: 20, noNaN: true })),
  softmax: fc.constantFrom('online' as const, 'unified' as const, 'pair' as const),
  threads: fc.integer({ min: 1, max: 3 }),
});

/** `count` different members of a list from one on, in its order. */
const someOf = <T>(list: readonly T[], from: number, count: number): T[] =>
  list.length === 0
    ? []
    : Array.from({ length: Math.min(count, list.length) }, (_, i) => list[(from + i) % list.length]);

test('append, fork, truncate and release in any order', () => {
  fc.assert(
    fc.property(
      fc.record({
        type: fc.constantFrom(...CACHE_TYPES),
        layers: fc.integer({ min: 1, max: 2 }),
        kvHeads: fc.integer({ min: 1, max: 2 }),
        group: fc.integer({ min: 1, max: 5 }),
        headDim: fc.integer({ min: 1, max: 20 }),
      }),
      fc.array(fc.tuple(step, seen, fc.array(fc.nat(30), { maxLength: 4 })), { minLength: 1, maxLength: 14 }),
      ({ group, ...options }, steps) => {
        const mirror = new CacheMirror(options);
        const sequences: KvSequence[] = [mirror.sequence(), mirror.sequence()];
        for (const [each, visibility, wanted] of steps) {
          const at = each.which % Math.max(1, sequences.length);
          if (each.kind === 'append') {
            const chosen = someOf(sequences, at, each.counts.length);
            mirror.append(chosen, each.counts.slice(0, chosen.length));
          } else if (sequences.length > 0) {
            const sequence = sequences[at];
            if (each.kind === 'fork') sequences.push(mirror.fork(sequence));
            else if (each.kind === 'truncate')
              mirror.truncate(sequence, Math.floor(each.share * sequence.length));
            else sequences.splice(at, 1)[0].release();
          }
          const asked = someOf(sequences, each.which, wanted.length);
          const counts = asked.map((sequence, i) => Math.min(wanted[i], sequence.length));
          mirror.expectAttention(asked, counts, { queryHeads: group * options.kvHeads, ...visibility });
        }
        const held = new Set(sequences.flatMap(({ pages }) => pages));
        expect(mirror.cache.pages.pagesInUse).toBe(held.size);
      },
    ),
    { numRuns: 60 },
  );
});
