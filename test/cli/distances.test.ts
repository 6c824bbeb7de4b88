import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pairwise, SeriesSet, softPairwise } from '../../lib/elastic/index.js';
import { readNpy } from '../../lib/io/npy.js';
import { ucr } from '../helpers/ucr.js';
import { register } from '../../lib/cli/commands/distances.js';
import { dataSet, json, printed, refused, usageError } from './elastic.js';
import { softlane, type Ending } from './run.js';

const train = dataSet('GunPoint', 'TRAIN');
const ragged = 'PickupGestureWiimoteZ';
const test150 = dataSet('GunPoint', 'TEST');
const X = SeriesSet.from(ucr('GunPoint', 'TRAIN').series);

interface Made {
  path: string;
  rows: number;
  cols: number;
  tiles: number;
  skipped: number;
}

let folder: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-distances-'));
  out = join(folder, 'D.npy');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const matrixIn = async (path: string): Promise<Float64Array> => (await readNpy(path)).data as Float64Array;

describe('softlane distances', () => {
  it('writes the matrix of a metric, the same bits whatever the tiles', async () => {
    const text = await printed(
      'distances',
      train,
      '-o',
      out,
      '--metric',
      'msm',
      '--c',
      '0.5',
      '--tile',
      '16',
    );
    expect(text).toMatch(/D\.npy: f64 \[50, 50\] in 10 tiles, msm, c 0\.5, \d+\.\d\d s\n$/);
    const { shape, data } = await readNpy(out);
    expect(shape).toEqual([50, 50]);
    expect(data).toEqual(pairwise(X, null, { metric: 'msm', c: 0.5 }));
    expect(await readdir(folder)).toEqual(['D.npy']);
  });

  it.each([
    ['divergences of soft losses', ['--soft', 'msm', '--gamma', '0.1', '--divergence']],
    ['z-normalised series', ['--metric', 'twe', '--znorm']],
  ])('the same bits of %s whatever the tiles', async (_, flags) => {
    // ItalyPowerDemand is z-normalised as it is: three times and a half it is not.
    const y = SeriesSet.from(
      ucr('ItalyPowerDemand', 'TRAIN').series.map((each) => each.map((v) => 3 * v + 0.5)),
    );
    const csv = join(folder, 'y.csv');
    await writeFile(csv, Array.from({ length: y.count }, (_each, i) => y.series(i).join(',')).join('\n'));
    const made = await json<Made>('distances', csv, '-o', out, '--tile', '16', '--threads', '2', ...flags);
    expect(made).toMatchObject({ path: out, rows: 67, cols: 67, tiles: 15, skipped: 0 });
    const expected = flags.includes('--soft')
      ? softPairwise(y, null, { loss: 'msm', gamma: 0.1, divergence: true })
      : pairwise(y.zNormalized(), null, { metric: 'twe' });
    expect(await matrixIn(out)).toEqual(expected);
  });

  it('rounds once for --dtype f32, computes in float32 for --precision f32', async () => {
    await printed('distances', train, '-o', out, '--dtype', 'f32', '--window', '0.1');
    const { dtype, data } = await readNpy(out);
    expect(dtype).toBe('f32');
    expect(data).toEqual(Float32Array.from(pairwise(X, null, { window: 0.1 })));
    await printed('distances', train, '-o', out, '--precision', 'f32', '--window', '0.1');
    expect(await matrixIn(out)).toEqual(pairwise(X.toFloat32(), null, { window: 0.1 }));
  });

  it('writes a block of the matrix', async () => {
    await printed('distances', train, test150, '-o', out, '--rows', '3:7', '--cols', '140:');
    const { shape, data } = await readNpy(out);
    expect(shape).toEqual([4, 10]);
    const Y = SeriesSet.from(ucr('GunPoint', 'TEST').series);
    expect(data).toEqual(pairwise(X, Y, { rows: [3, 7], cols: [140, 150] }));
    expect(await refused(2, 'distances', train, '-o', out, '--rows', '3:70')).toContain(
      '--rows must be within 0:50, received 3:70',
    );
  });

  it('shares the tiles among processes, and gathers them', async () => {
    const args = ['distances', train, '-o', out, '--soft', 'dtw', '--tile', '20', '--znorm'];
    const first = await printed(...args, '--piece', '2/2');
    expect(first).toMatch(
      /D\.npy\.pieces: 3 tiles of 6, share 2\/2, soft dtw, z-normalised, .* s\n3 tiles left\n$/,
    );
    expect(await refused(1, 'gather', out)).toContain(
      'expected 6 finished pieces, received none for 3 of them',
    );
    expect(await printed(...args, '--piece', '1/2')).toContain(
      `all tiles are there: softlane gather ${out}\n`,
    );
    expect(existsSync(out)).toBe(false);
    expect(await json('gather', out)).toMatchObject({
      path: out,
      rows: 50,
      cols: 50,
      dtype: 'f64',
      tiles: 6,
    });
    expect(await readdir(folder)).toEqual(['D.npy']);
    const shared = await readFile(out);
    await printed(...args);
    expect((await readFile(out)).equals(shared)).toBe(true);
  });

  it.each([
    [
      ['--metric', 'msm', '--soft', 'dtw'],
      "option '--soft <loss>' cannot be used with option '--metric <name>'",
    ],
    [['--piece', '3/2'], 'It must be i/n with 1 <= i <= n.'],
    [['--piece', '1/2', '--rows', '1:2'], "cannot be used with option '--rows <a:b>'"],
    [['--gather', '--piece', '1/2'], "cannot be used with option '--gather'"],
    [['--rows', '5:5'], 'It must be a:b, rows or columns from a up to b, which is left out.'],
    [['--dtype', 'f16'], 'Allowed choices are f32, f64.'],
    [['-o', 'D.txt'], 'It must end in .npy.'],
  ])('refuses %j', async (flags, problem) => {
    expect(await usageError(register, 'distances', train, '-o', out, ...flags)).toContain(problem);
  });

  it('needs a file to write to', async () => {
    expect(await usageError(register, 'distances', train)).toContain("'-o, --output <D.npy>' not specified");
  });

  it.each([
    ['none.ts', [], 'ENOENT'],
    [ragged, ['--metric', 'euclidean'], 'unequal lengths'],
    [ragged, ['--soft', 'dtw', '--itakura', '0.001'], 'itakuraMaxSlope'],
  ])('refuses %s %j with one line, and leaves nothing behind', async (name, flags, problem) => {
    const path = name === ragged ? dataSet(ragged, 'TRAIN') : join(folder, name);
    expect(await refused(1, 'distances', path, '-o', out, ...flags)).toContain(problem);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('softlane distances, interrupted', () => {
  const args = (path: string): string[] => [
    'distances',
    test150,
    '-o',
    path,
    '--metric',
    'twe',
    '--tile',
    '15',
  ];

  /** Runs the command, and sends the process a signal when so many of its tiles are there. */
  async function stopped(path: string, tiles: number, signal: NodeJS.Signals): Promise<Ending> {
    let watching: NodeJS.Timeout | undefined;
    const onStart = (child: ChildProcess): void => {
      watching = setInterval(() => {
        // Not there in the beginning.
        void readdir(`${path}.pieces`, { encoding: 'utf8' })
          .catch((): string[] => [])
          .then((names) => {
            if (names.filter((name) => name.endsWith('.piece')).length < tiles || child.killed) return;
            child.kill(signal);
          });
      }, 5);
    };
    const ending = await softlane(args(path), { onStart });
    clearInterval(watching);
    return ending;
  }

  it('goes on after kill -9 and after Ctrl-C, and gives the same bytes', async () => {
    const killed = await stopped(out, 8, 'SIGKILL');
    expect(killed).toEqual({ code: null, stdout: '', stderr: '' });
    expect(existsSync(out)).toBe(false);
    const finished = (await readdir(`${out}.pieces`)).filter((name) => name.endsWith('.piece')).length;
    expect(finished).toBeGreaterThanOrEqual(8);

    const interrupted = await stopped(out, finished + 8, 'SIGINT');
    expect(interrupted.stderr).toBe(
      'softlane: stopped by SIGINT before the end; the same command goes on from the finished tiles\n',
    );
    expect(interrupted).toMatchObject({ code: 130, stdout: '' });

    const { tiles, skipped } = await json<Made>(...args(out));
    expect(tiles).toBe(55);
    expect(skipped).toBeGreaterThanOrEqual(finished + 8);
    expect(await readdir(folder)).toEqual(['D.npy']);

    const whole = join(folder, 'whole.npy');
    expect(await json<Made>(...args(whole))).toMatchObject({ skipped: 0 });
    expect((await readFile(out)).equals(await readFile(whole))).toBe(true);
  });
});
