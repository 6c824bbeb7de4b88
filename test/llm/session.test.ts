import { NotFiniteError } from '../../lib/kernels/not-finite.js';
import type { GeneratedToken } from '../../lib/llm/generate.js';
import { Session } from '../../lib/llm/session.js';
import { sample, uniformAt } from '../../lib/kernels/sampling.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { collect, ToyDecoder, toyLogits, toyTokens } from '../helpers/toy-decoder.js';

const VOCAB = 50;
const prompt = toyTokens(37, 1);

/** A rejection's error. */
async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('prefill and step', () => {
  test.each([1, 7, 16, 256])('in chunks of %i give the logits of the whole context', async (chunk) => {
    const session = new Session(new ToyDecoder(), { chunk });
    expect(await session.prefill(prompt)).toEqual(toyLogits(prompt, VOCAB));
    expect(session.length).toBe(37);
    const all = await session.prefill([5, 6, 7], { logits: 'all' });
    for (let i = 0; i < 3; i++)
      expect(all.slice(i * VOCAB, (i + 1) * VOCAB)).toEqual(
        toyLogits([...prompt, 5, 6, 7].slice(0, 38 + i), VOCAB),
      );
    expect(await session.step(8)).toEqual(toyLogits([...prompt, 5, 6, 7, 8], VOCAB));
    expect(await session.step(Int32Array.of(1, 2))).toEqual(toyLogits([...prompt, 5, 6, 7, 8, 1, 2], VOCAB));
    // Nothing to append: the logits after what is there.
    expect(await session.prefill([])).toEqual(toyLogits([...prompt, 5, 6, 7, 8, 1, 2], VOCAB));
    expect(session.tokens).toEqual([...prompt, 5, 6, 7, 8, 1, 2]);
    expect(session.stats).toMatchObject({ rows: 44, fallbackRows: 44, cachedTokens: 43, cacheBytes: 3 * 64 });
  });

  test('rewind and replay give the same; a fork goes its own way', async () => {
    const session = new Session(new ToyDecoder());
    const first = await session.prefill(prompt);
    const fork = session.fork();
    await session.step([1, 2, 3]);
    expect(await fork.step(9)).toEqual(toyLogits([...prompt, 9], VOCAB));
    session.rewind(30);
    expect(await session.prefill(prompt.slice(30))).toEqual(first);
    session.rewind(0);
    expect(session.length).toBe(0);
    expect(await session.prefill([4])).toEqual(toyLogits([4], VOCAB));
    expect(await fork.step(1)).toEqual(toyLogits([...prompt, 9, 1], VOCAB));
    session.dispose();
    fork.dispose();
    expect(fork.stats.cacheBytes).toBe(0);
  });
});

