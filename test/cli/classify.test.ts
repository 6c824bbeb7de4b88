import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { register } from '../../lib/cli/commands/classify.js';
import { classify } from '../../lib/cli/elastic/classify.js';
import { KNeighborsTimeSeriesClassifier } from '../../lib/elastic/neighbors.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { ucr } from '../helpers/ucr.js';
import { dataSet, json, printed, refused, usageError } from './elastic.js';

interface Classified {
  accuracy?: number;
  errors?: number;
  classes?: string[];
  counts?: number[][];
  pairs?: number;
  pruned?: number;
  predicted: string[];
}

/** Names that are numbers by their value, others as they come. */
const byNumber = (a: string, b: string): number => Number(a) - Number(b) || (a < b ? -1 : 1);

const both = (name: string): [string, string] => [dataSet(name, 'TRAIN'), dataSet(name, 'TEST')];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-classify-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('softlane classify', () => {
  // Error counts of the aeon toolkit.
  it.each([
    ['ItalyPowerDemand', ['--window', '0.1'], 49],
    ['GunPoint', ['--metric', 'msm'], 5],
    ['BasicMotions', ['--metric', 'dtw'], 1],
    ['PickupGestureWiimoteZ', ['--metric', 'dtw', '--window', '0.1'], 10],
  ])('%s %j: %i errors', async (name, flags, errors) => {
    const found = await json<Classified>('classify', ...both(name), ...flags);
    const { labels } = ucr(name, 'TEST');
    expect(found).toMatchObject({ errors, accuracy: 1 - errors / labels.length });
    expect(found.predicted.filter((each, i) => each !== labels[i])).toHaveLength(errors);
    const { classes, counts } = found as Required<Classified>;
    expect(classes).toEqual([...new Set(labels)].sort(byNumber));
    expect(counts.map((row) => row.reduce((a, b) => a + b))).toEqual(
      classes.map((each) => labels.filter((label) => label === each).length),
    );
    expect(counts.flatMap((row, i) => row.filter((_, j) => i !== j)).reduce((a, b) => a + b)).toBe(errors);
  });

  it('prints accuracy, pruned pairs and the confusion matrix, and writes the predictions', async () => {
    const path = join(folder, 'predictions.csv');
    const args = ['classify', ...both('ItalyPowerDemand'), '--window', '0.1'];
    const text = await printed(...args, '-o', path);
    expect(text).toMatch(
      /^ItalyPowerDemand_TEST\.ts: 1029 series by 1 nearest of 67, dtw, window 0\.1, \d+\.\d\d s\n/,
    );
    expect(text).toContain('accuracy 0.9524, 49 errors of 1029\n');
    expect(text).toMatch(/\n[1-9]\d* of 68943 pairs pruned \(\d+\.\d%\)\n/);
    expect(text).toMatch(/\ntrue \\ predicted +1 +2 +found\n1 +495 +18 +96\.5%\n2 +31 +485 +94\.0%\n/);
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(lines[0]).toBe('series,predicted,label');
    const cells = lines.slice(1).map((line) => line.split(','));
    expect(cells.map(([i]) => Number(i))).toEqual(Array.from({ length: 1029 }, (_, i) => i));
    expect(cells.map(([, , label]) => label)).toEqual(ucr('ItalyPowerDemand', 'TEST').labels);

    const whole = await json<Classified>(...args, '--no-prune');
    expect(whole).toMatchObject({ pairs: 68943, pruned: 0 });
    expect(whole.predicted).toEqual(cells.map(([, predicted]) => predicted));
  });

  it('lets k neighbours vote as the classifier does', async () => {
    const [train, test] = [ucr('GunPoint', 'TRAIN'), ucr('GunPoint', 'TEST')];
    const model = new KNeighborsTimeSeriesClassifier({ metric: 'msm', k: 4 });
    const expected = model
      .fit(SeriesSet.from(train.series), train.labels)
      .predict(SeriesSet.from(test.series));
    const found = await json<Classified>('classify', ...both('GunPoint'), '--metric', 'msm', '-k', '4');
    expect(found.predicted).toEqual(expected);
  });

  it('takes soft losses, and centroids', async () => {
    const soft = ['--soft', 'msm', '--gamma', '0.1', '--precision', 'f32'];
    const near = await json<Classified>('classify', ...both('ItalyPowerDemand'), ...soft);
    expect(near.accuracy).toBeGreaterThan(0.9);
    expect(near).not.toHaveProperty('pruned');
    // Holder's implementation makes 59 errors.
    const average = [
      '--method',
      'centroid',
      '--soft',
      'msm',
      '--gamma',
      '0.1',
      '--max-iter',
      '100',
      '--tol',
      '1e-3',
    ];
    const centroid = await json<Classified>('classify', ...both('ItalyPowerDemand'), ...average);
    expect(Math.abs((centroid.errors as number) - 59)).toBeLessThanOrEqual(2);
    const means = await printed(
      'classify',
      ...both('ItalyPowerDemand'),
      '--method',
      'centroid',
      '--metric',
      'euclidean',
    );
    expect(means).toContain('1029 series by nearest centroid of 67, euclidean');
    expect(means).toContain(', 84 errors of 1029\n');
  });

  it('takes labels from files, and predicts where there are none', async () => {
    const { series, labels } = ucr('GunPoint', 'TRAIN');
    const csv = join(folder, 'series.csv');
    await writeFile(csv, series.map((each) => each.join(',')).join('\n'));
    const names = join(folder, 'labels.txt');
    await writeFile(names, labels.map((label) => `class ${label}\n`).join(''));
    expect(await refused(1, 'classify', csv, csv)).toContain(
      'series.csv: expected a label for each series, received none: give --labels FILE',
    );
    const text = await printed('classify', csv, csv, '--labels', names);
    expect(text.trimEnd().split('\n').slice(-50)).toEqual(labels.map((label) => `class ${label}`));
    expect(text).not.toContain('accuracy');
    const known = await json<Classified>('classify', csv, csv, '--labels', names, '--test-labels', names);
    expect(known).toMatchObject({ errors: 0, accuracy: 1, classes: ['class 1', 'class 2'] });
    await writeFile(names, 'one\ntwo\n');
    expect(await refused(1, 'classify', csv, csv, '--labels', names)).toContain(
      'labels.txt: expected 50 labels, one per series, received 2',
    );
  });

  it('refuses options that have no effect with one line', async () => {
    expect(await refused(2, 'classify', ...both('GunPoint'), '--method', 'centroid', '-k', '3')).toContain(
      '-k has no effect with --method centroid',
    );
    const flags = { method: 'knn', prune: true, threads: 1, maxIter: 3 } as const;
    await expect(classify(...both('GunPoint'), flags)).rejects.toMatchObject({
      message: '--max-iter has no effect with --method knn',
      exitCode: 2,
    });
    expect(await usageError(register, 'classify', ...both('GunPoint'), '-k', '0')).toContain('integer >= 1');
  });
});
