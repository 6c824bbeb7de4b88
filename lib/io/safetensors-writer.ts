/** Writing safetensors checkpoints, streamed, in one file or in shards with an index. */
import { rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as check from '../check.js';
import { replaceFile } from './atomic.js';
import { HOST_ORDER } from './npy-dtype.js';
import {
  arrayClass,
  bitsOf,
  isReadable,
  SAFETENSORS_DTYPES,
  type SafetensorsData,
  type SafetensorsDtype,
} from './safetensors-dtype.js';
import { byteCount, LENGTH_BYTES, MAX_HEADER_BYTES } from './safetensors-header.js';

/** Data of a tensor: all of it, or blocks of it one after the other, for tensors that do not fit in memory. */
export type TensorSource =
  | SafetensorsData
  | Uint8Array
  | (() => AsyncIterable<SafetensorsData | Uint8Array> | Iterable<SafetensorsData | Uint8Array>);

/** A tensor to be written. */
export interface TensorInput {
  /** Element type by the format's name. */
  readonly dtype: SafetensorsDtype;
  /** Lengths of the axes; [] for a single number. */
  readonly shape: readonly number[];
  /**
   * Elements in C order, in the class that the type is read into (F16 and BF16: bit patterns in a Uint16Array), or the
   * bytes of the file in a Uint8Array, for any type. A function is called once, when the tensor's turn comes.
   */
  readonly data: TensorSource;
}

/** How a checkpoint is written. */
export interface SafetensorsWriteOptions {
  /** Strings for the header's `__metadata__`. Default: none. */
  metadata?: Readonly<Record<string, string>>;
  /**
   * Most bytes of data per file; a larger checkpoint becomes `NAME-00001-of-0000N.safetensors` with an index beside
   * `path`. One tensor is never cut. Default: all in one file.
   */
  maxShardBytes?: number;
}

type Named = readonly [name: string, tensor: TensorInput, bytes: number];

/**
 * Writes a checkpoint. Tensors with large elements come first, so that all data are aligned for their type; apart from
 * that they keep their order. Every file appears only when it is complete, the index last; an earlier index of the same
 * name is removed first, so that an interrupted run leaves no folder that reads as a mixture.
 *
 * @param path file to write, by custom `model.safetensors`; an existing one is replaced
 * @param tensors the tensors by name
 * @returns paths of the files written, the index last where there is one
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE (also where a source gives more or fewer bytes
 *   than its shape: the file is not written then), or the system's error (ENOSPC, EACCES, ...)
 */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorInput>> | ReadonlyMap<string, TensorInput>,
  options?: SafetensorsWriteOptions,
): Promise<string[]> {
  if (typeof path !== 'string') throw check.typeError('path', 'a string', path);
  const { metadata = {}, maxShardBytes = Infinity } = check.options(options);
  checkMetadata(metadata);
  if (maxShardBytes !== Infinity) check.positiveInteger('maxShardBytes', maxShardBytes);
  const shards = intoShards(checkTensors(tensors), maxShardBytes);
  const headers = shards.map((shard) => encodeHeader(shard, metadata));

  const indexPath = `${path}.index.json`;
  await rm(indexPath, { force: true });
  if (shards.length === 1) {
    await writeShard(path, headers[0], shards[0]);
    return [path];
  }
  const names = shards.map((_, i) => shardName(basename(path), i + 1, shards.length));
  for (const [i, shard] of shards.entries())
    await writeShard(join(dirname(path), names[i]), headers[i], shard);
  const index = encodeIndex(shards, names);
  await replaceFile(indexPath, (handle) => handle.writeFile(index));
  // A single file of the same name is what a reader would look for first.
  await rm(path, { force: true });
  return [...names.map((name) => join(dirname(path), name)), indexPath];
}

function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    throw check.typeError('metadata', 'an object of strings', metadata);
  for (const [name, value] of Object.entries(metadata))
    if (typeof value !== 'string') throw check.typeError(`metadata.${name}`, 'a string', value);
}

function checkTensors(
  tensors: Readonly<Record<string, TensorInput>> | ReadonlyMap<string, TensorInput>,
): Named[] {
  if (typeof tensors !== 'object' || tensors === null)
    throw check.typeError('tensors', 'an object or a Map', tensors);
  const entries = isMap(tensors) ? [...tensors] : Object.entries(tensors);
  const named = entries.map(([name, tensor]): Named => {
    if (name === '__metadata__')
      throw check.rangeError('tensors', 'without the reserved name "__metadata__"', name);
    if (typeof tensor !== 'object' || tensor === null)
      throw check.typeError(`tensors.${name}`, 'an object with dtype, shape and data', tensor);
    return [name, tensor, checkTensor(`tensors.${name}`, tensor)];
  });
  return named.sort(([, a], [, b]) => bitsOf(b.dtype) - bitsOf(a.dtype));
}

