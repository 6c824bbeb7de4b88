import fc from 'fast-check';
import { histogram } from '../../../benchmarks/harness/histogram.js';
import { quantile, summarise } from '../../../benchmarks/harness/stats.js';

const samples = fc.array(fc.double({ min: 1, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 60 });

describe('quantile', () => {
  it('interpolates between order statistics', () => {
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
    expect(quantile([1, 2, 3, 4], 0.25)).toBe(1.75);
    expect(quantile([7], 0.9)).toBe(7);
  });

  it('refuses an empty list', () => {
    expect(() => quantile([], 0.5)).toThrow(/at least one sample/);
  });

  it('lies between the extremes and grows with q', () => {
    fc.assert(
      fc.property(samples, (values) => {
        const sorted = [...values].sort((a, b) => a - b);
        const [low, middle, high] = [0, 0.4, 1].map((q) => quantile(sorted, q));
        expect(low).toBe(sorted[0]);
        expect(high).toBe(sorted[sorted.length - 1]);
        expect(middle).toBeGreaterThanOrEqual(low);
        expect(middle).toBeLessThanOrEqual(high);
      }),
    );
  });
});

describe('summarise', () => {
  it('gives median, interquartile range over median, and extremes of unordered samples', () => {
    expect(summarise([5, 1, 4, 2, 3])).toEqual({ median: 3, spread: 2 / 3, min: 1, max: 5 });
  });

  it('is not moved by one interrupted sample', () => {
    const quiet = summarise([10, 10, 11, 10, 11, 10, 11, 10, 11, 10, 11]);
    const disturbed = summarise([10, 10, 11, 10, 11, 10, 11, 10, 11, 10, 5000]);
    expect(Math.abs(disturbed.median - quiet.median)).toBeLessThanOrEqual(1);
  });

  it('scales with the unit of time while the spread stays', () => {
    fc.assert(
      fc.property(samples, (values) => {
        const once = summarise(values);
        const twice = summarise(values.map((value) => value * 2));
        expect(twice.median).toBe(once.median * 2);
        expect(twice.spread).toBeCloseTo(once.spread, 9);
      }),
    );
  });
});

describe('histogram', () => {
  it('has as many characters as bins, the tallest a full block', () => {
    fc.assert(
      fc.property(samples, fc.integer({ min: 1, max: 20 }), (values, width) => {
        const line = histogram(values, width);
        expect([...line]).toHaveLength(width);
        expect(line).toContain('█');
      }),
    );
  });

  it('shows two peaks for two speeds, and one for one', () => {
    const two = histogram([...new Array<number>(10).fill(100), ...new Array<number>(10).fill(200)], 5);
    expect(two).toBe('█   █');
    expect(histogram([3, 3, 3], 5)).toBe('█    ');
  });

  it('puts a far outlier into the last bin, not all others into the first', () => {
    const values = Array.from({ length: 20 }, (_, i) => 100 + i);
    expect([...histogram([...values, 1e6], 4)].filter((block) => block !== ' ')).toHaveLength(4);
  });

  it('is blank without samples', () => {
    expect(histogram([], 3)).toBe('   ');
  });
});
