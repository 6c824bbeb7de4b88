/** What the readers of series have in common: decimal numbers, padding by NaN, names of classes, arrays by type. */
import { stat } from 'node:fs/promises';
import * as check from '../check.js';
import type { Series } from '../elastic/series.js';
import { SeriesFileError } from './series-error.js';

/** Element types that series are held in. */
export const SERIES_DTYPES = ['f64', 'f32'] as const;

/** Element type that series are held in. */
export type SeriesDtype = (typeof SERIES_DTYPES)[number];

/** Options that every reader of series takes. */
export interface SeriesReadOptions {
  /** Element type of the set. Default 'f64' for text; .npy files keep float32, and other types become float64. */
  dtype?: SeriesDtype;
  /** Stops the reading; the promise then rejects with `signal.reason`. */
  signal?: AbortSignal;
}

/** Checks the options of `SeriesReadOptions`. */
export function readOptions<T extends SeriesReadOptions>(given: T | undefined): T {
  const o = check.options(given);
  if (o.dtype !== undefined) check.oneOf('dtype', o.dtype, SERIES_DTYPES);
  if (o.signal !== undefined && !(o.signal instanceof AbortSignal))
    throw check.typeError('signal', 'an AbortSignal', o.signal);
  return o;
}

/** Refuses what is no string, not there or a folder, whose own error (EISDIR) would not name it. */
export async function requireFile(path: unknown): Promise<void> {
  if (typeof path !== 'string') throw check.typeError('path', 'a string', path);
  if ((await stat(path)).isDirectory())
    throw new SeriesFileError(
      'ERR_SERIES_UNSUPPORTED',
      path,
      undefined,
      'expected a file, received a folder',
    );
}

/** A zeroed array of an element type. */
export function seriesOf(dtype: SeriesDtype, length: number): Series {
  return dtype === 'f32' ? new Float32Array(length) : new Float64Array(length);
}

/** The value of a decimal number with optional sign, fraction and exponent; NaN for anything else, also for overflow. */
export function parseNumber(text: string): number {
  const value = Number(text);
  // Number() takes more than decimals, all of it whole: nothing is 0, '0x10' is 16.
  if (Number.isInteger(value) && /^\s*(0[xob]|$)/i.test(text)) return NaN;
  return Number.isFinite(value) ? value : NaN;
}

/** Whether a cell stands for no value: nothing, `?` or NaN. */
export function isMissing(text: string): boolean {
  return /^\s*(\?|nan|)\s*$/i.test(text);
}

/**
 * A series of channels x length without the NaN that pad it to the length of the longest: those at the end of all
 * channels. What stays may still hold NaN, which are values missing in between.
 *
 * @returns a view where nothing or, of one channel, only an end is cut off, else a copy; empty where all is NaN
 */
export function withoutPadding(x: Series, channels: number): Series {
  const length = x.length / channels;
  let end = length;
  const isPadding = (t: number): boolean => {
    for (let c = 0; c < channels; c++) if (!Number.isNaN(x[c * length + t])) return false;
    return true;
  };
  while (end > 0 && isPadding(end - 1)) end--;
  if (end === length) return x;
  if (channels === 1) return x.subarray(0, end);
  const short = seriesOf(check.isA(x, Float32Array) ? 'f32' : 'f64', channels * end);
  for (let c = 0; c < channels; c++) short.set(x.subarray(c * length, c * length + end), c * end);
  return short;
}

/** The distinct labels: in numeric order where all are numbers, else in the order of their code units. */
export function classesOf(labels: readonly string[]): string[] {
  const classes = [...new Set(labels)].sort();
  if (classes.some((each) => Number.isNaN(parseNumber(each)))) return classes;
  return classes.sort((a, b) => Number(a) - Number(b));
}
