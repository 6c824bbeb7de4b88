/**
 * Reading safetensors checkpoints, one file or many, without dependencies: positional reads of what is asked for, so
 * that memory is that of the arrays that are wanted. float16 and bfloat16 come as bit patterns in a Uint16Array.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { isA, rangeError, typeError } from '../check.js';
import { CheckpointError } from './checkpoint-error.js';
import { HOST_ORDER, swapBytes } from './npy-dtype.js';
import {
  arrayClass,
  isReadable,
  READABLE_DTYPES,
  type ReadableDtype,
  type SafetensorsData,
  type SafetensorsDtype,
} from './safetensors-dtype.js';
import {
  headerLength,
  LENGTH_BYTES,
  parseHeader,
  type SafetensorsHeader,
  type TensorEntry,
} from './safetensors-header.js';
import { checkpointFiles, type CheckpointFiles } from './safetensors-index.js';

/** What a checkpoint says of a tensor. */
export interface TensorInfo {
  /** Element type by the format's name: 'F32', 'BF16', ... */
  readonly dtype: SafetensorsDtype;
  /** Lengths of the axes; empty for a single number. */
  readonly shape: readonly number[];
  /** Size of the data. */
  readonly bytes: number;
  /** Path of the file that holds it. */
  readonly file: string;
}

/** Longest single read: the operating system takes at most 2 GiB at a time. */
const READ_BYTES = 1 << 24;
/** Size of the blocks of `chunks`, in bytes. */
const CHUNK_BYTES = 1 << 22;

interface Shard {
  path: string;
  handle: FileHandle;
  header: SafetensorsHeader;
}

