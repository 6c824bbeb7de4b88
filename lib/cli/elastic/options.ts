/**
 * Options that the commands on time series share: how files are read, which distance, which soft loss. Types alone come
 * from the library, so that help and usage errors do not need the native addon.
 */
import { Option, type Command } from 'commander';
import type { LabelColumn } from '../../io/table.js';
import { METRICS, type Metric, type MetricOptions } from '../../elastic/metrics.js';
import type { SoftLoss, SoftOptions } from '../../elastic/soft.js';
import { CliError } from '../errors.js';
import {
  nonNegativeInteger,
  nonNegativeNumber,
  numbers,
  positiveInteger,
  positiveNumber,
  share,
} from '../options.js';

/** How files of series are read. */
export interface InputFlags {
  labels?: string;
  labelColumn?: LabelColumn;
  header?: boolean;
  channels?: number;
  precision?: 'f32' | 'f64';
  znorm?: boolean;
}

/** Which distance. */
export interface MetricFlags {
  metric?: Metric;
  window?: number;
  windowAbs?: number;
  itakura?: number;
  c?: number;
  g?: number[];
  nu?: number;
  lambda?: number;
  epsilon?: number;
  penalty?: number;
  reach?: number;
  independent?: boolean;
}

/** Which soft loss, beside the parameters that it has in common with a metric. */
export interface SoftFlags extends MetricFlags {
  gamma?: number;
  divergence?: boolean;
  gate?: 'absolute' | 'relative';
}

/** Names of the soft losses. */
export const LOSSES = ['dtw', 'wdtw', 'adtw', 'erp', 'twe', 'msm'] as const satisfies readonly SoftLoss[];

const UNBANDED: readonly Metric[] = ['squared', 'euclidean', 'sbd'];
const BANDED = METRICS.filter((metric) => !UNBANDED.includes(metric));

/** Which metrics take a parameter: given for another it would have no effect. */
const TAKERS: Readonly<Partial<Record<keyof MetricFlags, readonly Metric[]>>> = {
  window: BANDED,
  windowAbs: BANDED,
  itakura: BANDED,
  c: ['msm'],
  g: ['wdtw', 'wddtw', 'erp'],
  nu: ['twe'],
  lambda: ['twe'],
  epsilon: ['edr', 'lcss'],
  penalty: ['adtw'],
  reach: ['shapeDtw'],
};

