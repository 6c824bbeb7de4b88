/**
 * 16-bit floating point by arithmetic on values rather than by tricks on bits: round |v| / quantum to the
 * nearest even integer, where the quantum is the spacing of the format at |v|.
 */
import { roundToEven } from './extended.js';

/** Widths of a binary format of one sign bit, `exponentBits` and `mantissaBits`. */
export interface Format {
  exponentBits: number;
  mantissaBits: number;
}

/** The two 16-bit formats of the package. */
export const FORMATS = {
  bf16: { exponentBits: 8, mantissaBits: 7 },
  f16: { exponentBits: 5, mantissaBits: 10 },
} as const satisfies Record<string, Format>;

/** Name of a 16-bit format. */
export type HalfName = keyof typeof FORMATS;

// One word seen as a number and as its bits.
const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

/** The value whose IEEE binary32 pattern is `bits`. */
export function floatOfBits(bits: number): number {
  wordBits[0] = bits;
  return word[0];
}

/** The IEEE binary32 pattern of a float32 value. */
export function bitsOfFloat(value: number): number {
  word[0] = value;
  return wordBits[0];
}

/** The float32 pattern `bits` rounded once to the 16-bit format; a NaN keeps its sign and becomes quiet. */
export function narrowBits(bits: number, format: Format): number {
  const { exponentBits, mantissaBits } = format;
  const signBit = (bits >>> 31) << 15;
  const infinity = ((1 << exponentBits) - 1) << mantissaBits;
  const value = Math.abs(floatOfBits(bits));
  if (Number.isNaN(value)) {
    const payload = (bits & 0x7fffff) >>> (23 - mantissaBits);
    return signBit | infinity | payload | (1 << (mantissaBits - 1));
  }
  if (value === Infinity) return signBit | infinity;

  const smallestExponent = 2 - 2 ** (exponentBits - 1);
  const exponent = Math.max(value === 0 ? -Infinity : Math.floor(Math.log2(value)), smallestExponent);
  const steps = roundToEven(value / 2 ** (exponent - mantissaBits));
  // Counting steps from the smallest exponent makes a carry into the next exponent right by itself.
  const pattern = steps + (exponent - smallestExponent) * 2 ** mantissaBits;
  return signBit | Math.min(pattern, infinity);
}

/** The value of a 16-bit pattern. */
export function widenBits(bits: number, format: Format): number {
  const { exponentBits, mantissaBits } = format;
  const sign = bits >>> 15 ? -1 : 1;
  const field = (bits & 0x7fff) >>> mantissaBits;
  const mantissa = bits & (2 ** mantissaBits - 1);
  if (field === 2 ** exponentBits - 1) return mantissa === 0 ? sign * Infinity : NaN;
  const smallestExponent = 2 - 2 ** (exponentBits - 1);
  const step = 2 ** (smallestExponent - mantissaBits);
  if (field === 0) return sign * mantissa * step;
  return sign * (mantissa + 2 ** mantissaBits) * step * 2 ** (field - 1);
}

/** Float32 values rounded to a 16-bit format. */
export function narrow(values: ArrayLike<number>, name: HalfName): Uint16Array {
  const format = FORMATS[name];
  return new Uint16Array(values.length).map((_, i) => narrowBits(bitsOfFloat(values[i]), format));
}

/** 16-bit patterns as numbers. */
export function widen(bits: ArrayLike<number>, name: HalfName): Float64Array {
  const format = FORMATS[name];
  return new Float64Array(bits.length).map((_, i) => widenBits(bits[i], format));
}
