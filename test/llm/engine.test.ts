import os from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Engine } from '../../lib/llm/engine.js';
import type { GeneratedToken, GenerateOptions } from '../../lib/llm/generate.js';
import { Session } from '../../lib/llm/session.js';
import { expectThrown } from '../helpers/refused.js';
import { collect, ToyDecoder, toyTokens } from '../helpers/toy-decoder.js';

const immediate = async (): Promise<void> => new Promise(setImmediate);

/** Waits until something holds, for two seconds at most. */
async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(holds()).toBe(true);
}

/** Texts of all kinds. */
const REQUESTS: { prompt: number[]; options: GenerateOptions }[] = [
  { prompt: toyTokens(3, 1), options: { maxTokens: 30, seed: 1 } },
  {
    prompt: toyTokens(70, 2),
    options: { maxTokens: 12, seed: 1, temperature: 0.7, topP: 0.9, topLogProbs: 3 },
  },
  { prompt: toyTokens(16, 3), options: { maxTokens: 25, temperature: 0 } },
  { prompt: toyTokens(1, 4), options: { maxTokens: 20, seed: 9, topK: 5, repetitionPenalty: 1.3 } },
  {
    prompt: toyTokens(33, 5),
    options: { maxTokens: 8, seed: 2, minP: 0.3, logitBias: { 1: 3 }, topLogProbs: 1 },
  },
  {
    prompt: toyTokens(20, 6),
    options: {
      maxTokens: 40,
      seed: 3,
      mask: (logits, { position }) => void (logits[position % 50] = -Infinity),
    },
  },
];

/** What each text is alone. */
async function alone(): Promise<GeneratedToken[][]> {
  return Promise.all(
    REQUESTS.map(async ({ prompt, options }) =>
      collect(new Session(new ToyDecoder()).generate(prompt, options)),
    ),
  );
}

describe('texts do not depend on what else is in the batch', () => {
  test.each([3, 16, 256])(
    'all together, prompts in chunks of %i rows a step: the bits of each alone',
    async (chunk) => {
      const engine = new Engine(new ToyDecoder(), { chunk });
      const together = await Promise.all(
        REQUESTS.map(async ({ prompt, options }) => collect(engine.generate(prompt, options))),
      );
      expect(together).toEqual(await alone());
      await until(() => engine.stats.cacheBytes === 0);
      expect(engine.stats).toMatchObject({ active: 0, waiting: 0, generated: 30 + 12 + 25 + 20 + 8 + 40 });
    },
  );

  test('joining later, one after another, and with few places', async () => {
    const engine = new Engine(new ToyDecoder(), { chunk: 10, maxSequences: 2 });
    const later = await Promise.all(
      REQUESTS.map(async ({ prompt, options }, i) => {
        await new Promise((resolve) => setTimeout(resolve, 3 * i));
        return collect(engine.generate(prompt, options));
      }),
    );
    expect(later).toEqual(await alone());
  });
});

