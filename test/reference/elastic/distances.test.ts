import { expectClose, expectNear } from '../../helpers/compare.js';
import {
  DISTANCE_KEYS,
  distanceFixtures,
  flat,
  INFORMATION_ONLY,
  spelled,
} from '../../helpers/elastic-fixtures.js';
import { alignmentPath } from './alignment.js';
import { envelope, lbImproved, lbKeogh, lbKim } from './bounds.js';
import { costMatrix, distance, type MetricOptions } from './distances.js';
import { nearestWindows, subsequenceSearch } from './subsequence.js';

const { cases } = distanceFixtures();
const relative = (_: number, value: number): number => 1e-10 * Math.abs(value) + 1e-300;

describe.each(cases.map((c, index) => ({ ...c, index })))(
  'case $index: $channels x $n and $m, window $window',
  (c) => {
    const [x, y] = [flat(c.x), flat(c.y)];
    const shared: MetricOptions = { channels: c.channels, window: c.window ?? undefined };

    it('has the distances of the fixtures', () => {
      const keys = Object.keys(c.distances).filter((key) => !INFORMATION_ONLY.includes(key));
      expect(keys.length).toBeGreaterThan(10);
      for (const key of keys) {
        const actual = distance(x, y, { ...shared, ...DISTANCE_KEYS[key] });
        expectClose([actual], [spelled(c.distances[key])], relative, key);
      }
    });

    it('has the paths and tables of the fixtures', () => {
      const dtw: MetricOptions = { ...shared, metric: 'dtw' };
      const msm: MetricOptions = { ...shared, metric: 'msm' };
      if (c.dtw_path) expect(alignmentPath(x, y, dtw).path).toEqual(c.dtw_path);
      if (c.msm_c1_independent_path) {
        expect(alignmentPath(x, y, msm).path).toEqual(c.msm_c1_independent_path);
      }
      const compare = (name: string, actual: MetricOptions, expected?: (number | null)[][]): void =>
        expected?.forEach((row, i) =>
          expectClose(costMatrix(x, y, actual)[i], row.map(spelled), relative, `${name} row ${i}`),
        );
      compare('dtw', dtw, c.dtw_cost_matrix);
      compare('msm', msm, c.msm_c1_cost_matrix);
    });
  },
);

it('has the worked numbers', () => {
  const [x, y] = [
    [1, 2, 3],
    [2, 3, 5],
  ];
  expect(distance(x, y, { metric: 'squared' })).toBe(6);
  expect(distance(x, y, { metric: 'dtw' })).toBe(5);
  expect(distance(x, y, { metric: 'dtw', root: true })).toBe(Math.sqrt(5));
  expect(distance(x, x, { metric: 'msm' })).toBe(0);
  expect(distance(x, y, { metric: 'adtw', warpPenalty: 1e12 })).toBe(6);
  expect(distance(x, y, { metric: 'adtw', warpPenalty: 0 })).toBe(5);
  expect(distance(x, y, { metric: 'wdtw', g: 0 })).toBe(2.5);
  expect(distance([0, 1], [0, 0, 0], { metric: 'erp' })).toBe(1);
  expect(distance([0, 1], [5, 5, 5], { metric: 'edr', epsilon: 0.1 })).toBe(3);
  expect(distance([0, 1], [5, 5, 5], { metric: 'edr', epsilon: 0.1, normalize: true })).toBe(1);
  expect(distance([0, 1, 9], [0, 9], { metric: 'lcss', epsilon: 0.1 })).toBe(0);
  expect(alignmentPath([0, 1, 9], [0, 9], { metric: 'lcss', epsilon: 0.1 }).path).toEqual([
    [0, 0],
    [2, 1],
  ]);
});

it('dependent and independent forms differ where they should', () => {
  const [x, y] = [
    [0, 1, 0, 0, 0, 1],
    [1, 1, 0, 0, 1, 1],
  ];
  const both = distance(x, y, { channels: 2, independent: true });
  const first = distance(x.slice(0, 3), y.slice(0, 3));
  const second = distance(x.slice(3), y.slice(3));
  expect(both).toBe(first + second);
  expect(distance(x, y, { channels: 2 })).toBeGreaterThanOrEqual(both);
  // Dependent MSM squares its costs, so that with one channel it is not the univariate one.
  expect(distance([0], [3], { metric: 'msm' })).toBe(3);
  expect(distance([0], [3], { metric: 'msm', independent: false })).toBe(9);
});

it('a constant channel has a shape-based distance of 0 to a constant and of 1 to anything else', () => {
  const [flatRow, other] = [
    [2, 2, 2],
    [1, 2, 4],
  ];
  expect(distance(flatRow, [5, 5, 5, 5], { metric: 'sbd' })).toBe(0);
  expect(distance(flatRow, other, { metric: 'sbd' })).toBe(1);
  expect(distance([...flatRow, ...other], [...flatRow, ...flatRow], { metric: 'sbd', channels: 2 })).toBe(
    0.5,
  );
  const padded = [0, 0, 0, 1, 2, 4, 0];
  expectNear(distance(padded, [2, 4, 8, 0, 0, 0, 0], { metric: 'sbd', standardize: false }), 0, 1e-15);
});

it('bounds are those of the definition', () => {
  const y = [0, 3, 1, -2];
  expect(envelope(y, 1)).toEqual({
    upper: Float64Array.of(3, 3, 3, 1),
    lower: Float64Array.of(0, 0, -2, -2),
  });
  expect(envelope(y, 0)).toEqual({ upper: Float64Array.from(y), lower: Float64Array.from(y) });
  const x = [5, -1, 0, 0];
  expect(lbKim(x, y)).toBe(25 + 4);
  expect(lbKim([1], [3])).toBe(4);
  expect(lbKeogh(x, y, 1)).toBe(4 + 1);
  // x clipped is 3 0 0 0; its envelope reaches 3 3 0 0 and 0 0 0 0, and y leaves it by 0, 0, 1 and -2.
  expect(lbImproved(x, y, 1)).toBe(5 + 1 + 4);
  expect(lbImproved(x, y, 1)).toBeLessThanOrEqual(distance(x, y, { windowAbs: 1 }));
});

it('subsequences are taken nearest first, the earlier of equals, and do not overlap', () => {
  expect(nearestWindows([3, 1, 1, 2, 0, 1], 3, 2)).toEqual([
    { position: 4, distance: 0 },
    { position: 1, distance: 1 },
  ]);
  const stream = [9, 0, 1, 2, 9, 9, 0, 2, 4, 9];
  expect(subsequenceSearch([0, 1, 2], stream)).toEqual([{ position: 1, distance: 0 }]);
  // Brought to one scale 0 2 4 is as near as 0 1 2.
  const scaled = subsequenceSearch([0, 1, 2], stream, { zNormalize: true, k: 2 });
  expect(scaled.map(({ position }) => position).sort()).toEqual([1, 6]);
  scaled.forEach(({ distance: d }) => expectNear(d, 0, 1e-28));
});
