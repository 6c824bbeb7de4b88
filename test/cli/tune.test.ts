import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectOneLine, softlane } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'softlane-tune-'));
const path = join(folder, 'tuning.json');
const env = { SOFTLANE_TUNING: path };
afterAll(() => rmSync(folder, { recursive: true }));

describe('softlane tune', () => {
  it('measures products alone where that is asked for', async () => {
    const args = [
      'tune',
      '--what',
      'gemm',
      '--shapes',
      '64x48,33x20',
      '--type',
      'f32,int8',
      '--samples',
      '5',
    ];
    const { code, stdout, stderr } = await softlane(args, { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^isa +weights +layout +type +flat from +blocked from$/);
    expect(lines).toHaveLength(1 + 2 * 2 * 2 + 1);
    expect(lines[1]).toMatch(/^\w+ +\[64, 48\] +packed +f32 +m=\d+ +m=\d+$/);
    expect(lines.at(-1)).toBe(`Kept in ${path}.`);
    const { machines } = JSON.parse(readFileSync(path, 'utf8')) as { machines: Record<string, object> };
    expect(Object.keys(Object.values(machines)[0]).sort()).toEqual(['dataflow', 'measured']);
  });

  it.each([['gemm'], ['softmax,gemm']])('fewer than five samples are not kept (%s)', async (what) => {
    rmSync(path, { force: true });
    const args = ['tune', '--what', what, '--shapes', '16x16', '--type', 'f32', '--samples', '4'];
    if (what !== 'gemm') args.push('--max-length', '32768', '--dtype', 'f32');
    const { code, stdout, stderr } = await softlane(args, { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('Not kept: that takes at least 5 samples.');
    expect(stdout).not.toContain('Kept in');
    expect(existsSync(path)).toBe(false);
  });

  it.each([
    ['gemm', ['--dtype', 'f32'], '--dtype belongs to softmax, and --what asks for gemm alone'],
    ['gemm', ['--max-length', '64'], '--max-length belongs to softmax'],
    ['softmax', ['--shapes', '16x16'], '--shapes belongs to gemm, and --what asks for softmax alone'],
    ['softmax', ['--type', 'f32'], '--type belongs to gemm'],
    ['softmax', ['--threads', '2'], '--threads belongs to gemm'],
  ])('--what %s refuses %j', async (what, flags, message) => {
    const ending = await softlane(['tune', '--what', what, ...flags], { env });
    expect(expectOneLine(ending, 2)).toContain(message);
  });

  it('measures both by default, and keeps neither where that is asked for', async () => {
    rmSync(path, { force: true });
    const { code, stdout } = await softlane(
      [
        ...['tune', '--max-length', '32768', '--dtype', 'f32', '--shapes', '16x16', '--type', 'f32'],
        ...['--samples', '1', '--no-save'],
      ],
      { env },
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^isa +dtype +two passes/m);
    expect(stdout).toMatch(/^isa +weights +layout/m);
    expect(stdout).not.toContain('Kept');
    expect(existsSync(path)).toBe(false);
  });

  it.each([
    [['--what', 'gemm,conv'], /--what.*It must be of softmax, gemm/],
    [['--shapes', '4096'], /--shapes.*It must be NxK/],
    [['--shapes', '0x12'], /--shapes.*It must be NxK/],
    [['--what', 'gemm', '--type', 'f64'], /"type" must be one of 'f32'/],
    [['--what', 'gemm', '--isa', 'sse9'], /"isas" must be one of/],
  ])('answers %j with one line', async (args, message) => {
    const ending = await softlane(['tune', ...args], { env });
    expect(expectOneLine(ending, ending.code ?? 0)).toMatch(message);
    expect(ending.code).toBeGreaterThan(0);
  });
});
