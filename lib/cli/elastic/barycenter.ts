/** What `softlane barycenter` does: averages series, says how the objective fell, and draws the average over them. */
import { barycenterAsync, type BarycenterResult } from '../../elastic/barycenter.js';
import type { Metric } from '../../elastic/metrics.js';
import type { SeriesSet } from '../../elastic/series.js';
import { softBarycenterAsync } from '../../elastic/soft-barycenter.js';
import type { SoftLoss } from '../../elastic/soft.js';
import { writeNpy } from '../../io/npy.js';
import { renderColumns } from '../../report/columns.js';
import { panelsSpec, type Panel } from '../../report/series-plots.js';
import { CliError } from '../errors.js';
import { packageVersion } from '../version.js';
import { watched, type Watch } from '../watched.js';
import { orderedClasses } from './confusion.js';
import { channelOf, indicesOf, readData, type Data } from './data.js';
import { defined, inWords, metricOf, refuse, softOf, type InputFlags, type SoftFlags } from './options.js';
import { counted, digits, formatJson, prepareOutputs, print, writePlot } from './output.js';

/** The flags of `softlane barycenter`. */
export interface BarycenterFlags extends InputFlags, SoftFlags {
  class?: string;
  method: 'dba' | 'mba' | 'subgradient' | 'soft';
  loss?: SoftLoss;
  init: 'mean' | 'medoid' | 'random';
  maxIter: number;
  tol?: number;
  seed?: number;
  output?: string;
  plot?: string;
  threads: number;
  json?: boolean;
}

/** The metric of a hard method, unless another is asked for. */
const METRIC_OF: Readonly<Record<string, Metric>> = { dba: 'dtw', mba: 'msm', subgradient: 'dtw' };

/** Runs the command. @throws CliError, and what the library throws */
export async function barycenter(path: string, flags: BarycenterFlags): Promise<void> {
  const distance = distanceOf(flags);
  await prepareOutputs(flags);
  const started = performance.now();
  const objectives: number[] = [];
  const { data, members, found } = await watched('averaging', async (watch) => {
    const read = await readData(path, flags, watch.signal);
    const chosen = membersOf(read, path, flags.class);
    return { data: read, members: chosen, found: await average(chosen, flags, objectives, watch) };
  });
  const seconds = (performance.now() - started) / 1000;
  const { objective, iterations, converged } = found;
  const { channels } = members;
  const length = found.barycenter.length / channels;
  if (flags.output !== undefined) {
    const shape = channels === 1 ? [1, length] : [1, channels, length];
    await writeNpy(flags.output, { data: found.barycenter, shape });
  }
  const of = `${counted(members.count, 'series', 'series')}${flags.class === undefined ? '' : ` of class ${flags.class}`}`;
  const how = flags.method === 'soft' ? inWords(distance) : `${flags.method}, ${inWords(distance)}`;
  if (flags.plot !== undefined) {
    const title = `${data.name}: barycentre of ${of}, ${how}`;
    const panels = panelsOf(members, found.barycenter, length);
    await writePlot(flags.plot, panelsSpec(title, panels, ['member', 'barycentre'], channels));
  }
  if (flags.json) {
    const { method, class: name, init, maxIter, tol, seed, threads, znorm } = flags;
    const options = { ...distance, znorm, class: name, init, maxIter, tol, seed, threads };
    const facts = { count: members.count, objective, iterations, converged, objectives, seconds };
    const barycentre = Array.from({ length: channels }, (_, c) =>
      found.barycenter.subarray(c * length, (c + 1) * length),
    );
    print(
      formatJson({
        version: packageVersion(),
        data: path,
        method,
        options,
        ...facts,
        barycenter: barycentre,
      }),
    );
    return;
  }
  const ended = `${counted(iterations, 'iteration')}${converged ? '' : ' (not converged)'}`;
  print(`${data.name}: barycentre of ${of}, ${how}, ${ended}, ${seconds.toFixed(2)} s`);
  print(`objective ${digits(objective)}\n`);
  print(
    renderColumns(
      ['iteration', 'objective'],
      objectives.map((each, i) => [String(i), digits(each)]),
      [],
    ),
  );
  for (const file of [flags.output, flags.plot]) if (file !== undefined) print(`written: ${file}`);
}

function distanceOf(flags: BarycenterFlags) {
  if (flags.method === 'soft') {
    refuse(flags, ['metric'], '--method soft, which takes a --loss');
    return softOf(flags, flags.loss ?? 'dtw');
  }
  refuse(flags, ['loss'], `--method ${flags.method}, which takes a --metric (soft is the soft one)`);
  return metricOf(flags, METRIC_OF[flags.method]);
}

function membersOf({ set, labels }: Data, path: string, name: string | undefined): SeriesSet {
  if (name === undefined) return set;
  if (labels === undefined)
    throw new CliError(`${path}: --class needs a label for each series, received none: give --labels FILE`);
  const indices = indicesOf(labels, name);
  if (indices.length === 0)
    throw new CliError(`--class must be one of ${orderedClasses(labels).join(', ')}, received ${name}`, 2);
  return set.subset(indices);
}

function average(
  members: SeriesSet,
  flags: BarycenterFlags,
  objectives: number[],
  watch: Watch,
): Promise<BarycenterResult> {
  const { init, maxIter, tol, seed, threads } = flags;
  const onIteration = (_: number, objective: number): void => void objectives.push(objective);
  const how = { init, maxIter, threads, ...defined({ tol, seed }), onIteration, ...watch };
  if (flags.method === 'soft')
    return softBarycenterAsync(members, { ...softOf(flags, flags.loss ?? 'dtw'), ...how });
  const method = flags.method === 'subgradient' ? 'subgradient' : 'petitjean';
  return barycenterAsync(members, { ...metricOf(flags, METRIC_OF[flags.method]), method, ...how });
}

function panelsOf(members: SeriesSet, barycentre: Float64Array, length: number): Panel[] {
  const { channels, count } = members;
  return Array.from({ length: channels }, (_, c) => ({
    heading: channels === 1 ? counted(count, 'series', 'series') : `channel ${c}`,
    members: Array.from({ length: count }, (_each, i) => channelOf(members, i, c)),
    center: barycentre.subarray(c * length, (c + 1) * length),
  }));
}
