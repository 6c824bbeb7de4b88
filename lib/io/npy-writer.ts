/** Writing an .npy file piece by piece, visible under its name only once it is complete. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { rangeError, typeError } from '../check.js';
import { realTarget, syncFolder, takeMode } from './atomic.js';
import { arrayName, bytesOf, checkDtype, holds, itemSize, type NpyData, type NpyDtype } from './npy-dtype.js';
import { NpyError } from './npy-error.js';
import { checkShape, elementCount, formatHeader } from './npy-header.js';

/** How an .npy file is laid out. */
export interface NpyWriterOptions {
  /** True declares that the elements come with the first index fastest; default false. */
  fortranOrder?: boolean;
  /**
   * Name of the file that is written until `finish`, on the file system of the target; must not exist. Default: a random
   * name in the target's folder.
   */
  temporaryPath?: string;
  /** True flushes the file to the disk before it takes its name; default false. */
  sync?: boolean;
}

/** Longest single write: the operating system takes at most 2 GiB at a time. */
const WRITE_BYTES = 1 << 24;
/** Writes in flight at a time where a block is made of many short runs. */
const PARALLEL_WRITES = 16;

/** The file that `path` stands for once symbolic links are followed; refuses a folder. */
async function resolveTarget(path: string): Promise<string> {
  const target = await realTarget(path);
  const status = await stat(target).catch(() => undefined);
  if (status?.isDirectory() === true) {
    throw new NpyError('ERR_NPY_FORMAT', path, 'expected a file name to write to, received a folder');
  }
  return target;
}

/**
 * Streams an array to a temporary file in the target's folder and renames it on `finish`, so that the target is
 * either the old file or the complete new one. A process that is killed leaves the temporary file
 * (`.NAME.RANDOM.tmp`) behind, never half a target.
 *
 * @example
 * const writer = await NpyWriter.create('p.npy', [1000, 256], 'f32');
 * for (const block of blocks) await writer.writeRows(block);
 * await writer.finish();
 */
export class NpyWriter {
  /** File name as given to `create`. */
  readonly path: string;
  /** Lengths of the axes. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: NpyDtype;
  /** Name of the file that is written until `finish`. */
  readonly temporaryPath: string;
  readonly #handle: FileHandle;
  readonly #target: string;
  readonly #dataOffset: number;
  readonly #length: number;
  readonly #rowLength: number;
  readonly #sync: boolean;
  #next = 0;
  #written = 0;
  #open = true;

  private constructor(
    handle: FileHandle,
    path: string,
    target: string,
    temporaryPath: string,
    shape: readonly number[],
    dtype: NpyDtype,
    dataOffset: number,
    fortranOrder: boolean,
    sync: boolean,
  ) {
    this.path = path;
    this.shape = shape;
    this.dtype = dtype;
    this.temporaryPath = temporaryPath;
    this.#handle = handle;
    this.#target = target;
    this.#dataOffset = dataOffset;
    this.#length = elementCount(shape);
    this.#sync = sync;
    this.#rowLength = elementCount(fortranOrder ? shape.slice(0, -1) : shape.slice(1));
  }

