import fc from 'fast-check';

import {
  distance,
  nearest,
  nearestAsync,
  pairwise,
  SeriesSet,
  softPairwise,
} from '../../lib/elastic/index.js';
import { expectNear, expectSameBits } from '../helpers/compare.js';
import {
  type BandOptions,
  type Dtype,
  DTYPES,
  FORMS,
  gridSeries,
  isDefined,
  labelOf,
  normalSeries,
  typed,
} from '../helpers/elastic.js';
import { accuracyFixture } from '../helpers/elastic-fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { DATA_SETS, ucr } from '../helpers/ucr.js';

/** Around a few shapes with noise, so that there are near neighbours; on the grid there are ties too. */
const setOf = memo(
  (kind: 'grid' | 'normal', lengths: 'equal' | 'ragged', count: number, channels: number, dtype: Dtype) => {
    const make = kind === 'grid' ? gridSeries : normalSeries;
    return SeriesSet.from(
      Array.from({ length: count }, (_, k) => {
        const n = lengths === 'equal' ? 15 : 9 + ((k * 7) % 8);
        const [shape, noise] = [make(channels * n, k % 5), make(channels * n, 100 + k)];
        return typed(
          shape.map((value, i) => value + noise[i] / 4),
          dtype,
        );
      }),
      { channels },
    );
  },
);

const SEARCH_BANDS: readonly BandOptions[] = [
  {},
  { window: 0.1 },
  { windowAbs: 2 },
  { itakuraMaxSlope: 0.8 },
];

/** The k smallest of each row of a matrix, ties by the smaller index. */
function smallest(matrix: Float64Array, rows: number, k: number, skip: (row: number, i: number) => boolean) {
  const cols = matrix.length / rows;
  const index: number[] = [];
  const values: number[] = [];
  for (let r = 0; r < rows; r += 1) {
    const row = matrix.subarray(r * cols, (r + 1) * cols);
    const order = Array.from(row, (_, i) => i)
      .filter((i) => !skip(r, i))
      .sort((a, b) => row[a] - row[b] || a - b)
      .slice(0, k);
    index.push(...order);
    values.push(...order.map((i) => row[i]));
  }
  return { index: Uint32Array.from(index), distance: Float64Array.from(values) };
}

