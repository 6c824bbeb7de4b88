/** Element types of safetensors files and the typed arrays that hold those that are read. */

/** Bits per element of every type that the format knows. */
const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

const ARRAYS = { F32: Float32Array, F16: Uint16Array, BF16: Uint16Array, F64: Float64Array } as const;

/** Element type of a tensor in a safetensors file. */
export type SafetensorsDtype = keyof typeof BITS;

/** Element types that are read as numbers; tensors of the others are listed, and their bytes can be copied. */
export type ReadableDtype = keyof typeof ARRAYS;

/** What tensors are read into: F16 and BF16 as bit patterns in a Uint16Array. */
export type SafetensorsData = Float32Array | Float64Array | Uint16Array;

/** Whether the format knows an element type of this name. */
export function isSafetensorsDtype(name: unknown): name is SafetensorsDtype {
  return typeof name === 'string' && Object.hasOwn(BITS, name);
}

/** Whether tensors of this type are read as numbers. */
export function isReadable(dtype: SafetensorsDtype): dtype is ReadableDtype {
  return Object.hasOwn(ARRAYS, dtype);
}

/** Bits per element. */
export function bitsOf(dtype: SafetensorsDtype): number {
  return BITS[dtype];
}

/** A class of arrays that tensors are read into. */
export interface ArrayClass {
  new (length: number): SafetensorsData;
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
}

/** Class of the arrays that hold a type. */
export function arrayClass(dtype: ReadableDtype): ArrayClass {
  return ARRAYS[dtype];
}

/** Names of the element types that are read as numbers, for messages. */
export const READABLE_DTYPES = Object.keys(ARRAYS) as ReadableDtype[];

/** Names of all element types. */
export const SAFETENSORS_DTYPES = Object.keys(BITS) as SafetensorsDtype[];
