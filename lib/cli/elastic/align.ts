/** What `softlane align` does: the alignment of two series, as numbers and as a drawing. */
import { alignmentPathAsync, costMatrixAsync } from '../../elastic/distance.js';
import type { Metric, MetricOptions } from '../../elastic/metrics.js';
import type { Series, SeriesSet } from '../../elastic/series.js';
import { alignmentSpec } from '../../report/alignment-plot.js';
import type { Heat } from '../../report/heat-map.js';
import { CliError } from '../errors.js';
import { packageVersion } from '../version.js';
import { during, watched, type Watch } from '../watched.js';
import { channelOf, readData, type Data } from './data.js';
import { inWords, metricOf, type InputFlags, type MetricFlags } from './options.js';
import { counted, digits, formatJson, prepareOutputs, print, writePlot } from './output.js';

/** The flags of `softlane align`. */
export interface AlignFlags extends InputFlags, MetricFlags {
  plot?: string;
  json?: boolean;
}

/** Metrics without a table of accumulated costs. */
const TABLELESS: readonly Metric[] = ['squared', 'euclidean', 'shapeDtw'];

/** Runs the command. @throws CliError, and what the library throws */
export async function align(path: string, i: number, j: number, flags: AlignFlags): Promise<void> {
  const metric = metricOf(flags);
  const { plot } = flags;
  await prepareOutputs(flags);
  const { data, distance, steps, costs } = await watched('aligning', (watch) =>
    work(path, [i, j], metric, plot !== undefined, flags, watch),
  );
  const { name, set } = data;
  if (plot !== undefined && costs !== undefined) {
    const lines = (series: number): Series[] =>
      Array.from({ length: set.channels }, (_, c) => channelOf(set, series, c));
    const spec = alignmentSpec({
      title: `${name}: series ${i} and ${j}, ${inWords(metric)}, distance ${digits(distance)}`,
      names: [`series ${i}`, i === j ? `series ${j} itself` : `series ${j}`],
      x: lines(i),
      y: lines(j),
      path: steps,
      costs: { ...costs, begin: firstPoint(metric) },
    });
    await writePlot(plot, spec);
  }
  const pairs = Array.from({ length: steps.length / 2 }, (_, s) => [steps[2 * s], steps[2 * s + 1]]);
  if (flags.json) {
    const lengths = [set.lengths[i], set.lengths[j]];
    const options = { ...metric, znorm: flags.znorm };
    const facts = { series: [i, j], lengths, options, distance, path: pairs };
    print(formatJson({ version: packageVersion(), data: path, ...facts }));
    return;
  }
  const length = counted(pairs.length, 'step');
  print(`${name}: series ${i} and ${j}, ${inWords(metric)}: distance ${digits(distance)}, ${length}`);
  print(pairs.map(([a, b]) => `${a}:${b}`).join(' '));
  if (plot !== undefined) print(`written: ${plot}`);
}

/** The time point of the first row and column: derivatives begin at the second point. */
function firstPoint({ metric }: { metric: Metric }): number {
  return metric === 'ddtw' || metric === 'wddtw' ? 1 : 0;
}

/** Costs and what they are called. */
type Costs = Heat & { title: string };

async function work(
  path: string,
  pair: readonly [number, number],
  metric: MetricOptions & { metric: Metric },
  wantsCosts: boolean,
  flags: AlignFlags,
  watch: Watch,
): Promise<{ data: Data; distance: number; steps: Uint32Array; costs?: Costs }> {
  const data = await readData(path, flags, watch.signal);
  const { set } = data;
  for (const index of pair)
    if (index >= set.count)
      throw new CliError(
        `${path}: expected indices of its ${set.count} series, below ${set.count}, received ${index}`,
      );
  const [x, y] = pair.map((index) => set.series(index));
  const options = { ...metric, channels: set.channels };
  const first = during(watch, 0, wantsCosts ? 0.5 : 1);
  const { distance, path: found } = await alignmentPathAsync(x, y, { ...options, ...first });
  if (found === null)
    throw new CliError(`the band leaves no path between series ${pair[0]} and ${pair[1]}: widen it`);
  const begin = firstPoint(metric);
  const steps = found.map((at) => at + begin);
  if (!wantsCosts) return { data, distance, steps };
  if (TABLELESS.includes(metric.metric)) return { data, distance, steps, costs: squaresOf(set, pair) };
  const table = await costMatrixAsync(x, y, { ...options, ...during(watch, 0.5, 1) });
  const title = metric.metric === 'lcss' ? 'matches so far' : 'accumulated cost';
  return { data, distance, steps, costs: { ...table, title } };
}

/** The squared distances of the points of two series. */
function squaresOf(set: SeriesSet, [i, j]: readonly [number, number]): Costs {
  const [rows, cols] = [set.lengths[i], set.lengths[j]];
  const data = new Float64Array(rows * cols);
  for (let c = 0; c < set.channels; c++) {
    const [x, y] = [channelOf(set, i, c), channelOf(set, j, c)];
    for (let a = 0; a < rows; a++) for (let b = 0; b < cols; b++) data[a * cols + b] += (x[a] - y[b]) ** 2;
  }
  return { data, rows, cols, title: 'squared difference' };
}