describe('steps', () => {
  test('one forward pass serves all; a long prompt does not hold up those that decode', async () => {
    const decoder = new ToyDecoder();
    const engine = new Engine(decoder, { chunk: 16 });
    const writing = collect(engine.generate(toyTokens(4, 1), { seed: 1, maxTokens: 40 }));
    await until(() => engine.stats.generated > 0);
    const before = decoder.passes.length;
    const long = collect(engine.generate(toyTokens(160, 2), { seed: 1, maxTokens: 2 }));
    await Promise.all([writing, long]);
    const mixed = decoder.passes.slice(before).filter((counts) => counts.length === 2);
    // Ten chunks of 16 rows, and the first token of the prompt's text; one row of the other text in each.
    expect(mixed).toEqual([...Array<number[]>(10).fill([1, 16]), [1, 1]]);
    expect(engine.stats.passes).toBe(40);
  });

  test('prompts share the rows of a step evenly, and what a short one leaves goes to the others', async () => {
    const decoder = new ToyDecoder();
    const engine = new Engine(decoder, { chunk: 30 });
    await Promise.all(
      [100, 4, 50].map(async (length, i) =>
        collect(engine.generate(toyTokens(length, i), { seed: 1, maxTokens: 1 })),
      ),
    );
    expect(decoder.passes).toEqual([[13, 4, 13], [15, 15], [15, 15], [23, 7], [30], [4]]);
  });

  test('a slow consumer pauses his own text alone', async () => {
    const decoder = new ToyDecoder();
    const engine = new Engine(decoder, { queue: 5 });
    const slow = engine.generate(toyTokens(5, 1), { seed: 1, maxTokens: 30 });
    const tokens = [(await slow.next()).value];
    const fast = await collect(engine.generate(toyTokens(5, 2), { seed: 1, maxTokens: 30 }));
    expect(fast).toHaveLength(30);
    await immediate();
    // One was read, five wait in the queue.
    expect(engine.stats.generated).toBe(30 + 6);
    const passes = decoder.passes.length;
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(decoder.passes).toHaveLength(passes);
    tokens.push(...(await collect(slow)));
    expect(tokens).toEqual(
      await collect(new Session(new ToyDecoder()).generate(toyTokens(5, 1), { seed: 1, maxTokens: 30 })),
    );
  });

  test('several next() in flight are answered in order', async () => {
    const engine = new Engine(new ToyDecoder());
    const stream = engine.generate(toyTokens(5, 1), { seed: 1, maxTokens: 3 });
    const results = await Promise.all(Array.from({ length: 5 }, async () => stream.next()));
    expect(results.map(({ done }) => done)).toEqual([false, false, false, true, true]);
    expect(results.slice(0, 3).map(({ value }) => value)).toEqual(
      await collect(new Engine(new ToyDecoder()).generate(toyTokens(5, 1), { seed: 1, maxTokens: 3 })),
    );
  });
});

