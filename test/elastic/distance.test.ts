import { distance } from '../../lib/elastic/index.js';
import { expectClose, expectNear } from '../helpers/compare.js';
import {
  BANDS,
  distanceTolerance,
  DTYPES,
  FORMS,
  gridSeries,
  isDefined,
  labelOf,
  normalSeries,
  typed,
} from '../helpers/elastic.js';
import {
  DISTANCE_KEYS,
  distanceFixtures,
  flat,
  INFORMATION_ONLY,
  spelled,
} from '../helpers/elastic-fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import * as reference from '../reference/elastic/distances.js';

/** Lengths around every vector width, with the shortest that there are. */
const LENGTHS: readonly (readonly [number, number])[] = [
  [1, 1],
  [1, 4],
  [3, 1],
  [2, 2],
  [2, 3],
  [3, 3],
  [3, 7],
  [7, 8],
  [8, 8],
  [9, 5],
  [15, 16],
  [17, 17],
  [20, 33],
  [34, 19],
];

/** Two series, the same for the same numbers. */
const pair = memo((kind: 'grid' | 'normal', channels: number, n: number, m: number) => {
  const make = kind === 'grid' ? gridSeries : normalSeries;
  return [make(channels * n, 40 * n + m), make(channels * m, 2000 + 40 * m + n)] as const;
});

/** What the reference says, once for all instruction sets and types. */
const expectedOf = memo(
  (form: number, band: number, kind: 'grid' | 'normal', channels: number, n: number, m: number) => {
    const [x, y] = pair(kind, channels, n, m);
    return reference.distance(x, y, { ...FORMS[form].options, ...BANDS[band], channels });
  },
);

const { cases } = distanceFixtures();