/** The name of an option as it is typed. */
function flagName(name: string): string {
  return `${name.length === 1 && name !== 'c' && name !== 'g' ? '-' : '--'}${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Adds the options of how files are read. @param labels whether the command has a use for labels */
export function addInputOptions(command: Command, labels = true): Command {
  if (labels)
    command.option('--labels <FILE>', 'labels, one a line or an .npy array, in place of those of the data');
  return command
    .addOption(
      new Option(
        '--label-column <where>',
        '.csv, .tsv: column of labels (default: .tsv first, .csv none)',
      ).choices(['first', 'last', 'none']),
    )
    .option('--header', '.csv, .tsv: the first line is a header')
    .option(
      '--channels <n>',
      '.csv, .tsv: channels, one after the other in a line (default: 1)',
      positiveInteger,
    )
    .addOption(
      new Option('--precision <type>', 'compute in this type (default: f64; .npy as stored)').choices([
        'f32',
        'f64',
      ]),
    )
    .option('--znorm', 'every channel of every series to mean 0 and deviation 1 first');
}

/** Adds the options of bands and parameters. */
function addParameterOptions(command: Command): Command {
  return command
    .option(
      '--window <share>',
      'Sakoe-Chiba radius as a share of the length, 0 to 1 (default: no band)',
      share,
    )
    .addOption(
      new Option('--window-abs <points>', 'Sakoe-Chiba radius in time points')
        .argParser(nonNegativeInteger)
        .conflicts('window'),
    )
    .addOption(
      new Option('--itakura <slope>', "largest slope of Itakura's parallelogram, above 0 to 1")
        .argParser(positiveNumber)
        .conflicts(['window', 'windowAbs']),
    )
    .option('--c <cost>', 'msm: cost of a split or merge (default: 1)', nonNegativeNumber)
    .option(
      '--g <values>',
      'wdtw, wddtw: slope of the weight (default: 0.05); erp: gap value, or one a channel (default: 0)',
      numbers,
    )
    .option('--nu <stiffness>', 'twe: stiffness (default: 0.001)', nonNegativeNumber)
    .option('--lambda <penalty>', 'twe: penalty of a deletion (default: 1)', nonNegativeNumber)
    .option('--penalty <cost>', 'adtw: penalty of a warping step (default: 1)', nonNegativeNumber);
}

/** Adds the options of a metric. */
export function addMetricOptions(command: Command): Command {
  command.addOption(new Option('--metric <name>', 'elastic distance (default: dtw)').choices(METRICS));
  return addParameterOptions(command)
    .option(
      '--epsilon <distance>',
      'lcss: largest distance of a match (default: 1); edr: likewise (default: from each pair)',
      nonNegativeNumber,
    )
    .option(
      '--reach <points>',
      'shapeDtw: points on either side that describe one (default: 15)',
      nonNegativeInteger,
    )
    .option('--independent', 'a path for each channel (msm: the default)')
    .option('--no-independent', 'one path for all channels (all but msm: the default)');
}

/**
 * Adds the options of a soft loss.
 *
 * @param name the option that takes the loss: 'soft' where it stands for a soft loss in place of a metric, 'loss' where a
 *   method is soft by itself
 */
export function addSoftOptions(command: Command, name: 'soft' | 'loss'): Command {
  const text =
    name === 'soft' ? 'a soft loss in place of a metric' : 'soft loss of soft methods (default: dtw)';
  return command
    .addOption(
      new Option(`--${name} <loss>`, text)
        .choices(LOSSES)
        .conflicts(['metric', 'epsilon', 'reach', 'independent']),
    )
    .option(
      '--gamma <width>',
      'soft loss: width of the soft minimum, in units of cost (default: 1)',
      positiveNumber,
    )
    .option('--divergence', 'soft loss: s(x, y) - s(x, x) / 2 - s(y, y) / 2 in place of s(x, y)')
    .addOption(
      new Option('--gate <kind>', 'soft msm: smoothing of its gate (default: absolute)').choices([
        'absolute',
        'relative',
      ]),
    );
}

/** The parameters that stand in the flags, refused where the metric or loss would not look at them. */
function parametersOf(flags: MetricFlags, of: Metric, kind: 'metric' | 'soft loss') {
  for (const [name, takers] of Object.entries(TAKERS)) {
    if (flags[name as keyof MetricFlags] === undefined || takers.includes(of)) continue;
    const known: readonly string[] = kind === 'metric' ? takers : takers.filter((each) => isLoss(each));
    throw new CliError(`${flagName(name)} is for ${known.join(', ')}, not for the ${kind} ${of}`, 2);
  }
  if (flags.itakura !== undefined && flags.itakura > 1)
    throw new CliError(`--itakura must be above 0 and at most 1, received ${flags.itakura}`, 2);
  if (flags.g !== undefined && flags.g.length > 1 && of !== 'erp')
    throw new CliError(`--g is one number for ${of}, received ${flags.g.length}`, 2);
  const { window, windowAbs, itakura, c, nu, lambda, penalty } = flags;
  const g = flags.g && (flags.g.length === 1 ? flags.g[0] : Float64Array.from(flags.g));
  return defined({ window, windowAbs, itakuraMaxSlope: itakura, c, g, nu, lambda, warpPenalty: penalty });
}

function isLoss(name: string): name is SoftLoss {
  return (LOSSES as readonly string[]).includes(name);
}

/** An object without what is undefined. */
export function defined<T extends object>(o: T): Partial<T> {
  return Object.fromEntries(Object.entries(o).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/**
 * Refuses options that would have no effect.
 *
 * @param what that does not look at them
 * @throws CliError with exit code 2
 */
export function refuse<F extends object>(flags: F, names: readonly (keyof F & string)[], what: string): void {
  for (const name of names)
    if (flags[name] !== undefined) throw new CliError(`${flagName(name)} has no effect with ${what}`, 2);
}

/**
 * The metric that the flags ask for.
 *
 * @param absent the metric without --metric
 * @throws CliError with exit code 2 for parameters that the metric does not have
 */
export function metricOf(flags: SoftFlags, absent: Metric = 'dtw'): MetricOptions & { metric: Metric } {
  refuse(flags, ['gamma', 'divergence', 'gate'], 'a metric: it is for soft losses');
  const metric = flags.metric ?? absent;
  const { epsilon, reach, independent } = flags;
  return { metric, ...parametersOf(flags, metric, 'metric'), ...defined({ epsilon, reach, independent }) };
}

/**
 * The soft loss that the flags ask for.
 *
 * @throws CliError with exit code 2 for parameters that the loss does not have
 */
export function softOf(flags: SoftFlags, loss: SoftLoss): SoftOptions & { loss: SoftLoss } {
  const { gamma, divergence, gate } = flags;
  if (gate !== undefined && loss !== 'msm')
    throw new CliError(`--gate is for msm, not for the soft loss ${loss}`, 2);
  return { loss, ...parametersOf(flags, loss, 'soft loss'), ...defined({ gamma, divergence, gate }) };
}

/** A metric or loss and its parameters in words: 'dtw, window 0.1'. */
export function inWords(options: MetricOptions | SoftOptions): string {
  const { metric, loss, ...rest } = options as { metric?: Metric; loss?: SoftLoss };
  const words = Object.entries(rest).map(([name, value]) => {
    if (typeof value === 'boolean') return value ? name : `not ${name}`;
    return `${name} ${value instanceof Float64Array ? value.join(' ') : String(value)}`;
  });
  return [loss === undefined ? metric : `soft ${loss}`, ...words].join(', ');
}
