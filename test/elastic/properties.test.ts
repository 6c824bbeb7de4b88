import fc from 'fast-check';

import { alignmentPath, distance, pairwise, SeriesSet } from '../../lib/elastic/index.js';
import { expectNear } from '../helpers/compare.js';
import { FORMS, isDefined, labelOf } from '../helpers/elastic.js';
import { onEveryIsa } from '../helpers/isa.js';

/** Multiples of 1/8: their differences, squares and short sums are exact. */
const gridValue = fc.integer({ min: -64, max: 64 }).map((step) => step / 8);
const gridSeries = (minLength = 1, maxLength = 24): fc.Arbitrary<Float64Array> =>
  fc.array(gridValue, { minLength, maxLength }).map((values) => Float64Array.from(values));

/** Numbers of moderate size: the squares of smaller ones have no digits left. */
const anySeries = (minLength = 1, maxLength = 24): fc.Arbitrary<Float64Array> =>
  fc
    .array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength, maxLength })
    .map((values) => Float64Array.from(values, (value) => (Math.abs(value) < 1e-9 ? 0 : value)));

/** Two series of one length. */
const equalPair = (minLength = 1): fc.Arbitrary<[Float64Array, Float64Array]> =>
  anySeries(minLength).chain((x) => fc.tuple(fc.constant(x), anySeries(x.length, x.length)));

const RUNS = { numRuns: 150 };

/** Rounding of a sum of so many terms of this size. */
const slack = (x: Float64Array, y: Float64Array, value: number): number =>
  4 * (x.length + y.length) * 2 ** -52 * (1 + Math.abs(value));

