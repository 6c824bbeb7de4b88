/**
 * The header of an .npy file, as numpy's `numpy/lib/_format_impl.py` defines it: magic, version, length, and a Python
 * dictionary literal with the keys 'descr', 'fortran_order' and 'shape', padded so that the data starts at a multiple
 * of 64 bytes. Version 1 has a length of two bytes, versions 2 and 3 of four; version 3 is UTF-8, the others latin1.
 */
import { rangeError, typeError } from '../check.js';
import { descrOf, HOST_ORDER, itemSize, parseDescr, type NpyDtype, type TwoByteFloat } from './npy-dtype.js';
import { NpyError } from './npy-error.js';
import { parseLiteral, type Literal } from './python-literal.js';

/** What a header says. */
export interface NpyHeader {
  /** Element type as it will be read. */
  dtype: NpyDtype;
  /** True when the bytes of each element must be reversed on this machine. */
  swapped: boolean;
  /** True when the first index is the fastest in the file. */
  fortranOrder: boolean;
  /** Lengths of the axes; empty for a single number. */
  shape: number[];
  /** Number of elements, the product of `shape`. */
  length: number;
  /** Offset of the first element in the file, in bytes. */
  dataOffset: number;
}

/** Bytes to read before the length of the header is known. */
export const PREFIX_BYTES = 12;

/** Longest header taken for real; numpy's own limit is 10,000 characters, a broken file may claim 4 GiB. */
const MAX_HEADER_BYTES = 1 << 20;
const MAX_DIMENSIONS = 64;
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/**
 * Where the header text lies.
 *
 * @param prefix the first PREFIX_BYTES bytes of the file, or fewer if it has fewer
 * @param source file name for messages
 * @throws NpyError
 */
