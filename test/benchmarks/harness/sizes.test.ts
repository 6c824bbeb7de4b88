import fc from 'fast-check';
import {
  formatCount,
  formatDigits,
  formatTime,
  parseShapes,
  parseSize,
  parseSizes,
} from '../../../benchmarks/harness/sizes.js';

describe('parseSize', () => {
  it.each([
    ['1000', 1000],
    ['1e6', 1e6],
    ['2^20', 2 ** 20],
    ['64Ki', 65536],
    ['64 Mi'.replace(' ', ''), 2 ** 26],
    ['1.5Mi', 1.5 * 2 ** 20],
    ['32k', 32000],
    [' 7 ', 7],
  ])('reads %s', (text, size) => {
    expect(parseSize(text)).toBe(size);
  });

  it.each(['', 'x', '0', '-5', '1.5', '1e99', '2^99', '64KiB', '1_000', '0x10', '1e3..'])(
    'refuses %j',
    (text) => {
      expect(() => parseSize(text)).toThrow(/must be a whole number from 1 to 2\^32/);
    },
  );

  it('reads back what formatCount writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 30 }), (count) => {
        expect(parseSize(formatCount(count).replace(' ', ''))).toBe(count);
      }),
    );
  });
});

describe('parseSizes', () => {
  it('takes lists, sorted and without duplicates', () => {
    expect(parseSizes('4Ki,1000,4096')).toEqual([1000, 4096]);
  });

  it('steps by two where a range is written in powers of two', () => {
    expect(parseSizes('1Ki..8Ki')).toEqual([1024, 2048, 4096, 8192]);
    expect(parseSizes('2^10..2^12')).toEqual([1024, 2048, 4096]);
  });

  it('takes two steps a decade elsewhere, both ends included', () => {
    expect(parseSizes('1e3..1e5')).toEqual([1000, 3162, 10000, 31623, 100000]);
    expect(parseSizes('100..500')).toEqual([100, 316, 500]);
  });

  it.each(['', '1..', '..5', '5..1', '1..2..3', '1,,2'])('refuses %j', (text) => {
    expect(() => parseSizes(text)).toThrow(/size/);
  });
});

describe('parseShapes', () => {
  it('reads rows by columns', () => {
    expect(parseShapes('64x1000,1Mix10')).toEqual([
      { rows: 64, cols: 1000 },
      { rows: 2 ** 20, cols: 10 },
    ]);
  });

  it.each(['64', '64x', '1x2x3', 'x'])('refuses %j', (text) => {
    expect(() => parseShapes(text)).toThrow(/shape|size/);
  });
});

describe('formatting', () => {
  it('writes times with three digits and their unit', () => {
    expect([0.5, 85, 940, 7053, 22.7e6, 1.2e9].map(formatTime)).toEqual([
      '0.500 ns',
      '85.0 ns',
      '940 ns',
      '7.05 us',
      '22.7 ms',
      '1.20 s',
    ]);
  });

  it('never writes 1000 of a unit where the next one serves', () => {
    expect(formatTime(999.9)).toBe('1.00 us');
    expect(formatTime(999_960)).toBe('1.00 ms');
  });

  it('writes numbers with three significant digits and no exponent', () => {
    expect([0, 0.1071, 1.2, 38.94, 1234.5].map(formatDigits)).toEqual(['0', '0.107', '1.20', '38.9', '1235']);
  });
});