onEveryIsa(() => {
  it('distances are at least 0, symmetric where they are said to be, and finite', () => {
    fc.assert(
      fc.property(anySeries(), anySeries(), fc.constantFrom(...FORMS), (x, y, form) => {
        if (!isDefined(form, {}, x.length, y.length)) return;
        const [there, back] = [distance(x, y, form.options), distance(y, x, form.options)];
        const label = labelOf(form.options);
        expect(there >= 0 && there < Infinity).toBe(true);
        // A channel that is constant but for rounding has a shape of noise.
        const allowed = form.options.metric === 'sbd' ? 1e-9 : slack(x, y, there);
        if (form.symmetric) expectNear(back, there, allowed, label);
      }),
      { numRuns: 1500 },
    );
  });

  it('a series is at a distance of 0 from itself', () => {
    fc.assert(
      fc.property(anySeries(3), fc.constantFrom(...FORMS), (x, form) => {
        // EDR's own threshold is 0 for a constant series, and nothing is below it.
        if (form.options.metric === 'edr' && form.options.epsilon === undefined) return;
        if (form.options.metric === 'sbd') expectNear(distance(x, x, form.options), 0, 1e-12, 'sbd');
        else expectNear(distance(x, x, form.options), 0, 0, labelOf(form.options));
      }),
      { numRuns: 600 },
    );
  });

  it('MSM, ERP and TWE obey the triangle inequality', () => {
    const metrics = [
      { metric: 'msm' },
      { metric: 'msm', c: 0.1 },
      { metric: 'erp' },
      { metric: 'erp', g: 2 },
      { metric: 'twe' },
      { metric: 'twe', nu: 0.5, lambda: 0.1 },
    ] as const;
    fc.assert(
      fc.property(anySeries(), anySeries(), anySeries(), fc.constantFrom(...metrics), (x, y, z, o) => {
        const [xy, yz, xz] = [distance(x, y, o), distance(y, z, o), distance(x, z, o)];
        expect(xz).toBeLessThanOrEqual(xy + yz + slack(x, z, xy + yz));
      }),
      { numRuns: 500 },
    );
  });

  it('warping never makes a distance longer, and a narrower band never shorter', () => {
    fc.assert(
      fc.property(
        equalPair(),
        fc.constantFrom('dtw', 'wdtw', 'adtw', 'msm', 'erp', 'twe'),
        (pair, metric) => {
          const [x, y] = pair;
          const squared = distance(x, y, { metric: 'squared' });
          expect(distance(x, y)).toBeLessThanOrEqual(squared + slack(x, y, squared));
          let narrower = Infinity;
          for (let windowAbs = 0; windowAbs <= x.length; windowAbs += 1) {
            const value = distance(x, y, { metric, windowAbs });
            expect(value).toBeLessThanOrEqual(narrower);
            narrower = value;
          }
          expect(narrower).toBe(distance(x, y, { metric }));
        },
      ),
      RUNS,
    );
  });

  it('limits of the parameters are other distances', () => {
    fc.assert(
      fc.property(gridSeries(), gridSeries(), (x, y) => {
        const dtw = distance(x, y);
        expect(distance(x, y, { metric: 'adtw', warpPenalty: 0 })).toBe(dtw);
        expect(distance(x, y, { metric: 'wdtw', g: 0 })).toBe(dtw / 2);
        expect(distance(x, y, { metric: 'shapeDtw', reach: 0 })).toBe(dtw);
        expect(distance(x, y, { window: 1 })).toBe(dtw);
        expect(distance(x, y, { root: true })).toBe(Math.sqrt(dtw));
        expect(distance(x, y, { independent: true })).toBe(dtw);
        const count = Math.min(x.length, y.length);
        const squared = distance(x.subarray(0, count), y.subarray(0, count), { metric: 'squared' });
        const straight = { metric: 'adtw', warpPenalty: 1e12 } as const;
        expect(distance(x.subarray(0, count), y.subarray(0, count), straight)).toBe(squared);
      }),
      RUNS,
    );
  });

  it('MSM does not see a shift of both series, and SBD neither scale nor place', () => {
    fc.assert(
      fc.property(gridSeries(), gridSeries(), gridValue, (x, y, shift) => {
        const moved = (series: Float64Array): Float64Array => series.map((value) => value + shift);
        expect(distance(moved(x), moved(y), { metric: 'msm' })).toBe(distance(x, y, { metric: 'msm' }));
      }),
      RUNS,
    );
    fc.assert(
      fc.property(
        anySeries(2),
        fc.nat(9),
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        (x, shift, scale) => {
          if (x.every((value) => Math.abs(value) < 1e-3)) return;
          const padded = (before: number, factor: number): Float64Array =>
            Float64Array.from({ length: x.length + 9 }, (_, i) => factor * (x[i - before] ?? 0));
          const options = { metric: 'sbd', standardize: false } as const;
          expectNear(distance(padded(0, 1), padded(shift, scale), options), 0, 1e-12);
        },
      ),
      RUNS,
    );
  });

  it('dependent DTW of several channels is at least the sum of their own', () => {
    fc.assert(
      fc.property(gridSeries(1, 12), fc.integer({ min: 1, max: 12 }), (values, m) => {
        const x = Float64Array.from([...values, ...values.map((v) => v / 2)]);
        const y = Float64Array.from({ length: 2 * m }, (_, i) => values[(3 * i) % values.length]);
        const independent = distance(x, y, { channels: 2, independent: true });
        const n = values.length;
        const parts = [0, 1].map((c) => distance(x.slice(c * n, (c + 1) * n), y.slice(c * m, (c + 1) * m)));
        expect(independent).toBe(parts[0] + parts[1]);
        expect(distance(x, y, { channels: 2 })).toBeGreaterThanOrEqual(independent);
      }),
      RUNS,
    );
  });

  it('paths go from corner to corner in steps of one, and their costs add up to the distance', () => {
    fc.assert(
      fc.property(gridSeries(), gridSeries(), fc.nat(4), (x, y, windowAbs) => {
        const { path, distance: value } = alignmentPath(x, y, { windowAbs });
        if (path === null) throw new Error('no path');
        const steps = Array.from({ length: path.length / 2 }, (_, k) => [path[2 * k], path[2 * k + 1]]);
        expect([steps[0], steps.at(-1)]).toEqual([
          [0, 0],
          [x.length - 1, y.length - 1],
        ]);
        steps.slice(1).forEach(([i, j], k) => {
          const [di, dj] = [i - steps[k][0], j - steps[k][1]];
          expect(di >= 0 && di <= 1 && dj >= 0 && dj <= 1 && di + dj > 0).toBe(true);
        });
        const reach = Math.max(windowAbs, Math.abs(x.length - y.length));
        expect(steps.every(([i, j]) => Math.abs(i - j) <= reach)).toBe(true);
        expect(steps.reduce((sum, [i, j]) => sum + (x[i] - y[j]) ** 2, 0)).toBe(value);
      }),
      RUNS,
    );
  });

  it('matrices do not depend on the order, the company or the layout of their series', () => {
    fc.assert(
      fc.property(
        fc.array(anySeries(3, 12), { minLength: 1, maxLength: 12 }),
        fc.constantFrom(...FORMS.filter((form) => isDefined(form, {}, 3, 4))),
        fc.boolean(),
        (series, form, single) => {
          const set = single ? SeriesSet.from(series).toFloat32() : SeriesSet.from(series);
          const whole = pairwise(set, set, form.options);
          const order = Array.from(series, (_, i) => i).reverse();
          const reversed = pairwise(set.subset(order), set, form.options);
          order.forEach((i, k) => {
            const row = whole.subarray(i * set.count, (i + 1) * set.count);
            expect(reversed.subarray(k * set.count, (k + 1) * set.count)).toEqual(row);
            expect(pairwise(set.subset([i]), set, form.options)).toEqual(row);
          });
        },
      ),
      { numRuns: 200 },
    );
  });
});
