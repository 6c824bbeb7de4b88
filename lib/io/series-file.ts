/** Reading series from whatever file they come in. */
import { extname } from 'node:path';
import * as check from '../check.js';
import { SeriesSet, type Series } from '../elastic/series.js';
import { readNpy, type NpyArray } from './npy.js';
import { SeriesFileError } from './series-error.js';
import { readOptions, requireFile, withoutPadding, type SeriesDtype } from './series-text.js';
import { readTable, type TableOptions } from './table.js';
import { readTs } from './ts-file.js';

/** How `readSeries` reads: `delimiter`, `label`, `header` and `channels` are for .csv and .tsv and have no effect else. */
export type SeriesFileOptions = TableOptions;

/** What a file of series holds. */
export interface SeriesFile {
  /** The series. */
  set: SeriesSet;
  /** Label of each series; undefined where the file has none. */
  labels?: string[];
  /** Names of the classes; undefined where the file has none. */
  classes?: string[];
  /** Name of the data set, where the file has one. */
  name?: string;
}

/**
 * Reads a file of series by its extension: `.ts` (UCR/UEA), `.csv`, `.tsv`, `.npy`. An .npy file holds an array
 * [length], [count, length] or [count, channels, length] of float32, float64 or integers of up to 32 bits; NaN at the end
 * of a series, in all its channels, pad it to the common length and are cut off.
 *
 * @throws SeriesFileError (file, line, what was expected and what came), NpyError, TypeError ERR_INVALID_ARG_TYPE,
 *   RangeError ERR_OUT_OF_RANGE, the system's error (ENOENT, ...), or the abort reason
 */
export async function readSeries(path: string, options?: SeriesFileOptions): Promise<SeriesFile> {
  const o = readOptions(options);
  await requireFile(path);
  o.signal?.throwIfAborted();
  const extension = extname(path).toLowerCase();
  if (extension === '.ts') {
    const { set, labels, classes, name } = await readTs(path, o);
    return { set, ...(labels.length > 0 && { labels }), ...(classes.length > 0 && { classes }), name };
  }
  if (extension === '.csv' || extension === '.tsv') return readTable(path, o);
  if (extension === '.npy') {
    const array = await readNpy(path);
    o.signal?.throwIfAborted();
    return { set: setOf(array, path, o.dtype) };
  }
  throw new SeriesFileError(
    'ERR_SERIES_UNSUPPORTED',
    path,
    undefined,
    `expected a file named .ts, .csv, .tsv or .npy, received ${extension === '' ? 'no extension' : extension}`,
  );
}

function setOf({ data, shape, dtype }: NpyArray, path: string, asked: SeriesDtype | undefined): SeriesSet {
  const refuse = (problem: string): SeriesFileError =>
    new SeriesFileError('ERR_SERIES_UNSUPPORTED', path, undefined, problem);
  if (shape.length < 1 || shape.length > 3)
    throw refuse(
      `expected an array [length], [count, length] or [count, channels, length], received the shape (${shape.join(', ')})`,
    );
  if (shape.includes(0))
    throw refuse(`expected at least one series of one value, received the shape (${shape.join(', ')})`);
  if (['f16', 'bf16', 'i64', 'u64', 'bool'].includes(dtype))
    throw refuse(`expected float32, float64 or integers of up to 32 bits, received ${dtype}`);
  const numbers = data as Exclude<NpyArray['data'], BigInt64Array | BigUint64Array>;
  const isSingle = (asked ?? (dtype === 'f32' ? 'f32' : 'f64')) === 'f32';
  const values: Series = isSingle ? asFloat32(numbers) : asFloat64(numbers);
  const channels = shape.length === 3 ? shape[1] : 1;
  return trimmed(values, shape.length === 1 ? 1 : shape[0], channels, path);
}

function asFloat32(data: ArrayLike<number>): Float32Array {
  return check.isA(data, Float32Array) ? data : Float32Array.from(data);
}

function asFloat64(data: ArrayLike<number>): Float64Array {
  return check.isA(data, Float64Array) ? data : Float64Array.from(data);
}

/** Series of one length, or without the NaN that pad some. */
function trimmed(values: Series, count: number, channels: number, path: string): SeriesSet {
  const stride = values.length / count;
  const series = Array.from({ length: count }, (_, i) =>
    withoutPadding(values.subarray(i * stride, (i + 1) * stride), channels),
  );
  series.forEach((each, i) => {
    const at = each.findIndex((value) => !Number.isFinite(value));
    if (each.length > 0 && at < 0) return;
    const isMissing = each.length === 0 || Number.isNaN(each[at]);
    const received = each.length === 0 ? 'NaN alone' : `${each[at]}${isMissing ? ' before the end' : ''}`;
    throw new SeriesFileError(
      isMissing ? 'ERR_SERIES_MISSING' : 'ERR_SERIES_FORMAT',
      path,
      undefined,
      `expected finite numbers in series ${i}, with NaN at its end only, received ${received}`,
    );
  });
  if (series.every((each) => each.length === stride))
    return new SeriesSet(values, { channels, lengths: stride / channels });
  return SeriesSet.from(series, { channels });
}
