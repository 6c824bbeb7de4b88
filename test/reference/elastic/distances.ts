/**
 * The fourteen elastic distances in plain float64, for series laid out channels x length.
 */
import { type Band, type Mask, maskFor } from './bands.js';
import { walkShape } from './paths.js';
import {
  channelOf,
  channelsOf,
  derivative,
  deviation,
  type Points,
  pointsOf,
  squared,
  zNormalized,
} from './points.js';
import * as tables from './tables.js';

/** Names of the distances. */
export const METRICS = [
  'squared',
  'euclidean',
  'dtw',
  'ddtw',
  'wdtw',
  'wddtw',
  'adtw',
  'shapeDtw',
  'erp',
  'edr',
  'lcss',
  'twe',
  'msm',
  'sbd',
] as const;

/** Name of a distance. */
export type Metric = (typeof METRICS)[number];

/** Options of a distance; the defaults are those of the package. */
export interface MetricOptions extends Band {
  channels?: number;
  metric?: Metric;
  /** WDTW: slope of the weight. ERP: the gap value, or one per channel. */
  g?: number | ArrayLike<number>;
  warpPenalty?: number;
  reach?: number;
  epsilon?: number;
  nu?: number;
  lambda?: number;
  c?: number;
  independent?: boolean;
  normalize?: boolean;
  standardize?: boolean;
  compat?: 'published' | 'aeon';
  root?: boolean;
}

/** EDR's threshold where none is given: a quarter of the larger deviation over all values. */
function defaultEpsilon(x: Points, y: Points): number {
  return Math.max(deviation(x.flat()), deviation(y.flat())) / 4;
}

/** ERP's gap value as a vector. */
function gapOf(g: number | ArrayLike<number> | undefined, channels: number): number[] {
  return typeof g === 'object' ? Array.from(g) : new Array<number>(channels).fill(g ?? 0);
}

/** Slope of the weight of WDTW. */
function slopeOf(g: number | ArrayLike<number> | undefined): number {
  return typeof g === 'number' ? g : 0.05;
}

/** Descriptors of shapeDTW: per channel the window of 2 reach + 1 values, the ends repeated. */
function descriptors(x: Points, reach: number): Points {
  const clamped = (i: number): number => Math.min(Math.max(i, 0), x.length - 1);
  return x.map((point, i) =>
    point.flatMap((_, c) => Array.from({ length: 2 * reach + 1 }, (_, k) => x[clamped(i + k - reach)][c])),
  );
}

/** The table of a metric for all channels at once, with its border where the recursion has one. */
function jointTable(x: Points, y: Points, o: MetricOptions): tables.Table {
  const [n, m] = [x.length, y.length];
  const { metric = 'dtw', compat = 'published' } = o;
  const mask = (): Mask => maskFor(n, m, o);
  const weight = tables.logisticWeight(slopeOf(o.g), Math.max(n, m));
  switch (metric) {
    case 'dtw':
      return tables.dtwTable(x, y, mask());
    case 'wdtw':
      return tables.dtwTable(x, y, mask(), weight);
    case 'adtw':
      return tables.dtwTable(x, y, mask(), () => 1, o.warpPenalty ?? 1);
    case 'ddtw':
      return jointTable(derivative(x), derivative(y), { ...o, metric: 'dtw' });
    case 'wddtw':
      return jointTable(derivative(x), derivative(y), { ...o, metric: 'wdtw' });
    case 'shapeDtw': {
      const reach = o.reach ?? 15;
      return tables.dtwTable(descriptors(x, reach), descriptors(y, reach), mask());
    }
    case 'erp':
      return tables.erpTable(x, y, mask(), gapOf(o.g, channelsOf(x)), compat === 'aeon');
    case 'edr':
      return tables.edrTable(x, y, mask(), o.epsilon ?? defaultEpsilon(x, y), compat === 'aeon');
    case 'lcss':
      return tables.lcssTable(x, y, mask(), o.epsilon ?? 1);
    case 'twe':
      return tables.tweTable(x, y, mask(), o.nu ?? 0.001, o.lambda ?? 1);
    case 'msm':
      return tables.msmTable(x, y, mask(), o.c ?? 1, o.independent === false);
    case 'squared':
    case 'euclidean':
    case 'sbd':
      throw new RangeError(`${metric} has no table`);
  }
}

