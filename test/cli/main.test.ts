import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectOneLine, softlane } from './run.js';

const { version } = JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as {
  version: string;
};

describe('softlane', () => {
  it.each([['--version'], ['-V']])('%s prints the version of package.json, from any folder', async (flag) => {
    expect(await softlane([flag], { cwd: tmpdir() })).toEqual({
      code: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
  });

  it.each([[[]], [['--help']], [['help']]])('%j prints help with the commands', async (args) => {
    const { code, stdout, stderr } = await softlane(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: softlane /);
    const elastic = ['distances', 'gather', 'classify', 'cluster', 'barycenter', 'align', 'search'];
    for (const command of ['info', 'softmax', 'bench', 'generate', ...elastic])
      expect(stdout).toMatch(new RegExp(`^  ${command} +\\w`, 'm'));
  });

  it('softmax --help says what memory it takes', async () => {
    const { code, stdout } = await softlane(['softmax', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Memory: /);
  });

  const out = ['-o', 'never-written.npy'];
  it.each([
    [['sofmax'], "unknown command 'sofmax' (Did you mean softmax?)"],
    [['--nope'], "unknown option '--nope'"],
    [['softmax', 'in.npy'], "required option '-o, --output <OUT.npy>' not specified"],
    [['softmax', ...out], "missing required argument 'IN.npy'"],
    [['softmax', 'a.npy', 'b.npy', ...out], "too many arguments for 'softmax'"],
    [['softmax', 'a.npy', ...out, '--temprature', '2'], '(Did you mean --temperature?)'],
    [
      ['softmax', 'a.npy', ...out, '--temperature', '0'],
      "argument '0' is invalid. It must be a finite number > 0.",
    ],
    [['softmax', 'a.npy', ...out, '--temperature', 'NaN'], 'It must be a finite number > 0.'],
    [['softmax', 'a.npy', ...out, '--temperature', ''], 'It must be a finite number > 0.'],
    [['softmax', 'a.npy', ...out, '--axis', '1.5'], 'It must be an integer.'],
    [['softmax', 'a.npy', ...out, '--threads', '0'], 'It must be an integer >= 1.'],
    [['softmax', 'a.npy', ...out, '--threads', '1e9'], 'It must be an integer >= 1.'],
    [['softmax', 'a.npy', ...out, '--algorithm', 'fast'], 'Allowed choices are auto, two-pass'],
    [['softmax', 'a.npy', ...out, '--dtype', 'f32'], 'Allowed choices are bf16, f16'],
    [['softmax', 'a.npy', ...out, '--empty-row', 'one'], 'Allowed choices are zero, nan'],
    [['info', 'more'], "too many arguments for 'info'"],
  ])('%j is refused with one line and exit code 2', async (args, problem) => {
    expect(expectOneLine(await softlane(args), 2)).toContain(problem);
  });

  it('--debug adds the stack, before and after the command', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'softlane-debug-'));
    const command = ['softmax', join(folder, 'none.npy'), '-o', join(folder, 'out.npy')];
    expect(expectOneLine(await softlane(command), 1)).toMatch(
      /^softlane: ENOENT: no such file or directory, open '/,
    );
    for (const args of [
      ['--debug', ...command],
      [...command, '--debug'],
    ]) {
      const { code, stderr } = await softlane(args);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^softlane: ENOENT.*\n[^]*\n {4}at .*npy/);
    }
    expect((await softlane(['--nope', '--debug'])).stderr).toMatch(/\n {4}at /);
    await rm(folder, { recursive: true });
  });
});
