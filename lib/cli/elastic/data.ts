/** The series that a command works on, with their labels. */
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import type { Series, SeriesSet } from '../../elastic/series.js';
import { readNpy } from '../../io/npy.js';
import { readSeries } from '../../io/series-file.js';
import type { TableOptions } from '../../io/table.js';
import { CliError } from '../errors.js';
import { defined, type InputFlags } from './options.js';

/** Series of a file. */
export interface Data {
  /** Name of the file without its folder. */
  name: string;
  set: SeriesSet;
  /** Label of each series; undefined where there are none. */
  labels?: string[];
}

/** How the flags say that files are read, as JSON. */
export function readOptionsOf({ labelColumn, header, channels, precision }: InputFlags): TableOptions {
  return defined({ label: labelColumn, header, channels, dtype: precision });
}

/**
 * Reads a file of series, and the labels that --labels names.
 *
 * @throws CliError where the labels are not one per series; as `readSeries`
 */
export async function readData(path: string, flags: InputFlags, signal?: AbortSignal): Promise<Data> {
  const { set, labels } = await readSeries(path, { ...readOptionsOf(flags), signal });
  const own = flags.labels === undefined ? labels : await readLabels(flags.labels, set.count);
  return { name: basename(path), set: flags.znorm ? set.zNormalized() : set, labels: own };
}

/** Labels, one a line of text or one an element of an .npy array. */
async function readLabels(path: string, count: number): Promise<string[]> {
  const labels =
    extname(path).toLowerCase() === '.npy'
      ? Array.from((await readNpy(path)).data as ArrayLike<number | bigint>, String)
      : linesOf(await readFile(path, 'utf8'));
  if (labels.length === count) return labels;
  throw new CliError(`${path}: expected ${count} labels, one per series, received ${labels.length}`);
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  while (lines.at(-1) === '') lines.pop();
  return lines;
}

/** One channel of one series, a view. */
export function channelOf(set: SeriesSet, i: number, channel: number): Series {
  const n = set.lengths[i];
  return set.series(i).subarray(channel * n, (channel + 1) * n);
}

/** Where a list has a value. */
export function indicesOf<T>(list: ArrayLike<T>, value: T): number[] {
  return Array.from(list).flatMap((each, i) => (each === value ? [i] : []));
}
