import { drawIndex, medoidOf, resampled, weightedMean } from '../../lib/elastic/center.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { Philox } from '../../lib/random.js';
import { expectClose } from '../helpers/compare.js';

const line = (n: number) => Float64Array.from({ length: n }, (_, i) => (n === 1 ? 0.5 : i / (n - 1)));

describe('resampled', () => {
  it.each([
    [5, 8],
    [8, 5],
    [9, 9],
    [2, 31],
    [7, 1],
    [1, 4],
  ])('keeps a line of %d points a line of %d', (from, to) => {
    const expected = from === 1 ? new Float64Array(to).fill(0.5) : line(to);
    expectClose(resampled(line(from), 1, to), expected, () => 1e-15);
  });

  it('works channel by channel', () => {
    expect([...resampled(Float64Array.of(0, 2, 10, 30), 2, 3)]).toEqual([0, 1, 2, 10, 20, 30]);
  });
});

describe('weightedMean', () => {
  it('resamples to the mean length, rounded', () => {
    const lines = SeriesSet.from([line(5), line(9), line(10)]);
    expectClose(weightedMean(lines, Float64Array.of(1, 2, 3)), line(8), () => 1e-15);
  });
});

describe('medoidOf', () => {
  const matrix = Float64Array.of(0, 1, 5, 1, 0, 3, 5, 3, 0);

  it('is the row with the smallest weighted sum, the first of equals', () => {
    expect(medoidOf(matrix, Float64Array.of(1, 1, 1))).toBe(1);
    expect(medoidOf(matrix, Float64Array.of(0, 0, 1))).toBe(2);
    expect(medoidOf(matrix, Float64Array.of(1, 1, 0))).toBe(0);
  });

  it('does not look at distances to what has no weight', () => {
    const partial = Float64Array.of(0, Infinity, Infinity, 0);
    expect(medoidOf(partial, Float64Array.of(0, 1))).toBe(1);
  });
});

describe('drawIndex', () => {
  it('draws in proportion to the weights', () => {
    const random = new Philox(3);
    const weights = [1, 0, 3, 4];
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 8000; i++) counts[drawIndex(random, weights)]++;
    expect(counts[1]).toBe(0);
    // Five standard deviations of a share of 8,000 draws are below 230.
    [1000, 0, 3000, 4000].forEach((expected, i) => expect(Math.abs(counts[i] - expected)).toBeLessThan(230));
  });

  it('gives an index with a weight even where the sum rounds', () => {
    const weights = new Float64Array(1000).fill(0.1);
    weights[999] = 0;
    const random = new Philox(1);
    for (let i = 0; i < 2000; i++) expect(drawIndex(random, weights)).toBeLessThan(999);
  });
});