describe('a text that ends early', () => {
  const [request, ...others] = REQUESTS;

  /** Runs the others beside a text that fails or is ended, and fails if they notice. */
  async function beside(engine: Engine, body: Promise<unknown>): Promise<void> {
    const results = await Promise.all(
      others.map(async ({ prompt, options }) => collect(engine.generate(prompt, options))),
    );
    await body;
    expect(results).toEqual((await alone()).slice(1));
    await until(() => engine.stats.cacheBytes === 0 && engine.stats.active === 0);
  }

  test('aborted', async () => {
    const engine = new Engine(new ToyDecoder());
    const controller = new AbortController();
    const tokens: GeneratedToken[] = [];
    const body = (async () => {
      for await (const each of engine.generate(request.prompt, {
        ...request.options,
        signal: controller.signal,
      })) {
        tokens.push(each);
        if (tokens.length === 5) controller.abort(new Error('enough'));
      }
    })();
    const failure = body.catch((error: unknown) => error);
    await beside(engine, failure);
    expect(await failure).toEqual(new Error('enough'));
    expect(tokens).toEqual((await alone())[0].slice(0, 5));
  });

  test('left by its consumer: return() resolves when its pages are free', async () => {
    const engine = new Engine(new ToyDecoder());
    const body = (async () => {
      for await (const each of engine.generate(request.prompt, request.options)) if (each) break;
    })();
    await beside(engine, body);
    const stream = engine.generate(request.prompt, request.options);
    await stream.next();
    expect(engine.stats.cacheBytes).toBeGreaterThan(0);
    await stream.return();
    expect(engine.stats).toMatchObject({ cacheBytes: 0, active: 0 });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  test('its mask throws', async () => {
    const engine = new Engine(new ToyDecoder());
    const mask = (_: Float32Array, { position }: { position: number }): void => {
      if (position === 7) throw new Error('grammar');
    };
    const failure = collect(engine.generate(request.prompt, { ...request.options, mask })).catch(
      (e: unknown) => e,
    );
    await beside(engine, failure);
    expect(await failure).toEqual(new Error('grammar'));
  });

  test('its detokenize throws', async () => {
    const engine = new Engine(new ToyDecoder());
    const detokenize = (): string => {
      throw new Error('no text');
    };
    const failure = collect(engine.generate(request.prompt, { ...request.options, detokenize })).catch(
      (e: unknown) => e,
    );
    await beside(engine, failure);
    expect(await failure).toEqual(new Error('no text'));
  });

  test('its logits are not finite', async () => {
    const adjust = (logits: Float32Array, context: readonly number[]): void => {
      if (context.length === 9 && context[0] === request.prompt[0]) logits.fill(-Infinity);
    };
    const engine = new Engine(new ToyDecoder({ adjust }));
    const failure = collect(engine.generate(request.prompt, request.options)).catch((e: unknown) => e);
    await beside(engine, failure);
    expect(await failure).toMatchObject({
      code: 'ERR_NOT_FINITE',
      row: 8,
      message: expect.stringContaining('row 8'),
    });
  });
});

test('a signal that has aborted before: nothing is done', async () => {
  const decoder = new ToyDecoder();
  const engine = new Engine(decoder);
  const stream = engine.generate([1], { signal: AbortSignal.abort() });
  await expect(stream.next()).rejects.toMatchObject({ name: 'AbortError' });
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  expect(decoder.passes).toHaveLength(0);
});

test('when nobody wants a step any more, the forward pass itself is stopped', async () => {
  let stopped = 0;
  const before = async (_: unknown, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      signal?.addEventListener('abort', () => {
        stopped++;
        resolve();
      });
    });
  const engine = new Engine(new ToyDecoder({ before }));
  const controller = new AbortController();
  const aborted = collect(engine.generate([1, 2], { signal: controller.signal })).catch(
    (error: unknown) => error,
  );
  const left = engine.generate([3]);
  const pending = left.next();
  await until(() => engine.stats.active === 2);
  controller.abort();
  expect(await aborted).toMatchObject({ name: 'AbortError' });
  await immediate();
  expect(stopped).toBe(0);
  await left.return();
  expect(await pending).toEqual({ done: true, value: undefined });
  expect(stopped).toBe(1);
  expect(engine.stats).toMatchObject({ active: 0, cacheBytes: 0 });
});

test('a pass that fails ends its texts; those that come after are served', async () => {
  let fail = true;
  const before = (): void => {
    if (fail) throw new Error('out of luck');
  };
  const engine = new Engine(new ToyDecoder({ before }));
  const results = await Promise.allSettled(
    [1, 2].map(async (id) => collect(engine.generate([id], { maxTokens: 2 }))),
  );
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  fail = false;
  await expect(collect(engine.generate([1], { maxTokens: 2 }))).resolves.toHaveLength(2);
});

test('texts wait for room in the cache, first come, first served', async () => {
  const decoder = new ToyDecoder();
  // Four pages: two texts of up to 32 tokens, or one of up to 64.
  const engine = new Engine(decoder, { maxCacheBytes: 4 * decoder.pageBytes + 10 });
  const ended: number[] = [];
  let most = 0;
  const texts = [32, 32, 60, 20].map(async (length, i) => {
    for await (const each of engine.generate(toyTokens(length - 4, i), { seed: 1, maxTokens: 4 })) {
      most = Math.max(most, engine.stats.cacheBytes);
      if (each.finishReason) ended.push(i);
    }
  });
  await Promise.all(texts);
  expect(ended).toEqual([0, 1, 2, 3]);
  expect(most).toBeLessThanOrEqual(4 * decoder.pageBytes);
  expect(() => engine.generate(toyTokens(60, 1), { maxTokens: 5 })).toThrow(
    expect.objectContaining({ code: 'ERR_CACHE_FULL', needed: 5, available: 4 }),
  );
});

test('a stream that is forgotten half-read gives its pages back', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const engine = new Engine(new ToyDecoder(), { queue: 2 });
  // Several: a stale reference on the stack may keep the last one.
  const start = async (seed: number): Promise<void> => {
    await engine.generate([1, 2], { seed }).next();
  };
  for (let seed = 0; seed < 8; seed++) await start(seed);
  expect(engine.stats.active).toBe(8);
  const held = engine.stats.cacheBytes;
  // One whose token is awaited is not forgotten, though nobody holds the stream itself.
  let go = (): void => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const waiting = new Engine(new ToyDecoder({ before: async () => gate }));
  const next = waiting.generate([1, 2], { seed: 1 }).next();
  await until(() => {
    gc();
    return engine.stats.active <= 1;
  });
  expect(engine.stats.cacheBytes).toBeLessThanOrEqual(held / 8);
  expect(waiting.stats.active).toBe(1);
  go();
  expect((await next).done).toBe(false);
});

