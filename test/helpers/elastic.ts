import type { Metric, MetricOptions } from '../reference/elastic/distances.js';
import type { Tolerance } from './compare.js';
import { normalRow } from './rows.js';

/** float64 or float32 series. */
export type Dtype = 'f64' | 'f32';

/** Both. */
export const DTYPES: readonly Dtype[] = ['f64', 'f32'];

/** One series as the package takes it. */
export type Series = Float64Array | Float32Array;

/** The numbers as an array of a type. */
export function typed(values: ArrayLike<number>, dtype: Dtype): Series {
  return dtype === 'f64' ? Float64Array.from(values) : Float32Array.from(values);
}

/**
 * Random multiples of 1/8 in [-2, 2], many of them equal. Sums of their differences and of the squares of these are
 * exact in float32 too, so that distances made of them must come out to the last bit, and ties are met.
 */
export function gridSeries(count: number, stream: number): Float64Array {
  return Float64Array.from(
    normalRow(count, 8, 7000 + stream),
    (value) => Math.min(Math.max(Math.round(value), -16), 16) / 8,
  );
}

/** Normally distributed numbers that float32 can hold. */
export function normalSeries(count: number, stream: number): Float64Array {
  return Float64Array.from(normalRow(count, 1, 9000 + stream));
}

/** Options without those of a band, as the package types them. */
export type FormOptions = Omit<MetricOptions, 'g' | 'channels'> & { g?: number | Float64Array };

/** A metric with parameters, and what may be expected of it. */
export interface Form {
  options: FormOptions;
  /** Where series on the grid have a distance without rounding: with any number of channels, with one, never. */
  exact: 'always' | 'univariate' | 'never';
  /** Whether d(x, y) = d(y, x). */
  symmetric: boolean;
  /** Whether there is a table, and with it a band and a path. */
  hasTable: boolean;
}

function form(options: FormOptions, exact: Form['exact'], rest: Partial<Form> = {}): Form {
  return { options, exact, symmetric: true, hasTable: true, ...rest };
}

/** Every metric with every parameter that changes what it does. */
export const FORMS: readonly Form[] = [
  form({ metric: 'squared' }, 'always', { hasTable: false }),
  form({ metric: 'euclidean' }, 'never', { hasTable: false }),
  form({ metric: 'dtw' }, 'always'),
  form({ metric: 'dtw', root: true }, 'never'),
  form({ metric: 'dtw', independent: true }, 'always'),
  form({ metric: 'ddtw' }, 'always'),
  form({ metric: 'ddtw', independent: true }, 'always'),
  form({ metric: 'wdtw' }, 'never'),
  form({ metric: 'wdtw', g: 0.3 }, 'never'),
  form({ metric: 'wdtw', independent: true }, 'never'),
  form({ metric: 'wddtw', g: 0.1 }, 'never'),
  form({ metric: 'wddtw', independent: true }, 'never'),
  form({ metric: 'adtw' }, 'always'),
  form({ metric: 'adtw', warpPenalty: 0.125 }, 'always'),
  form({ metric: 'adtw', independent: true, warpPenalty: 0.5 }, 'always'),
  form({ metric: 'shapeDtw', reach: 0 }, 'always', { symmetric: false }),
  form({ metric: 'shapeDtw', reach: 3 }, 'always', { symmetric: false }),
  form({ metric: 'shapeDtw' }, 'always', { symmetric: false }),
  form({ metric: 'erp' }, 'univariate'),
  form({ metric: 'erp', g: -0.5 }, 'univariate'),
  form({ metric: 'erp', g: 0.25, compat: 'aeon' }, 'univariate'),
  form({ metric: 'erp', g: 0.5, independent: true }, 'always'),
  form({ metric: 'edr', epsilon: 0.3 }, 'always'),
  form({ metric: 'edr' }, 'always'),
  form({ metric: 'edr', normalize: true }, 'never'),
  form({ metric: 'edr', compat: 'aeon', epsilon: 0.7 }, 'never'),
  form({ metric: 'lcss' }, 'never'),
  form({ metric: 'lcss', epsilon: 0.3 }, 'never'),
  form({ metric: 'twe' }, 'never'),
  form({ metric: 'twe', nu: 0.015625, lambda: 0.5 }, 'univariate'),
  form({ metric: 'twe', nu: 0.25, lambda: 0.125, independent: true }, 'always'),
  form({ metric: 'msm' }, 'always'),
  form({ metric: 'msm', c: 0.125 }, 'always'),
  form({ metric: 'msm', c: 0.25, independent: false }, 'always'),
  form({ metric: 'sbd' }, 'never', { hasTable: false }),
  form({ metric: 'sbd', standardize: false }, 'never', { hasTable: false }),
];

/** A band by itself. */
export type BandOptions = Pick<MetricOptions, 'window' | 'windowAbs' | 'itakuraMaxSlope'>;

/** Bands of every kind, narrow and wide. */
export const BANDS: readonly BandOptions[] = [
  {},
  { window: 0 },
  { window: 0.1 },
  { window: 0.45 },
  { windowAbs: 0 },
  { windowAbs: 2 },
  { windowAbs: 1000 },
  { itakuraMaxSlope: 0.4 },
  { itakuraMaxSlope: 1 },
];

/** Whether a metric with a band is defined for two lengths. */
export function isDefined({ options, hasTable }: Form, band: BandOptions, n: number, m: number): boolean {
  const metric: Metric = options.metric ?? 'dtw';
  if (metric === 'squared' || metric === 'euclidean') return n === m && Object.keys(band).length === 0;
  if (!hasTable) return Object.keys(band).length === 0;
  const shorter = metric === 'ddtw' || metric === 'wddtw' ? 2 : 0;
  const [rows, cols] = [n - shorter, m - shorter];
  if (rows < 1 || cols < 1) return false;
  if (band.itakuraMaxSlope === undefined) return true;
  // Both ways round, since matrices ask for both.
  return (
    Math.min(rows, cols) >= 3 && Math.floor(band.itakuraMaxSlope * (Math.min(rows, cols) / 100) * 100) > 0
  );
}

/** How far a distance may be from the reference that works in float64 on the same numbers. */
export function distanceTolerance({ options }: Form, dtype: Dtype, n: number, m: number): Tolerance {
  if (options.metric === 'sbd') return () => (dtype === 'f64' ? 1e-12 : 2e-5);
  const unit = dtype === 'f64' ? 2 ** -53 : 2 ** -24;
  // Every cell on a path rounds a few times; a derivative has rounded before.
  return (_, value) => 6 * (n + m) * unit * (Math.abs(value) + 0.1);
}

/** How a case reads in a message. */
export function labelOf(...parts: readonly object[]): string {
  return JSON.stringify(Object.assign({}, ...parts), (_, value: unknown) =>
    ArrayBuffer.isView(value) ? Array.from(value as Float64Array) : value,
  );
}