export function locateHeader(
  prefix: Uint8Array,
  source: string,
): { start: number; end: number; encoding: 'latin1' | 'utf8' } {
  const magic = prefix.subarray(0, MAGIC.length);
  if (!magic.every((byte, i) => byte === MAGIC[i])) {
    const zip =
      prefix[0] === 0x50 && prefix[1] === 0x4b ? ' (a zip archive: .npz files must be unpacked first)' : '';
    const bytes = Array.from(magic, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw new NpyError(
      'ERR_NPY_FORMAT',
      source,
      `expected an .npy file, which starts with the bytes 93 4e 55 4d 50 59, received ${bytes}${zip}`,
    );
  }
  if (prefix.length < PREFIX_BYTES) {
    throw new NpyError(
      'ERR_NPY_TRUNCATED',
      source,
      `expected at least ${PREFIX_BYTES} bytes, received ${prefix.length}`,
    );
  }
  const [major, minor] = [prefix[6], prefix[7]];
  if (major < 1 || major > 3 || minor !== 0) {
    throw new NpyError(
      'ERR_NPY_FORMAT',
      source,
      `expected .npy version 1.0, 2.0 or 3.0, received ${major}.${minor}`,
    );
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const start = major === 1 ? 10 : 12;
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER_BYTES) {
    throw new NpyError(
      'ERR_NPY_FORMAT',
      source,
      `expected a header of at most ${MAX_HEADER_BYTES} bytes, received a length of ${length}`,
    );
  }
  return { start, end: start + length, encoding: major === 3 ? 'utf8' : 'latin1' };
}

/** One value of the header's dictionary in the words of an error message. */
function show(value: Literal | undefined): string {
  if (value === undefined) return 'nothing';
  const plain = JSON.stringify(value, (_, v: Literal) => {
    if (typeof v === 'bigint') return String(v);
    return v instanceof Map ? [...v] : v;
  });
  return plain.length > 200 ? `${plain.slice(0, 200)}...` : plain;
}

/**
 * Reads the header's text.
 *
 * @param text the Python dictionary literal
 * @param dataOffset where the header ends, in bytes from the start of the file
 * @param source file name for messages
 * @param asked how two-byte items of no float type are read
 * @throws NpyError
 */
export function parseHeader(
  text: string,
  dataOffset: number,
  source: string,
  asked?: TwoByteFloat,
): NpyHeader {
  let parsed: Literal;
  try {
    parsed = parseLiteral(text);
  } catch (error) {
    throw new NpyError(
      'ERR_NPY_FORMAT',
      source,
      `expected a header that is a Python dictionary, received one with ${(error as Error).message}`,
    );
  }
  if (!(parsed instanceof Map)) {
    throw new NpyError(
      'ERR_NPY_FORMAT',
      source,
      `expected a header that is a Python dictionary, received ${show(parsed)}`,
    );
  }
  const keys = [...parsed.keys()].sort().join(', ');
  if (keys !== 'descr, fortran_order, shape') {
    throw new NpyError(
      'ERR_NPY_FORMAT',
      source,
      `expected a header with the keys descr, fortran_order, shape, received ${keys || 'none'}`,
    );
  }
  const descr = parsed.get('descr');
  if (Array.isArray(descr)) {
    throw new NpyError(
      'ERR_NPY_UNSUPPORTED',
      source,
      `expected elements of one plain type, received a structured type ${show(descr)}`,
    );
  }
  if (typeof descr !== 'string') {
    throw new NpyError('ERR_NPY_FORMAT', source, `expected 'descr' to be a string, received ${show(descr)}`);
  }
  const fortranOrder = parsed.get('fortran_order');
  if (typeof fortranOrder !== 'boolean') {
    throw new NpyError(
      'ERR_NPY_FORMAT',
      source,
      `expected 'fortran_order' to be True or False, received ${show(fortranOrder)}`,
    );
  }
  const { dtype, swapped } = parseDescr(descr, source, asked);
  const shape = parseShape(parsed.get('shape'), itemSize(dtype), source);
  return { dtype, swapped, fortranOrder, shape, length: elementCount(shape), dataOffset };
}

/** The shape as whole numbers whose product of bytes is exact. */
function parseShape(value: Literal | undefined, bytesPerElement: number, source: string): number[] {
  const sound =
    Array.isArray(value) &&
    value.every((n) => typeof n === 'bigint' && n >= 0n) &&
    value.length <= MAX_DIMENSIONS;
  if (!sound) {
    throw new NpyError(
      'ERR_NPY_FORMAT',
      source,
      `expected 'shape' to be a tuple of at most ${MAX_DIMENSIONS} integers >= 0, received ${show(value)}`,
    );
  }
  const exact = value as bigint[];
  const total = exact.reduce((product, n) => product * n, BigInt(bytesPerElement));
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  if (total > limit || exact.some((n) => n > limit)) {
    throw new NpyError(
      'ERR_NPY_TOO_LARGE',
      source,
      `expected an array of at most 2^53 - 1 bytes, received the shape (${exact.join(', ')})`,
    );
  }
  return exact.map(Number);
}

/** Product of the lengths of the axes; 1 for no axes. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/**
 * Refuses a shape that is not an array of non-negative integers with an exact product.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 */
export function checkShape(shape: readonly number[]): void {
  if (!Array.isArray(shape)) throw typeError('shape', 'an array of integers >= 0', shape);
  const sound = shape.every((n) => Number.isSafeInteger(n) && n >= 0);
  if (!sound || shape.length > MAX_DIMENSIONS || !Number.isSafeInteger(elementCount(shape) * 8)) {
    throw rangeError(
      'shape',
      `at most ${MAX_DIMENSIONS} integers >= 0 whose product is below 2^50`,
      `[${shape.join(', ')}]`,
    );
  }
}

/**
 * The bytes before the data, the same as numpy's `np.save` writes: spaces leave room for the first axis to grow to
 * 21 digits in place, and the data starts at a multiple of 64 bytes.
 */
export function formatHeader(dtype: NpyDtype, shape: readonly number[], fortranOrder: boolean): Uint8Array {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  let text = `{'descr': '${descrOf(dtype)}', 'fortran_order': ${fortranOrder ? 'True' : 'False'}, 'shape': ${tuple}, }`;
  if (shape.length > 0) {
    const growing = String(shape[fortranOrder ? shape.length - 1 : 0]);
    text += ' '.repeat(Math.max(0, 21 - growing.length));
  }
  // 64 axes of 16 digits stay far below the 65,535 bytes of a version 1 header.
  const unpadded = 10 + text.length + 1;
  text += `${' '.repeat((64 - (unpadded % 64)) % 64)}\n`;
  const bytes = new Uint8Array(10 + text.length);
  bytes.set([...MAGIC, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, text.length, true);
  bytes.set(Buffer.from(text, 'latin1'), 10);
  return bytes;
}

/** Byte order of the elements in a file with this header. */
export function byteOrderOf(header: NpyHeader): 'little' | 'big' {
  return (HOST_ORDER === '<') !== header.swapped ? 'little' : 'big';
}
