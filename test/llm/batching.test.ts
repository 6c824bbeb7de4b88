/** A real model: what a text becomes depends on neither its neighbours nor the threads, to the bit. */
import type { GeneratedToken, GenerateOptions } from '../../lib/llm/generate.js';
import { LlamaModel } from '../../lib/llm/model.js';
import { collect } from '../helpers/toy-decoder.js';

const bytes = (text: string): number[] => [...new TextEncoder().encode(text)];
const decode = (tokens: number[]): string => new TextDecoder().decode(Uint8Array.from(tokens));

const REQUESTS: { prompt: string; options: GenerateOptions }[] = [
  { prompt: 'In the beginning ', options: { maxTokens: 40, seed: 1, topLogProbs: 3 } },
  {
    prompt: 'And God said, Let there be light: and there was light. And God saw ',
    options: { maxTokens: 25, temperature: 0 },
  },
  { prompt: 'T', options: { maxTokens: 60, seed: 1, temperature: 0.8, topP: 0.95, repetitionPenalty: 1.1 } },
  {
    prompt: 'Blessed are ',
    options: { maxTokens: 100, seed: 4, topK: 20, detokenize: decode, stop: ['. ', '\n'] },
  },
];

let model: LlamaModel;
beforeAll(async () => {
  model = await LlamaModel.embedded();
});

const alone = async (): Promise<GeneratedToken[][]> =>
  Promise.all(
    REQUESTS.map(async ({ prompt, options }) =>
      collect(model.createSession().generate(bytes(prompt), options)),
    ),
  );

test.each([
  { threads: 1, chunk: 256 },
  { threads: 2, chunk: 256 },
  { threads: 2, chunk: 5 },
  { threads: 1, chunk: 32, maxSequences: 2 },
])('together, with %j', async (options) => {
  const engine = model.createEngine(options);
  const together = await Promise.all(
    REQUESTS.map(async ({ prompt, options: o }) => collect(engine.generate(bytes(prompt), o))),
  );
  expect(together).toEqual(await alone());
});

test('joined one by one while others write, some of them aborted', async () => {
  const engine = model.createEngine();
  const controller = new AbortController();
  const noise = collect(engine.generate(bytes('Thou '), { seed: 3, signal: controller.signal })).catch(
    () => 'aborted',
  );
  const results = await Promise.all(
    REQUESTS.map(async ({ prompt, options }, i) => {
      await new Promise((resolve) => setTimeout(resolve, 15 * i));
      if (i === 2) controller.abort();
      return collect(engine.generate(bytes(prompt), options));
    }),
  );
  expect(await noise).toBe('aborted');
  expect(results).toEqual(await alone());
  await engine.dispose();
  expect(engine.stats).toMatchObject({ active: 0, cacheBytes: 0 });
});

test.each(['bf16', 'int8'] as const)('a %s cache: forks and rewinding included', async (cache) => {
  const session = model.createSession({ cache });
  const [{ prompt, options }] = REQUESTS;
  const first = await collect(session.generate(bytes(prompt), options));
  const fork = session.fork();
  session.rewind(prompt.length);
  expect(await collect(session.generate([], options))).toEqual(first);
  fork.rewind(prompt.length + 10);
  const on = await fork.prefill([]);
  session.rewind(prompt.length + 10);
  expect(await session.prefill([])).toEqual(on);
  const engine = model.createEngine({ cache });
  expect(await collect(engine.generate(bytes(prompt), options))).toEqual(first);
});

test('the text is that of the tokens up to the stop string', async () => {
  const [, , , { prompt, options }] = REQUESTS;
  const tokens = await collect(model.createSession().generate(bytes(prompt), options));
  const whole = decode(tokens.map(({ token }) => token));
  const text = tokens.map((each) => each.text).join('');
  expect(tokens.at(-1)!.finishReason).toBe('stop');
  expect(whole.startsWith(text)).toBe(true);
  expect(['. ', '\n']).toContain(whole.slice(text.length));
});
