/** The server of examples/openai-server, as a process of its own on a free port, with the model of the package. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LlamaModel } from '../../lib/llm/model.js';

const root = join(__dirname, '..', '..');
const PROMPT = 'In the beginning';

let server: ChildProcess;
let url: string;
let complaints = '';
beforeAll(async () => {
  if (!existsSync(join(root, 'dist', 'esm', 'lib', 'llm', 'index.js')))
    throw new Error('this test runs the built package: run `npm run build` first');
  server = spawn(process.execPath, ['examples/openai-server/server.mjs', '--port', '0'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  server.stderr!.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  const line = await new Promise<string>((resolve, reject) => {
    server.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${complaints}`)));
    server.stdout!.setEncoding('utf8').once('data', resolve);
  });
  url = /http:\S+(?=\/v1)/.exec(line)![0];
});
afterAll(async () => {
  if (server.exitCode !== null) return; // it has been told of above
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  expect([await ended, complaints]).toEqual([0, '']);
});

interface Logprob {
  token: string;
  logprob: number;
  bytes: number[];
}
interface Choice {
  index: number;
  text?: string;
  message?: { role: string; content: string };
  delta?: { role?: string; content: string };
  finish_reason: string | null;
  logprobs: null | {
    content?: (Logprob & { top_logprobs: Logprob[] })[];
    tokens?: string[];
    token_logprobs?: number[];
    top_logprobs?: Record<string, number>[];
  };
}
interface Answer {
  id: string;
  object: string;
  model: string;
  choices: Choice[];
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
}

const post = async (path: string, body: unknown, init: RequestInit = {}): Promise<Response> =>
  fetch(`${url}${path}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  });

async function answer(path: string, body: object): Promise<Answer> {
  const response = await post(path, body);
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

/** The parts of a streamed answer; the last event must be [DONE]. */
async function parts(path: string, body: object): Promise<Answer[]> {
  const response = await post(path, { ...body, stream: true });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
  const events = (await response.text()).trimEnd().split('\n\n');
  expect(events.pop()).toBe('data: [DONE]');
  return events.map((event) => JSON.parse(event.replace(/^data: /, '')) as Answer);
}

const textOf = (answers: Answer[], index = 0): string =>
  answers
    .flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
    .map((choice) => choice.text ?? choice.delta?.content ?? '')
    .join('');

interface Health {
  passes: number;
  rows: number;
  generated: number;
  active: number;
  waiting: number;
  cacheBytes: number;
}
const health = async (): Promise<Health> => (await (await fetch(`${url}/health`)).json()) as Health;

