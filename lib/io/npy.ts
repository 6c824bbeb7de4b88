/**
 * Reading and writing .npy files, numpy's format for one array, without dependencies: versions 1 to 3, both byte
 * orders, C and Fortran order, any number of dimensions. What is read is always in C order and the machine's byte
 * order; float16 and bfloat16 come as bit patterns in a Uint16Array.
 */
import { allocate, bytesOf, swapBytes, writeDtype, type NpyData, type NpyDtype } from './npy-dtype.js';
import { checkDataSize, checkHeaderSize, openNpy, type NpyReadOptions } from './npy-file.js';
import {
  checkShape,
  elementCount,
  formatHeader,
  locateHeader,
  parseHeader,
  PREFIX_BYTES,
} from './npy-header.js';
import { fortranToC } from './npy-order.js';
import { NpyWriter } from './npy-writer.js';
import { rangeError, typeError } from '../check.js';

/** An array read from an .npy file. */
export interface NpyArray {
  /** Elements in C order (last index fastest). */
  data: NpyData;
  /** Lengths of the axes; [] for a single number. */
  shape: number[];
  /** Element type; decides the class of `data`. */
  dtype: NpyDtype;
  /** Always false: Fortran order is rearranged on reading. */
  fortranOrder: false;
}

/** An array to be written. */
export interface NpyInput {
  /** Elements in C order. */
  data: NpyData;
  /** Lengths of the axes; their product is the length of `data`. Default: one axis. */
  shape?: readonly number[];
  /**
   * Element type; default the type of `data`. A Uint16Array needs 'u16', 'f16' or 'bf16'; 'bool' makes a Uint8Array
   * of 0 and 1 numpy's bool.
   */
  dtype?: NpyDtype;
}

/**
 * Reads an array from the bytes of an .npy file. The elements are copied.
 *
 * @param bytes the whole file
 * @param options how two-byte elements are read; `source` names the bytes in messages, default 'npy data'
 * @throws NpyError for truncated, foreign or unsupported bytes, TypeError ERR_INVALID_ARG_TYPE
 */
export function parseNpy(
  bytes: Uint8Array | ArrayBuffer,
  options: NpyReadOptions & { source?: string } = {},
): NpyArray {
  const source = options.source ?? 'npy data';
  if (!ArrayBuffer.isView(bytes) && Object.prototype.toString.call(bytes) !== '[object ArrayBuffer]') {
    throw typeError('bytes', 'a Uint8Array or an ArrayBuffer', bytes);
  }
  const view = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  const { start, end, encoding } = locateHeader(view.subarray(0, PREFIX_BYTES), source);
  checkHeaderSize(end, view.length, source);
  const text = Buffer.from(view.subarray(start, end)).toString(encoding);
  const header = parseHeader(text, end, source, options.dtype);
  checkDataSize(header, view.length, source);
  const { dtype, shape } = header;
  let data = allocate(dtype, header.length, source);
  bytesOf(data).set(view.subarray(end));
  if (header.swapped) swapBytes(data);
  if (header.fortranOrder && shape.length > 1) {
    const stored = data;
    data = allocate(dtype, header.length, source);
    fortranToC(stored, data, shape);
  }
  return { data, shape, dtype, fortranOrder: false };
}

/**
 * Reads a whole .npy file. A file in Fortran order takes twice its size in memory while it is rearranged; for files
 * larger than memory use `openNpy`.
 *
 * @throws NpyError for a truncated, foreign, unsupported or too large file, or the system's error (ENOENT, ...)
 */
export async function readNpy(path: string, options: NpyReadOptions = {}): Promise<NpyArray> {
  const file = await openNpy(path, options);
  try {
    const data = await file.readRows(0, file.rows);
    return { data, shape: [...file.shape], dtype: file.dtype, fortranOrder: false };
  } finally {
    await file.close();
  }
}

/** The element type and shape that `array` is written with. */
function describe(array: NpyInput): { dtype: NpyDtype; shape: readonly number[] } {
  const dtype = writeDtype(array.data, array.dtype);
  const shape = array.shape ?? [array.data.length];
  checkShape(shape);
  if (elementCount(shape) !== array.data.length) {
    throw rangeError('shape', `lengths whose product is ${array.data.length}`, `[${shape.join(', ')}]`);
  }
  return { dtype, shape };
}

/**
 * The bytes of an .npy file (version 1.0, C order, the machine's byte order), the same as `np.save` writes.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 */
export function encodeNpy(array: NpyInput): Uint8Array {
  const { dtype, shape } = describe(array);
  const header = formatHeader(dtype, shape, false);
  const bytes = new Uint8Array(header.length + array.data.byteLength);
  bytes.set(header);
  bytes.set(bytesOf(array.data), header.length);
  return bytes;
}

/**
 * Writes an .npy file: to a temporary file in the same folder first, which then takes the name, so that a reader
 * never sees half an array. Do not change the data before the promise is fulfilled.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, or the system's error (ENOSPC, EACCES, ...)
 */
export async function writeNpy(path: string, array: NpyInput): Promise<void> {
  const { dtype, shape } = describe(array);
  const writer = await NpyWriter.create(path, shape, dtype);
  try {
    await writer.writeElements(0, array.data);
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await writer.finish();
}

export { openNpy, NpyFile, type NpyReadOptions } from './npy-file.js';
export { NpyWriter, type NpyWriterOptions } from './npy-writer.js';
export { NpyError, type NpyErrorCode } from './npy-error.js';
export { transpose } from './npy-order.js';
export type { NpyData, NpyDtype, TwoByteFloat } from './npy-dtype.js';