describe('generate', () => {
  test('greedy follows the largest logits, and the context grows by what was delivered', async () => {
    const session = new Session(new ToyDecoder());
    const tokens = await collect(session.generate(prompt, { maxTokens: 20, temperature: 0 }));
    const context = [...prompt];
    for (const each of tokens) {
      const logits = toyLogits(context, VOCAB);
      expect(each.token).toBe(logits.indexOf(Math.max(...logits)));
      context.push(each.token);
    }
    expect(session.tokens).toEqual(context);
    expect(tokens.map(({ finishReason }) => finishReason)).toEqual([...Array<undefined>(19), 'length']);
    // The last token has no place in the cache yet; going on from it needs nothing from the caller.
    expect(session.stats.cachedTokens).toBe(context.length - 1);
    const more = await collect(session.generate([], { maxTokens: 3, temperature: 0 }));
    const fresh = await collect(
      new Session(new ToyDecoder()).generate(prompt, { maxTokens: 23, temperature: 0 }),
    );
    expect([...tokens, ...more].map(({ token }) => token)).toEqual(fresh.map(({ token }) => token));
  });

  test('the i-th token is drawn with the i-th number of seed and stream', async () => {
    const options = {
      temperature: 1.3,
      topP: 0.9,
      repetitionPenalty: 1.2,
      logitBias: { 3: 2 },
      topLogProbs: 2,
    };
    const session = new Session(new ToyDecoder());
    const tokens = await collect(session.generate(prompt, { ...options, maxTokens: 12, seed: 7, stream: 2 }));
    const context = [...prompt];
    tokens.forEach((each, i) => {
      const drawn = sample(toyLogits(context, VOCAB), {
        ...options,
        seen: context,
        uniform: uniformAt(7, i, 2),
      });
      expect(each).toMatchObject(drawn);
      context.push(each.token);
    });
    const again = await collect(
      new Session(new ToyDecoder()).generate(prompt, { ...options, maxTokens: 12, seed: 8 }),
    );
    expect(again.map(({ token }) => token)).not.toEqual(tokens.map(({ token }) => token));
  });

  test('the context ends a text; end-of-text tokens do unless others are given', async () => {
    const decoder = new ToyDecoder({ maxLength: 40, eosTokens: [11] });
    const bias = { logitBias: { 11: -Infinity } };
    const full = await collect(new Session(decoder).generate(prompt, bias));
    expect(full.map(({ finishReason }) => finishReason)).toEqual([undefined, undefined, 'length']);
    const [stopped] = await collect(new Session(decoder).generate(prompt, { logitBias: { 11: 100 } }));
    expect(stopped).toMatchObject({ token: 11, finishReason: 'stop', stopLength: 1 });
    const free = await collect(
      new Session(decoder).generate(prompt, { logitBias: { 11: 100 }, stopTokens: [] }),
    );
    expect(free.map(({ token }) => token)).toEqual([11, 11, 11]);
  });

  test('leaving the loop ends the work at the last token delivered', async () => {
    const decoder = new ToyDecoder();
    const session = new Session(decoder);
    const seen: number[] = [];
    for await (const { token } of session.generate(prompt, { seed: 1 })) {
      seen.push(token);
      if (seen.length === 3) break;
    }
    expect(session.tokens).toEqual([...prompt, ...seen]);
    const passes = decoder.passes.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(decoder.passes).toHaveLength(passes);
    expect(await session.step(1)).toEqual(toyLogits([...prompt, ...seen, 1], VOCAB));
  });

  test('a mask sees context and position, changes what is drawn, and its error ends the text', async () => {
    const session = new Session(new ToyDecoder());
    const positions: number[] = [];
    const mask = (
      logits: Float32Array,
      { tokens, position }: { tokens: readonly number[]; position: number },
    ): void => {
      expect(tokens).toHaveLength(position);
      positions.push(position);
      if (position === 40) throw new Error('no more');
      logits.fill(-Infinity).fill(1, position % 50, (position % 50) + 1);
    };
    const tokens: number[] = [];
    const failure = await errorOf(
      (async () => {
        for await (const each of session.generate(prompt, { mask, seed: 1 })) {
          tokens.push(each.token);
          expect(each).toMatchObject({ probability: 1, logProbability: 0 });
        }
      })(),
    );
    expect(failure).toEqual(new Error('no more'));
    expect(tokens).toEqual([37, 38, 39]);
    expect(positions).toEqual([37, 38, 39, 40]);
    expect(session.length).toBe(40);
    const later = async (): Promise<void> => undefined;
    expectRejectedType(
      await errorOf(collect(session.generate([], { mask: later as unknown as () => void }))),
      'mask',
    );
  });

  test('logits that are not finite are an error, never a token', async () => {
    const adjust = (logits: Float32Array, context: readonly number[]): void => {
      if (context.length === 39) logits[5] = NaN;
    };
    const session = new Session(new ToyDecoder({ adjust }));
    const failure = await errorOf(collect(session.generate(prompt, { seed: 1 })));
    expect(failure).toBeInstanceOf(NotFiniteError);
    expect(failure).toMatchObject({ code: 'ERR_NOT_FINITE', row: 38 });
    expect(session.length).toBe(39);
    await expect(session.step(1)).resolves.toHaveLength(VOCAB);
  });
});

