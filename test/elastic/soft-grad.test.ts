import fc from 'fast-check';

import { softDistance, softDistanceGrad, softDtwGrad, softMsmGrad } from '../../lib/elastic/index.js';
import { expectClose, expectNear } from '../helpers/compare.js';
import { DTYPES, labelOf, typed } from '../helpers/elastic.js';
import { flat, softCases } from '../helpers/elastic-fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { SOFT_FORMS, softLengths, softPair } from '../helpers/soft.js';
import * as reference from '../reference/elastic/soft.js';

const expectedOf = memo((form: number, channels: number, n: number, m: number) => {
  const [x, y] = softPair(channels, n, m);
  const options = { ...SOFT_FORMS[form], channels };
  const result = reference.softLossGrad(x, y, options);
  // What a divergence takes off may be far steeper than what is left: the gate turns over where values meet.
  const parts = [
    result,
    ...(options.divergence
      ? [x, y].map((series) => reference.softLossGrad(series, series, { ...options, divergence: false }))
      : []),
  ];
  const steepest = Math.max(1, ...parts.flatMap(({ dx, dy }) => [...dx, ...dy].map(Math.abs)));
  return { ...result, steepest };
});

/** All rows of a table, one after the other. */
const flattened = (table: readonly Float64Array[]): number[] => table.flatMap((row) => Array.from(row));