/** What the library itself writes. */
async function written(prompt: string, seed: number, maxTokens: number, stream = 0): Promise<string> {
  const model = await LlamaModel.embedded();
  const bytes: number[] = [];
  const options = { seed, maxTokens, stream };
  for await (const { token } of model.createSession().generate(Buffer.from(prompt), options))
    bytes.push(token);
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

it('lists its model', async () => {
  const { object, data } = (await (await fetch(`${url}/v1/models`)).json()) as {
    object: string;
    data: { id: string; object: string }[];
  };
  expect([object, data.length, data[0].id, data[0].object]).toEqual(['list', 1, 'llama-kjv', 'model']);
});

it('tells of one model, and answers HEAD as GET without a body', async () => {
  const model = await fetch(`${url}/v1/models/llama-kjv`);
  expect([model.status, await model.json()]).toEqual([
    200,
    expect.objectContaining({ id: 'llama-kjv', object: 'model' }),
  ]);
  const other = await fetch(`${url}/v1/models/other`);
  expect([other.status, await other.json()]).toEqual([
    404,
    { error: expect.objectContaining({ param: 'model', code: 'model_not_found' }) as object },
  ]);
  for (const [path, status] of [
    ['/v1/models', 200],
    ['/v1/models/llama-kjv', 200],
    ['/health', 200],
    ['/v1/completions', 405],
    ['/nothing', 404],
  ] as const) {
    const head = await fetch(`${url}${path}`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([status, '']);
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(0);
  }
});

it('gives many requests at once, streamed and not, the texts that they would get alone', async () => {
  const before = await health();
  const seeds = [1, 2, 3, 4, 5, 6];
  const texts = await Promise.all(
    seeds.map(async (seed) => {
      const body = { prompt: PROMPT, max_tokens: 60, seed };
      return seed % 2
        ? textOf([await answer('/v1/completions', body)])
        : textOf(await parts('/v1/completions', body));
    }),
  );
  const alone = await Promise.all(seeds.map(async (seed) => written(PROMPT, seed, 60)));
  expect(texts).toEqual(alone);
  expect(new Set(texts).size).toBe(seeds.length);
  const after = await health();
  expect(after.generated - before.generated).toBe(6 * 60);
  // They shared forward passes: six texts one after the other take 360.
  expect(after.passes - before.passes).toBeLessThan(300);
  expect([after.active, after.waiting, after.cacheBytes]).toEqual([0, 0, 0]);
});

it('several choices of several prompts, with usage', async () => {
  const body = { prompt: [PROMPT, 'And'], n: 2, max_tokens: 12, seed: 7 };
  const { object, model, choices, usage } = await answer('/v1/completions', body);
  expect([object, model]).toEqual(['text_completion', 'llama-kjv']);
  expect(choices.map(({ index, finish_reason }) => [index, finish_reason])).toEqual(
    [0, 1, 2, 3].map((index) => [index, 'length']),
  );
  expect(choices.map(({ text }) => text)).toEqual([
    await written(PROMPT, 7, 12, 0),
    await written(PROMPT, 7, 12, 1),
    await written('And', 7, 12, 0),
    await written('And', 7, 12, 1),
  ]);
  expect(usage).toEqual({ prompt_tokens: 19, completion_tokens: 48, total_tokens: 67 });
  const streamed = await parts('/v1/completions', { ...body, stream_options: { include_usage: true } });
  expect(streamed.pop()).toMatchObject({ choices: [], usage });
  expect([0, 1, 2, 3].map((index) => textOf(streamed, index))).toEqual(choices.map(({ text }) => text));
  const ids = [...Buffer.from('And')];
  expect(textOf([await answer('/v1/completions', { ...body, prompt: ids })])).toBe(choices[2].text);
});

it('ends before a stop string, and half of one is never sent', async () => {
  const body = { prompt: PROMPT, temperature: 0, max_tokens: 60 };
  const whole = textOf([await answer('/v1/completions', body)]);
  expect(whole).toContain(' thy God');
  const expected = whole.slice(0, whole.indexOf(' thy God'));
  const stopped = await answer('/v1/completions', { ...body, stop: ['never', ' thy God'] });
  expect([stopped.choices[0].text, stopped.choices[0].finish_reason]).toEqual([expected, 'stop']);
  const streamed = await parts('/v1/completions', { ...body, stop: ' thy God' });
  expect(textOf(streamed)).toBe(expected);
  expect(streamed.at(-1)!.choices[0].finish_reason).toBe('stop');
});

it('log-probabilities of both interfaces are those of the model', async () => {
  const model = await LlamaModel.embedded();
  const options = { temperature: 0, maxTokens: 5, topLogProbs: 2 };
  const expected = [];
  for await (const token of model.createSession().generate(Buffer.from(PROMPT), options))
    expected.push(token);
  const letter = (token: number): string => String.fromCharCode(token);

  const plain = await answer('/v1/completions', {
    prompt: PROMPT,
    temperature: 0,
    max_tokens: 5,
    logprobs: 2,
  });
  expect(plain.choices[0].logprobs).toEqual({
    tokens: expected.map(({ token }) => letter(token)),
    token_logprobs: expected.map(({ logProbability }) => logProbability),
    top_logprobs: expected.map(({ topLogProbs = [] }) =>
      Object.fromEntries(topLogProbs.map(({ token, logProbability }) => [letter(token), logProbability])),
    ),
  });

  const asked = { messages: [{ role: 'user', content: PROMPT }], temperature: 0, max_completion_tokens: 5 };
  const chat = await answer('/v1/chat/completions', { ...asked, logprobs: true, top_logprobs: 2 });
  expect(chat.object).toBe('chat.completion');
  const { message, logprobs } = chat.choices[0];
  expect(message).toEqual({ role: 'assistant', content: plain.choices[0].text });
  expect(logprobs!.content!.map(({ token, logprob, bytes }) => ({ token, logprob, bytes }))).toEqual(
    expected.map(({ token, logProbability }) => ({
      token: letter(token),
      logprob: logProbability,
      bytes: [token],
    })),
  );
  expect(logprobs!.content!.map(({ top_logprobs }) => top_logprobs.map(({ logprob }) => logprob))).toEqual(
    expected.map(({ topLogProbs = [] }) => topLogProbs.map(({ logProbability }) => logProbability)),
  );
});

it('streams a chat, the role first, content in parts too', async () => {
  const content = [
    { type: 'text', text: 'In the ' },
    { type: 'text', text: 'beginning' },
  ];
  const streamed = await parts('/v1/chat/completions', {
    messages: [{ role: 'user', content }],
    max_tokens: 9,
    seed: 2,
  });
  expect(streamed.map(({ object, choices }) => [object, choices[0].delta!.role])).toEqual(
    streamed.map((_, i) => ['chat.completion.chunk', i === 0 ? 'assistant' : undefined]),
  );
  expect(textOf(streamed)).toBe(await written(PROMPT, 2, 9));
});

/** The engine's counters as soon as they are as wanted, or after two seconds. */
async function eventually(wanted: (now: Health) => boolean): Promise<Health> {
  let now = await health();
  for (let i = 0; i < 200 && !wanted(now); i++) {
    await new Promise((done) => setTimeout(done, 10));
    now = await health();
  }
  return now;
}

it.each([true, false])(
  'frees what a client held that disconnects in the middle (stream: %s)',
  async (stream) => {
    const gone = new AbortController();
    const body = { prompt: 'And', n: 40, seed: 1, max_tokens: 253, stream };
    const answered = post('/v1/completions', body, { signal: gone.signal }).then((response) =>
      response.text(),
    );
    const during = await eventually(({ active }) => active === 40);
    expect(during.active).toBe(40);
    expect(during.cacheBytes).toBeGreaterThan(0);
    gone.abort();
    await expect(answered).rejects.toThrow('aborted');
    const { active, waiting, cacheBytes, generated } = await eventually((now) => now.active === 0);
    expect([active, waiting, cacheBytes]).toEqual([0, 0, 0]);
    expect(generated - during.generated).toBeLessThan(40 * 200); // they did not run on to their end
    expect(textOf([await answer('/v1/completions', { prompt: 'And', seed: 1, max_tokens: 5 })])).toBe(
      await written('And', 1, 5),
    );
  },
);

it('takes what asks for nothing that it does not offer', async () => {
  const body = { prompt: PROMPT, max_tokens: 5, seed: 1 };
  const nothing = { tools: [], response_format: { type: 'text' }, best_of: 1, echo: false, suffix: null };
  expect(textOf([await answer('/v1/completions', { ...body, ...nothing })])).toBe(
    await written(PROMPT, 1, 5),
  );
  expect(textOf([await answer('/v1/completions', { ...body, response_format: null })])).toBe(
    await written(PROMPT, 1, 5),
  );
});

interface Refusal {
  error: { message: string; type: string; param: string | null; code: string | null };
}

async function refusal(path: string, body: unknown, status: number): Promise<Refusal> {
  const response = await post(path, body);
  expect(response.status).toBe(status);
  return (await response.json()) as Refusal;
}

describe('errors in the shape of the interface', () => {
  const chat = '/v1/chat/completions';
  const plain = '/v1/completions';
  it.each([
    [plain, '{', 400, null, 'is not JSON'],
    [plain, [], 400, null, 'must be an object'],
    [plain, {}, 400, 'prompt', 'received undefined'],
    [plain, { prompt: [] }, 400, 'prompt', 'up to 64'],
    [plain, { prompt: [[1], ''] }, 400, 'prompt', '1 to 255 tokens, received 0'],
    [plain, { prompt: 'x'.repeat(256) }, 400, 'prompt', 'received 256'],
    [plain, { prompt: [256] }, 400, 'prompt', '"prompt[0]" must be in [0, 256), received 256'],
    [plain, { prompt: 'a', model: 'other' }, 404, 'model', 'no model "other"'],
    [plain, { prompt: 'a', max_tokens: 0 }, 400, 'max_tokens', 'an integer from 1'],
    [plain, { prompt: 'a', temperature: -1 }, 400, 'temperature', 'from 0 to 2'],
    [plain, { prompt: 'a', top_p: 0 }, 400, 'top_p', '"top_p" must be in (0, 1], received 0'],
    [plain, { prompt: 'a', n: 1.5 }, 400, 'n', 'an integer from 1'],
    [plain, { prompt: 'a', stop: [''] }, 400, 'stop', 'up to 4 strings'],
    [plain, { prompt: 'a', stop: 'abcde'.split('') }, 400, 'stop', 'up to 4 strings'],
    [plain, { prompt: 'a', logprobs: 6 }, 400, 'logprobs', 'from 0 to 5'],
    [
      plain,
      { prompt: 'a', logit_bias: { 900: 1 } },
      400,
      'logit_bias',
      '"logit_bias" must be in [0, 256) for ids, received 900',
    ],
    [plain, { prompt: 'a', stream: 1 }, 400, 'stream', 'true or false'],
    [plain, { prompt: 'a', echo: true }, 400, 'echo', 'does not offer'],
    [
      plain,
      { prompt: 'a', frequency_penalty: 1 },
      400,
      'frequency_penalty',
      'must be 0: this server offers no other value, received 1',
    ],
    [plain, { prompt: 'a', temperature: 1e-40 }, 400, 'temperature', '[1e-30, 1e30]'],
    [plain, { prompt: 'a', tools: [{}] }, 400, 'tools', 'does not offer'],
    [plain, { prompt: 'a', response_format: { type: 'json_object' } }, 400, 'response_format', 'json_object'],
    [plain, { prompt: 'a', response_format: 'text' }, 400, 'response_format', 'received "text"'],
    [chat, { messages: [] }, 400, 'messages', 'a list of messages'],
    [chat, { messages: [null] }, 400, 'messages', 'role and text'],
    [
      chat,
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      400,
      'messages',
      'role and text',
    ],
    ['/v1/nothing', {}, 404, null, 'there is no POST /v1/nothing'],
    ['/v1/models', {}, 405, null, 'there is no POST /v1/models'],
  ])('%s %j', async (path, body, status, param, problem) => {
    const { error } = await refusal(path, body, status);
    expect([error.type, error.param]).toEqual(['invalid_request_error', param]);
    expect(error.message).toContain(problem);
  });

  it.each([
    ['', null],
    ['x'.repeat(256), 'context_length_exceeded'],
  ])('a code of its own has a prompt that is too long, not an empty one', async (prompt, code) => {
    const { error } = await refusal(plain, { prompt }, 400);
    expect([error.param, error.code]).toEqual(['prompt', code]);
  });

  it('a body that is too large', async () => {
    const { error } = await refusal(plain, ' '.repeat(2 ** 20 + 1), 413);
    expect(error.message).toContain('larger than 1048576 bytes');
  });
});
