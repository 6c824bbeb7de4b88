/** What the server of examples/openai-server says at its start, and how it ends where it cannot start. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embeddedModelPath, LlamaModel } from '../../lib/llm/index.js';

const root = join(__dirname, '..', '..');
let folder: string;
beforeAll(async () => {
  if (!existsSync(join(root, 'dist', 'esm', 'lib', 'llm', 'index.js')))
    throw new Error('this test runs the built package: run `npm run build` first');
  folder = await mkdtemp(join(tmpdir(), 'softlane-server-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ending {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Starts the server. `ended` resolves when it has ended by itself or was stopped. */
function start(args: readonly string[], env: Record<string, string> = {}) {
  const child: ChildProcess = spawn(process.execPath, ['examples/openai-server/server.mjs', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // What it said, also where it ended instead.
  const started = new Promise<string>((resolve) => {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (/^chat: .*\n/m.test(stdout)) resolve(stdout);
    });
    child.once('close', () => resolve(stdout + stderr));
  });
  const ended = new Promise<Ending>((resolve) =>
    child.once('close', (code) => resolve({ code, stdout, stderr })),
  );
  return { child, ended, started };
}

async function refused(code: number, ...args: string[]): Promise<string> {
  const ending = await start(args).ended;
  expect(ending.stderr).toMatch(/^openai-server: [^\n]+\n$/);
  expect([ending.code, ending.stdout]).toEqual([code, '']);
  return ending.stderr;
}

/** A copy of the embedded model with further files. */
async function modelWith(name: string, files: Record<string, string>): Promise<string> {
  const path = join(folder, name);
  await cp(embeddedModelPath(), path, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
  return path;
}

it.each([
  [['--port', 'x'], '--port must be an integer from 0 to 65535, received "x"'],
  [['--port', '65536'], '--port must be an integer'],
  [['--threads', '0'], '--threads must be an integer from 1'],
  [['--max-sequences', '1.5'], '--max-sequences must be an integer from 1'],
  [['--max-cache-bytes', '1e9'], '--max-cache-bytes must be an integer from 1'],
  [['--max-cache-bytes', '100'], '"maxCacheBytes" must be at least'],
  [['--bogus'], "Unknown option '--bogus' (--help lists the options)"],
  [['a', 'b'], 'expected one MODEL_DIR, received a, b'],
])('a wrong command line is one line: %j', async (args, problem) => {
  expect(await refused(2, ...args)).toContain(problem);
});

it('folders that hold no model are one line', async () => {
  expect(await refused(1, join(folder, 'none'))).toContain(
    'none: no such folder; softlane does not download models',
  );
  const half = await modelWith('half', { 'tokenizer_config.json': '{' });
  expect(await refused(1, half)).toContain('tokenizer_config.json: expected JSON');
  expect(await refused(1, join(half, 'config.json'))).toContain('expected the folder of a model');
  await writeFile(join(half, 'tokenizer_config.json'), '{"chat_template": "{% if %}"}');
  expect(await refused(1, half)).toContain('the chat template of tokenizer_config.json');
  await writeFile(join(half, 'config.json'), '{"model_type": "gpt2"}');
  await rm(join(half, 'tokenizer_config.json'));
  expect(await refused(1, half)).toContain('config.json');
  await rm(join(half, 'tokenizer.json'));
  expect(await refused(1, half)).toContain('tokenizer.json: no such file');
});

it('a port in use is one line', async () => {
  const other = createServer();
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
  const { port } = other.address() as AddressInfo;
  try {
    expect(await refused(1, '--port', String(port))).toContain(`port ${port} of 127.0.0.1 is in use`);
  } finally {
    other.close();
  }
});

it('--help lists the options', async () => {
  const { code, stdout, stderr } = await start(['--help']).ended;
  expect([code, stderr]).toEqual([0, '']);
  for (const option of ['--port', '--host', '--threads', '--max-sequences', '--max-cache-bytes'])
    expect(stdout).toContain(option);
});

it('--max-cache-bytes bounds the cache: what it could never hold is the mistake of the request', async () => {
  const { bytes } = await LlamaModel.embedded();
  const server = start(['--port', '0', '--max-cache-bytes', String(32 * bytes.cachePerToken)]);
  try {
    const url = /http:\S+(?=\/v1)/.exec(await server.started)![0];
    const ask = async (max_tokens: number): Promise<Response> =>
      fetch(`${url}/v1/completions`, { method: 'POST', body: JSON.stringify({ prompt: 'And', max_tokens }) });
    expect((await ask(29)).status).toBe(200);
    const refusal = await ask(30);
    expect([refusal.status, await refusal.json()]).toEqual([
      400,
      { error: expect.objectContaining({ param: 'max_tokens', code: 'ERR_CACHE_FULL' }) as object },
    ]);
  } finally {
    server.child.kill('SIGTERM');
    await server.ended;
  }
});

describe('says which chat template is in use, and uses it', () => {
  const template = (tag: string): string =>
    `{% for m in messages %}<${tag}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}`;
  const several = [
    { name: 'tools', template: 'no' },
    { name: 'default', template: template('bb') },
  ];
  it.each([
    [
      'alone',
      { 'tokenizer_config.json': { chat_template: template('a') } },
      'tokenizer_config.json',
      '<a>Who?>',
    ],
    [
      'several',
      { 'tokenizer_config.json': { chat_template: several } },
      'tokenizer_config.json, the default of 2',
      '<bb>Who?>',
    ],
    [
      'a file',
      { 'chat_template.jinja': template('ccc'), 'tokenizer_config.json': { chat_template: several } },
      'chat_template.jinja',
      '<ccc>Who?>',
    ],
    ['none', {}, undefined, 'Who?'],
  ])('%s', async (name, files, source, prompt) => {
    const texts = Object.entries(files).map(([file, value]) => [
      file,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]);
    const path = await modelWith(name, Object.fromEntries(texts) as Record<string, string>);
    const server = start([path, '--port', '0'], { SOFTLANE_THREADS: '2' });
    const said = await server.started;
    try {
      const url = /http:\S+(?=\/v1)/.exec(said)![0];
      expect(said).toBe(
        `${name} at ${url}/v1, 2 threads\n` +
          `chat: ${source ? `the template of ${source}` : 'no template, messages are joined by line breaks'}\n`,
      );
      const messages = [{ role: 'user', content: 'Who?' }];
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ messages, max_tokens: 1 }),
      });
      const { usage } = (await response.json()) as { usage: { prompt_tokens: number } };
      expect(usage.prompt_tokens).toBe(prompt.length); // a token is a byte
    } finally {
      server.child.kill('SIGTERM');
      await server.ended;
    }
  });
});
