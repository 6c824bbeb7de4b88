import fc from 'fast-check';
import { Engine } from '../../lib/llm/engine.js';
import type { GeneratedToken } from '../../lib/llm/generate.js';
import { Session } from '../../lib/llm/session.js';
import { collect, ToyDecoder, toyTokens } from '../helpers/toy-decoder.js';

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
};

const request = fc.record({
  /** Turns of the event loop before it asks for its first token. */
  delay: fc.nat(40),
  /** Turns between one token and the next. */
  pace: fc.nat(3),
  prompt: fc.integer({ min: 1, max: 60 }),
  maxTokens: fc.integer({ min: 1, max: 30 }),
  seed: fc.nat(5),
  temperature: fc.constantFrom(0, 0.7, 1.5),
  /** What ends it, and after how many tokens. */
  fate: fc.constantFrom('completes', 'completes', 'aborts', 'leaves', 'fails'),
  after: fc.nat(12),
});

test('whatever comes and goes, every text is a beginning of what it is alone, and all pages come back', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 7 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 6, max: 14 }),
      fc.integer({ min: 1, max: 6 }),
      async (requests, chunk, maxSequences, pages, queue) => {
        const decoder = new ToyDecoder({ maxLength: 96 });
        const maxCacheBytes = pages * decoder.pageBytes;
        const engine = new Engine(decoder, { chunk, maxSequences, maxCacheBytes, queue });
        await Promise.all(
          requests.map(async ({ delay, pace, prompt, maxTokens, seed, temperature, fate, after }, i) => {
            await turns(delay);
            const controller = new AbortController();
            const mask = (): void => {
              if (fate === 'fails' && read.length >= after) throw new Error('mask');
            };
            const options = { maxTokens, seed, temperature };
            const read: GeneratedToken[] = [];
            let failure: unknown;
            try {
              const o = { ...options, mask, signal: controller.signal };
              for await (const each of engine.generate(toyTokens(prompt, i), o)) {
                read.push(each);
                if (fate === 'aborts' && read.length > after) controller.abort(new Error('abort'));
                if (fate === 'leaves' && read.length > after) break;
                await turns(pace);
              }
            } catch (error) {
              failure = error;
            }
            const whole = await collect(
              new Session(new ToyDecoder()).generate(toyTokens(prompt, i), options),
            );
            expect(read).toEqual(whole.slice(0, read.length));
            if (failure) expect((failure as Error).message).toBe(fate === 'aborts' ? 'abort' : 'mask');
            else if (fate !== 'leaves' && fate !== 'fails') expect(read).toHaveLength(whole.length);
          }),
        );
        for (let i = 0; i < 50 && engine.stats.active > 0; i++) await turns(1);
        expect(engine.stats).toMatchObject({ active: 0, waiting: 0, cacheBytes: 0 });
      },
    ),
    { numRuns: 60, seed: 7 },
  );
});