onEveryIsa(() => {
  it.each(DTYPES)('finds what the whole matrix shows, pruned or not, %s', (dtype) => {
    let pruned = 0;
    for (const kind of ['grid', 'normal'] as const) {
      for (const lengths of ['equal', 'ragged'] as const) {
        for (const channels of [1, 2]) {
          const X = setOf(kind, lengths, 37, channels, dtype);
          const queries = X.subset([3, 0, 36, 17, 20]);
          for (const form of FORMS) {
            for (const band of SEARCH_BANDS) {
              const defined = Array.from(queries.lengths).every((n) =>
                Array.from(X.lengths).every((m) => isDefined(form, band, n, m)),
              );
              if (!defined) continue;
              const options = { ...form.options, ...band };
              const matrix = pairwise(queries, X, options);
              for (const k of [1, 3]) {
                const expected = smallest(matrix, 5, k, () => false);
                for (const prune of [true, false]) {
                  const found = nearest(X, queries, { ...options, k, prune });
                  const label = `${labelOf(options, { k, prune })} ${kind} ${lengths} ${channels}`;
                  expectSameBits(found.distance, expected.distance, `${label} distance`);
                  expectSameBits(found.index, expected.index, `${label} index`);
                  if (!prune) expect([label, found.pruned]).toEqual([label, 0]);
                  else pruned += found.pruned;
                }
              }
            }
          }
        }
      }
    }
    expect(pruned).toBeGreaterThan(1000);
  });

  it('leaves each series itself out where it is asked to', () => {
    for (const metric of ['dtw', 'msm', 'euclidean', 'sbd'] as const) {
      const X = setOf('grid', 'equal', 23, 1, 'f64');
      const expected = smallest(pairwise(X, X, { metric }), 23, 4, (row, i) => row === i);
      for (const prune of [true, false]) {
        const found = nearest(X, X, { metric, k: 4, prune, exclude: 'self' });
        expectSameBits(found.index, expected.index, `${metric} index`);
        expectSameBits(found.distance, expected.distance, `${metric} distance`);
      }
    }
  });

  it('orders all of a set, and takes arrays', () => {
    const X = setOf('grid', 'ragged', 9, 1, 'f64');
    const expected = smallest(pairwise(X, X), 9, 9, () => false);
    const arrays = Array.from({ length: 9 }, (_, k) => X.series(k));
    for (const found of [nearest(X, X, { k: 9 }), nearest(arrays, arrays, { k: 9 })]) {
      expectSameBits(found.index, expected.index, 'index');
      expectSameBits(found.distance, expected.distance, 'distance');
    }
  });

  it('of equal distances takes the smaller index, pruned or not', () => {
    const one = gridSeries(12, 1);
    const X = SeriesSet.from([gridSeries(12, 2), one, gridSeries(12, 3), one, one]);
    for (const prune of [true, false]) {
      for (const metric of ['dtw', 'msm', 'twe', 'erp', 'adtw', 'wdtw', 'lcss', 'edr'] as const) {
        const found = nearest(X, [one], { metric, epsilon: 0.01, k: 3, prune });
        expect([metric, Array.from(found.index)]).toEqual([metric, [1, 3, 4]]);
        expect(Array.from(found.distance)).toEqual([0, 0, 0]);
      }
    }
  });

  it('prunes nothing that is near at any scale of the values', () => {
    // Bounds are kept in float32, whose range these leave in both directions.
    for (const scale of [1e-160, 1e-40, 1e-25, 1e-3, 1e3, 1e18, 1e25, 1e40, 1e140]) {
      for (const offset of [0, 1e4]) {
        const series = Array.from({ length: 60 }, (_, k) =>
          setOf('normal', 'equal', 60, 1, 'f64')
            .series(k)
            .map((value) => (value + offset) * scale),
        );
        for (const metric of ['dtw', 'adtw', 'wdtw', 'msm'] as const) {
          const options = { metric, window: 0.1, k: 2, warpPenalty: scale, c: scale };
          const [found, all] = [true, false].map((prune) =>
            nearest(series, series.slice(0, 20), { ...options, prune }),
          );
          expectSameBits(found.index, all.index, `${metric} ${scale} ${offset} index`);
          expectSameBits(found.distance, all.distance, `${metric} ${scale} ${offset} distance`);
        }
      }
    }
  });

  it('in its promise form gives the same, tells how far it is, and stops where it is told to', async () => {
    const X = setOf('normal', 'equal', 60, 1, 'f64');
    for (const metric of ['dtw', 'msm', 'sbd', 'lcss'] as const) {
      const seen: number[] = [];
      const onProgress = (done: number): void => void seen.push(done);
      const found = await nearestAsync(X, X, { metric, k: 3, exclude: 'self', threads: 2, onProgress });
      expect(found).toEqual(nearest(X, X, { metric, k: 3, exclude: 'self' }));
      expect(seen.every((done, i) => done >= 0 && done <= 1 && (i === 0 || done >= seen[i - 1]))).toBe(true);
      expect(seen.at(-1)).toBe(1);
    }
    const reason = new Error('enough');
    await expect(nearestAsync(X, X, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('gives the same on 1 and 2 threads', () => {
    for (const metric of ['dtw', 'msm', 'twe', 'sbd'] as const) {
      const X = setOf('normal', 'equal', 60, 1, 'f64');
      const queries = X.subset(Array.from({ length: 30 }, (_, i) => 2 * i));
      const [one, two] = [1, 2].map((threads) => nearest(X, queries, { metric, window: 0.1, k: 2, threads }));
      expectSameBits(two.index, one.index, `${metric} index`);
      expectSameBits(two.distance, one.distance, `${metric} distance`);
    }
  });

  it('finds the nearest of any series', () => {
    const series = fc
      .array(fc.integer({ min: -40, max: 40 }), { minLength: 3, maxLength: 12 })
      .map((values) => Float64Array.from(values, (value) => value / 8));
    const forms = FORMS.filter((form) => isDefined(form, {}, 3, 4));
    fc.assert(
      fc.property(
        fc.array(series, { minLength: 1, maxLength: 20 }),
        series,
        fc.constantFrom(...forms),
        (list, query, form) => {
          const found = nearest(list, [query], form.options);
          const all = list.map((x) => distance(query, x, form.options));
          const least = Math.min(...all);
          expect([found.index[0], found.distance[0]]).toEqual([all.indexOf(least), least]);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe.each(DATA_SETS)('%s', (name) => {
  const { nn1, n_train: trainCount, n_test: testCount, channels } = accuracyFixture(name);
  const [train, test] = [ucr(name, 'TRAIN'), ucr(name, 'TEST')];
  const [X, queries] = [train, test].map((half) => SeriesSet.from(half.series, { channels: half.channels }));
  const hard = {
    euclidean: { metric: 'euclidean' },
    dtw: { metric: 'dtw' },
    'dtw_w0.1': { metric: 'dtw', window: 0.1 },
    msm_c1: { metric: 'msm' },
    twe: { metric: 'twe' },
    adtw: { metric: 'adtw' },
  } as const;

  it('is the data set of the fixtures', () => {
    expect([X.count, queries.count, X.channels]).toEqual([trainCount, testCount, channels]);
  });

  it.each(Object.keys(hard).filter((key) => key in nn1))(
    'is classified by the nearest neighbour with the errors of the fixtures, with and without pruning: %s',
    (key) => {
      const options = { ...hard[key as keyof typeof hard], threads: 2 };
      const matrix = pairwise(queries, X, options);
      const total = matrix.reduce((sum, value) => sum + value, 0);
      expectNear(total, nn1[key].dist_sum, 1e-8 * nn1[key].dist_sum, 'sum of all distances');
      const expected = smallest(matrix, queries.count, 1, () => false);
      const errorsOf = (index: Uint32Array): number =>
        Array.from(index).filter((i, k) => train.labels[i] !== test.labels[k]).length;
      const found = nearest(X, queries, options);
      expect(errorsOf(found.index)).toBe(nn1[key].errors);
      expectSameBits(found.index, expected.index, 'neighbours');
      expectSameBits(found.distance, expected.distance, 'distances');
      const all = nearest(X, queries, { ...options, prune: false });
      expect(errorsOf(all.index)).toBe(nn1[key].errors);
      expectSameBits(all.index, found.index, 'neighbours without pruning');
      expect(all.pruned).toBe(0);
      // Far more than half is skipped under a band, where bounds are tight.
      if (key === 'dtw_w0.1') expect(found.pruned).toBeGreaterThan(0.5 * queries.count * X.count);
    },
  );

  // The fixtures have soft losses of three of the sets.
  const soft = Object.keys(nn1).filter((key) => key.startsWith('soft_'));
  const itIfAny = soft.length > 0 ? it : undefined;
  itIfAny?.('is classified by the smallest soft loss within one error of the fixtures', () => {
    for (const key of soft) {
      const { gamma } = nn1[key].params;
      const loss = key.startsWith('soft_msm') ? 'msm' : 'dtw';
      const matrix = softPairwise(queries, X, { loss, gamma, threads: 2 });
      const total = matrix.reduce((sum, value) => sum + value, 0);
      expectNear(total, nn1[key].dist_sum, 1e-8 * Math.abs(nn1[key].dist_sum), `${key}, sum of all`);
      const { index } = smallest(matrix, queries.count, 1, () => false);
      const errors = Array.from(index).filter((i, k) => train.labels[i] !== test.labels[k]).length;
      expect(Math.abs(errors - nn1[key].errors)).toBeLessThanOrEqual(1);
    }
  });
});

it('a long search stops when its signal is aborted', async () => {
  const X = new SeriesSet(normalSeries(150 * 500, 33), { lengths: 500 });
  const controller = new AbortController();
  const reason = new Error('enough');
  const search = nearestAsync(X, X, {
    metric: 'twe',
    exclude: 'self',
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  });
  await expect(search).rejects.toBe(reason);
});
