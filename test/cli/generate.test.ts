import { mkdtemp, readFile, rm, writeFile, cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { register } from '../../lib/cli/commands/generate.js';
import { embeddedModelPath, LlamaModel, type GenerateOptions } from '../../lib/llm/index.js';
import { printed, refused, usageError } from './elastic.js';
import { softlane } from './run.js';

const PROMPT = 'In the beginning';
const asked = ['generate', '--prompt', PROMPT];

let folder: string;
let model: LlamaModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-generate-'));
  model = await LlamaModel.embedded();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What the library writes after a prompt. */
async function written(prompt: string, options: GenerateOptions): Promise<string> {
  const bytes: number[] = [];
  for await (const { token } of model.createSession().generate(Buffer.from(prompt), options))
    bytes.push(token);
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

interface Line {
  index: number;
  seed: number;
  promptTokens: number;
  tokens: number[];
  text: string;
  finishReason: string;
  logprobs?: { token: number; text: string; logprob: number; top: { token: number; logprob: number }[] }[];
  timing: { firstTokenMs: number; totalMs: number; tokensPerSecond?: number };
}
const lines = async (...args: string[]): Promise<Line[]> =>
  (await printed(...args, '--json'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

describe('softlane generate', () => {
  it('writes the text of the library, and a line break after it', async () => {
    const flags = [
      '--temperature',
      '0.7',
      '--top-k',
      '40',
      '--top-p',
      '0.95',
      '--min-p',
      '0.01',
      '--seed',
      '1',
    ];
    const options = { temperature: 0.7, topK: 40, topP: 0.95, minP: 0.01, seed: 1, repetitionPenalty: 1.1 };
    const text = await written(PROMPT, { ...options, maxTokens: 50 });
    const args = [...asked, ...flags, '--repetition-penalty', '1.1', '--max-tokens', '50'];
    expect(await printed(...args)).toBe(`${text}\n`);
    expect(await printed(...args, '--no-stream', '--threads', '2')).toBe(`${text}\n`);
  });

  it('takes the prompt from a file and from stdin, without the line break at its end', async () => {
    const file = join(folder, 'prompt.txt');
    await writeFile(file, `${PROMPT}\r\n`);
    const flags = ['--temperature', '0', '--max-tokens', '20'];
    const expected = `${await written(PROMPT, { temperature: 0, maxTokens: 20 })}\n`;
    expect(await printed('generate', '--prompt-file', file, ...flags)).toBe(expected);
    const piped = await softlane(['generate', ...flags], { stdin: `${PROMPT}\n` });
    expect(piped).toEqual({ code: 0, stdout: expected, stderr: '' });
  });

  it('several texts are those of the streams of the seed, in order', async () => {
    const flags = ['--seed', '5', '--max-tokens', '24', '--n', '12'];
    const texts = await Promise.all(
      Array.from({ length: 12 }, async (_, stream) => written(PROMPT, { seed: 5, stream, maxTokens: 24 })),
    );
    expect(new Set(texts).size).toBe(12);
    const broken = texts.map((text) => (text.endsWith('\n') ? text : `${text}\n`));
    const expected = broken.map((text, i) => `--- ${i + 1} of 12 ---\n${text}`).join('');
    expect(await printed(...asked, ...flags)).toBe(expected);
    const objects = await lines(...asked, ...flags);
    expect(objects.map(({ index, text }) => [index, text])).toEqual(texts.map((text, i) => [i, text]));
  });

  it('--json says all of a text, and its seed gives it again', async () => {
    const [line] = await lines(...asked, '--max-tokens', '8', '--logprobs', '2');
    expect(line).toMatchObject({ index: 0, promptTokens: PROMPT.length, finishReason: 'length' });
    expect(line.text).toBe(new TextDecoder().decode(Uint8Array.from(line.tokens)));
    expect(line.text).toBe(await written(PROMPT, { seed: line.seed, maxTokens: 8 }));
    expect(line.logprobs!.map(({ token }) => token)).toEqual(line.tokens);
    for (const { token, logprob, top } of line.logprobs!) {
      expect(top).toHaveLength(2);
      expect(top[0].logprob).toBeGreaterThanOrEqual(top[1].logprob);
      expect(top[0].logprob).toBeGreaterThanOrEqual(logprob);
      const same = top.find((each) => each.token === token);
      if (same) expect(same.logprob).toBe(logprob);
    }
    const { firstTokenMs, totalMs, tokensPerSecond } = line.timing;
    expect(firstTokenMs).toBeGreaterThan(0);
    expect(totalMs).toBeGreaterThan(firstTokenMs);
    // Milliseconds are printed to three places.
    expect((tokensPerSecond! * (totalMs - firstTokenMs)) / 7000).toBeCloseTo(1, 2);
    const [plain] = await lines(...asked, '--max-tokens', '8', '--seed', String(line.seed));
    expect([plain.text, plain.logprobs]).toEqual([line.text, undefined]);
  });

  it('--logprobs prints a line a token', async () => {
    const text = await printed(...asked, '--temperature', '0', '--max-tokens', '3', '--logprobs', '1');
    const [line] = await lines(...asked, '--temperature', '0', '--max-tokens', '3', '--logprobs', '1');
    const expected = line.logprobs!.map((each) => {
      const [number, quoted] = [each.logprob.toFixed(4), JSON.stringify(each.text)];
      return [number, quoted, quoted, number].join(' '); // greedy: the token is the most probable one
    });
    expect(
      text
        .trimEnd()
        .split('\n')
        .map((each) => each.trim().replaceAll(/ {2,}/g, ' ')),
    ).toEqual(expected);
  });

  it('ends before any --stop', async () => {
    const whole = await written(PROMPT, { temperature: 0, maxTokens: 60 });
    const at = whole.indexOf(' thy God');
    expect(at).toBeGreaterThan(0);
    const flags = ['--temperature', '0', '--max-tokens', '60', '--stop', 'never', '--stop', ' thy God'];
    const [line] = await lines(...asked, ...flags);
    expect([line.text, line.finishReason]).toEqual([whole.slice(0, at), 'stop']);
  });

  it('ends where the context is full, and says so', async () => {
    const { code, stdout, stderr } = await softlane([...asked, '--seed', '1', '--stats', '--json']);
    expect(code).toBe(0);
    const line = JSON.parse(stdout) as Line;
    expect([line.tokens.length, line.finishReason]).toEqual([256 - PROMPT.length, 'length']);
    expect(stderr).toMatch(
      /^loading {2}\S+ m?s, \d+ % of the time\nprompt {3}16 tokens, \S+ ms to the first token, \d+ %\n/,
    );
    expect(stderr).toMatch(/\ntext {5}240 tokens, .*, \d+ %, \S+ tokens per second\n/);
    expect(stderr).toMatch(/\nmodel {4}1\.9 MB of weights, \d+ threads?, 240 forward passes, seed 1\n/);
    expect(stderr).toMatch(/\nended {4}length \(the context of 256 tokens is full\)\n$/);
  });

  it('holds weights and cache as asked', async () => {
    const flags = [...asked, '--temperature', '0', '--max-tokens', '40', '--stats'];
    const sizes: Record<string, number> = {};
    for (const type of ['f32', 'bf16', 'f16', 'int8']) {
      const { code, stdout, stderr } = await softlane([...flags, '--weights', type, '--cache', type]);
      expect(code).toBe(0);
      expect(stdout.startsWith(' of the LORD')).toBe(true);
      sizes[type] = Number(/([\d.]+) MB of weights/.exec(stderr)![1]);
    }
    expect(sizes.f32 / sizes.bf16).toBeCloseTo(2, 1);
    expect(sizes.f16).toBe(sizes.bf16);
    expect(sizes.bf16 / sizes.int8).toBeGreaterThan(1.8);
  });

  it('--chat puts prompt and system into the template of the model', async () => {
    const chat = join(folder, 'chat');
    await cp(embeddedModelPath(), chat, { recursive: true });
    const template =
      '{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<answer>{% endif %}';
    await writeFile(join(chat, 'tokenizer_config.json'), JSON.stringify({ chat_template: template }));
    const flags = [
      '--chat',
      '--system',
      'Be brief.',
      '--prompt',
      'Who?',
      '--seed',
      '2',
      '--max-tokens',
      '10',
    ];
    const [line] = await lines('generate', chat, ...flags);
    const prompt = '<system>Be brief.\n<user>Who?\n<answer>';
    expect([line.promptTokens, line.text]).toEqual([
      prompt.length,
      await written(prompt, { seed: 2, maxTokens: 10 }),
    ]);
  });

  it('stops at the end-of-text ids of generation_config.json too', async () => {
    const ending = join(folder, 'ending');
    await cp(embeddedModelPath(), ending, { recursive: true });
    await writeFile(join(ending, 'generation_config.json'), JSON.stringify({ eos_token_id: [999, 0x79] }));
    const args = ['generate', ending, '--prompt', PROMPT, '--temperature', '0', '--json'];
    const { code, stdout, stderr } = await softlane(args);
    // An id that the model has no row for is told, and no mistake of the command line.
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/^softlane: warning: eos_token_id 999 [^\n]*\n$/),
    ]);
    const line = JSON.parse(stdout) as Line;
    const whole = await written(PROMPT, { temperature: 0, maxTokens: 60 });
    expect([line.text, line.finishReason]).toEqual([whole.slice(0, whole.indexOf('y')), 'stop']);
  });

  it.each([['SIGINT', 130] as const, ['SIGTERM', 143] as const])('%s ends it cleanly', async (name, exit) => {
    const args = ['generate', '--prompt', 'And', '--n', '4000', '--seed', '1'];
    const { code, stdout, stderr } = await softlane(args, {
      onStart: (child) => child.stdout!.once('data', () => child.kill(name)),
    });
    expect([code, stderr]).toEqual([exit, `softlane: stopped by ${name} before the end\n`]);
    expect(stdout).toMatch(/^--- 1 of 4000 ---\n[^]*\n$/);
    expect(stdout).not.toContain('--- 4000 of');
  });

  it('Ctrl-C leaves what there is: objects that say so, and statistics', async () => {
    // Texts that end at a full stop end one by one: at any time some are in the middle.
    const args = [
      'generate',
      '--prompt',
      'And',
      '--n',
      '4000',
      '--seed',
      '1',
      '--json',
      '--stats',
      '--stop',
      '.',
    ];
    const { code, stdout, stderr } = await softlane(args, {
      onStart: (child) => child.stdout!.once('data', () => child.kill('SIGINT')),
    });
    expect(code).toBe(130);
    const objects = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    const cut = objects.filter(({ finishReason }) => finishReason === 'interrupted');
    expect(cut.length).toBeGreaterThan(0);
    expect(objects.length).toBeLessThan(4000); // those that had not begun are left out
    for (const { tokens, text } of cut) {
      expect(tokens.length).toBeGreaterThan(0);
      expect(text).not.toContain('.');
    }
    const { tokens, index } = cut[0];
    const whole = await written('And', { seed: 1, stream: index });
    expect(whole.startsWith(new TextDecoder().decode(Uint8Array.from(tokens)))).toBe(true);
    const total = objects.reduce((sum, each) => sum + each.tokens.length, 0);
    expect(stderr).toContain(`\ntext     ${total} tokens, `);
    expect(stderr).toMatch(/\nended .*interrupted\nsoftlane: stopped by SIGINT before the end\n$/);
  });

  it("takes the pool's threads unless told otherwise", async () => {
    const args = [...asked, '--temperature', '0', '--max-tokens', '9', '--stats'];
    const env = { SOFTLANE_THREADS: '3' };
    const [pool, one] = [await softlane(args, { env }), await softlane([...args, '--threads', '1'], { env })];
    expect(pool.stderr).toMatch(/\nmodel .*, 3 threads, /);
    expect(one.stderr).toMatch(/\nmodel .*, 1 thread, /);
    expect([pool.code, pool.stdout]).toEqual([0, one.stdout]);
  });

  it('a reader that has had enough is no error', async () => {
    const { code, stderr } = await softlane(['generate', '--prompt', 'And', '--n', '300', '--seed', '1'], {
      onStart: (child) => child.stdout!.once('data', () => child.stdout!.destroy()),
    });
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe('softlane generate refuses with one line', () => {
  it('prompts that are none', async () => {
    const file = join(folder, 'bad.txt');
    await writeFile(file, Buffer.from([0x41, 0xff]));
    expect(await refused(1, 'generate')).toContain('stdin: expected a prompt, received no text');
    expect(await refused(1, 'generate', '--prompt', '')).toContain('--prompt: expected a prompt');
    expect(await refused(1, 'generate', '--prompt-file', file)).toContain('bad.txt: expected text in UTF-8');
    expect(await refused(1, 'generate', '--prompt-file', join(folder, 'none'))).toContain('ENOENT');
    expect(await refused(1, 'generate', '--prompt', 'é'.repeat(128))).toContain(
      "expected fewer than the 256 tokens of the model's context, received 256",
    );
    // Said of the prompt, before the weights are looked at.
    const light = join(folder, 'light');
    await cp(embeddedModelPath(), light, { recursive: true });
    await rm(join(light, 'model.safetensors'));
    expect(await refused(1, 'generate', light, '--prompt', 'e'.repeat(256))).toContain(
      'the prompt is too long',
    );
    expect(await refused(2, ...asked, '--system', 'x')).toContain('--system goes with --chat');
    expect(await refused(1, ...asked, '--chat')).toContain('has no chat template');
  });

  it('models that are none', async () => {
    const none = join(folder, 'nothing');
    expect(await refused(1, 'generate', none, '--prompt', 'a')).toContain(
      'nothing: no such folder; softlane does not download models',
    );
    const file = join(folder, 'model.gguf');
    await writeFile(file, 'GGUF');
    expect(await refused(1, 'generate', file, '--prompt', 'a')).toContain(
      'model.gguf: expected the folder of a model, received a file',
    );
    expect(await refused(1, 'generate', folder, '--prompt', 'a')).toContain(
      'config.json: expected the configuration of the model, received no such file',
    );
    const half = join(folder, 'half');
    await cp(embeddedModelPath(), half, { recursive: true });
    const weights = await readFile(join(half, 'model.safetensors'));
    await writeFile(join(half, 'model.safetensors'), weights.subarray(0, 1e6));
    expect(await refused(1, 'generate', half, '--prompt', 'a')).toMatch(
      /model\.safetensors.* expected .* received/,
    );
    await writeFile(join(half, 'tokenizer.json'), '{"model": {"type": "Nope"}}');
    expect(await refused(1, 'generate', half, '--prompt', 'a')).toContain(
      'tokenizer.json: expected a tokenizer',
    );
    await writeFile(join(half, 'tokenizer.json'), '[');
    expect(await refused(1, 'generate', half, '--prompt', 'a')).toContain('tokenizer.json: expected JSON');
    await rm(join(half, 'tokenizer.json'));
    expect(await refused(1, 'generate', half, '--prompt', 'a')).toContain(
      'tokenizer.json: expected the tokenizer of the model, received no such file',
    );
  });

  it('a tokenizer that has more ids than the model', async () => {
    const larger = join(folder, 'larger');
    await cp(embeddedModelPath(), larger, { recursive: true });
    const tokenizer = JSON.parse(await readFile(join(larger, 'tokenizer.json'), 'utf8')) as {
      added_tokens: object[];
    };
    tokenizer.added_tokens.push({ id: 256, content: 'beginning', special: false, normalized: false });
    await writeFile(join(larger, 'tokenizer.json'), JSON.stringify(tokenizer));
    expect(await refused(1, 'generate', larger, '--prompt', PROMPT)).toContain(
      'the tokenizer does not belong to the model: expected ids below 256, received 256',
    );
  });

  it.each([
    [['--temperature', '-1'], 'a finite number >= 0'],
    [['--top-k', '0'], 'an integer >= 1'],
    [['--min-p', '1.5'], 'a number from 0 to 1'],
    [['--min-p', 'x'], 'a number from 0 to 1'],
    [['--repetition-penalty', '0'], 'a finite number > 0'],
    [['--seed', '-1'], 'an integer >= 0'],
    [['--max-tokens', '0'], 'an integer >= 1'],
    [['--n', '0'], 'an integer >= 1'],
    [['--logprobs', 'all'], 'an integer >= 0'],
    [['--weights', 'int4'], 'Allowed choices are f32, bf16, f16, int8'],
    [['--top-p', '0'], "'--top-p <p>' argument '0' is invalid. It must be a number above 0"],
    [['--top-p', '1.5'], "'--top-p <p>' argument '1.5' is invalid. It must be a number above 0"],
    [['--temperature', '1e-40'], "'-t, --temperature <T>' argument '1e-40' is invalid. It must be 0, or"],
    [['--temperature', '1e31'], "'-t, --temperature <T>' argument '1e31' is invalid. It must be 0, or"],
    [['--stop', 'a', '--stop', ''], "'--stop <TEXT>' argument '' is invalid. It must be a text"],
    [['--cache', 'f64'], 'Allowed choices are f32, bf16, f16, int8'],
    [['--prompt-file', 'f'], 'cannot be used with option'],
  ])('%j', async (flags, problem) => {
    expect(await usageError(register, 'generate', '--prompt', 'a', ...flags)).toContain(problem);
  });

  it('what depends on the model, before its weights are read', async () => {
    const broken = join(folder, 'without-weights');
    await cp(embeddedModelPath(), broken, { recursive: true });
    await writeFile(join(broken, 'model.safetensors'), '');
    const args = ['generate', broken, '--prompt', PROMPT];
    expect(await refused(2, ...args, '--logprobs', '257')).toContain(
      "option '--logprobs <n>' argument '257' is invalid. It must be at most 256",
    );
    expect(await refused(1, ...args, '--logprobs', '256')).toContain('model.safetensors');
  });
});
