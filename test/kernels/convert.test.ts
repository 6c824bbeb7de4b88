import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../lib/index.js';
import { LENGTHS } from '../helpers/algorithms.js';
import { expectSameBits } from '../helpers/compare.js';
import { type ConvertCase, fixture } from '../helpers/fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow, POISON, shifted, untouchedOutside } from '../helpers/rows.js';
import { FORMATS, type HalfName, narrow, narrowBits, widenBits } from '../reference/convert.js';

const fixtures = fixture<ConvertCase>('convert16');
const floats = (bits: readonly number[]): Float32Array => new Float32Array(Uint32Array.from(bits).buffer);
const bitsOf = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

/** Both directions of one format, and how to tell its NaN patterns. */
const formats = [
  { name: 'bf16' as HalfName, toHalf: f32ToBf16, toFloat: bf16ToF32, infinity: 0x7f80 },
  { name: 'f16' as HalfName, toHalf: f32ToF16, toFloat: f16ToF32, infinity: 0x7c00 },
];

onEveryIsa(() => {
  describe.each(formats)('$name', ({ name, toHalf, toFloat, infinity }) => {
    const isNaN16 = (bits: number): boolean => (bits & 0x7fff) > infinity;
    const differs = (actual: number, expected: number): boolean =>
      isNaN16(expected) ? !isNaN16(actual) || actual >>> 15 !== expected >>> 15 : actual !== expected;

    it('rounds the fixtures to the same bits, keeping the sign of NaN', () => {
      const actual = toHalf(floats(fixtures.f32));
      const wrong = fixtures[name].flatMap((expected, i) =>
        differs(actual[i], expected) ? [[fixtures.f32[i], expected, actual[i]]] : [],
      );
      expect(wrong).toEqual([]);
    });

    it('widens the fixtures to the same bits', () => {
      const expected = floats(name === 'bf16' ? fixtures.bf16ToF32 : fixtures.f16ToF32);
      const actual = toFloat(Uint16Array.from(fixtures.from16));
      const wrong = fixtures.from16.filter((_, i) => !Object.is(actual[i], expected[i]));
      expect(wrong).toEqual([]);
    });

    it('widens every pattern exactly, and comes back', () => {
      const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
      const values = toFloat(patterns);
      const wrong = Array.from(patterns).filter((bits) => {
        return !Object.is(values[bits], widenBits(bits, FORMATS[name]));
      });
      expect(wrong).toEqual([]);
      const back = toHalf(values);
      expect(Array.from(patterns).filter((bits) => differs(back[bits], bits))).toEqual([]);
    });

    it('rounds halves to even around every pattern', () => {
      // The float32 values halfway between neighbours, and the ones just below and above.
      const middles = Array.from({ length: infinity }, (_, bits) => {
        const [low, high] = [widenBits(bits, FORMATS[name]), widenBits(bits + 1, FORMATS[name])];
        return high === Infinity ? 65520 : (low + high) / 2;
      });
      const patterns = bitsOf(Float32Array.from(middles));
      const tested = Uint32Array.from(
        { length: 3 * infinity },
        (_, i) => patterns[i % infinity] + Math.floor(i / infinity) - 1,
      );
      const actual = toHalf(new Float32Array(tested.buffer));
      const wrong = Array.from(tested).filter((bits, i) =>
        differs(actual[i], narrowBits(bits, FORMATS[name])),
      );
      expect(wrong).toEqual([]);
    });

    it('rounds patterns all over float32', () => {
      const tested = Uint32Array.from({ length: 400_000 }, (_, i) => (i * 10_739) >>> 0);
      const actual = toHalf(new Float32Array(tested.buffer));
      const wrong = Array.from(tested).filter((bits, i) =>
        differs(actual[i], narrowBits(bits, FORMATS[name])),
      );
      expect(wrong).toEqual([]);
    });

    it.each(LENGTHS)('does not care where the array starts, at length %i', (length) => {
      const x = normalRow(length, 100, length);
      const expected = narrow(x, name);
      for (const offset of [1, 3, 7]) {
        expectSameBits(toHalf(shifted(x, offset).view), expected, `offset ${offset}`);
        const half = new Uint16Array(length + offset + 3).fill(0xbeef);
        const out = half.subarray(offset, offset + length);
        expect(toHalf(x, { out })).toBe(out);
        expectSameBits(out, expected, `into offset ${offset}`);
        expect(
          half.filter((bits, i) => (i < offset || i >= offset + length) && bits !== 0xbeef),
        ).toHaveLength(0);

        const float = shifted(new Float32Array(length), offset);
        expect(toFloat(out, { out: float.view })).toBe(float.view);
        expectSameBits(float.view, toFloat(expected), `back from offset ${offset}`);
        expect(untouchedOutside(float.whole, offset, offset + length)).toBe(true);
      }
    });

    it('gives the same bits on any number of threads', () => {
      const x = normalRow(1_000_003, 100, 1);
      const half = toHalf(x);
      const back = toFloat(half);
      for (const threads of [2, 3, 8]) {
        expectSameBits(toHalf(x, { threads }), half);
        expectSameBits(toFloat(half, { threads }), back);
      }
    });

    it('refuses what it cannot read or write, before writing', () => {
      const out = new Uint16Array(3).fill(7);
      const typeError = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
      const rangeError = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
      // Callers without types can pass anything.
      const half = toHalf as (x: unknown, options?: unknown) => Uint16Array;
      const float = toFloat as (x: unknown, options?: unknown) => Float32Array;
      expect(() => half(new Float64Array(3))).toThrow(expect.objectContaining(typeError));
      expect(() => half([1, 2, 3], { out })).toThrow(expect.objectContaining(typeError));
      expect(() => float(new Int16Array(3))).toThrow(expect.objectContaining(typeError));
      expect(() => half(new Float32Array(4), { out })).toThrow(expect.objectContaining(rangeError));
      expect(() => half(new Float32Array(3), { out: new Int16Array(3) })).toThrow(
        expect.objectContaining(typeError),
      );
      expect(() => half(new Float32Array(3), { out, threads: 0 })).toThrow(
        expect.objectContaining(rangeError),
      );
      const x = new Float32Array(4).fill(POISON);
      const overlapping = new Uint16Array(x.buffer, 4, 4);
      expect(() => half(x, { out: overlapping })).toThrow(expect.objectContaining(rangeError));
      expect(Array.from(x)).toEqual(Array(4).fill(Math.fround(POISON)));
      expect(Array.from(out)).toEqual([7, 7, 7]);
    });
  });
});