onEveryIsa(() => {
  it('has the gradients of the fixtures', () => {
    softCases().forEach((c, index) => {
      const [x, y] = [flat(c.x), flat(c.y)];
      const { channels, gamma } = c;
      const shared = { channels, gamma, window: c.window ?? undefined };
      const close = (actual: Float64Array, expected: number[][], name: string, absolute = 1e-12): void => {
        const tolerance = (_: number, v: number): number => 1e-8 * Math.abs(v) + absolute;
        expectClose(actual, flat(expected), tolerance, `case ${index} ${name}`);
      };
      const dtw = softDtwGrad(x, y, shared);
      const [msm, back] = [
        softMsmGrad(x, y, { ...shared, c: c.c }),
        softMsmGrad(y, x, { ...shared, c: c.c }),
      ];
      close(dtw.dx, c.soft_dtw_grad_x, 'soft-DTW dx', c.soft_dtw_grad_fd_gap === null ? 1e-6 : 1e-12);
      close(msm.dx, c.soft_msm_grad_x, 'Soft-MSM dx');
      close(msm.dy, c.soft_msm_grad_y, 'Soft-MSM dy');
      close(back.dx, c.soft_msm_grad_y, 'Soft-MSM dx of the swapped pair');
      expectNear(dtw.value, c.soft_dtw, 1e-10 * (1 + Math.abs(c.soft_dtw)));
      expectNear(msm.value, c.soft_msm, 1e-10 * (1 + Math.abs(c.soft_msm)));
    });
  });

  it.each(DTYPES)('agrees with the reference on every loss, band and shape, %s', (dtype) => {
    SOFT_FORMS.forEach((form, f) => {
      for (const channels of [1, 2]) {
        for (const [n, m] of softLengths(form)) {
          const [x, y] = softPair(channels, n, m).map((series) => typed(series, dtype));
          const expected = expectedOf(f, channels, n, m);
          const actual = softDistanceGrad(x, y, { ...form, channels, alignment: true });
          const label = `${labelOf(form)} ${channels} x ${n}, ${m}`;
          // The share of a step is exp of a difference of costs over gamma, whose rounding grows with it.
          const unit = dtype === 'f64' ? 2 ** -53 : 2 ** -24;
          const size = Math.max(1, ...flattened(expected.costs).filter(Number.isFinite).map(Math.abs));
          // In self terms of Soft-MSM slopes of 1e4, of the gate where values meet, cancel within one sum.
          const cancelled = form.loss === 'msm' && form.divergence ? 30 : 1;
          const share = 40 * cancelled * unit * (n + m) * (1 + size / (form.gamma ?? 1));
          expectClose(actual.dx, expected.dx, () => share * expected.steepest, `${label} dx`);
          expectClose(actual.dy, expected.dy, () => share * expected.steepest, `${label} dy`);
          expectClose(
            actual.alignment ?? [],
            flattened(expected.alignment),
            () => share,
            `${label} alignment`,
          );
          expectClose(
            actual.occupancy ?? [],
            flattened(expected.occupancy),
            () => share,
            `${label} occupancy`,
          );
          // The value is the one of the call without a gradient, to the bit where no self terms are taken off.
          const value = softDistance(x, y, { ...form, channels });
          const allowed = form.divergence ? 1e-14 * (10 + Math.abs(value)) : 0;
          expectNear(actual.value, value, allowed, `${label} value`);
          const plain = softDistanceGrad(x, y, { ...form, channels });
          expect([label, plain.alignment, plain.occupancy]).toEqual([label, undefined, undefined]);
          expect(plain.dx).toEqual(actual.dx);
          expect(plain.dy).toEqual(actual.dy);
        }
      }
    });
  });

  it.each(DTYPES)('agrees with the reference where values repeat and differences are 0, %s', (dtype) => {
    const [u, v] = [
      [0, 0, 1, 1, 1, 0, 2, 2],
      [1, 1, 0, 0, 2, 2, 2],
    ];
    for (const form of SOFT_FORMS) {
      for (const [a, b] of [
        [u, v],
        [u, u],
        [
          [1, 1, 1],
          [1, 1, 1, 1],
        ],
        [
          [0, 0, 0],
          [3, 3, 3],
        ],
      ]) {
        const [x, y] = [typed(a, dtype), typed(b, dtype)];
        const label = `${labelOf(form)} ${a.join()} and ${b.join()}`;
        const [actual, expected] = [softDistanceGrad(x, y, form), reference.softLossGrad(a, b, form)];
        const size = 1 + Math.abs(expected.value) / (form.gamma ?? 1);
        const near = (_: number, value: number): number =>
          (dtype === 'f64' ? 1e-12 : 1e-4) * size * (1 + Math.abs(value));
        expectClose([actual.value], [expected.value], near, label);
        expectClose(actual.dx, expected.dx, near, `${label} dx`);
        expectClose(actual.dy, expected.dy, near, `${label} dy`);
      }
    }
  });

  it('agrees with the reference on a long pair', () => {
    for (const loss of reference.SOFT_LOSSES) {
      const f = SOFT_FORMS.findIndex((form) => form.loss === loss);
      const [x, y] = softPair(1, 90, 101);
      const expected = expectedOf(f, 1, 90, 101);
      const actual = softDistanceGrad(x, y, SOFT_FORMS[f]);
      const near = (_: number, v: number): number => 1e-9 * (1 + Math.abs(v));
      expectClose(actual.dx, expected.dx, near, `${loss} dx`);
      expectClose(actual.dy, expected.dy, near, `${loss} dy`);
    }
  });

  it('gradients are those of central differences', () => {
    const h = 1e-6;
    for (const form of SOFT_FORMS.filter(({ gamma = 1 }) => gamma >= 0.1)) {
      for (const [channels, n, m] of [
        [1, 6, 7],
        [2, 5, 4],
      ]) {
        const [x, y] = softPair(channels, n, m);
        const options = { ...form, channels };
        const { dx, dy } = softDistanceGrad(x, y, options);
        const slope = (f: (moved: Float64Array) => number, at: Float64Array): Float64Array =>
          at.map((value, i) => {
            const moved = (by: number): number => f(at.map((old, k) => (k === i ? value + by : old)));
            return (moved(h) - moved(-h)) / (2 * h);
          });
        const near = (_: number, v: number): number => 1e-6 * (1 + Math.abs(v));
        const label = `${labelOf(form)} ${channels} x ${n}, ${m}`;
        expectClose(
          dx,
          slope((moved) => softDistance(moved, y, options), x),
          near,
          `${label} dx`,
        );
        expectClose(
          dy,
          slope((moved) => softDistance(x, moved, options), y),
          near,
          `${label} dy`,
        );
      }
    }
  });

  it('occupancy is a flow of one path: all of it leaves the first cell, and each antidiagonal is crossed', () => {
    for (const loss of ['dtw', 'wdtw', 'adtw', 'twe', 'msm'] as const) {
      for (const [n, m] of [
        [1, 1],
        [1, 6],
        [12, 12],
        [15, 8],
      ]) {
        const [x, y] = softPair(1, n, m);
        for (const gamma of [0.001, 0.1, 5]) {
          const { alignment, occupancy } = softDistanceGrad(x, y, { loss, gamma, alignment: true });
          if (!alignment || !occupancy) throw new Error('no alignment');
          const label = `${loss} gamma ${gamma} ${n}, ${m}`;
          expectNear(occupancy[0], 1, 1e-10, `${label} first`);
          expectNear(occupancy[n * m - 1], 1, 1e-10, `${label} last`);
          expect(alignment.every((share, k) => share >= 0 && share <= occupancy[k] + 1e-12)).toBe(true);
          // A path meets an antidiagonal or jumps over it from the one before to the one after.
          for (let d = 0; d + 1 <= n + m - 2; d += 1) {
            const on = (at: number): number => {
              let sum = 0;
              for (let i = Math.max(0, at - m + 1); i <= Math.min(n - 1, at); i += 1)
                sum += occupancy[i * m + at - i];
              return sum;
            };
            const both = on(d) + on(d + 1);
            expect(both >= 1 - 1e-9 && both <= 2 + 1e-9).toBe(true);
          }
          // Every row and every column is met by each path.
          for (let i = 0; i < n; i += 1) {
            const row = occupancy.subarray(i * m, (i + 1) * m).reduce((sum, share) => sum + share, 0);
            expect(row).toBeGreaterThanOrEqual(1 - 1e-9);
          }
        }
      }
    }
  });

  it('the slope is 0 where two points meet', () => {
    const level = Float64Array.of(1, 1, 1);
    for (const loss of ['erp', 'twe'] as const) {
      const { dx, dy } = softDistanceGrad(level, level, { loss, g: 1, gamma: 0.5 });
      expect(dx.every(Number.isFinite) && dy.every(Number.isFinite)).toBe(true);
      if (loss === 'erp') expect([...dx, ...dy].every((d) => d === 0)).toBe(true);
    }
  });

  it('is finite and the same both ways for any series, whatever the band', () => {
    const series = fc
      .array(fc.integer({ min: -200, max: 200 }), { minLength: 3, maxLength: 20 })
      .map((values) => Float64Array.from(values, (value) => value / 8));
    fc.assert(
      fc.property(series, series, fc.constantFrom(...SOFT_FORMS), (x, y, form) => {
        if (form.itakuraMaxSlope !== undefined && x.length !== y.length) return;
        const [there, back] = [softDistanceGrad(x, y, form), softDistanceGrad(y, x, form)];
        const slopes = [...there.dx, ...there.dy].map(Math.abs);
        const size = Math.max(1, Math.abs(there.value), ...slopes) * (form.loss === 'msm' ? 1e3 : 1);
        const label = labelOf(form);
        expect([label, there.dx.every(Number.isFinite), there.dy.every(Number.isFinite)]).toEqual([
          label,
          true,
          true,
        ]);
        expectNear(back.value, there.value, 1e-12 * size, label);
        const loose = 1e-11 * size * (1 + size / (form.gamma ?? 1));
        expectClose(back.dy, there.dx, () => loose, label);
        expectClose(back.dx, there.dy, () => loose, label);
      }),
      { numRuns: 400 },
    );
  });
});