/** Reads bytes from `position` until `target` is full or the file ends; returns how many there were. */
async function readFully(handle: FileHandle, target: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const count = Math.min(READ_BYTES, target.length - done);
    const { bytesRead } = await handle.read(target, done, count, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** An open checkpoint; made by `openSafetensors`, to be closed with `close`. */
export class SafetensorsFile {
  /** Path as given to `openSafetensors`. */
  readonly path: string;
  /** Paths of the files that hold tensors. */
  readonly files: readonly string[];
  /** The tensors by name, in the order of the files and their headers. */
  readonly tensors: Readonly<Record<string, TensorInfo>>;
  /** The headers' `__metadata__`, those of all files together. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly #shards: readonly Shard[];
  readonly #entries = new Map<string, { entry: TensorEntry; shard: Shard }>();

  /** Use `openSafetensors`. */
  constructor(path: string, shards: readonly Shard[], { index }: CheckpointFiles) {
    this.path = path;
    this.files = shards.map((shard) => shard.path);
    this.#shards = shards;
    for (const shard of shards) {
      for (const [name, entry] of shard.header.tensors) {
        const other = this.#entries.get(name)?.shard.path;
        if (other !== undefined)
          throw new CheckpointError(shard.path, {
            tensor: name,
            expected: 'each tensor in one file',
            found: `it here and in ${other}`,
          });
        this.#entries.set(name, { entry, shard });
      }
    }
    for (const [name, file] of index?.shardOf ?? []) this.#checkPlace(name, file, index?.path ?? path);
    const infos = [...this.#entries].map(([name, { entry, shard }]): [string, TensorInfo] => [
      name,
      Object.freeze({ dtype: entry.dtype, shape: entry.shape, bytes: entry.bytes, file: shard.path }),
    ]);
    this.tensors = dictionary(infos);
    this.metadata = dictionary(shards.flatMap((shard) => Object.entries(shard.header.metadata)));
  }

  #checkPlace(tensor: string, file: string, index: string): void {
    const found = this.#entries.get(tensor)?.shard.path;
    if (found === file) return;
    throw new CheckpointError(index, {
      tensor,
      expected: `it in ${file}`,
      found: found === undefined ? 'none in any of the files' : `it in ${found}`,
    });
  }

  /**
   * Reads a tensor.
   *
   * @param name name of the tensor; F32, F64, F16 or BF16
   * @param into array of the right class (Float32Array, Float64Array; Uint16Array for F16 and BF16) with room for all
   *   elements; fresh by default
   * @returns exactly the elements in C order: a new array, or a view of the beginning of `into`
   * @throws CheckpointError for a name or dtype that cannot be read, and where the file has become shorter since it was
   *   opened; TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, or the system's error
   */
  async read(name: string, into?: SafetensorsData): Promise<SafetensorsData> {
    return this.readElements(name, 0, lengthOf(this.#find(name).entry), into);
  }

  /**
   * Reads elements start .. start + count - 1 of a tensor in C order.
   *
   * @param start first element, 0 to the tensor's length
   * @param count number of elements, 0 to length - start
   * @param into as in `read`, with room for `count` elements
   * @throws as `read`
   */
  async readElements(
    name: string,
    start: number,
    count: number,
    into?: SafetensorsData,
  ): Promise<SafetensorsData> {
    const { entry } = this.#find(name);
    const dtype = this.#readable(name, entry.dtype);
    checkRange(start, count, lengthOf(entry));
    const target = this.#target(name, dtype, count, into);
    const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
    await this.#fill(name, start * target.BYTES_PER_ELEMENT, bytes);
    if (HOST_ORDER === '>') swapBytes(target);
    return target;
  }

  /**
   * Reads rows start .. start + count - 1: slices along the first axis. A single number is one row.
   *
   * @param start first row, 0 to the length of the first axis
   * @param count number of rows, 0 to what is left
   * @param into as in `read`, with room for count times the product of the other axes
   * @throws as `read`
   */
  async readRows(
    name: string,
    start: number,
    count: number,
    into?: SafetensorsData,
  ): Promise<SafetensorsData> {
    const { shape } = this.#find(name).entry;
    checkRange(start, count, shape[0] ?? 1);
    const rowLength = shape.slice(1).reduce((product, n) => product * n, 1);
    return this.readElements(name, start * rowLength, count * rowLength, into);
  }

  /**
   * Reads bytes as they are in the file, whatever the dtype: for copying.
   *
   * @param start first byte, counted from the first of the tensor
   * @param count number of bytes, 0 to what is left
   * @param into array with room for `count` bytes; fresh by default
   * @throws as `read`
   */
  async readBytes(name: string, start: number, count: number, into?: Uint8Array): Promise<Uint8Array> {
    checkRange(start, count, this.#find(name).entry.bytes);
    if (into !== undefined && !isA(into, Uint8Array)) throw typeError('into', 'a Uint8Array', into);
    const target = into === undefined ? this.#allocate(name, Uint8Array, count) : into.subarray(0, count);
    if (target.length < count) throw rangeError('into', `an array of at least ${count} bytes`, into);
    await this.#fill(name, start, target);
    return target;
  }

  /**
   * A tensor in blocks, in C order, of any size in bounded memory. A block is overwritten by the next.
   *
   * @param name name of the tensor
   * @param maxBytes most bytes per block, at least 8. Default 4 MiB
   * @returns blocks in the class of `read`; bytes, as they are in the file, for other dtypes
   * @throws as `read`
   */
  async *chunks(name: string, maxBytes = CHUNK_BYTES): AsyncGenerator<SafetensorsData | Uint8Array> {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 8)
      throw rangeError('maxBytes', 'an integer of at least 8', maxBytes);
    const { entry } = this.#find(name);
    const most = Math.min(entry.bytes, maxBytes);
    if (isReadable(entry.dtype)) {
      const size = arrayClass(entry.dtype).BYTES_PER_ELEMENT;
      const block = this.#allocate(name, arrayClass(entry.dtype), Math.floor(most / size));
      for (let at = 0, length = entry.bytes / size; at < length; at += block.length)
        yield await this.readElements(name, at, Math.min(block.length, length - at), block);
    } else {
      const block = this.#allocate(name, Uint8Array, most);
      for (let at = 0; at < entry.bytes; at += most)
        yield await this.readBytes(name, at, Math.min(most, entry.bytes - at), block);
    }
  }

  /** Closes the files. Reading afterwards fails with the system's EBADF. */
  async close(): Promise<void> {
    await Promise.all(this.#shards.map(({ handle }) => handle.close()));
  }

  #find(name: string): { entry: TensorEntry; shard: Shard } {
    if (typeof name !== 'string') throw typeError('name', 'a string', name);
    const found = this.#entries.get(name);
    if (found !== undefined) return found;
    throw new CheckpointError(this.path, {
      tensor: name,
      expected: 'a tensor of this name',
      found: `none among ${this.#entries.size}`,
    });
  }

  #readable(tensor: string, dtype: SafetensorsDtype): ReadableDtype {
    if (isReadable(dtype)) return dtype;
    const expected = `one of ${READABLE_DTYPES.join(', ')}`;
    throw new CheckpointError(this.#find(tensor).shard.path, { tensor, expected, found: dtype });
  }

  #target(
    name: string,
    dtype: ReadableDtype,
    count: number,
    into: SafetensorsData | undefined,
  ): SafetensorsData {
    const kind = arrayClass(dtype);
    if (into === undefined) return this.#allocate(name, kind, count);
    if (!isA<SafetensorsData>(into, kind)) throw typeError('into', `a ${kind.name} for ${dtype}`, into);
    if (into.length < count) throw rangeError('into', `an array of at least ${count} elements`, into.length);
    return into.subarray(0, count);
  }

  #allocate<T>(tensor: string, kind: new (length: number) => T, length: number): T {
    try {
      return new kind(length);
    } catch (cause) {
      throw new CheckpointError(this.#find(tensor).shard.path, {
        tensor,
        expected: 'an array that fits in memory',
        found: `${length} elements; read it in rows or chunks`,
        cause,
      });
    }
  }

  /** Fills `target` with the bytes from number `start` of the tensor onwards. */
  async #fill(tensor: string, start: number, target: Uint8Array): Promise<void> {
    const { entry, shard } = this.#find(tensor);
    const position = entry.begin + start;
    const found = await readFully(shard.handle, target, position);
    if (found === target.length) return;
    throw new CheckpointError(shard.path, {
      tensor,
      expected: `${target.length} bytes at offset ${position}`,
      found: `${found} (the file has become shorter since it was opened)`,
    });
  }
}

