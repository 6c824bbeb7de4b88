/**
 * Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3" (SC 2011), and the numbers that softlane draws from it.
 *
 * A stream is an endless sequence of 32-bit words, numbered by `position` = 0, 1, 2, ... Nothing but
 * (seed, stream, position) decides a word, so a result never depends on batches, threads or order of evaluation.
 *
 *   key     = (seed mod 2^32, floor(seed / 2^32))
 *   counter = (block mod 2^32, floor(block / 2^32), stream mod 2^32, floor(stream / 2^32)),  block = floor(position / 4)
 *   word    = element (position mod 4) of philox4x32-10(counter, key)
 *
 * Numbers made of words w0, w1, ... taken from the present position onwards:
 *
 *   uniform, float32   1 word per element    u = floor(w0 / 2^8) / 2^24
 *   uniform, float64   2 words per element   u = (floor(w0 / 2^5) * 2^26 + floor(w1 / 2^6)) / 2^53
 *                      value = low + (high - low) * u, computed in float64, then rounded to the array's type
 *   normal, float32    2 words per pair      a = (w0 + 1) / 2^32,    b = w1 / 2^32
 *   normal, float64    4 words per pair      a = u(w0, w1) + 2^-53,  b = u(w2, w3), u as for uniform float64
 *                      r = sqrt(-2 ln a); the pair is (r cos 2 pi b, r sin 2 pi b), rounded to the array's type
 *
 * The logarithm, sine and cosine are written out below in float64 additions, multiplications and divisions without
 * fused multiply-add: the engine's own Math.log and Math.sin may differ in the last place from one version to the
 * next, and a twin in another language that evaluates the same expressions has the same bits.
 */
import { isA, rangeError, typeError } from './check.js';

const TWO_32 = 2 ** 32;
/** Words drawn at a time by the filling functions: 4 KiB, which stays in the first-level cache. */
const CHUNK_WORDS = 1024;

/**
 * One block of Philox4x32-10: four 32-bit words, a bijection of the counter for each key.
 *
 * The high half of a 32 x 32 bit product is put together from 16-bit halves; every partial sum stays below 2^32.
 *
 * @param c0 lowest word of the counter; c1, c2 and c3 follow (each an integer, taken modulo 2^32)
 * @param k0 low word of the key
 * @param k1 high word of the key
 * @param out receives four words
 * @param offset index in `out` of the first of them, default 0
 */
export function philox4x32(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
  out: Uint32Array,
  offset = 0,
): void {
  c0 |= 0;
  c1 |= 0;
  c2 |= 0;
  c3 |= 0;
  k0 |= 0;
  k1 |= 0;
  for (let round = 0; round < 10; round++) {
    // Multipliers 0xD2511F53 and 0xCD9E8D57, in halves.
    const low0 = c0 & 0xffff;
    const high0 = c0 >>> 16;
    const cross0 = (Math.imul(0xd251, low0) + (Math.imul(0x1f53, low0) >>> 16)) | 0;
    const middle0 = (Math.imul(0x1f53, high0) + (cross0 & 0xffff)) | 0;
    const top0 = (Math.imul(0xd251, high0) + (cross0 >>> 16) + (middle0 >>> 16)) | 0;
    const low2 = c2 & 0xffff;
    const high2 = c2 >>> 16;
    const cross2 = (Math.imul(0xcd9e, low2) + (Math.imul(0x8d57, low2) >>> 16)) | 0;
    const middle2 = (Math.imul(0x8d57, high2) + (cross2 & 0xffff)) | 0;
    const top2 = (Math.imul(0xcd9e, high2) + (cross2 >>> 16) + (middle2 >>> 16)) | 0;
    const bottom0 = Math.imul(0xd2511f53, c0);
    const bottom2 = Math.imul(0xcd9e8d57, c2);
    c0 = top2 ^ c1 ^ k0;
    c1 = bottom2;
    c2 = top0 ^ c3 ^ k1;
    c3 = bottom0;
    // Weyl sequence of the key: golden ratio and sqrt(3) - 1.
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[offset] = c0;
  out[offset + 1] = c1;
  out[offset + 2] = c2;
  out[offset + 3] = c3;
}

const bits = new DataView(new ArrayBuffer(8));

/** Natural logarithm of a normal float64 x > 0 by fdlibm's polynomial, error below 1 ULP. */
function log(x: number): number {
  bits.setFloat64(0, x);
  // x = 2^k * m with m in [sqrt(1/2), sqrt(2)); 0x3fe6a09e is the high word of sqrt(1/2).
  const high = bits.getInt32(0) + (0x3ff00000 - 0x3fe6a09e);
  const k = (high >> 20) - 0x3ff;
  bits.setInt32(0, (high & 0x000fffff) + 0x3fe6a09e);
  const f = bits.getFloat64(0) - 1;
  const halfSquare = 0.5 * f * f;
  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const even = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332));
  const odd =
    z *
    (0.666666666666673513 +
      w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591)));
  return (
    s * (halfSquare + (odd + even)) +
    k * 1.90821492927058770002e-10 -
    halfSquare +
    f +
    k * 6.9314718036912381649e-1
  );
}

