import { distanceFixtures } from '../../helpers/elastic-fixtures.js';
import { absoluteWindow, itakura, type Mask, maskFor, radiusOf, sakoeChiba } from './bands.js';

it.each(distanceFixtures().itakura_masks)(
  'the parallelogram of slope $slope for $n x $m is that of the fixtures',
  ({ n, m, slope, mask }) => {
    expect(itakura(n, m, slope).map((row) => row.map(Number))).toEqual(mask);
  },
);

it('a parallelogram that the formula divides by zero for is refused', () => {
  expect(() => itakura(10, 10, 0.05)).toThrow(RangeError);
  expect(() => itakura(2, 10, 1)).toThrow(RangeError);
});

it('a Sakoe-Chiba band is full at 1, transposes with the lengths, and widens with the window', () => {
  for (let n = 1; n <= 12; n += 1) {
    for (let m = 1; m <= 12; m += 1) {
      expect(sakoeChiba(n, m, 1).flat().every(Boolean)).toBe(true);
      let narrower = sakoeChiba(n, m, 0);
      for (let t = 0; t <= 12; t += 1) {
        const mask = sakoeChiba(n, m, t / 12);
        const transposed = sakoeChiba(m, n, t / 12);
        expect(mask.map((row, i) => row.map((_, j) => transposed[j][i]))).toEqual(mask);
        expect(narrower.every((row, i) => row.every((inside, j) => !inside || mask[i][j]))).toBe(true);
        // The last column of the longer side, and the first cell, are always reached.
        expect(mask[0][0] && mask.at(-1)?.some(Boolean)).toBe(true);
        narrower = mask;
      }
    }
  }
});

it('a window of equal lengths is the radius floor(window n), of unequal lengths follows the diagonal', () => {
  for (let n = 1; n <= 30; n += 1) {
    for (let t = 0; t <= 30; t += 1) {
      expect(sakoeChiba(n, n, t / 30)).toEqual(absoluteWindow(n, n, Math.floor((t / 30) * n)));
    }
  }
  expect(sakoeChiba(2, 6, 0).map((row) => row.map(Number))).toEqual([
    [1, 1, 1, 0, 0, 0],
    [0, 0, 0, 1, 1, 1],
  ]);
});

it('an absolute window reaches the last cell whatever the lengths', () => {
  expect(absoluteWindow(3, 7, 0).map((row) => row.map(Number))).toEqual([
    [1, 1, 1, 1, 1, 0, 0],
    [1, 1, 1, 1, 1, 1, 0],
    [1, 1, 1, 1, 1, 1, 1],
  ]);
  expect(absoluteWindow(2, 2, 0)).toEqual([
    [true, false],
    [false, true],
  ]);
  expect(radiusOf(absoluteWindow(9, 9, 4))).toBe(4);
});

/** Whether steps down, right and diagonally inside the mask lead from the first cell to the last. */
function hasPath(mask: Mask): boolean {
  const reached = mask.map((row) => row.map(() => false));
  mask.forEach((row, i) =>
    row.forEach((inside, j) => {
      const before = [reached[i - 1]?.[j - 1], reached[i - 1]?.[j], reached[i][j - 1]];
      reached[i][j] = inside && ((i === 0 && j === 0) || before.some(Boolean));
    }),
  );
  return reached.at(-1)?.at(-1) ?? false;
}

it('every band leaves a path, also the narrowest and between very unequal lengths', () => {
  for (let n = 1; n <= 40; n += 3) {
    for (let m = 1; m <= 40; m += 1) {
      expect([n, m, hasPath(sakoeChiba(n, m, 0))]).toEqual([n, m, true]);
      expect([n, m, hasPath(absoluteWindow(n, m, 0))]).toEqual([n, m, true]);
      for (const slope of [0.05, 0.2, 0.7, 1]) {
        const allowed = n >= 3 && Math.floor(slope * (Math.min(n, m) / 100) * 100) > 0;
        if (allowed) expect([n, m, slope, hasPath(itakura(n, m, slope))]).toEqual([n, m, slope, true]);
      }
    }
  }
});

it('the parallelogram takes precedence over a window', () => {
  expect(maskFor(10, 10, { window: 0, itakuraMaxSlope: 0.5 })).toEqual(itakura(10, 10, 0.5));
  expect(maskFor(4, 4, {}).flat().every(Boolean)).toBe(true);
});
