/**
 * Element types of .npy files and the typed arrays that hold them. float16 and bfloat16 are held as bit patterns in a
 * Uint16Array, bool as 0 and 1 in a Uint8Array, 64-bit integers in big integer arrays.
 */
import { rangeError, typeError } from '../check.js';
import { NpyError } from './npy-error.js';

/** The kind character and item size of a numpy descr, and the array class, for each element type. */
const DTYPES = {
  f16: { code: 'f2', array: Uint16Array },
  f32: { code: 'f4', array: Float32Array },
  f64: { code: 'f8', array: Float64Array },
  bf16: { code: 'V2', array: Uint16Array },
  i8: { code: 'i1', array: Int8Array },
  i16: { code: 'i2', array: Int16Array },
  i32: { code: 'i4', array: Int32Array },
  i64: { code: 'i8', array: BigInt64Array },
  u8: { code: 'u1', array: Uint8Array },
  u16: { code: 'u2', array: Uint16Array },
  u32: { code: 'u4', array: Uint32Array },
  u64: { code: 'u8', array: BigUint64Array },
  bool: { code: 'b1', array: Uint8Array },
} as const;

/** Element type of an .npy file. */
export type NpyDtype = keyof typeof DTYPES;

/** Every array class that an element type is held in. */
export type NpyData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** How two-byte items that do not say what they are (void '|V2' and uint16) shall be read. */
export type TwoByteFloat = 'bf16' | 'f16';

/** Byte order of the machine that runs this, as numpy writes it. */
export const HOST_ORDER = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? '<' : '>';

/** Names of all element types, for messages and checks. */
export const NPY_DTYPES = Object.keys(DTYPES) as NpyDtype[];

/** Bytes per element of `dtype`. */
export function itemSize(dtype: NpyDtype): number {
  return DTYPES[dtype].array.BYTES_PER_ELEMENT;
}

/** numpy's name of `dtype`, for messages: 'float32', 'int64', 'bfloat16', 'bool'. */
export function numpyName(dtype: NpyDtype): string {
  return dtype.replace('f', 'float').replace(/^i/, 'int').replace(/^u/, 'uint');
}

/** Class of the arrays that hold `dtype`, for example 'Uint16Array' for 'f16'. */
export function arrayName(dtype: NpyDtype): string {
  return DTYPES[dtype].array.name;
}

/** True when `data` is of the class that holds `dtype`. */
export function holds(dtype: NpyDtype, data: unknown): data is NpyData {
  return data instanceof DTYPES[dtype].array;
}

/**
 * A zeroed array for `length` elements of `dtype`.
 *
 * @param source name of the file, for the message
 * @throws NpyError ERR_NPY_TOO_LARGE when the memory cannot be had
 */
export function allocate(dtype: NpyDtype, length: number, source: string): NpyData {
  try {
    return new DTYPES[dtype].array(length);
  } catch {
    const bytes = length * itemSize(dtype);
    throw new NpyError(
      'ERR_NPY_TOO_LARGE',
      source,
      `expected an array that fits in memory, received ${length} elements of ${dtype} (${bytes} bytes); ` +
        'read it in blocks of rows with openNpy',
    );
  }
}

/** The numpy descr that this machine writes for `dtype`: '<f4', '|b1', '|V2', ... */
export function descrOf(dtype: NpyDtype): string {
  const { code } = DTYPES[dtype];
  const order = code.endsWith('1') || code === 'V2' ? '|' : HOST_ORDER;
  return order + code;
}

/** Element type and byte order that a descr names; `asked` says how two-byte items without a float type are read. */
export function parseDescr(
  descr: string,
  source: string,
  asked?: TwoByteFloat,
): { dtype: NpyDtype; swapped: boolean } {
  const match = /^([<>=|]?)([a-zA-Z]\d+)$/.exec(descr);
  const code = match?.[2];
  const found = NPY_DTYPES.find((name) => DTYPES[name].code === code);
  const order = match?.[1];
  if (found === undefined || (code === 'V2' && order === '>')) {
    const what = /^[<>=|]?O/.test(descr) ? ' (Python objects: they would have to be unpickled)' : '';
    throw new NpyError(
      'ERR_NPY_UNSUPPORTED',
      source,
      `expected elements of type bool, int8 to int64, uint8 to uint64, float16 to float64 or two-byte void ` +
        `(bfloat16), received '${descr}'${what}`,
    );
  }
  const twoByte = code === 'V2' || code === 'u2';
  if (asked !== undefined && !twoByte && found !== asked) {
    throw new NpyError(
      'ERR_NPY_UNSUPPORTED',
      source,
      `expected two-byte void ('|V2') or uint16 elements to be read as ${asked}, received '${descr}'`,
    );
  }
  if (code === 'V2' && asked === undefined) {
    throw new NpyError(
      'ERR_NPY_UNSUPPORTED',
      source,
      `expected dtype 'bf16' or 'f16' to be asked for (--dtype on the command line), because two-byte void ` +
        `elements ('${descr}') do not say what they are, received none`,
    );
  }
  const dtype = twoByte && asked !== undefined ? asked : found;
  const opposite = HOST_ORDER === '<' ? '>' : '<';
  return { dtype, swapped: order === opposite && itemSize(dtype) > 1 };
}

/**
 * Element type to write `data` as: `dtype` if it is held in such an array, else the array's own type. A Uint16Array
 * must be told apart ('u16', 'bf16' or 'f16'), and so must nothing else.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 */
export function writeDtype(data: unknown, dtype: NpyDtype | undefined): NpyDtype {
  if (dtype !== undefined) {
    checkDtype(dtype);
    if (!holds(dtype, data)) throw typeError('data', `a ${arrayName(dtype)} for dtype '${dtype}'`, data);
    return dtype;
  }
  if (data instanceof Uint16Array) {
    throw typeError('dtype', "'u16', 'bf16' or 'f16' for a Uint16Array", dtype);
  }
  const own = NPY_DTYPES.find((name) => name !== 'bool' && holds(name, data));
  if (own === undefined) throw typeError('data', 'a typed array of an .npy element type', data);
  return own;
}

/** Refuses a name that is not an element type, with RangeError ERR_OUT_OF_RANGE. */
export function checkDtype(dtype: NpyDtype): void {
  if (!NPY_DTYPES.includes(dtype)) throw rangeError('dtype', `one of ${NPY_DTYPES.join(', ')}`, dtype);
}

/** Reverses the bytes of every element in place. */
export function swapBytes(data: NpyData): void {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (data.BYTES_PER_ELEMENT === 2) bytes.swap16();
  else if (data.BYTES_PER_ELEMENT === 4) bytes.swap32();
  else if (data.BYTES_PER_ELEMENT === 8) bytes.swap64();
}

/** The bytes of `data`, without a copy. */
export function bytesOf(data: NpyData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
