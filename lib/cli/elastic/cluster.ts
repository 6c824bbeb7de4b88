/** What `softlane cluster` does: groups series, says what is known of the groups, and draws them. */
import { TimeSeriesKMeans } from '../../elastic/kmeans.js';
import { linkageAsync, type LinkageMethod } from '../../elastic/linkage.js';
import { medoidOf } from '../../elastic/center.js';
import { kMedoidsAsync } from '../../elastic/pam.js';
import { pairwiseAsync } from '../../elastic/pairwise.js';
import { adjustedRandIndex } from '../../elastic/scores.js';
import type { SeriesSet } from '../../elastic/series.js';
import { SoftKMeans } from '../../elastic/soft-kmeans.js';
import { softPairwiseAsync, type SoftLoss } from '../../elastic/soft.js';
import { cutTree } from '../../elastic/tree.js';
import { renderColumns } from '../../report/columns.js';
import { panelsSpec, type Panel } from '../../report/series-plots.js';
import { CliError } from '../errors.js';
import { packageVersion } from '../version.js';
import { during, watched, type Watch } from '../watched.js';
import { orderedClasses } from './confusion.js';
import { channelOf, indicesOf, readData } from './data.js';
import { defined, inWords, metricOf, refuse, softOf, type InputFlags, type SoftFlags } from './options.js';
import { counted, digits, formatJson, prepareOutputs, print, writeCsv, writePlot } from './output.js';

/** The flags of `softlane cluster`. */
export interface ClusterFlags extends InputFlags, SoftFlags {
  k: number;
  method: 'kmeans' | 'kmedoids' | 'soft-kmeans' | 'linkage';
  loss?: SoftLoss;
  linkage?: LinkageMethod;
  restarts?: number;
  maxIter?: number;
  tol?: number;
  seed?: number;
  output?: string;
  plot?: string;
  threads: number;
  json?: boolean;
}

/** A clustering, whatever made it. */
interface Clusters {
  /** Cluster of each series, from 0. */
  labels: Int32Array;
  /** What stands for each cluster: a mean, or a series of the set. */
  centers: SeriesSet;
  /** Indices of the centres where they are series of the set. */
  medoids?: number[];
  /** Sum of the distances of the series to their centres. */
  inertia: number;
  iterations?: number;
  converged?: boolean;
}

/** Runs the command. @throws CliError, and what the library throws */
export async function cluster(path: string, flags: ClusterFlags): Promise<void> {
  const distance = distanceOf(flags);
  checkMethod(flags);
  await prepareOutputs(flags);
  const started = performance.now();
  const { data, found } = await watched('clustering', async (watch) => {
    const read = await readData(path, flags, watch.signal);
    return { data: read, found: await clustersOf(read.set, flags, watch) };
  });
  const seconds = (performance.now() - started) / 1000;
  const { k } = flags;
  const { labels, inertia, iterations, converged, medoids } = found;
  const members = Array.from({ length: k }, (_, c) => indicesOf(labels, c));
  const sizes = members.map((each) => each.length);
  const truth = data.labels;
  const score = truth && adjustedRandIndex(truth, labels);
  if (flags.output !== undefined) {
    const head = ['series', 'cluster', ...(truth ? ['label'] : [])];
    const rows = Array.from(labels, (each, i) => [i, each, ...(truth ? [truth[i]] : [])]);
    await writeCsv(flags.output, head, rows);
  }
  if (flags.plot !== undefined) {
    const title = `${data.name}: ${k} clusters, ${flags.method}, ${inWords(distance)}`;
    const name = medoids ? 'medoid' : 'centre';
    await writePlot(
      flags.plot,
      panelsSpec(title, panelsOf(data.set, found, members), ['member', name], data.set.channels),
    );
  }
  if (flags.json) {
    const { method, linkage, restarts, maxIter, tol, seed = 0, threads, znorm } = flags;
    const options = { ...distance, znorm, linkage, restarts, maxIter, tol, seed, threads };
    const facts = {
      sizes,
      inertia,
      iterations,
      converged,
      adjustedRandIndex: score,
      medoids,
      seconds,
      labels,
    };
    print(formatJson({ version: packageVersion(), data: path, method, k, options, ...facts }));
    return;
  }
  const ended =
    iterations === undefined
      ? ''
      : `, ${counted(iterations, 'iteration')}${converged ? '' : ' (not converged)'}`;
  print(
    `${data.name}: ${counted(labels.length, 'series', 'series')} in ${counted(k, 'cluster')} by ${flags.method}, ${inWords(distance)}${ended}, ${seconds.toFixed(2)} s`,
  );
  print(
    `inertia ${digits(inertia)}${score === undefined ? '' : `, adjusted Rand index ${score.toFixed(4)}`}\n`,
  );
  print(renderClusters(members, truth, medoids));
  for (const file of [flags.output, flags.plot]) if (file !== undefined) print(`written: ${file}`);
}