/** The table of a metric: of all channels at once, or the sum of those of each channel by itself. */
function tableOf(x: Points, y: Points, o: MetricOptions): tables.Table {
  const { independent = o.metric === 'msm' } = o;
  if (!independent) return jointTable(x, y, o);
  const gapAt = (c: number): MetricOptions['g'] => (typeof o.g === 'object' ? [o.g[c]] : o.g);
  return tables.sumOfTables(
    x[0].map((_, c) => jointTable(channelOf(x, c), channelOf(y, c), { ...o, independent, g: gapAt(c) })),
  );
}

/** Whether the table of a metric has a border. */
function hasBorder(metric: Metric): boolean {
  return ['erp', 'edr', 'lcss', 'twe'].includes(metric);
}

/** The n x m table of a metric that has one (derivative metrics: n - 2 x m - 2). */
export function costMatrix(x: ArrayLike<number>, y: ArrayLike<number>, o: MetricOptions = {}): tables.Table {
  const table = tableOf(pointsOf(x, o.channels), pointsOf(y, o.channels), o);
  return hasBorder(o.metric ?? 'dtw') ? tables.withoutBorder(table) : table;
}

/** Largest of the full cross-correlation of two channels over their energies, as a distance. */
function shapeBased(x: readonly number[], y: readonly number[], standardize: boolean): number {
  const [a, b] = standardize ? [zNormalized(x), zNormalized(y)] : [x, y];
  const energy = (v: readonly number[]): number => v.reduce((sum, value) => sum + value * value, 0);
  const [energyA, energyB] = [energy(a), energy(b)];
  if (energyA === 0 || energyB === 0) return energyA === energyB ? 0 : 1;
  let largest = -Infinity;
  for (let shift = 1 - b.length; shift < a.length; shift += 1) {
    let sum = 0;
    for (let i = 0; i < a.length; i += 1) {
      const j = i - shift;
      if (j >= 0 && j < b.length) sum += a[i] * b[j];
    }
    largest = Math.max(largest, sum);
  }
  return Math.abs(1 - largest / Math.sqrt(energyA * energyB));
}

/** The distance before `root`. */
function plainDistance(x: Points, y: Points, o: MetricOptions): number {
  const { metric = 'dtw' } = o;
  const [n, m] = [x.length, y.length];
  if (metric === 'squared' || metric === 'euclidean') {
    if (n !== m) throw new RangeError('series of unequal lengths');
    const sum = x.reduce((total, point, i) => total + squared(point, y[i]), 0);
    return metric === 'squared' ? sum : Math.sqrt(sum);
  }
  if (metric === 'sbd') {
    const channel = (points: Points, c: number): number[] => points.map((point) => point[c]);
    const each = x[0].map((_, c) => shapeBased(channel(x, c), channel(y, c), o.standardize ?? true));
    return each.reduce((sum, value) => sum + value, 0) / each.length;
  }
  const table = tableOf(x, y, o);
  const last = table[table.length - 1].at(-1) ?? NaN;
  if (metric === 'lcss') return Math.max(0, 1 - last / Math.min(n, m));
  if (metric === 'edr') return o.compat === 'aeon' || o.normalize ? last / Math.max(n, m) : last;
  if (metric === 'shapeDtw') {
    if (last === Infinity) return Infinity;
    return walkShape(table).reduce((sum, [i, j]) => sum + squared(x[i], y[j]), 0);
  }
  return last;
}

/** Distance of two series. */
export function distance(x: ArrayLike<number>, y: ArrayLike<number>, o: MetricOptions = {}): number {
  const value = plainDistance(pointsOf(x, o.channels), pointsOf(y, o.channels), o);
  return o.root ? Math.sqrt(value) : value;
}
