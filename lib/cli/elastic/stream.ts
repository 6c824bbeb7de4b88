/** A long series of a file, read in parts where its format allows it. */
import { extname } from 'node:path';
import type { Series } from '../../elastic/series.js';
import { openNpy, type NpyFile } from '../../io/npy.js';
import { readSeries } from '../../io/series-file.js';
import { CliError } from '../errors.js';
import { readOptionsOf } from './data.js';
import type { InputFlags } from './options.js';

/** Points read at a time. */
const PART = 1 << 20;

/** A long series. */
export interface Stream {
  /** Number of points. */
  length: number;
  /** Its points in order, part by part. */
  parts(): AsyncIterable<Series>;
  close(): Promise<void>;
}

/**
 * Opens a file as one series: an .npy array of one axis (or of one series) is read in parts; of other files the series
 * `index`, or the only one, or the column of a table with one number a line.
 *
 * @param flag the option that takes the index, for messages
 * @throws CliError where it is not clear which series is meant, or for several channels; as `readSeries` and `openNpy`
 */
export async function openStream(
  path: string,
  flags: InputFlags,
  index: number | undefined,
  flag: string,
  signal: AbortSignal,
): Promise<Stream> {
  if (extname(path).toLowerCase() === '.npy') {
    const file = await openNpy(path);
    if (isLine(file.shape) && (index ?? 0) === 0) return ofFile(file);
    await file.close();
    if (isLine(file.shape)) throw outOf(flag, index, path, 1);
  }
  const { set } = await readSeries(path, { ...readOptionsOf(flags), signal });
  if (set.channels > 1)
    throw new CliError(`${path}: expected series of one channel, received ${set.channels}`);
  if (index === undefined && set.length === 1 && set.count > 1) return ofSeries(set.data);
  if (index === undefined && set.count > 1)
    throw new CliError(`${path}: expected one series, received ${set.count}: choose with ${flag}`, 2);
  if ((index ?? 0) >= set.count) throw outOf(flag, index, path, set.count);
  return ofSeries(set.series(index ?? 0));
}

function outOf(flag: string, index: number | undefined, path: string, count: number): CliError {
  return new CliError(
    `${flag} must be below ${count}, the number of series in ${path}, received ${index}`,
    2,
  );
}

function isLine(shape: readonly number[]): boolean {
  return shape.length > 0 && shape.filter((n) => n !== 1).length <= 1;
}

function ofSeries(series: Series): Stream {
  return {
    length: series.length,
    async *parts() {
      yield series;
    },
    close: () => Promise.resolve(),
  };
}

async function ofFile(file: NpyFile): Promise<Stream> {
  const { dtype, length, path } = file;
  if (['f16', 'bf16', 'bool', 'i64', 'u64'].includes(dtype)) {
    await file.close();
    throw new CliError(`${path}: expected float32, float64 or integers of up to 32 bits, received ${dtype}`);
  }
  return {
    length,
    async *parts() {
      for (let begin = 0; begin < length; begin += PART) {
        const part = await file.readElements(begin, Math.min(PART, length - begin));
        const points = Float64Array.from(part as Float64Array);
        const at = points.findIndex((value) => !Number.isFinite(value));
        if (at >= 0)
          throw new CliError(
            `${path}: expected finite numbers, received ${points[at]} at index ${begin + at}`,
          );
        yield points;
      }
    },
    close: () => file.close(),
  };
}

/** All points of a stream, which is then closed. */
export async function wholeOf(stream: Stream): Promise<Float64Array> {
  try {
    const points = new Float64Array(stream.length);
    let at = 0;
    for await (const part of stream.parts()) {
      points.set(part, at);
      at += part.length;
    }
    return points;
  } finally {
    await stream.close();
  }
}
