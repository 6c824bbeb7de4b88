import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  barycenter,
  SeriesSet,
  softBarycenter,
  softLossBatch,
  type BarycenterResult,
} from '../../lib/elastic/index.js';
import { register } from '../../lib/cli/commands/barycenter.js';
import { barycenter as averageOf } from '../../lib/cli/elastic/barycenter.js';
import { readSeries } from '../../lib/io/series-file.js';
import { expectDrawing, marksOf } from '../helpers/svg.js';
import { ucr } from '../helpers/ucr.js';
import { dataSet, json, printed, refused, usageError } from './elastic.js';

interface Averaged {
  count: number;
  objective: number;
  iterations: number;
  converged: boolean;
  objectives: number[];
  barycenter: number[][];
}

const guns = dataSet('GunPoint', 'TRAIN');
const { series, labels } = ucr('GunPoint', 'TRAIN');
const X = SeriesSet.from(series.filter((_, i) => labels[i] === '1'));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-barycenter-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs the command on class 1, and fails unless the average is this one, to the bit. */
async function expectAverage(expected: BarycenterResult, ...flags: string[]): Promise<Averaged> {
  const found = await json<Averaged>('barycenter', guns, '--class', '1', ...flags);
  const { objective, iterations, converged } = expected;
  expect(found).toMatchObject({ count: 24, objective, iterations, converged });
  expect(found.barycenter).toEqual([[...expected.barycenter]]);
  // The start and every iteration.
  expect(found.objectives).toHaveLength(iterations + 1);
  expect(Math.min(...found.objectives)).toBe(objective);
  return found;
}

describe('softlane barycenter', () => {
  it('dba is the average under dtw, also in a band', async () => {
    const found = await expectAverage(
      barycenter(X, { window: 0.1, maxIter: 5 }),
      '--window',
      '0.1',
      '--max-iter',
      '5',
    );
    // DTW's objective never rises.
    expect([...found.objectives].sort((a, b) => b - a)).toEqual(found.objectives);
  });

  it('mba is the average under msm, and keeps no iteration that is worse', async () => {
    const flags = ['--method', 'mba', '--init', 'medoid', '--c', '0.5'];
    await expectAverage(barycenter(X, { metric: 'msm', init: 'medoid', c: 0.5 }), ...flags);
  });

  it('subgradient shows an objective per epoch', async () => {
    const options = { method: 'subgradient', maxIter: 3, seed: 4 } as const;
    await expectAverage(barycenter(X, options), '--method', 'subgradient', '--max-iter', '3', '--seed', '4');
  });

  it('soft is the average under a soft loss', async () => {
    const options = { loss: 'msm', gamma: 0.1, maxIter: 6 } as const;
    const flags = ['--method', 'soft', '--loss', 'msm', '--gamma', '0.1', '--max-iter', '6'];
    const { objectives } = await expectAverage(softBarycenter(X, options), ...flags);
    // The first is that of the mean, where the average starts.
    const mean = X.series(0).map((_, t) => {
      let sum = 0;
      for (let k = 0; k < X.count; k++) sum += X.series(k)[t];
      return sum / X.count;
    });
    const { values } = softLossBatch(SeriesSet.from([mean]), X, { loss: 'msm', gamma: 0.1 });
    expect(objectives[0]).toBeCloseTo(
      values.reduce((a, b) => a + b),
      9,
    );
    expect([...objectives].sort((a, b) => b - a)).toEqual(objectives);
  });

  it('the objective of a divergence counts its self terms', async () => {
    const flags = ['--method', 'soft', '--gamma', '0.1', '--divergence', '--max-iter', '4'];
    const found = await json<Averaged>('barycenter', guns, '--class', '2', ...flags);
    expect(found.objectives).toHaveLength(5);
    expect(found.objectives[4]).toBeCloseTo(found.objective, 9);
    const members = SeriesSet.from(series.filter((_, i) => labels[i] === '2'));
    const center = SeriesSet.from([Float64Array.from(found.barycenter[0])]);
    const { values } = softLossBatch(center, members, { gamma: 0.1, divergence: true });
    expect(found.objective).toBeCloseTo(
      values.reduce((a, b) => a + b),
      9,
    );
  });

  it('prints the objective, writes the series and draws it over its members', async () => {
    const [npy, svg] = [join(folder, 'C.npy'), join(folder, 'C.svg')];
    const text = await printed(
      'barycenter',
      guns,
      '--class',
      '1',
      '--max-iter',
      '2',
      '-o',
      npy,
      '--plot',
      svg,
    );
    expect(text).toMatch(
      /^GunPoint_TRAIN\.ts: barycentre of 24 series of class 1, dba, dtw, 2 iterations \(not converged\), /,
    );
    expect(text).toMatch(
      /\nobjective \d+\.\d+\n\niteration +objective\n +0 +\d+\.\d+\n +1 +\d+\.\d+\n +2 +\d+\.\d+\n/,
    );
    const { set } = await readSeries(npy);
    expect([...set.lengths]).toEqual([150]);
    expect(set.data).toEqual(barycenter(X, { maxIter: 2 }).barycenter);
    const drawing = await readFile(svg, 'utf8');
    expectDrawing(drawing, [
      'GunPoint_TRAIN.ts: barycentre of 24 series of class 1, dba, dtw',
      '24 series',
      'time point',
      'value',
      'member',
      'barycentre',
    ]);
    expect(marksOf(drawing, 'line mark')).toHaveLength(25);
  });

  it('has one objective where nothing is iterated', async () => {
    const found = await expectAverage(barycenter(X, { metric: 'euclidean' }), '--metric', 'euclidean');
    expect(found.objectives).toEqual([found.objective]);
  });

  it('draws a panel per channel', async () => {
    const svg = join(folder, 'C.svg');
    const motions = dataSet('BasicMotions', 'TRAIN');
    await printed('barycenter', motions, '--class', 'Walking', '--max-iter', '1', '--plot', svg);
    const drawing = await readFile(svg, 'utf8');
    expectDrawing(
      drawing,
      [0, 1, 2, 3, 4, 5].map((c) => `channel ${c}`),
    );
    expect(marksOf(drawing, 'line mark')).toHaveLength(6 * 11);
  });

  it('refuses options that have no effect, and classes that are not there', async () => {
    const flags = { method: 'dba', init: 'mean', maxIter: 3, threads: 1 } as const;
    await expect(averageOf('none.ts', { ...flags, method: 'soft', metric: 'msm' })).rejects.toMatchObject({
      message: '--metric has no effect with --method soft, which takes a --loss',
      exitCode: 2,
    });
    await expect(averageOf('none.ts', { ...flags, loss: 'msm' })).rejects.toMatchObject({
      message: expect.stringContaining('--loss has no effect with --method dba'),
      exitCode: 2,
    });
    expect(await refused(2, 'barycenter', guns, '--class', '3')).toContain(
      '--class must be one of 1, 2, received 3',
    );
    expect(await usageError(register, 'barycenter', guns, '--init', 'zero')).toContain(
      'mean, medoid, random',
    );
  });
});
