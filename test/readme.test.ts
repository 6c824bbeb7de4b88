/** Executes the README: every `js` block against the built package, every command of its `sh` blocks. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(__dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

interface Block {
  language: string;
  code: string;
  line: number;
}

function blocks(): Block[] {
  return [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: code, index }) => ({
    language,
    code,
    line: readme.slice(0, index).split('\n').length,
  }));
}

const examples = blocks().filter(({ language }) => language === 'js');
const commands = blocks()
  .filter(({ language }) => language === 'sh')
  .flatMap(({ code }) => code.trim().split('\n'));

test('the README has examples and commands', () => {
  expect(examples.length).toBeGreaterThanOrEqual(6);
  expect(commands.length).toBeGreaterThanOrEqual(5);
});

test.each(examples.map((block) => [block.line, block.code] as const))(
  'the example of line %i prints what it says',
  (_, code) => {
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

describe('the commands of the README', () => {
  const folder = mkdtempSync(join(tmpdir(), 'softlane-readme-'));
  beforeAll(() => cpSync(join(root, 'examples'), join(folder, 'examples'), { recursive: true }));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(commands)(
    '%s',
    (command) => {
      const [runner, program, ...args] = command.split(' ');
      expect([runner, program]).toEqual(['npx', 'softlane']);
      const main = join(root, 'dist/esm/lib/cli/main.js');
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

test('files and headings that the README links to exist', () => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(({ 1: path }) => path);
  expect(links.length).toBeGreaterThan(3);
  expect(links.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
