import { alignmentPath, alignmentSums, costMatrix, distance } from '../../lib/elastic/index.js';
import { expectClose } from '../helpers/compare.js';
import {
  BANDS,
  DTYPES,
  FORMS,
  gridSeries,
  isDefined,
  labelOf,
  normalSeries,
  typed,
} from '../helpers/elastic.js';
import { distanceFixtures, flat, spelled } from '../helpers/elastic-fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { alignmentPath as referencePath } from '../reference/elastic/alignment.js';
import { costMatrix as referenceMatrix } from '../reference/elastic/distances.js';

const LENGTHS: readonly (readonly [number, number])[] = [
  [1, 1],
  [1, 5],
  [4, 1],
  [2, 3],
  [3, 3],
  [6, 9],
  [12, 12],
  [21, 14],
];

/** The path as pairs. */
function pairsOf(path: Uint32Array | null): [number, number][] | null {
  return path && Array.from({ length: path.length / 2 }, (_, k) => [path[2 * k], path[2 * k + 1]]);
}

const TABLED = FORMS.filter(({ hasTable, options }) => hasTable && !options.root);

/** Series on a grid where every sum is exact, else normal ones: there ties would be broken by rounding. */
const described = memo((form: number, band: number, channels: number, n: number, m: number) => {
  const { options, exact } = TABLED[form];
  const isExact =
    exact === 'always' || options.metric === 'lcss' || (exact === 'univariate' && channels === 1);
  const make = isExact ? gridSeries : normalSeries;
  const [x, y] = [make(channels * n, 50 * n + m), make(channels * m, 3000 + 50 * m + n)];
  const all = { ...options, ...BANDS[band], channels };
  return {
    x,
    y,
    options: all,
    isExact,
    expected: referencePath(x, y, all),
    table: referenceMatrix(x, y, all),
  };
});

const { cases } = distanceFixtures();

