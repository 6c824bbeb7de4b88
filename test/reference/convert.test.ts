import { type ConvertCase, fixture } from '../helpers/fixtures.js';
import { bitsOfFloat, FORMATS, floatOfBits, type HalfName, narrowBits, widenBits } from './convert.js';

const fixtures = fixture<ConvertCase>('convert16');
const formats: HalfName[] = ['bf16', 'f16'];

/** Whether a 16-bit pattern is a NaN of its format. */
function isNaN16(bits: number, name: HalfName): boolean {
  return Number.isNaN(widenBits(bits, FORMATS[name]));
}

describe.each(formats)('%s', (name) => {
  const format = FORMATS[name];

  it('rounds the float32 patterns of the fixtures to the same bits', () => {
    fixtures.f32.forEach((bits, i) => {
      const [actual, expected] = [narrowBits(bits, format), fixtures[name][i]];
      if (isNaN16(expected, name)) {
        expect(isNaN16(actual, name)).toBe(true);
        expect(actual >>> 15).toBe(expected >>> 15);
      } else {
        expect([bits, actual]).toEqual([bits, expected]);
      }
    });
  });

  it('widens the patterns of the fixtures to the same values', () => {
    const widened = name === 'bf16' ? fixtures.bf16ToF32 : fixtures.f16ToF32;
    fixtures.from16.forEach((bits, i) => {
      expect([bits, widenBits(bits, format)]).toEqual([bits, floatOfBits(widened[i])]);
    });
  });

  it('comes back to every pattern that is not a NaN', () => {
    const patterns = Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => !isNaN16(bits, name));
    const lost = patterns.filter((bits) => narrowBits(bitsOfFloat(widenBits(bits, format)), format) !== bits);
    expect(lost).toEqual([]);
  });
});