/** A row per cluster: its size, its medoid, how many of each class are in it. */
function renderClusters(
  members: readonly number[][],
  truth: readonly string[] | undefined,
  medoids: readonly number[] | undefined,
): string {
  const classes = truth ? orderedClasses(truth) : [];
  const head = [
    'cluster',
    'series',
    ...(medoids ? ['medoid'] : []),
    ...classes.map((name) => `class ${name}`),
  ];
  const rows = members.map((each, c) => [
    String(c),
    String(each.length),
    ...(medoids ? [String(medoids[c])] : []),
    ...classes.map((name) => String(each.filter((i) => truth?.[i] === name).length)),
  ]);
  return renderColumns(head, rows);
}

function distanceOf(flags: ClusterFlags) {
  const loss = flags.loss ?? (flags.method === 'soft-kmeans' ? 'dtw' : undefined);
  return loss === undefined ? metricOf(flags) : softOf(flags, loss);
}

/** Refuses options that the method would not look at. */
function checkMethod(flags: ClusterFlags): void {
  const { method } = flags;
  if (method === 'kmeans')
    refuse(flags, ['loss'], '--method kmeans, which averages under a metric (soft-kmeans is the soft one)');
  if (method === 'soft-kmeans') refuse(flags, ['metric'], '--method soft-kmeans');
  if (method !== 'linkage') refuse(flags, ['linkage'], `--method ${method}`);
  if (method === 'linkage') refuse(flags, ['restarts', 'maxIter', 'tol', 'seed'], '--method linkage');
  if (method === 'kmedoids') refuse(flags, ['restarts', 'tol'], '--method kmedoids');
}

async function clustersOf(set: SeriesSet, flags: ClusterFlags, watch: Watch): Promise<Clusters> {
  const { k, restarts, maxIter, tol, seed, threads } = flags;
  if (k > set.count) throw new CliError(`-k must be at most the ${set.count} series, received ${k}`);
  const how = { k, threads, ...defined({ restarts, maxIter, tol, seed }) };
  switch (flags.method) {
    case 'kmeans':
      return new TimeSeriesKMeans({ ...metricOf(flags), ...how }).fitAsync(set, watch);
    case 'soft-kmeans':
      return new SoftKMeans({ ...softOf(flags, flags.loss ?? 'dtw'), ...how }).fitAsync(set, watch);
    case 'kmedoids': {
      const matrix = await matrixOf(set, flags, during(watch, 0, 0.9));
      const found = await kMedoidsAsync(matrix, set.count, {
        k,
        ...defined({ maxIter, seed }),
        ...during(watch, 0.9, 1),
      });
      return { ...found, medoids: [...found.medoids], centers: set.subset(found.medoids) };
    }
    case 'linkage': {
      const matrix = await matrixOf(set, flags, during(watch, 0, 0.9));
      const method = flags.linkage ?? 'average';
      const tree = await linkageAsync(matrix, set.count, { method, ...during(watch, 0.9, 1) });
      return withMedoids(set, matrix, cutTree(tree, { k }), k);
    }
  }
}

function matrixOf(set: SeriesSet, flags: ClusterFlags, watch: Watch): Promise<Float64Array> {
  const { loss, threads } = flags;
  if (loss === undefined) return pairwiseAsync(set, null, { ...metricOf(flags), threads, ...watch });
  return softPairwiseAsync(set, null, { ...softOf(flags, loss), threads, ...watch });
}

/** Flat clusters of a tree have no centres: their medoids stand for them. */
function withMedoids(set: SeriesSet, matrix: Float64Array, labels: Int32Array, k: number): Clusters {
  const n = set.count;
  let inertia = 0;
  const medoids = Array.from({ length: k }, (_, c) => {
    const members = indicesOf(labels, c);
    const own = Float64Array.from(members.flatMap((i) => members.map((j) => matrix[i * n + j])));
    const medoid = members[medoidOf(own, new Float64Array(members.length).fill(1))];
    for (const i of members) inertia += matrix[i * n + medoid];
    return medoid;
  });
  return { labels, centers: set.subset(medoids), medoids, inertia };
}

/** A panel per cluster, of several channels one for each of them. */
function panelsOf(set: SeriesSet, { centers }: Clusters, members: readonly number[][]): Panel[] {
  return members.flatMap((each, c) =>
    Array.from({ length: set.channels }, (_, channel) => ({
      heading: `cluster ${c}: ${counted(each.length, 'series', 'series')}${set.channels > 1 ? `, channel ${channel}` : ''}`,
      members: each.map((i) => channelOf(set, i, channel)),
      center: channelOf(centers, c, channel),
    })),
  );
}