onEveryIsa(() => {
  it('has the distances of the fixtures', () => {
    cases.forEach((c, index) => {
      const shared = { channels: c.channels, window: c.window ?? undefined };
      for (const key of Object.keys(c.distances)) {
        if (INFORMATION_ONLY.includes(key)) continue;
        const options = DISTANCE_KEYS[key] as { metric: reference.Metric };
        const actual = distance(flat(c.x), flat(c.y), { ...shared, ...options });
        const tolerance = options.metric === 'sbd' ? 1e-9 : 1e-10;
        const expected = spelled(c.distances[key]);
        expectClose([actual], [expected], (_, v) => tolerance * Math.abs(v), `case ${index} ${key}`);
      }
    });
  });

  it.each(DTYPES)('agrees with the reference on every metric, band and shape, %s', (dtype) => {
    for (const kind of ['grid', 'normal'] as const) {
      FORMS.forEach((form, f) => {
        BANDS.forEach((band, b) => {
          for (const channels of [1, 2, 5]) {
            for (const [n, m] of LENGTHS) {
              if (!isDefined(form, band, n, m)) continue;
              const [x, y] = pair(kind, channels, n, m).map((series) => typed(series, dtype));
              const expected = expectedOf(f, b, kind, channels, n, m);
              const actual = distance(x, y, { ...form.options, ...band, channels });
              const isExact = form.exact === 'always' || (form.exact === 'univariate' && channels === 1);
              const tolerance =
                kind === 'grid' && isExact ? (): number => 0 : distanceTolerance(form, dtype, n, m);
              const label = `${labelOf(form.options, band)} ${kind} ${channels} x ${n}, ${m}`;
              expectClose([actual], [expected], tolerance, label);
            }
          }
        });
      });
    }
  });

  it('agrees at every window from 0 to n', () => {
    for (const form of FORMS.filter(({ hasTable }) => hasTable)) {
      for (let n = 1; n <= 6; n += 1) {
        for (let m = 1; m <= 6; m += 1) {
          if (!isDefined(form, {}, n, m)) continue;
          const [x, y] = pair('grid', 1, n, m);
          for (let t = 0; t <= 2 * Math.max(n, m); t += 1) {
            const bands = [{ windowAbs: t }, { window: t / (2 * Math.max(n, m)) }];
            for (const band of bands) {
              const options = { ...form.options, ...band };
              const expected = reference.distance(x, y, options);
              const tolerance = form.exact === 'never' ? 1e-14 * (1 + Math.abs(expected)) : 0;
              expectNear(distance(x, y, options), expected, tolerance, `${labelOf(options)} ${n}, ${m}`);
            }
          }
        }
      }
    }
  });

  it.each(DTYPES)('agrees on one long pair, %s', (dtype) => {
    const long = FORMS.filter(
      ({ options: { metric, reach, root } }) => metric !== 'sbd' && reach === undefined && !root,
    );
    for (const form of long.filter(({ options }) => options.metric !== 'shapeDtw')) {
      for (const [channels, n, m] of [
        [1, 401, 401],
        [1, 257, 340],
        [3, 190, 130],
      ]) {
        if (!isDefined(form, {}, n, m)) continue;
        const f = FORMS.indexOf(form);
        const [x, y] = pair('normal', channels, n, m).map((series) => typed(series, dtype));
        for (const b of [0, 2]) {
          if (!isDefined(form, BANDS[b], n, m)) continue;
          const expected = expectedOf(f, b, 'normal', channels, n, m);
          const actual = distance(x, y, { ...form.options, ...BANDS[b], channels });
          const label = `${labelOf(form.options, BANDS[b])} ${channels} x ${n}, ${m}`;
          expectClose([actual], [expected], distanceTolerance(form, dtype, n, m), label);
        }
      }
    }
  });

  it('has the worked numbers', () => {
    const [x, y] = [Float64Array.of(1, 2, 3), Float64Array.of(2, 3, 5)];
    expect(distance(x, y, { metric: 'squared' })).toBe(6);
    expect(distance(x, y, { metric: 'euclidean' })).toBe(Math.sqrt(6));
    expect(distance(x, y)).toBe(5);
    expect(distance(x, y, { root: true })).toBe(Math.sqrt(5));
    expect(distance(x, x, { metric: 'msm' })).toBe(0);
    expect(distance(x, y, { metric: 'adtw', warpPenalty: 1e12 })).toBe(6);
    expect(distance(x, y, { metric: 'adtw', warpPenalty: 0 })).toBe(5);
    expect(distance(x, y, { metric: 'wdtw', g: 0 })).toBe(2.5);
    // Dependent MSM squares its costs, so that with one channel it is not the univariate one.
    const [a, b] = [Float64Array.of(0), Float64Array.of(3)];
    expect(distance(a, b, { metric: 'msm' })).toBe(3);
    expect(distance(a, b, { metric: 'msm', independent: false })).toBe(9);
  });

  it('a window of 0 on series of one point is their difference', () => {
    const [x, y] = [Float64Array.of(1), Float64Array.of(4)];
    for (const band of [{ window: 0 }, { windowAbs: 0 }]) {
      expect(distance(x, y, band)).toBe(9);
      expect(distance(x, y, { ...band, metric: 'msm' })).toBe(3);
      expect(distance(x, y, { ...band, metric: 'erp' })).toBe(3);
      expect(distance(x, y, { ...band, metric: 'twe', nu: 0.5 })).toBe(3);
    }
  });

  it('a constant channel has a shape-based distance of 0 to a constant and of 1 to anything else', () => {
    const sbd = { metric: 'sbd' } as const;
    for (const dtype of DTYPES) {
      const level = typed([2.1, 2.1, 2.1], dtype);
      const other = typed([1, 2, 4], dtype);
      expect(distance(level, typed([0.3, 0.3, 0.3, 0.3], dtype), sbd)).toBe(0);
      expect(distance(level, other, sbd)).toBe(1);
      expect(distance(other, level, sbd)).toBe(1);
      expect(distance(typed([7], dtype), typed([9], dtype), sbd)).toBe(0);
      expect(distance(typed([7], dtype), other, sbd)).toBe(1);
      const zeros = typed([0, 0, 0], dtype);
      expect(distance(zeros, zeros, { ...sbd, standardize: false })).toBe(0);
      expect(distance(zeros, other, { ...sbd, standardize: false })).toBe(1);
      const two = typed([2.1, 2.1, 2.1, 1, 2, 4], dtype);
      const channels = typed([1, 5, 3, 1, 2, 4], dtype);
      expectNear(distance(two, channels, { ...sbd, channels: 2 }), 0.5, 1e-6);
    }
  });

  it('takes a gap value per channel', () => {
    for (const [n, m] of [
      [5, 5],
      [9, 4],
    ]) {
      const [x, y] = pair('normal', 2, n, m);
      const options = { metric: 'erp', g: Float64Array.of(0.5, -1), channels: 2 } as const;
      expectNear(distance(x, y, options), reference.distance(x, y, options), 1e-13);
    }
  });

  it.each(DTYPES)('with a cutoff gives the same bits up to it and Infinity beyond, %s', (dtype) => {
    const below = (value: number): number => {
      if (value === 0) return -Number.MIN_VALUE;
      const bits = new BigUint64Array(Float64Array.of(value).buffer);
      bits[0] -= 1n;
      return new Float64Array(bits.buffer)[0];
    };
    let abandoned = 0;
    for (const form of FORMS) {
      for (const band of BANDS) {
        for (const channels of [1, 2]) {
          for (const [n, m] of LENGTHS) {
            if (!isDefined(form, band, n, m)) continue;
            const [x, y] = pair('normal', channels, n, m).map((series) => typed(series, dtype));
            const options = { ...form.options, ...band, channels };
            const plain = distance(x, y, options);
            for (const cutoff of [plain, below(plain), plain / 2, plain / 10, 2 * plain, Infinity]) {
              const actual = distance(x, y, { ...options, cutoff });
              if (!Object.is(actual, plain <= cutoff ? plain : Infinity)) {
                throw new Error(
                  `${labelOf(options)} ${n}, ${m}: ${actual} at cutoff ${cutoff}, the distance is ${plain}`,
                );
              }
              if (actual === Infinity) abandoned += 1;
            }
          }
        }
      }
    }
    expect(abandoned).toBeGreaterThan(1000);
  });
});
