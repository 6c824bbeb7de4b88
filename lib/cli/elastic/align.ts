/** What `softlane align` does: the alignment of two series, as numbers and as a drawing. */
import { alignmentPath, costMatrix } from '../../elastic/distance.js';
import type { Metric, MetricOptions } from '../../elastic/metrics.js';
import type { SeriesSet } from '../../elastic/series.js';
import { alignmentSpec } from '../../report/alignment-plot.js';
import type { Heat } from '../../report/heat-map.js';
import { loadVega } from '../../report/vega.js';
import { CliError } from '../errors.js';
import { packageVersion } from '../version.js';
import { watched } from '../watched.js';
import { channelOf, readData } from './data.js';
import { inWords, metricOf, type InputFlags, type MetricFlags } from './options.js';
import { counted, digits, formatJson, print, writePlot } from './output.js';

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
  if (flags.plot !== undefined) await loadVega();
  const { name, set } = await watched('reading', ({ signal }) => readData(path, flags, signal));
  for (const index of [i, j])
    if (index >= set.count)
      throw new CliError(
        `${path}: expected indices of its ${set.count} series, below ${set.count}, received ${index}`,
      );
  const [x, y] = [set.series(i), set.series(j)];
  const options = { ...metric, channels: set.channels };
  const { distance, path: found } = alignmentPath(x, y, options);
  if (found === null) throw new CliError(`the band leaves no path between series ${i} and ${j}: widen it`);
  // Derivatives begin at the second point.
  const begin = metric.metric === 'ddtw' || metric.metric === 'wddtw' ? 1 : 0;
  const steps = found.map((at) => at + begin);
  if (flags.plot !== undefined) {
    const channels = Array.from({ length: set.channels }, (_, c) => c);
    const spec = alignmentSpec({
      title: `${name}: series ${i} and ${j}, ${inWords(metric)}, distance ${digits(distance)}`,
      names: [`series ${i}`, i === j ? `series ${j} itself` : `series ${j}`],
      x: channels.map((c) => channelOf(set, i, c)),
      y: channels.map((c) => channelOf(set, j, c)),
      path: steps,
      costs: { ...costsOf(set, i, j, options), begin },
    });
    await writePlot(flags.plot, spec);
  }
  const pairs = Array.from({ length: steps.length / 2 }, (_, s) => [steps[2 * s], steps[2 * s + 1]]);
  if (flags.json) {
    const lengths = [set.lengths[i], set.lengths[j]];
    const said = { ...metric, znorm: flags.znorm };
    print(
      formatJson({
        version: packageVersion(),
        data: path,
        series: [i, j],
        lengths,
        options: said,
        distance,
        path: pairs,
      }),
    );
    return;
  }
  print(
    `${name}: series ${i} and ${j}, ${inWords(metric)}: distance ${digits(distance)}, ${counted(pairs.length, 'step')}`,
  );
  print(pairs.map(([a, b]) => `${a}:${b}`).join(' '));
  if (flags.plot !== undefined) print(`written: ${flags.plot}`);
}

/** The table of the recursion, or of the squared distances of points where there is none. */
function costsOf(set: SeriesSet, i: number, j: number, options: MetricOptions): Heat & { title: string } {
  const metric = options.metric as Metric;
  if (!TABLELESS.includes(metric)) {
    const table = costMatrix(set.series(i), set.series(j), options);
    return { ...table, title: metric === 'lcss' ? 'matches so far' : 'accumulated cost' };
  }
  const [rows, cols] = [set.lengths[i], set.lengths[j]];
  const data = new Float64Array(rows * cols);
  for (let c = 0; c < set.channels; c++) {
    const [x, y] = [channelOf(set, i, c), channelOf(set, j, c)];
    for (let a = 0; a < rows; a++) for (let b = 0; b < cols; b++) data[a * cols + b] += (x[a] - y[b]) ** 2;
  }
  return { data, rows, cols, title: 'squared difference' };
}
