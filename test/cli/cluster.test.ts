import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  cutTree,
  linkage,
  pairwise,
  SeriesSet,
  SoftKMeans,
  softPairwise,
  TimeSeriesKMeans,
} from '../../lib/elastic/index.js';
import { register } from '../../lib/cli/commands/cluster.js';
import { cluster, type ClusterFlags } from '../../lib/cli/elastic/cluster.js';
import { kMedoids } from '../../lib/elastic/pam.js';
import { adjustedRandIndex } from '../../lib/elastic/scores.js';
import { expectDrawing, marksOf } from '../helpers/svg.js';
import { ucr } from '../helpers/ucr.js';
import { dataSet, json, printed, refused, usageError } from './elastic.js';

interface Clustered {
  sizes: number[];
  inertia: number;
  adjustedRandIndex?: number;
  medoids?: number[];
  labels: number[];
}

const arrows = dataSet('ArrowHead', 'TRAIN');
const { series, labels: truth } = ucr('ArrowHead', 'TRAIN');
const X = SeriesSet.from(series);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-cluster-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('softlane cluster', () => {
  it('kmeans: labels, sizes, inertia and adjusted Rand index are those of the model', async () => {
    const model = new TimeSeriesKMeans({ k: 3, metric: 'msm', seed: 5, restarts: 2 }).fit(X);
    const flags = ['--metric', 'msm', '--seed', '5', '--restarts', '2', '--threads', '2'];
    const found = await json<Clustered>('cluster', arrows, '-k', '3', ...flags);
    expect(found.labels).toEqual([...model.labels]);
    expect(found.inertia).toBe(model.inertia);
    expect(found.adjustedRandIndex).toBe(adjustedRandIndex(truth, model.labels));
    expect(found.sizes).toEqual([0, 1, 2].map((c) => model.labels.filter((each) => each === c).length));
  });

  it('soft-kmeans averages under a soft loss', async () => {
    const options = { loss: 'msm', gamma: 0.1, maxIter: 2 } as const;
    const model = new SoftKMeans({ k: 2, ...options }).fit(
      SeriesSet.from(ucr('ItalyPowerDemand', 'TRAIN').series),
    );
    const flags = ['--method', 'soft-kmeans', '--loss', 'msm', '--gamma', '0.1', '--max-iter', '2'];
    const found = await json<Clustered>('cluster', dataSet('ItalyPowerDemand', 'TRAIN'), '-k', '2', ...flags);
    expect(found.labels).toEqual([...model.labels]);
    expect(found.inertia).toBe(model.inertia);
  });

  it('kmedoids takes metrics and soft losses', async () => {
    const hard = kMedoids(pairwise(X, null, { metric: 'sbd' }), X.count, { k: 3 });
    const found = await json<Clustered>(
      'cluster',
      arrows,
      '-k',
      '3',
      '--method',
      'kmedoids',
      '--metric',
      'sbd',
    );
    expect(found).toMatchObject({
      labels: [...hard.labels],
      medoids: [...hard.medoids],
      inertia: hard.inertia,
    });
    const matrix = softPairwise(X, null, { loss: 'dtw', gamma: 0.5, divergence: true });
    const soft = kMedoids(matrix, X.count, { k: 3 });
    const flags = ['--method', 'kmedoids', '--loss', 'dtw', '--gamma', '0.5', '--divergence'];
    expect(await json<Clustered>('cluster', arrows, '-k', '3', ...flags)).toMatchObject({
      labels: [...soft.labels],
    });
  });

  it('linkage is cut into k clusters, each with its medoid', async () => {
    const matrix = pairwise(X, null, { metric: 'twe' });
    const labels = cutTree(linkage(matrix, X.count, { method: 'complete' }), { k: 3 });
    const flags = ['--method', 'linkage', '--linkage', 'complete', '--metric', 'twe'];
    const found = await json<Clustered>('cluster', arrows, '-k', '3', ...flags);
    expect(found.labels).toEqual([...labels]);
    let inertia = 0;
    found.medoids?.forEach((medoid, c) => {
      const members = found.labels.flatMap((each, i) => (each === c ? [i] : []));
      const sumTo = (j: number): number => members.reduce((sum, i) => sum + matrix[i * X.count + j], 0);
      expect(members).toContain(medoid);
      expect(sumTo(medoid)).toBe(Math.min(...members.map(sumTo)));
      inertia += sumTo(medoid);
    });
    expect(found.inertia).toBeCloseTo(inertia, 9);
  });

  it('prints a table, writes labels and draws a panel per cluster', async () => {
    const [csv, svg] = [join(folder, 'labels.csv'), join(folder, 'clusters.svg')];
    const text = await printed('cluster', arrows, '-k', '3', '--window', '0.1', '-o', csv, '--plot', svg);
    expect(text).toMatch(
      /^ArrowHead_TRAIN\.ts: 36 series in 3 clusters by kmeans, dtw, window 0\.1, \d+ iterations?, /,
    );
    expect(text).toMatch(/\ninertia \d+(\.\d+)?, adjusted Rand index -?\d\.\d{4}\n/);
    expect(text).toMatch(/\ncluster +series +class 0 +class 1 +class 2\n0 +\d+/);
    const rows = (await readFile(csv, 'utf8')).trimEnd().split('\n');
    expect(rows[0]).toBe('series,cluster,label');
    expect(rows.slice(1).map((row) => row.split(',')[2])).toEqual(truth);
    const sizes = [0, 1, 2].map((c) => rows.filter((row) => row.split(',')[1] === String(c)).length);
    const drawing = await readFile(svg, 'utf8');
    expectDrawing(drawing, [
      'ArrowHead_TRAIN.ts: 3 clusters, kmeans, dtw, window 0.1',
      ...sizes.map((size, c) => `cluster ${c}: ${size} series`),
      'time point',
      'value',
      'member',
      'centre',
    ]);
    // The members, and a thicker line for each centre.
    const lines = marksOf(drawing, 'line mark').map((mark) => /stroke-width="([\d.]+)"/.exec(mark)?.[1]);
    expect(lines.filter((width) => width === '1')).toHaveLength(36);
    expect(lines.filter((width) => width === '3.5')).toHaveLength(3);
  });

  it.each<[Partial<ClusterFlags>, string]>([
    [{ loss: 'dtw' }, '--loss has no effect with --method kmeans'],
    [{ linkage: 'single' }, '--linkage has no effect with --method kmeans'],
    [{ gamma: 1 }, '--gamma has no effect with a metric'],
    [{ method: 'soft-kmeans', metric: 'dtw' }, '--metric has no effect with --method soft-kmeans'],
    [{ method: 'linkage', seed: 1 }, '--seed has no effect with --method linkage'],
    [{ method: 'kmedoids', tol: 1 }, '--tol has no effect with --method kmedoids'],
  ])('refuses %j before anything is read', async (flags, problem) => {
    const work = cluster('none.ts', { k: 2, method: 'kmeans', threads: 1, ...flags });
    await expect(work).rejects.toMatchObject({ message: expect.stringContaining(problem), exitCode: 2 });
  });

  it('refuses files that it could not write, before anything is read', async () => {
    const flags = { k: 2, method: 'kmeans', threads: 1 } as const;
    const nowhere = join(folder, 'missing', 'labels.csv');
    await expect(cluster('none.ts', { ...flags, output: nowhere })).rejects.toThrow(/^ENOENT.*missing'$/);
  });

  it('needs a number of clusters, and a name that says what is drawn', async () => {
    expect(await usageError(register, 'cluster', arrows)).toContain("option '-k <n>' not specified");
    expect(await usageError(register, 'cluster', arrows, '-k', '2', '--plot', 'F.png')).toContain(
      'It must end in .svg: that is what is drawn.',
    );
  });

  it('refuses more clusters than series, and metrics without an average', async () => {
    expect(await refused(1, 'cluster', arrows, '-k', '37')).toContain(
      '-k must be at most the 36 series, received 37',
    );
    expect(await refused(1, 'cluster', arrows, '-k', '2', '--metric', 'sbd')).toContain(
      '"metric" must be one of',
    );
  });
});
