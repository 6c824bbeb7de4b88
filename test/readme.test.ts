/** Executes the README and the guides: every `js` block against the built package, every command of its `sh` blocks. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(__dirname, '..');
const documents = ['README.md', ...readdirSync(join(root, 'guides')).map((name) => `guides/${name}`)];
const textOf = (document: string) => readFileSync(join(root, document), 'utf8');

interface Block {
  language: string;
  code: string;
  document: string;
  line: number;
}

function blocksOf(document: string): Block[] {
  const text = textOf(document);
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: code, index }) => ({
    language,
    code,
    document,
    line: text.slice(0, index).split('\n').length,
  }));
}

const blocks = documents.flatMap(blocksOf);
const examples = blocks.filter(({ language }) => language === 'js');
const commands = blocks
  .filter(({ language }) => language === 'sh')
  .flatMap(({ code }) => code.trim().split('\n'));

test('there are examples and commands', () => {
  expect(examples.length).toBeGreaterThanOrEqual(6);
  expect(commands.length).toBeGreaterThanOrEqual(5);
});

test.each(examples.map((block) => [block.document, block.line, block.code] as const))(
  'the example of %s, line %i, prints what it says',
  (_document, _line, code) => {
    const expected = [...code.matchAll(/\/\/ -> (.*)$/gm)].map(({ 1: text }) => text);
    expect(expected.length).toBe(code.match(/console\.log\(/g)?.length);
    const env = { ...process.env, NODE_NO_WARNINGS: '1' };
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: root,
      env,
      encoding: 'utf8',
    });
    expect(printed.trimEnd().split('\n')).toEqual(expected);
  },
);

test('the first example is six lines', () => {
  expect(examples[0].code.trim().split('\n')).toHaveLength(6);
  expect(examples[0].line).toBeLessThan(10);
});

describe('the commands', () => {
  const folder = mkdtempSync(join(tmpdir(), 'softlane-readme-'));
  beforeAll(() => {
    cpSync(join(root, 'examples'), join(folder, 'examples'), { recursive: true });
    symlinkSync(join(root, 'test'), join(folder, 'test'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(commands)(
    '%s',
    (command) => {
      const [runner, program, ...args] = command.split(' ');
      expect([runner, program]).toEqual(['npx', 'softlane']);
      const main = join(root, 'dist/cjs/lib/cli/main.js');
      if (args[0] === 'tune') args.push('--max-length', '65536', '--samples', '3'); // the whole takes minutes
      const env = { ...process.env, SOFTLANE_TUNING: join(folder, 'tuning.json') };
      const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
        cwd: folder,
        env,
        encoding: 'utf8',
      });
      expect(status === 0 ? '' : stderr).toBe('');
      expect(stdout).not.toBe('');
      const output = /(?:-o|--json) (\S+)/.exec(command);
      if (output) expect(existsSync(join(folder, output[1]))).toBe(true);
    },
    180_000,
  );
});

test.each(documents)('files that %s links to exist', (document) => {
  const links = [...textOf(document).matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(({ 1: path }) => path);
  expect(links.filter((path) => !existsSync(join(root, dirname(document), path)))).toEqual([]);
});