onEveryIsa(() => {
  it('has the paths and tables of the fixtures', () => {
    cases.forEach((c, index) => {
      const [x, y] = [flat(c.x), flat(c.y)];
      const shared = { channels: c.channels, window: c.window ?? undefined };
      for (const [metric, path, table] of [
        ['dtw', c.dtw_path, c.dtw_cost_matrix],
        ['msm', c.msm_c1_independent_path, c.msm_c1_cost_matrix],
      ] as const) {
        const options = { ...shared, metric };
        const label = `case ${index} ${metric}`;
        if (path) expect([label, pairsOf(alignmentPath(x, y, options).path)]).toEqual([label, path]);
        if (table) {
          const actual = costMatrix(x, y, options);
          expect([actual.rows, actual.cols]).toEqual([c.n, c.m]);
          const tolerance = (_: number, value: number): number => 1e-10 * Math.abs(value);
          expectClose(actual.data, table.flat().map(spelled), tolerance, label);
        }
      }
    });
  });

  it.each(DTYPES)('has the paths, distances and tables of the reference, %s', (dtype) => {
    TABLED.forEach((form, f) => {
      BANDS.forEach((band, b) => {
        for (const channels of [1, 2]) {
          for (const [n, m] of LENGTHS) {
            if (!isDefined(form, band, n, m)) continue;
            const { options, isExact, expected, table, ...numbers } = described(f, b, channels, n, m);
            const [x, y] = [typed(numbers.x, dtype), typed(numbers.y, dtype)];
            const label = `${labelOf(options)} ${n}, ${m}`;
            const { path, distance: value } = alignmentPath(x, y, options);
            expect([label, pairsOf(path)]).toEqual([label, expected.path]);
            // The distance that comes with a path is the distance.
            expect([label, value]).toEqual([label, distance(x, y, options)]);
            if (options.metric === 'shapeDtw') continue;
            const actual = costMatrix(x, y, options);
            expect([label, actual.rows, actual.cols]).toEqual([label, table.length, table[0].length]);
            const unit = dtype === 'f64' ? 1e-14 : 1e-5;
            expectClose(
              actual.data,
              table.flatMap((row) => Array.from(row)),
              (_, v) => (isExact ? 0 : unit * (1 + Math.abs(v))),
              label,
            );
          }
        }
      });
    });
  });

  it('of equally good steps takes the diagonal before up before left', () => {
    const level = new Float64Array(4);
    expect(pairsOf(alignmentPath(level, level.subarray(1)).path)).toEqual([
      [0, 0],
      [1, 0],
      [2, 1],
      [3, 2],
    ]);
  });

  it('of distances without warping is the diagonal', () => {
    const [x, y] = [gridSeries(10, 1), gridSeries(10, 2)];
    for (const metric of ['squared', 'euclidean'] as const) {
      const { path, distance: value } = alignmentPath(x, y, { metric, channels: 2 });
      expect(pairsOf(path)).toEqual(Array.from({ length: 5 }, (_, i) => [i, i]));
      expect(value).toBe(distance(x, y, { metric, channels: 2 }));
    }
  });

  it('keeps only matches on the path of LCSS', () => {
    const [x, y] = [Float64Array.of(0, 1, 9), Float64Array.of(0, 9)];
    const matched = alignmentPath(x, y, { metric: 'lcss', epsilon: 0.1 });
    expect({ ...matched, path: pairsOf(matched.path) }).toEqual({
      distance: 0,
      path: [
        [0, 0],
        [2, 1],
      ],
    });
    const nothing = alignmentPath(x, Float64Array.of(50, 60), { metric: 'lcss' });
    expect(nothing).toEqual({ distance: 1, path: new Uint32Array(0) });
  });

  it.each(DTYPES)('sums the values that paths match to a centre, %s', (dtype) => {
    const metrics = [
      { metric: 'squared' },
      { metric: 'dtw' },
      { metric: 'dtw', independent: true },
      { metric: 'wdtw', g: 0.2 },
      { metric: 'adtw', warpPenalty: 0.25 },
      { metric: 'shapeDtw', reach: 2 },
      { metric: 'erp', g: 0.5 },
      { metric: 'twe' },
      { metric: 'msm', c: 0.5 },
      { metric: 'msm', c: 0.5, independent: false },
    ] as const;
    for (const options of metrics) {
      for (const band of [{}, { window: 0.2 }, { itakuraMaxSlope: 0.8 }]) {
        for (const channels of [1, 2]) {
          for (const count of [1, 8, 19]) {
            const isSquared = options.metric === 'squared';
            if (isSquared && Object.keys(band).length > 0) continue;
            const isExact = !['wdtw', 'erp', 'twe'].includes(options.metric);
            const make = isExact ? gridSeries : normalSeries;
            const n = 11;
            const center = make(channels * n, 1);
            const series = Array.from({ length: count }, (_, k) =>
              make(channels * (isSquared ? n : 5 + ((3 * k) % 9)), 10 + k),
            );
            const all = { ...options, ...band, channels };
            const sums = new Float64Array(channels * n);
            const counts = new Float64Array(n);
            const weights = Float64Array.from(series, (_, k) => (k % 3) + 0.5);
            series.forEach((x, k) => {
              const m = x.length / channels;
              const { path } = isSquared
                ? { path: Array.from({ length: n }, (_, i) => [i, i]) }
                : referencePath(x, center, all);
              // The series is the first of the two, as in aeon: it matters where steps are equally good.
              for (const [i, j] of path ?? []) {
                counts[j] += weights[k];
                for (let c = 0; c < channels; c += 1) sums[c * n + j] += weights[k] * x[c * m + i];
              }
            });
            const given = series.map((x) => typed(x, dtype));
            const label = `${labelOf(all)} ${count}`;
            for (const threads of [1, 2]) {
              const actual = alignmentSums(typed(center, dtype), given, { ...all, weights, threads });
              expectClose(actual.counts, counts, () => 1e-12, `${label} counts`);
              expectClose(actual.sums, sums, () => 1e-11, `${label} sums`);
              const distances = given.map((x) => distance(x, typed(center, dtype), all));
              expectClose(actual.distances, distances, (_, v) => 1e-6 * v, `${label} distances`);
            }
          }
        }
      }
    }
  });
});