/** Sine of |x| <= pi/4, fdlibm's polynomial. */
function smallSine(x: number): number {
  const z = x * x;
  const tail =
    8.33333333332248946124e-3 +
    z *
      (-1.98412698298579493134e-4 +
        z * (2.75573137070700676789e-6 + z * (-2.50507602534068634195e-8 + z * 1.58969099521155010221e-10)));
  return x + z * x * (-1.66666666666666324348e-1 + z * tail);
}

/** Cosine of |x| <= pi/4, fdlibm's polynomial. */
function smallCosine(x: number): number {
  const z = x * x;
  const w = z * z;
  const tail =
    z * (4.16666666666666019037e-2 + z * (-1.38888888888741095749e-3 + z * 2.48015872894767294178e-5)) +
    w * w * (-2.75573143513906633035e-7 + z * (2.0875723212981748279e-9 + z * -1.13596475577881948265e-11));
  const half = 0.5 * z;
  const head = 1 - half;
  return head + (1 - head - half + z * tail);
}

/** Box-Muller: writes the pair of a in (0, 1] and b in [0, 1) to pair[0] and pair[1]. */
function boxMuller(a: number, b: number, pair: Float64Array): void {
  const radius = Math.sqrt(-2 * log(a));
  // The nearest quarter turn is taken off exactly, before the one rounding that 2 pi brings.
  const quarter = Math.floor(4 * b + 0.5);
  const angle = 6.283185307179586 * (b - 0.25 * quarter);
  const sine = smallSine(angle);
  const cosine = smallCosine(angle);
  switch (quarter & 3) {
    case 0:
      pair[0] = radius * cosine;
      pair[1] = radius * sine;
      break;
    case 1:
      pair[0] = -(radius * sine);
      pair[1] = radius * cosine;
      break;
    case 2:
      pair[0] = -(radius * cosine);
      pair[1] = -(radius * sine);
      break;
    default:
      pair[0] = radius * sine;
      pair[1] = -(radius * cosine);
  }
}

/** Fraction in [0, 1) with 53 bits out of two words. */
function fraction53(first: number, second: number): number {
  return ((first >>> 5) * 67108864 + (second >>> 6)) * 2 ** -53;
}

/** A non-negative safe integer, or the error that says which argument was not one. */
function index(name: string, value: number): number {
  if (typeof value !== 'number') throw typeError(name, 'a number', value);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw rangeError(name, 'an integer from 0 to 2^53 - 1', value);
  }
  return value;
}

/** True for an array of float32, false for one of float64, an error for anything else. */
function isSingle(out: Float32Array | Float64Array): boolean {
  if (isA(out, Float32Array)) return true;
  if (isA(out, Float64Array)) return false;
  throw typeError('out', 'a Float32Array or a Float64Array', out);
}

/**
 * A stream of random numbers that depend on (seed, stream, position) alone; see the head of this file for the mapping.
 *
 * @example
 * const noise = new Philox(42, 7).normal(new Float32Array(1000));
 */
export class Philox {
  readonly #key0: number;
  readonly #key1: number;
  readonly #stream0: number;
  readonly #stream1: number;
  readonly #block = new Uint32Array(4);
  readonly #chunk = new Uint32Array(CHUNK_WORDS);
  #position = 0;
  /** Number of the block that #block holds; -1 while it holds none. */
  #held = -1;

  /**
   * @param seed integer from 0 to 2^53 - 1
   * @param stream integer from 0 to 2^53 - 1, default 0; streams of one seed are independent
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
   */
  constructor(seed: number, stream = 0) {
    index('seed', seed);
    index('stream', stream);
    this.#key0 = seed % TWO_32;
    this.#key1 = Math.floor(seed / TWO_32);
    this.#stream0 = stream % TWO_32;
    this.#stream1 = Math.floor(stream / TWO_32);
  }

  /** Number of the word that comes next, from 0. */
  get position(): number {
    return this.#position;
  }

  /**
   * Goes to a word of the stream, forwards or backwards, in constant time.
   *
   * @param position integer from 0 to 2^53 - 1, in words of 32 bits
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
   */
  seek(position: number): this {
    this.#position = index('position', position);
    return this;
  }