function expectRejectedType(error: unknown, name: string): void {
  expect(error).toMatchObject({
    code: 'ERR_INVALID_ARG_TYPE',
    message: expect.stringContaining(`"${name}"`),
  });
}

describe('abort', () => {
  test('leaves the session at the last complete token', async () => {
    const controller = new AbortController();
    let passes = 0;
    const before = (): void => {
      if (++passes === 3) controller.abort(new Error('enough'));
    };
    const session = new Session(new ToyDecoder({ before }), { chunk: 10 });
    await expect(session.prefill(prompt, { signal: controller.signal })).rejects.toThrow('enough');
    expect(session.length).toBe(20);
    expect(await session.prefill(prompt.slice(20))).toEqual(toyLogits(prompt, VOCAB));

    const other = new AbortController();
    const tokens: number[] = [];
    await expect(async () => {
      for await (const { token } of session.generate([], { seed: 1, signal: other.signal })) {
        tokens.push(token);
        if (tokens.length === 4) other.abort();
      }
    }).rejects.toMatchObject({ name: 'AbortError' });
    expect(session.tokens).toEqual([...prompt, ...tokens]);
    await expect(session.step(1, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect(session.length).toBe(41);
  });

  test('a failing pass leaves it there too', async () => {
    let fail = true;
    const before = (): void => {
      if (fail) throw new Error('out of luck');
    };
    const session = new Session(new ToyDecoder({ before }));
    await expect(session.prefill(prompt)).rejects.toThrow('out of luck');
    expect([session.length, session.stats.cacheBytes]).toEqual([0, 0]);
    fail = false;
    expect(await session.prefill(prompt)).toEqual(toyLogits(prompt, VOCAB));
  });
});

describe('one call at a time', () => {
  test('a second one in flight is refused, the first goes on', async () => {
    const session = new Session(new ToyDecoder());
    const first = session.prefill(prompt);
    const busy = { code: 'ERR_SESSION_BUSY' };
    await expect(session.step(1)).rejects.toMatchObject(busy);
    await expect(session.generate([1]).next()).rejects.toMatchObject(busy);
    expect(() => session.fork()).toThrow(expect.objectContaining(busy));
    expect(() => session.rewind(0)).toThrow(expect.objectContaining(busy));
    expect(await first).toEqual(toyLogits(prompt, VOCAB));

    const text = session.generate([], { seed: 1 });
    await text.next();
    await expect(session.step(1)).rejects.toMatchObject(busy);
    await text.return();
    await expect(session.step(1)).resolves.toHaveLength(VOCAB);
  });

  test('after dispose nothing goes, and a pass in flight ends first', async () => {
    const session = new Session(new ToyDecoder());
    const first = session.prefill(prompt);
    session.dispose();
    expect(await first).toEqual(toyLogits(prompt, VOCAB));
    expect(session.stats.cacheBytes).toBe(0);
    await expect(session.step(1)).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    const other = new Session(new ToyDecoder());
    const text = other.generate(prompt, { seed: 1 });
    await text.next();
    other.dispose();
    await expect(text.next()).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect(other.stats.cacheBytes).toBe(0);
  });
});

test('dispose gives the memory back when the last of a session and its forks is disposed of', async () => {
  const session = new Session(new ToyDecoder());
  await session.prefill(toyTokens(40, 1));
  const fork = session.fork();
  expect(session.stats.cacheBytesAllocated).toBeGreaterThanOrEqual(session.stats.cacheBytes);
  session.dispose();
  expect(fork.stats.cacheBytesAllocated).toBeGreaterThan(0);
  const pass = fork.step(1);
  fork.dispose();
  expect(fork.stats.cacheBytesAllocated).toBeGreaterThan(0); // a pass is writing to it
  await pass;
  expect(fork.stats).toMatchObject({ cacheBytes: 0, cacheBytesAllocated: 0 });
});

test('an iterator that is dropped keeps the session busy, one that is returned does not', async () => {
  const session = new Session(new ToyDecoder());
  const text = session.generate([1, 2], { seed: 1 });
  await text.next();
  expect(() => session.rewind(0)).toThrow(expect.objectContaining({ code: 'ERR_SESSION_BUSY' }));
  await text.return();
  session.rewind(0);
  await session.generate([1, 2], { seed: 1 }).next();
  session.dispose();
  expect(session.stats.cacheBytesAllocated).toBe(0);
});

test('end-of-text ids outside the vocabulary end nothing, and are no mistake of the caller', async () => {
  const text = async (eosTokens: number[]): Promise<GeneratedToken[]> =>
    collect(new Session(new ToyDecoder({ eosTokens })).generate([1, 2], { seed: 1, maxTokens: 20 }));
  const whole = await text([]);
  expect(await text([50, 2 ** 31 - 1])).toEqual(whole);
  const stopped = await text([50, whole[4].token]);
  expect(stopped.at(-1)).toMatchObject({ token: whole[4].token, finishReason: 'stop', stopLength: 1 });
});

test.each<[string, () => unknown]>([
  ['nothing', () => undefined],
  ['a number', () => 5],
  ['bytes', () => Buffer.from('a')],
  ['a promise', async () => 'a'],
  ['a promise that fails', async () => Promise.reject(new Error('late'))],
])('a detokenize that returns %s is named', async (_, returns) => {
  const detokenize = returns as () => string;
  const text = new Session(new ToyDecoder()).generate([1, 2], { seed: 1, detokenize });
  await expectRejected(() => text.next(), 'type', 'detokenize');
});

test('refuses wrong arguments before anything is done', async () => {
  const decoder = new ToyDecoder({ maxLength: 40 });
  const session = new Session(decoder);
  await expectRejected(() => session.prefill([50]), 'range', 'tokens[0]');
  await expectRejected(() => session.prefill([1, 0.5]), 'range', 'tokens[1]');
  await expectRejected(() => session.prefill('abc' as unknown as number[]), 'type', 'tokens');
  await expectRejected(() => session.prefill([]), 'range', 'tokens');
  await expectRejected(() => session.prefill(toyTokens(41, 1)), 'range', 'tokens');
  await expectRejected(() => session.prefill([1], { logits: 'first' as 'last' }), 'range', 'logits');
  await expectRejected(() => session.step(-1), 'range', 'tokens[0]');
  for (const signal of [5, {}, null]) {
    const options = { signal: signal as unknown as AbortSignal };
    await expectRejected(() => session.prefill([1], options), 'type', 'signal');
    await expectRejected(() => session.step(1, options), 'type', 'signal');
  }
  expectThrown(() => session.generate(toyTokens(40, 1)), 'range', 'tokens');
  for (const [name, options, kind] of [
    ['maxTokens', { maxTokens: 0 }, 'range'],
    ['temperature', { temperature: -1 }, 'range'],
    ['topP', { topP: 0 }, 'range'],
    ['seed', { seed: -1 }, 'range'],
    ['stopTokens[0]', { stopTokens: [50] }, 'range'],
    ['stopSequences[0]', { stopSequences: [[]] }, 'range'],
    ['stop[0]', { stop: [''], detokenize: String }, 'range'],
    ['detokenize', { stop: ['a'] }, 'type'],
    ['mask', { mask: 1 }, 'type'],
    ['topLogProbs', { topLogProbs: 51 }, 'range'],
    ['logitBias', { logitBias: { 50: 1 } }, 'range'],
    ['signal', { signal: {} }, 'type'],
  ] as const)
    expectThrown(() => session.generate([1], options as object), kind, name);
  expectThrown(() => session.rewind(1), 'range', 'length');
  expectThrown(() => new Session(decoder, { maxLength: 41 }), 'range', 'maxLength');
  expectThrown(() => new Session(decoder, { chunk: 0 }), 'range', 'chunk');
  expectThrown(() => new Session(null as unknown as ToyDecoder), 'type', 'model');
  expect(decoder.passes).toHaveLength(0);
});