  /**
   * Creates the temporary file and writes its header.
   *
   * @param path file to write; an existing one is replaced on `finish`
   * @param shape lengths of the axes, each an integer >= 0; [] for a single number
   * @param dtype element type
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, NpyError, or the system's error
   */
  static async create(
    path: string,
    shape: readonly number[],
    dtype: NpyDtype,
    options: NpyWriterOptions = {},
  ): Promise<NpyWriter> {
    if (typeof path !== 'string') throw typeError('path', 'a string', path);
    checkShape(shape);
    checkDtype(dtype);
    const fortranOrder = options.fortranOrder ?? false;
    const header = formatHeader(dtype, shape, fortranOrder);
    const target = await resolveTarget(path);
    const temporary =
      options.temporaryPath ??
      join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
    const handle = await open(temporary, 'wx');
    const writer = new NpyWriter(
      handle,
      path,
      target,
      temporary,
      [...shape],
      dtype,
      header.length,
      fortranOrder,
      options.sync ?? false,
    );
    try {
      await writer.#writeBytes(header, 0);
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return writer;
  }

  /**
   * Appends whole rows (slices along the first axis) in C order; for a writer in Fortran order, whole slices along
   * the last axis in the file's order. Do not change `data` before the promise is fulfilled.
   *
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE when `data` is not whole rows or is more than
   *   the shape holds, or the system's error
   */
  async writeRows(data: NpyData): Promise<void> {
    const start = this.#next;
    this.#check(start, data);
    if (this.#rowLength > 0 && data.length % this.#rowLength !== 0) {
      throw rangeError('data', `whole rows of ${this.#rowLength} elements`, `${data.length} elements`);
    }
    this.#next += data.length;
    await this.#write(start, data);
  }

  /**
   * Writes elements at a place of the file's own order, for results that do not come in order. Each element must be
   * written once before `finish`.
   *
   * @param start number of the first element written
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, or the system's error
   */
  async writeElements(start: number, data: NpyData): Promise<void> {
    this.#check(start, data);
    await this.#write(start, data);
  }

  /**
   * Writes `runs` runs of `count` elements, held one after the other in `data`, to places that are `step` elements
   * apart: a strip of columns of a matrix with rows of `step` elements. The twin of `NpyFile.readRuns`.
   *
   * @param start place of the first element of the first run
   * @param count elements per run
   * @param step elements between the starts of two runs
   * @param runs number of runs; `data` holds runs * count elements
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, or the system's error
   */
  async writeRuns(start: number, count: number, step: number, runs: number, data: NpyData): Promise<void> {
    if (data.length !== runs * count) throw rangeError('data', `${runs * count} elements`, data.length);
    for (let first = 0; first < runs; first += PARALLEL_WRITES) {
      const batch: Promise<void>[] = [];
      for (let run = first; run < Math.min(runs, first + PARALLEL_WRITES); run++) {
        batch.push(this.writeElements(start + run * step, data.subarray(run * count, (run + 1) * count)));
      }
      await Promise.all(batch);
    }
  }

  /**
   * Closes the temporary file and gives it its name. Every write must have been fulfilled.
   *
   * @throws RangeError ERR_OUT_OF_RANGE when the elements written are not as many as the shape holds (the temporary
   *   file is removed), or the system's error
   */
  async finish(): Promise<void> {
    if (this.#written !== this.#length) {
      await this.abort();
      throw rangeError(
        'data',
        `${this.#length} elements in all before finish()`,
        `${this.#written} elements`,
      );
    }
    try {
      if (this.#sync) await this.#handle.sync();
      await this.#close();
      await takeMode(this.temporaryPath, this.#target);
      await rename(this.temporaryPath, this.#target);
      if (this.#sync) await syncFolder(dirname(this.#target));
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  /** Removes the temporary file; the target stays as it was. Harmless after an earlier `abort`. */
  async abort(): Promise<void> {
    await this.#close();
    await rm(this.temporaryPath, { force: true });
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#handle.close();
  }

  #check(start: number, data: NpyData): void {
    if (!holds(this.dtype, data))
      throw typeError('data', `a ${arrayName(this.dtype)} for ${this.dtype}`, data);
    if (!Number.isSafeInteger(start) || start < 0 || start > this.#length) {
      throw rangeError('start', `an integer from 0 to ${this.#length}`, start);
    }
    if (data.length > this.#length - start) {
      throw rangeError('data', `at most ${this.#length - start} elements from ${start} onwards`, data.length);
    }
  }

  async #write(start: number, data: NpyData): Promise<void> {
    await this.#writeBytes(bytesOf(data), this.#dataOffset + start * itemSize(this.dtype));
    this.#written += data.length;
  }

  async #writeBytes(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const count = Math.min(WRITE_BYTES, bytes.length - done);
      done += (await this.#handle.write(bytes, done, count, position + done)).bytesWritten;
    }
  }
}