  /** The next word: an integer from 0 to 2^32 - 1. */
  uint32(): number {
    this.#reserve(1);
    const block = Math.floor(this.#position / 4);
    if (block !== this.#held) {
      this.#generate(block, this.#block, 0);
      this.#held = block;
    }
    return this.#block[this.#position++ % 4];
  }

  /**
   * Fills `out` with the next words, one per element, and returns it.
   *
   * @throws TypeError ERR_INVALID_ARG_TYPE when `out` is not a Uint32Array
   */
  words(out: Uint32Array): Uint32Array {
    if (!(out instanceof Uint32Array)) throw typeError('out', 'a Uint32Array', out);
    this.#reserve(out.length);
    this.#fill(out, out.length);
    return out;
  }

  /**
   * Fills `out` with numbers spread evenly over [low, high) and returns it: float32 takes one word per element and has
   * 24 random bits, float64 takes two and has 53. Where high - low is so small beside low that the type cannot
   * hold the fraction, rounding may give `high` itself.
   *
   * @param low finite, default 0
   * @param high finite, at least low, default 1; high - low must be finite too
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
   */
  uniform<T extends Float32Array | Float64Array>(out: T, low = 0, high = 1): T {
    const single = isSingle(out);
    if (!Number.isFinite(low)) throw rangeError('low', 'a finite number', low);
    if (!Number.isFinite(high) || high < low || !Number.isFinite(high - low)) {
      throw rangeError('high', `a finite number >= low (${low}) with high - low finite`, high);
    }
    const span = high - low;
    const words = this.#chunk;
    const perElement = single ? 1 : 2;
    this.#reserve(out.length * perElement);
    for (let start = 0; start < out.length; start += CHUNK_WORDS / perElement) {
      const count = Math.min(CHUNK_WORDS / perElement, out.length - start);
      this.#fill(words, count * perElement);
      if (single) {
        for (let i = 0; i < count; i++) out[start + i] = low + span * ((words[i] >>> 8) * 2 ** -24);
      } else {
        for (let i = 0; i < count; i++) {
          out[start + i] = low + span * fraction53(words[2 * i], words[2 * i + 1]);
        }
      }
    }
    return out;
  }

  /**
   * Fills `out` with independent standard normal numbers (mean 0, variance 1; Box-Muller) and returns it. Numbers
   * come in pairs: elements 2i and 2i + 1 share their words, and an odd length leaves the second of its last pair
   * unused, so a long array filled in pieces equals one filled at once when all but the last piece are even.
   * The largest magnitude is 6.66 for float32 and 8.57 for float64.
   *
   * @throws TypeError ERR_INVALID_ARG_TYPE
   */
  normal<T extends Float32Array | Float64Array>(out: T): T {
    const single = isSingle(out);
    const words = this.#chunk;
    const perPair = single ? 2 : 4;
    const pair = new Float64Array(2);
    const pairs = Math.ceil(out.length / 2);
    this.#reserve(pairs * perPair);
    for (let start = 0; start < pairs; start += CHUNK_WORDS / perPair) {
      const count = Math.min(CHUNK_WORDS / perPair, pairs - start);
      this.#fill(words, count * perPair);
      for (let i = 0; i < count; i++) {
        if (single) {
          boxMuller((words[2 * i] + 1) * 2 ** -32, words[2 * i + 1] * 2 ** -32, pair);
        } else {
          const a = fraction53(words[4 * i], words[4 * i + 1]) + 2 ** -53;
          boxMuller(a, fraction53(words[4 * i + 2], words[4 * i + 3]), pair);
        }
        const at = 2 * (start + i);
        out[at] = pair[0];
        if (at + 1 < out.length) out[at + 1] = pair[1];
      }
    }
    return out;
  }

  /** Refuses to run past the last position that a safe integer can name. */
  #reserve(count: number): void {
    if (this.#position + count > Number.MAX_SAFE_INTEGER) {
      throw rangeError('position', `at most 2^53 - 1 after drawing ${count} words`, this.#position);
    }
  }

  #generate(block: number, out: Uint32Array, offset: number): void {
    const low = block % TWO_32;
    const high = Math.floor(block / TWO_32);
    philox4x32(low, high, this.#stream0, this.#stream1, this.#key0, this.#key1, out, offset);
  }

  /** Puts the next `count` words into out[0 .. count - 1]. */
  #fill(out: Uint32Array, count: number): void {
    let filled = 0;
    while (filled < count) {
      const left = count - filled;
      if (this.#position % 4 === 0 && left >= 4) {
        this.#generate(this.#position / 4, out, filled);
        filled += 4;
        this.#position += 4;
      } else {
        out[filled++] = this.uint32();
      }
    }
  }
}
