import { distance, envelope, lbImproved, lbKeogh, lbKim } from '../../lib/elastic/index.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { DTYPES, gridSeries, normalSeries, typed } from '../helpers/elastic.js';
import { onEveryIsa } from '../helpers/isa.js';
import * as reference from '../reference/elastic/bounds.js';

onEveryIsa(() => {
  it.each(DTYPES)('envelopes are those of the reference at every radius, %s', (dtype) => {
    for (const n of [1, 2, 3, 7, 8, 9, 16, 17, 33, 100]) {
      for (const radius of [0, 1, 2, 3, 5, n - 1, n, n + 5, 1000]) {
        for (const make of [gridSeries, normalSeries]) {
          const y = make(n, n);
          const { upper, lower } = envelope(typed(y, dtype), radius);
          const expected = reference.envelope(y, radius);
          expectSameBits(Float64Array.from(upper), expected.upper, `upper ${n}, radius ${radius}`);
          expectSameBits(Float64Array.from(lower), expected.lower, `lower ${n}, radius ${radius}`);
        }
      }
    }
    const rising = Float64Array.from({ length: 50 }, (_, i) => i);
    expect(Array.from(envelope(typed(rising, dtype), 2).upper).slice(0, 4)).toEqual([2, 3, 4, 5]);
    expect(Array.from(envelope(typed(rising.reverse(), dtype), 2).lower).slice(0, 4)).toEqual([
      47, 46, 45, 44,
    ]);
  });

  it.each(DTYPES)('bounds are those of the reference, %s', (dtype) => {
    for (const n of [1, 2, 3, 7, 8, 9, 16, 17, 33, 100]) {
      for (const radius of [0, 1, 3, n, 200]) {
        // Exact on the grid, in float32 too; close for other numbers.
        for (const [make, error] of [
          [gridSeries, 0],
          [normalSeries, dtype === 'f64' ? 1e-14 : 1e-5],
        ] as const) {
          const [x, y] = [make(n, 100 + n), make(n, 200 + n)];
          const [a, b] = [typed(x, dtype), typed(y, dtype)];
          const near = (actual: number, expected: number, name: string): void =>
            expectNear(actual, expected, error * (1 + expected), `${name} ${n}, radius ${radius}`);
          near(lbKim(a, b), reference.lbKim(x, y), 'Kim');
          near(lbKeogh(a, b, { radius }), reference.lbKeogh(x, y, radius), 'Keogh');
          near(lbImproved(a, b, { radius }), reference.lbImproved(x, y, radius), 'Improved');
        }
      }
    }
  });

  it('never exceed the distance, on ten thousand pairs', () => {
    const longest = 40;
    const values = normalSeries(10_000 + 2 * longest, 5);
    const level = normalSeries(10_000, 6);
    let tight = 0;
    for (let k = 0; k < 10_000; k += 1) {
      const n = 1 + (k % longest);
      const radius = Math.floor(k / longest) % (n + 1);
      const x = values.subarray(k, k + n);
      // A neighbour of x with noise: bounds of random pairs are far below the distance.
      const y = values.subarray(k + 1, k + 1 + n).map((value) => value + 0.3 * level[k]);
      const d = distance(x, y, { windowAbs: radius });
      const allowed = d * (1 + 1e-13) + 1e-300;
      const [kim, keogh, improved] = [lbKim(x, y), lbKeogh(x, y, { radius }), lbImproved(x, y, { radius })];
      if (!(kim <= allowed && keogh <= improved && improved <= allowed)) {
        throw new Error(`pair ${k}, length ${n}, radius ${radius}: ${[kim, keogh, improved].join()} of ${d}`);
      }
      if (improved > 0.5 * d) tight += 1;
      if (n === 1) expectNear(kim, d, 0);
    }
    expect(tight).toBeGreaterThan(500);
  });

  it('of several channels are the sums of their own, and bound the dependent distance', () => {
    for (const n of [1, 5, 16, 33]) {
      for (const radius of [0, 2, n]) {
        const [x, y] = [gridSeries(3 * n, n), gridSeries(3 * n, 50 + n)];
        const channel = (series: Float64Array, c: number): Float64Array => series.slice(c * n, (c + 1) * n);
        const sum = (bound: (a: Float64Array, b: Float64Array) => number): number =>
          [0, 1, 2].reduce((total, c) => total + bound(channel(x, c), channel(y, c)), 0);
        const options = { radius, channels: 3 };
        expect(lbKim(x, y, { channels: 3 })).toBe(sum(reference.lbKim));
        expect(lbKeogh(x, y, options)).toBe(sum((a, b) => reference.lbKeogh(a, b, radius)));
        expect(lbImproved(x, y, options)).toBe(sum((a, b) => reference.lbImproved(a, b, radius)));
        const d = distance(x, y, { channels: 3, windowAbs: radius });
        expect(Math.max(lbKim(x, y, { channels: 3 }), lbImproved(x, y, options))).toBeLessThanOrEqual(d);
        const { upper } = envelope(x, radius, { channels: 3 });
        expect(Array.from(upper.subarray(n, 2 * n))).toEqual(
          Array.from(reference.envelope(channel(x, 1), radius).upper),
        );
      }
    }
    // Unequal lengths have a first and a last point too.
    expect(lbKim(Float64Array.of(1, 2, 3), Float64Array.of(4, 4))).toBe(10);
    expect(lbKim(Float64Array.of(1), Float64Array.of(4, 3))).toBe(13);
  });

  it('a radius of 0 bounds the squared distance by itself', () => {
    const [x, y] = [gridSeries(31, 1), gridSeries(31, 2)];
    expect(lbKeogh(x, y, { radius: 0 })).toBe(distance(x, y, { metric: 'squared' }));
    expectClose(envelope(y, 0).upper, y, () => 0);
  });
});