/** A dictionary in which any name is only a name, "__proto__" too. */
function dictionary<T>(entries: [string, T][]): Readonly<Record<string, T>> {
  const object = Object.create(null) as Record<string, T>;
  for (const [name, value] of entries) object[name] = value;
  return Object.freeze(object);
}

/** Number of elements. */
function lengthOf({ shape }: TensorEntry): number {
  return shape.reduce((product, n) => product * n, 1);
}

function checkRange(start: number, count: number, end: number): void {
  if (!Number.isSafeInteger(start) || start < 0 || start > end)
    throw rangeError('start', `an integer from 0 to ${end}`, start);
  if (!Number.isSafeInteger(count) || count < 0 || count > end - start)
    throw rangeError('count', `an integer from 0 to ${end - start}`, count);
}

async function openShard(path: string, index: string | undefined): Promise<Shard> {
  const handle = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    if (index === undefined || cause.code !== 'ENOENT') throw cause;
    throw new CheckpointError(path, { expected: `the file that ${index} lists`, found: 'none', cause });
  });
  try {
    const status = await handle.stat();
    if (!status.isFile())
      throw new CheckpointError(path, { expected: 'a regular file', found: 'a folder, a device or a pipe' });
    const prefix = new Uint8Array(LENGTH_BYTES);
    const got = await readFully(handle, prefix, 0);
    // At most the size of the file, and at most 100 MB.
    const text = new Uint8Array(headerLength(prefix.subarray(0, got), status.size, path));
    const read = await readFully(handle, text, LENGTH_BYTES);
    if (read < text.length)
      throw new CheckpointError(path, {
        expected: `a header of ${text.length} bytes`,
        found: `${read} (the file has become shorter)`,
      });
    return { path, handle, header: parseHeader(text, status.size, path) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Opens a checkpoint and reads the headers of its files. Every header is checked in full before anything is read by it:
 * sizes, overlaps and gaps, names that come twice, and the size of the file. A file that is cut short afterwards makes
 * the reading fail with a named error.
 *
 * @param path a safetensors file, an index of shards (`*.index.json`), or a folder that holds `model.safetensors`, else
 *   `model.safetensors.index.json`, else a single `*.safetensors`
 * @throws CheckpointError ERR_BAD_CHECKPOINT, which names file, tensor, what was expected and what came; TypeError
 *   ERR_INVALID_ARG_TYPE; the system's error (ENOENT, EACCES, ...)
 *
 * @example
 * const checkpoint = await openSafetensors('model.safetensors');
 * const bits = await checkpoint.read('model.norm.weight');
 * await checkpoint.close();
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  if (typeof path !== 'string') throw typeError('path', 'a string', path);
  const files = await checkpointFiles(path);
  const shards: Shard[] = [];
  try {
    for (const shard of files.shards) shards.push(await openShard(shard, files.index?.path));
    return new SafetensorsFile(path, shards, files);
  } catch (error) {
    await Promise.all(shards.map(({ handle }) => handle.close()));
    throw error;
  }
}
