/**
 * The sets of series that the pieces of a matrix refer to: pieces carry a digest and a path, never the values. Sets are
 * found by their digest, so that tiles of one process read a file once and a file that has changed is noticed.
 */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import * as check from '../check.js';
import { readSeries, type SeriesFileOptions } from '../io/series-file.js';
import { PieceError } from '../pieces/error.js';
import type { SeriesSet } from './series.js';

/** What is in a set, in few words: equal for equal series alone. */
export type SetDigest = {
  readonly sha256: string;
  readonly count: number;
  readonly channels: number;
  readonly dtype: 'f32' | 'f64';
};

/** How a file of series is read, as JSON. */
export type ReadOptions = Omit<SeriesFileOptions, 'signal'>;

/** Bytes hashed between two looks at the event loop. */
const HASH_BYTES = 1 << 23;
/** Sets read from files that are kept for the next piece: the two sides of one matrix. */
const KEPT = 2;

/** Sets in use by calls of this process, with the number of calls. */
const held = new Map<string, { set: SeriesSet; users: number }>();
/** Sets read for single pieces, the latest last. */
const recent = new Map<string, SeriesSet>();

/** The digest of a set; several times per second of work it lets the event loop run. */
export async function digestOf(set: SeriesSet, signal?: AbortSignal): Promise<SetDigest> {
  const { count, channels, data, lengths } = set;
  const dtype = check.isA(data, Float32Array) ? 'f32' : 'f64';
  const hash = createHash('sha256').update(JSON.stringify({ count, channels, dtype }));
  hash.update(new Uint8Array(lengths.buffer, lengths.byteOffset, lengths.byteLength));
  for (let at = 0; at < data.byteLength; at += HASH_BYTES) {
    const size = Math.min(HASH_BYTES, data.byteLength - at);
    hash.update(new Uint8Array(data.buffer, data.byteOffset + at, size));
    if (at > 0) await setImmediate();
    signal?.throwIfAborted();
  }
  return { sha256: hash.digest('hex'), count, channels, dtype };
}

/** Keeps a set for the pieces of a call; the function that is returned ends this. */
export function hold({ sha256 }: SetDigest, set: SeriesSet): () => void {
  const entry = held.get(sha256) ?? { set, users: 0 };
  entry.users++;
  held.set(sha256, entry);
  return () => {
    entry.users--;
    if (entry.users === 0) held.delete(sha256);
  };
}

/**
 * The set of a digest: one in use, one read lately, or read from its file.
 *
 * @param path null where the set was in the memory of the process that planned
 * @throws PieceError ERR_PIECE_INPUT where it cannot be had or is not what it was; what `readSeries` throws
 */
export async function setOf(
  digest: SetDigest,
  path: string | null,
  read: ReadOptions,
  signal?: AbortSignal,
): Promise<SeriesSet> {
  const known = held.get(digest.sha256)?.set ?? recent.get(digest.sha256);
  if (known !== undefined) return known;
  if (path === null)
    throw new PieceError(
      'ERR_PIECE_INPUT',
      'series',
      'expected series in a file, received series that were in the memory of the process that planned: ' +
        'plan from a file to run pieces elsewhere',
    );
  const { set } = await readSeries(path, { ...read, signal });
  if ((await digestOf(set, signal)).sha256 !== digest.sha256)
    throw new PieceError(
      'ERR_PIECE_INPUT',
      path,
      'expected the series that the plan was made for, received others (the file has changed): plan again',
    );
  recent.set(digest.sha256, set);
  for (const oldest of [...recent.keys()].slice(0, -KEPT)) recent.delete(oldest);
  return set;
}
