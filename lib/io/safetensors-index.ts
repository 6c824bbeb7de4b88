/**
 * Which files make up a checkpoint: one safetensors file, or the shards that a `model.safetensors.index.json` lists.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CheckpointError, shortened } from './checkpoint-error.js';
import { duplicateKey, excess } from './json-scan.js';

/** Name that a checkpoint of one file goes by in its folder. */
export const SINGLE_NAME = 'model.safetensors';
const INDEX_NAME = 'model.safetensors.index.json';
const INDEX_SUFFIX = '.index.json';
/** Longest index taken for real; those of the largest models have some 100 kB. */
const MAX_INDEX_BYTES = 100_000_000;

/** The files of a checkpoint. */
export interface CheckpointFiles {
  /** Paths of the safetensors files. */
  shards: string[];
  /** The index, where there is one, and the shard's path of each tensor. */
  index?: { path: string; shardOf: Map<string, string> };
}

/**
 * Finds the files.
 *
 * @param path a safetensors file, an index (`*.index.json`), or a folder with `model.safetensors`, else
 *   `model.safetensors.index.json`, else a single `*.safetensors`
 * @throws CheckpointError, or the system's error (ENOENT, EACCES, ...)
 */
export async function checkpointFiles(path: string): Promise<CheckpointFiles> {
  const status = await stat(path);
  if (status.isFile()) return path.endsWith(INDEX_SUFFIX) ? readIndex(path) : { shards: [path] };
  if (!status.isDirectory())
    throw new CheckpointError(path, {
      expected: 'a file or a folder',
      found: 'a device, a pipe or a socket',
    });
  const names = await readdir(path);
  if (names.includes(SINGLE_NAME)) return { shards: [join(path, SINGLE_NAME)] };
  if (names.includes(INDEX_NAME)) return readIndex(join(path, INDEX_NAME));
  const others = names.filter((name) => name.endsWith('.safetensors')).sort();
  if (others.length === 1) return { shards: [join(path, others[0])] };
  throw new CheckpointError(path, {
    expected: `a folder with ${SINGLE_NAME} or ${INDEX_NAME}`,
    found:
      others.length > 1
        ? `several without an index (${others.slice(0, 5).join(', ')}); name one of them`
        : `${names.length} other files`,
  });
}

async function readIndex(path: string): Promise<CheckpointFiles> {
  const map = weightMap(await readText(path), path);
  const folder = dirname(path);
  const shardOf = new Map<string, string>();
  for (const [tensor, name] of Object.entries(map)) {
    if (typeof name !== 'string' || !isPlainName(name))
      throw new CheckpointError(path, {
        tensor,
        expected: 'a file name in the same folder, without path separators or ".."',
        found: shortened(name),
      });
    shardOf.set(tensor, join(folder, name));
  }
  return { shards: [...new Set(shardOf.values())].sort(), index: { path, shardOf } };
}

/** Whether a name can only be that of a file in the same folder. */
function isPlainName(name: string): boolean {
  return (
    name !== '' && name !== '.' && !name.includes('..') && !/[/\\:\0]/.test(name) && basename(name) === name
  );
}

/** The index's text, of bounded length. */
async function readText(path: string): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > MAX_INDEX_BYTES)
      throw new CheckpointError(path, {
        expected: `an index of at most ${MAX_INDEX_BYTES} bytes`,
        found: `${size} bytes`,
      });
    return new TextDecoder('utf-8', { fatal: true }).decode(await handle.readFile());
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_ENCODING_INVALID_ENCODED_DATA') throw cause;
    throw new CheckpointError(path, { expected: 'JSON in UTF-8', found: 'bytes that are not UTF-8', cause });
  } finally {
    await handle.close();
  }
}

function weightMap(text: string, path: string): Record<string, unknown> {
  const tooMuch = excess(text);
  if (tooMuch !== undefined) throw new CheckpointError(path, { expected: 'JSON', found: tooMuch });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(path, {
      expected: 'JSON',
      found: `text that is not (${(cause as Error).message})`,
      cause,
    });
  }
  const map = (parsed as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw new CheckpointError(path, {
      expected: '"weight_map" to be an object of file names',
      found: map === undefined ? 'none' : shortened(map),
    });
  const twice = duplicateKey(text);
  if (twice !== undefined)
    throw new CheckpointError(path, {
      expected: 'an index that has each name once',
      found: `${shortened(twice)} twice`,
    });
  return map as Record<string, unknown>;
}