test('dispose ends what is under way and refuses the rest', async () => {
  const engine = new Engine(new ToyDecoder());
  const stream = engine.generate([1, 2], { seed: 1 });
  await stream.next();
  const unread = engine.generate([1]);
  await engine.dispose();
  expect(engine.stats).toMatchObject({ active: 0, waiting: 0, cacheBytes: 0 });
  await expect(collect(stream)).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  await expect(unread.next()).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  expect(() => engine.generate([1])).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
});

test('an idle engine keeps its memory, dispose gives it back', async () => {
  const engine = new Engine(new ToyDecoder());
  await collect(engine.generate([1, 2], { seed: 1, maxTokens: 3 }));
  await until(() => engine.stats.active === 0);
  expect(engine.stats.cacheBytes).toBe(0);
  expect(engine.stats.cacheBytesAllocated).toBeGreaterThan(0);
  await engine.generate([1, 2], { seed: 1 }).next();
  await engine.dispose();
  expect(engine.stats.cacheBytesAllocated).toBe(0);
});

describe('the default limit of the cache', () => {
  const decoder = new ToyDecoder({ maxLength: 64 }); // a full context takes four pages
  afterEach(() => jest.restoreAllMocks());

  /** Texts of a full context that are in the cache at a time, of six. */
  async function most(free: number, inContainer = free): Promise<number> {
    jest.spyOn(os, 'freemem').mockReturnValue(free);
    jest.spyOn(process, 'availableMemory').mockReturnValue(inContainer);
    const engine = new Engine(decoder, { maxSequences: 5 });
    let active = 0;
    const one = async (i: number): Promise<void> => {
      for await (const each of engine.generate(toyTokens(10, i), { seed: 1 }))
        if (each) active = Math.max(active, engine.stats.active);
    };
    await Promise.all([1, 2, 3, 4, 5, 6].map(one));
    return active;
  }

  const context = 4 * decoder.pageBytes;
  test.each([
    ['maxSequences contexts where memory is plenty', 1e12, 1e12, 5],
    ['half of the free memory', 6 * context, 1e12, 3],
    ["half of the container's", 1e12, 4 * context + 100, 2],
    ['one full context at least', 0, 0, 1],
  ])('%s', async (_, free, inContainer, expected) => {
    expect(await most(free, inContainer)).toBe(expected);
  });
});

test('refuses wrong arguments at once', () => {
  const decoder = new ToyDecoder({ maxLength: 40 });
  const engine = new Engine(decoder);
  expectThrown(() => engine.generate([]), 'range', 'tokens');
  expectThrown(() => engine.generate([50]), 'range', 'tokens[0]');
  expectThrown(() => engine.generate(toyTokens(40, 1)), 'range', 'tokens');
  expectThrown(() => engine.generate([1], { topP: 2 }), 'range', 'topP');
  expectThrown(() => new Engine(decoder, { maxSequences: 0 }), 'range', 'maxSequences');
  expectThrown(() => new Engine(decoder, { queue: 0 }), 'range', 'queue');
  expectThrown(() => new Engine(decoder, { chunk: 1.5 }), 'range', 'chunk');
  expectThrown(() => new Engine(decoder, { maxCacheBytes: 1 }), 'range', 'maxCacheBytes');
  expectThrown(() => new Engine(decoder, { maxLength: 41 }), 'range', 'maxLength');
});
