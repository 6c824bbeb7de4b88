/** An .npy file opened for reading in pieces, so that files larger than memory can be worked through. */
import { type FileHandle, open } from 'node:fs/promises';
import { rangeError, typeError } from '../check.js';
import {
  allocate,
  arrayName,
  bytesOf,
  holds,
  itemSize,
  numpyName,
  swapBytes,
  type NpyData,
  type NpyDtype,
  type TwoByteFloat,
} from './npy-dtype.js';
import { NpyError } from './npy-error.js';
import { byteOrderOf, locateHeader, parseHeader, PREFIX_BYTES, type NpyHeader } from './npy-header.js';
import { fortranToC } from './npy-order.js';

/** How an .npy file is read. */
export interface NpyReadOptions {
  /**
   * Reads the bit patterns of two-byte void ('|V2', numpy's way of saving bfloat16) and uint16 elements as this type.
   * Needed for '|V2'; uint16 stays 'u16' without it; any other element type is refused with it.
   */
  dtype?: TwoByteFloat;
}

/** Longest single read: the operating system takes at most 2 GiB at a time. */
const READ_BYTES = 1 << 24;
/** Reads in flight at a time where a block is made of many short runs. */
const PARALLEL_READS = 16;

/** Reads exactly the bytes of `target` from `position`; returns how many there were. */
async function readFully(handle: FileHandle, target: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** A handle on an .npy file; made by `openNpy`, to be closed with `close`. */
export class NpyFile {
  /** File name as given to `openNpy`. */
  readonly path: string;
  /** Element type of the arrays that are read. */
  readonly dtype: NpyDtype;
  /** Lengths of the axes; empty for a single number. */
  readonly shape: readonly number[];
  /** True when the file holds the first index as the fastest. */
  readonly fortranOrder: boolean;
  /** Byte order in the file; what is read is always in the machine's order. */
  readonly byteOrder: 'little' | 'big';
  /** Number of elements. */
  readonly length: number;
  /** Number of rows: the length of the first axis, 1 for a single number. */
  readonly rows: number;
  /** Elements per row: the product of the other axes. */
  readonly rowLength: number;
  readonly #handle: FileHandle;
  readonly #header: NpyHeader;

  /** Use `openNpy`. */
  constructor(handle: FileHandle, path: string, header: NpyHeader) {
    this.path = path;
    this.dtype = header.dtype;
    this.shape = header.shape;
    this.fortranOrder = header.fortranOrder;
    this.byteOrder = byteOrderOf(header);
    this.length = header.length;
    this.rows = header.shape[0] ?? 1;
    this.rowLength = header.shape.slice(1).reduce((product, n) => product * n, 1);
    this.#handle = handle;
    this.#header = header;
  }

  /**
   * Reads rows start .. start + count - 1 in C order. From a file in Fortran order a row is gathered from one run of
   * `count` elements per element of a row, which takes as many reads and twice the memory.
   *
   * @param start first row, 0 to rows
   * @param count number of rows, 0 to rows - start
   * @param into array of the right class with room for count * rowLength elements; fresh by default
   * @returns exactly those elements: a new array, or a view of the beginning of `into`
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, NpyError, or the system's error
   */
  async readRows(start: number, count: number, into?: NpyData): Promise<NpyData> {
    this.#checkRange(start, count, this.rows);
    const target = this.#target(count * this.rowLength, into);
    if (!this.fortranOrder || this.shape.length < 2) {
      return this.#read(start * this.rowLength, target);
    }
    const runs = allocate(this.dtype, target.length, this.path);
    if (count === this.rows) await this.#read(0, runs);
    else await this.readRuns(start, count, this.rows, this.rowLength, runs);
    fortranToC(runs, target, [count, ...this.shape.slice(1)]);
    return target;
  }

  /**
   * Reads elements start .. start + count - 1 in the order in which the file holds them.
   *
   * @param start first element, 0 to length
   * @param count number of elements, 0 to length - start
   * @param into array of the right class with room for `count` elements; fresh by default
   * @returns exactly those elements: a new array, or a view of the beginning of `into`
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, NpyError, or the system's error
   */
  async readElements(start: number, count: number, into?: NpyData): Promise<NpyData> {
    this.#checkRange(start, count, this.length);
    return this.#read(start, this.#target(count, into));
  }

  /**
   * Reads `runs` runs of `count` elements each, whose starts are `step` elements apart in the file, one after the
   * other into `into`: a strip of columns of a matrix with rows of `step` elements.
   *
   * @param start first element of the first run
   * @param count elements per run, 0 to step
   * @param step elements between the starts of two runs
   * @param runs number of runs
   * @param into array of the right class with room for runs * count elements; fresh by default
   * @returns exactly those elements: a new array, or a view of the beginning of `into`
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, NpyError, or the system's error
   */
  async readRuns(start: number, count: number, step: number, runs: number, into?: NpyData): Promise<NpyData> {
    if (runs > 0) this.#checkRange(start + (runs - 1) * step, count, this.length);
    const target = this.#target(runs * count, into);
    for (let first = 0; first < runs; first += PARALLEL_READS) {
      const batch: Promise<NpyData>[] = [];
      for (let run = first; run < Math.min(runs, first + PARALLEL_READS); run++) {
        batch.push(this.#read(start + run * step, target.subarray(run * count, (run + 1) * count)));
      }
      await Promise.all(batch);
    }
    return target;
  }

  /** Closes the file. Reading afterwards fails with the system's EBADF. */
  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** Fills `target` with the elements from number `first` onwards, in the machine's byte order. */
  async #read(first: number, target: NpyData): Promise<NpyData> {
    const step = READ_BYTES / target.BYTES_PER_ELEMENT;
    for (let done = 0; done < target.length; done += step) {
      const piece = target.subarray(done, done + step);
      const position = this.#header.dataOffset + (first + done) * target.BYTES_PER_ELEMENT;
      const bytes = await readFully(this.#handle, bytesOf(piece), position);
      if (bytes < piece.byteLength) {
        throw new NpyError(
          'ERR_NPY_TRUNCATED',
          this.path,
          `expected ${piece.byteLength} bytes at offset ${position}, received ${bytes} ` +
            '(the file has become shorter since it was opened)',
        );
      }
      if (this.#header.swapped) swapBytes(piece);
    }
    return target;
  }

  #checkRange(start: number, count: number, end: number): void {
    if (!Number.isSafeInteger(start) || start < 0 || start > end) {
      throw rangeError('start', `an integer from 0 to ${end}`, start);
    }
    if (!Number.isSafeInteger(count) || count < 0 || count > end - start) {
      throw rangeError('count', `an integer from 0 to ${end - start}`, count);
    }
  }

  #target(length: number, into: NpyData | undefined): NpyData {
    if (into === undefined) return allocate(this.dtype, length, this.path);
    if (!holds(this.dtype, into))
      throw typeError('into', `a ${arrayName(this.dtype)} for ${this.dtype}`, into);
    if (into.length < length)
      throw rangeError('into', `an array of at least ${length} elements`, into.length);
    return into.subarray(0, length);
  }
}

/**
 * Opens an .npy file and reads its header. The size of the file must be the one that the header implies.
 *
 * @param path a regular file
 * @throws NpyError for a truncated, foreign or unsupported file, or the system's error (ENOENT, EACCES, ...)
 */
export async function openNpy(path: string, options: NpyReadOptions = {}): Promise<NpyFile> {
  const handle = await open(path, 'r');
  try {
    const status = await handle.stat();
    if (!status.isFile()) {
      const what = status.isDirectory() ? 'a folder' : 'a device or pipe';
      throw new NpyError('ERR_NPY_FORMAT', path, `expected a regular file, received ${what}`);
    }
    const prefix = new Uint8Array(PREFIX_BYTES);
    const got = await readFully(handle, prefix, 0);
    const { start, end, encoding } = locateHeader(prefix.subarray(0, got), path);
    const text = Buffer.alloc(Math.max(0, Math.min(end, status.size) - start));
    checkHeaderSize(end, start + (await readFully(handle, text, start)), path);
    const header = parseHeader(text.toString(encoding), end, path, options.dtype);
    checkDataSize(header, status.size, path);
    return new NpyFile(handle, path, header);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Refuses a file that ends inside its header. */
export function checkHeaderSize(end: number, size: number, source: string): void {
  if (size < end) {
    throw new NpyError(
      'ERR_NPY_TRUNCATED',
      source,
      `expected a header that ends at byte ${end}, received only ${size} bytes`,
    );
  }
}

/** Refuses a file whose data are shorter or longer than its header says. */
export function checkDataSize(header: NpyHeader, size: number, source: string): void {
  const expected = header.length * itemSize(header.dtype);
  const received = size - header.dataOffset;
  if (received === expected) return;
  const what = `expected ${expected} bytes of data for ${numpyName(header.dtype)} of shape (${header.shape.join(', ')})`;
  if (received < expected) {
    throw new NpyError('ERR_NPY_TRUNCATED', source, `${what}, received ${received} (the file is cut off)`);
  }
  throw new NpyError(
    'ERR_NPY_FORMAT',
    source,
    `${what}, received ${received} (${received - expected} bytes follow the array)`,
  );
}