function isMap(tensors: object): tensors is ReadonlyMap<string, TensorInput> {
  return Object.prototype.toString.call(tensors) === '[object Map]';
}

/** The tensor's bytes. */
function checkTensor(name: string, { dtype, shape, data }: TensorInput): number {
  check.oneOf(`${name}.dtype`, dtype, SAFETENSORS_DTYPES);
  if (!Array.isArray(shape)) throw check.typeError(`${name}.shape`, 'an array of integers >= 0', shape);
  const isSound = shape.every((n) => Number.isSafeInteger(n) && n >= 0);
  const bytes = isSound ? byteCount(shape, dtype) : undefined;
  if (bytes === undefined)
    throw check.rangeError(
      `${name}.shape`,
      'integers >= 0 that make whole bytes, fewer than 2^53',
      `[${shape.join(', ')}]`,
    );
  if (typeof data === 'function') return bytes;
  const { byteLength } = bytesOf(`${name}.data`, dtype, data);
  if (byteLength !== bytes)
    throw check.rangeError(
      `${name}.data`,
      `${bytes} bytes for [${shape.join(', ')}] of ${dtype}`,
      byteLength,
    );
  return bytes;
}

/** The bytes of a block as they stand in the file, without a copy where the machine is little-endian. */
function bytesOf(name: string, dtype: SafetensorsDtype, block: unknown): Uint8Array {
  if (check.isA(block, Uint8Array)) return block;
  const kind = isReadable(dtype) ? arrayClass(dtype) : undefined;
  if (kind === undefined || !check.isA<SafetensorsData>(block, kind))
    throw check.typeError(name, `a ${kind ? `${kind.name} or a ` : ''}Uint8Array for ${dtype}`, block);
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  if (HOST_ORDER === '<') return bytes;
  const copy = Buffer.from(bytes);
  return { 2: () => copy.swap16(), 4: () => copy.swap32(), 8: () => copy.swap64() }[
    block.BYTES_PER_ELEMENT as 2 | 4 | 8
  ]();
}

/** Consecutive tensors of at most so many bytes together, one at least; one shard without tensors where there are none. */
function intoShards(tensors: readonly Named[], most: number): Named[][] {
  const shards: Named[][] = [[]];
  let size = 0;
  for (const named of tensors) {
    const last = shards[shards.length - 1];
    size += named[2];
    if (last.length === 0 || size <= most) {
      last.push(named);
    } else {
      shards.push([named]);
      size = named[2];
    }
  }
  return shards;
}

function shardName(name: string, number: number, count: number): string {
  const of = [number, count].map((each) => String(each).padStart(5, '0')).join('-of-');
  return `${name.replace(/\.safetensors$/, '')}-${of}.safetensors`;
}

/** Length and text; spaces bring the data to a multiple of 8 bytes. */
function encodeHeader(shard: readonly Named[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const members: [string, unknown][] = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : [];
  let begin = 0;
  for (const [name, { dtype, shape }, bytes] of shard) {
    members.push([name, { dtype, shape, data_offsets: [begin, begin + bytes] }]);
    begin += bytes;
  }
  const text = Buffer.from(JSON.stringify(Object.fromEntries(members)));
  const length = Math.ceil(text.length / 8) * 8;
  if (length > MAX_HEADER_BYTES)
    throw check.rangeError('tensors', `a header of at most ${MAX_HEADER_BYTES} bytes`, length);
  const header = Buffer.alloc(LENGTH_BYTES + length, ' ');
  header.writeBigUInt64LE(BigInt(length));
  header.set(text, LENGTH_BYTES);
  return header;
}

function encodeIndex(shards: readonly Named[][], names: readonly string[]): string {
  const placed = shards.flatMap((shard, i) => shard.map(([name]): [string, string] => [name, names[i]]));
  const total = shards.flat().reduce((sum, [, , bytes]) => sum + bytes, 0);
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(placed) };
  return `${JSON.stringify(index, null, 2)}\n`;
}

async function writeShard(path: string, header: Uint8Array, shard: readonly Named[]): Promise<void> {
  await replaceFile(path, async (handle) => {
    await handle.writeFile(header);
    for (const [name, tensor, bytes] of shard)
      await writeTensor(handle, `tensors.${name}.data`, tensor, bytes);
  });
}

async function writeTensor(
  handle: FileHandle,
  name: string,
  { dtype, data }: TensorInput,
  bytes: number,
): Promise<void> {
  let written = 0;
  for await (const block of typeof data === 'function' ? data() : [data]) {
    const piece = bytesOf(name, dtype, block);
    written += piece.length;
    if (written > bytes) break;
    // writeFile on a handle goes on where the last one ended.
    await handle.writeFile(piece);
  }
  if (written !== bytes)
    throw check.rangeError(name, `${bytes} bytes in all`, written > bytes ? 'more' : `${written}`);
}
