import {
  distance,
  isSymmetric,
  softDistance,
  softDistanceGrad,
  softDtw,
  softDtwGrad,
  softLossBatch,
  softLossBatchAsync,
  softMsm,
  softMsmGrad,
  softPairwise,
  softPairwiseAsync,
  SeriesSet,
} from '../../lib/elastic/index.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { type Dtype, DTYPES, labelOf, normalSeries, typed } from '../helpers/elastic.js';
import { flat, softCases } from '../helpers/elastic-fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { SOFT_FORMS, type SoftFormOptions, softLengths, softPair, softTolerance } from '../helpers/soft.js';
import * as reference from '../reference/elastic/soft.js';

const expectedOf = memo((form: number, channels: number, n: number, m: number) => {
  const [x, y] = softPair(channels, n, m);
  return reference.softLoss(x, y, { ...SOFT_FORMS[form], channels });
});

/** Sets of z-normalised series, of one length or of many. */
const setOf = memo(
  (lengths: 'equal' | 'ragged', count: number, channels: number, dtype: Dtype, stream: number) =>
    SeriesSet.from(
      Array.from({ length: count }, (_, k) => {
        const n = lengths === 'equal' ? 10 : 3 + ((k * 5 + stream) % 11);
        return typed(normalSeries(channels * n, 500 + 29 * stream + k), dtype);
      }),
      { channels },
    ),
);

/** The same bits; of divergences, whose self terms may be taken off in another order, all but the last ones. */
function expectSingles(
  actual: Float64Array,
  expected: Float64Array,
  form: SoftFormOptions,
  label: string,
): void {
  if (form.divergence) expectClose(actual, expected, (_, v) => 1e-13 * (100 + Math.abs(v)), label);
  else expectSameBits(actual, expected, label);
}

onEveryIsa(() => {
  it('has the values of the fixtures', () => {
    softCases().forEach((c, index) => {
      const [x, y] = [flat(c.x), flat(c.y)];
      const { channels, gamma } = c;
      const shared = { channels, gamma, window: c.window ?? undefined };
      const msm = { ...shared, c: c.c };
      const close = (actual: number, expected: number, name: string): void => {
        const tolerance = (_: number, v: number): number => 1e-10 * Math.abs(v) + 1e-13;
        expectClose([actual], [expected], tolerance, `case ${index} ${name}`);
      };
      close(softDtw(x, y, shared), c.soft_dtw, 'soft-DTW');
      close(softDtw(x, x, shared), c.soft_dtw_xx, 'soft-DTW of x with itself');
      close(softDtw(y, y, shared), c.soft_dtw_yy, 'soft-DTW of y with itself');
      close(softDtw(x, y, { ...shared, divergence: true }), c.soft_dtw_divergence, 'soft-DTW divergence');
      close(softMsm(x, y, msm), c.soft_msm, 'Soft-MSM');
      close(softMsm(y, x, msm), c.soft_msm_yx, 'Soft-MSM the other way');
      close(softMsm(x, x, msm), c.soft_msm_xx, 'Soft-MSM of x with itself');
      close(softMsm(y, y, msm), c.soft_msm_yy, 'Soft-MSM of y with itself');
      close(softMsm(x, y, { ...msm, divergence: true }), c.soft_msm_divergence, 'Soft-MSM divergence');
    });
  });

  it.each(DTYPES)('agrees with the reference on every loss, band and shape, %s', (dtype) => {
    SOFT_FORMS.forEach((form, f) => {
      for (const channels of [1, 2]) {
        for (const [n, m] of softLengths(form)) {
          const [x, y] = softPair(channels, n, m).map((series) => typed(series, dtype));
          const expected = expectedOf(f, channels, n, m);
          const actual = softDistance(x, y, { ...form, channels });
          const label = `${labelOf(form)} ${channels} x ${n}, ${m}`;
          expectClose([actual], [expected], softTolerance(form, dtype, n, m), label);
        }
      }
    });
  });

  it('agrees at every window from 0 to n', () => {
    for (const loss of reference.SOFT_LOSSES) {
      for (let n = 1; n <= 5; n += 1) {
        for (let m = 1; m <= 5; m += 1) {
          const [x, y] = softPair(1, n, m);
          for (let t = 0; t <= 2 * Math.max(n, m); t += 1) {
            for (const band of [{ windowAbs: t }, { window: t / (2 * Math.max(n, m)) }]) {
              const options = { loss, gamma: 0.4, ...band };
              const [actual, expected] = [
                softDistanceGrad(x, y, options),
                reference.softLossGrad(x, y, options),
              ];
              const label = `${labelOf(options)} ${n}, ${m}`;
              expectNear(actual.value, expected.value, 1e-13 * (1 + Math.abs(expected.value)), label);
              expectClose(actual.dx, expected.dx, () => 1e-11, `${label} dx`);
              expectClose(actual.dy, expected.dy, () => 1e-11, `${label} dy`);
            }
          }
        }
      }
    }
  });

  it('agrees on a long pair', () => {
    for (const loss of reference.SOFT_LOSSES) {
      for (const dtype of DTYPES) {
        const [n, m] = [150, 170];
        const [x, y] = softPair(1, n, m).map((series) => typed(series, dtype));
        const f = SOFT_FORMS.findIndex((form) => form.loss === loss);
        const expected = expectedOf(f, 1, n, m);
        const tolerance = softTolerance(SOFT_FORMS[f], dtype, n, m);
        expectClose([softDistance(x, y, SOFT_FORMS[f])], [expected], tolerance, `${loss} ${dtype}`);
      }
    }
  });

  it('has the worked numbers', () => {
    const [x, y] = [Float64Array.of(0, 1, 2), Float64Array.of(0, 2, 2.5)];
    expectNear(softMsm(x, y), 0.45372829790305136, 1e-14);
    expectNear(softMsm(x, y, { gamma: 0.1 }), 1.2499999985571644, 1e-14);
    expectNear(softMsm(x, y, { gamma: 0.001 }), 1.25, 1e-14);
    expectNear(softMsm(x, y, { divergence: true }), 0.9260527677797818, 1e-14);
    expectNear(softDtw(x, y), -0.12170528976975098, 1e-14);
    expectNear(softDtw(x, y, { gamma: 0.1 }), 1.1401357445113676, 1e-14);
    expectNear(softDtw(x, y, { gamma: 0.001 }), 1.248901387711332, 1e-14);
    // T(1; 0, 2) by itself: the second point of x moves, the other series stays at 2; matched is (0, 2).
    const t = softMsm(Float64Array.of(0, 1), Float64Array.of(2)) - 4;
    expectNear(t, 1.0000000000767133, 1e-14);
    expectNear(softMsm(Float64Array.of(1, 3), Float64Array.of(2)) - 1, 1.9514126483667948, 1e-14);
    expectNear(
      softMsm(Float64Array.of(1, 3), Float64Array.of(2), { gamma: 0.01 }) - 1,
      1.9999999999375,
      1e-14,
    );
  });

  it('named forms are the general one, and gamma 0 is DTW', () => {
    for (const [n, m] of [
      [1, 1],
      [9, 9],
      [6, 11],
    ]) {
      const [x, y] = softPair(1, n, m);
      expect(softDtw(x, y, { gamma: 0.3 })).toBe(softDistance(x, y, { loss: 'dtw', gamma: 0.3 }));
      expect(softDistance(x, y)).toBe(softDtw(x, y));
      expect(softMsm(x, y, { c: 0.2 })).toBe(softDistance(x, y, { loss: 'msm', c: 0.2 }));
      expect(softDtw(x, y, { gamma: 0 })).toBe(distance(x, y));
      expect(softDtw(x, y, { gamma: 0, windowAbs: 1 })).toBe(distance(x, y, { windowAbs: 1 }));
    }
  });

  it('values do not rise with gamma, and come to the hard distance as it goes to 0', () => {
    for (const loss of ['dtw', 'wdtw', 'adtw', 'erp', 'twe'] as const) {
      const [x, y] = softPair(1, 14, 17);
      const hard = distance(x, y, { metric: loss });
      let before = hard;
      for (const gamma of [1e-6, 1e-3, 0.01, 0.1, 1, 10, 100]) {
        const value = softDistance(x, y, { loss, gamma });
        expect(value).toBeLessThanOrEqual(before + 1e-12 * (1 + Math.abs(before)));
        before = value;
      }
      expectNear(softDistance(x, y, { loss, gamma: 1e-6 }), hard, 1e-4, loss);
    }
  });

  it('Soft-MSM with a forbidding c is the squared distance', () => {
    const [x, y] = softPair(1, 12, 12);
    const squared = distance(x, y, { metric: 'squared' });
    expectNear(softMsm(x, y, { c: 1e9 }), squared, 1e-12 * squared);
  });

  it('values at very small and very large gamma stay finite', () => {
    for (const loss of reference.SOFT_LOSSES) {
      for (const dtype of DTYPES) {
        const [x, y] = softPair(1, 40, 33).map((series) => typed(series, dtype));
        for (const gamma of [1e-30, 1e-12, 1e-6, 1e6, 1e12]) {
          for (const scale of [1, 1e-6, 1e6]) {
            const scaled = [x, y].map((series) => series.map((value) => value * scale));
            const value = softDistance(scaled[0], scaled[1], { loss, gamma });
            const { dx, dy } = softDistanceGrad(scaled[0], scaled[1], { loss, gamma });
            const finite = Number.isFinite(value) && dx.every(Number.isFinite) && dy.every(Number.isFinite);
            expect([loss, dtype, gamma, scale, finite]).toEqual([loss, dtype, gamma, scale, true]);
          }
        }
      }
    }
  });

  it('a divergence is symmetric, and 0 with slope 0 between a series and itself', () => {
    for (const loss of reference.SOFT_LOSSES) {
      for (const gate of ['absolute', 'relative'] as const) {
        for (const band of [{}, { window: 0.2 }, { itakuraMaxSlope: 0.5 }]) {
          const options = { loss, gate, ...band, divergence: true } as const;
          const [x, y] = softPair(1, 13, 10);
          expectNear(softDistance(x, y, options), softDistance(y, x, options), 1e-11, labelOf(options));
          const self = softDistanceGrad(x, x, options);
          expectNear(self.value, 0, 1e-11, labelOf(options));
          expectClose(self.dx, new Float64Array(13), () => 1e-11, labelOf(options));
          expectClose(self.dy, new Float64Array(13), () => 1e-11, labelOf(options));
        }
      }
    }
  });

  describe.each(DTYPES)('sets, %s', (dtype) => {
    it.each(['equal', 'ragged'] as const)(
      'matrices hold the bits of single losses, %s lengths',
      (lengths) => {
        for (const form of SOFT_FORMS) {
          for (const count of [1, 7, 8, 9, 15, 16, 17]) {
            const channels = count === 9 ? 2 : 1;
            const [X, Y] = [setOf(lengths, 2, channels, dtype, 1), setOf(lengths, count, channels, dtype, 2)];
            const single = (A: SeriesSet, B: SeriesSet): Float64Array =>
              Float64Array.from({ length: A.count * B.count }, (_, k) =>
                softDistance(A.series(Math.floor(k / B.count)), B.series(k % B.count), { ...form, channels }),
              );
            const label = `${labelOf(form)} 2 x ${count}`;
            const matrix = softPairwise(X, Y, form);
            expectSingles(matrix, single(X, Y), form, label);
            expectSameBits(softPairwise(X, Y, { ...form, threads: 2 }), matrix, `${label}, 2 threads`);
            if (count > 9) continue;
            // Of one set: each pair once where it is the same both ways. Self losses are not 0, divergences are.
            const square = single(Y, Y);
            const symmetric = isSymmetric({ itakuraMaxSlope: form.itakuraMaxSlope }, Y.length !== null);
            for (let i = 0; i < count && symmetric; i += 1) {
              for (let j = 0; j < i; j += 1) square[i * count + j] = square[j * count + i];
            }
            const own = softPairwise(Y, null, form);
            expectSingles(own, square, form, `${label} of one set`);
            expectSameBits(
              softPairwise(Y, null, { ...form, threads: 2 }),
              own,
              `${label} of one set, 2 threads`,
            );
          }
        }
      },
    );

    it('blocks of matrices are parts of the whole', () => {
      const [X, Y] = [setOf('ragged', 9, 1, dtype, 1), setOf('ragged', 11, 1, dtype, 2)];
      for (const form of SOFT_FORMS) {
        for (const other of [Y, null]) {
          const width = other ? 11 : 9;
          const whole = softPairwise(X, other, form);
          const block = softPairwise(X, other, { ...form, rows: [2, 7], cols: [3, 9] });
          const expected = Array.from({ length: 5 }, (_, i) =>
            Array.from(whole.subarray((i + 2) * width + 3, (i + 2) * width + 9)),
          );
          expectSameBits(block, Float64Array.from(expected.flat()), labelOf(form));
          const out = new Float64Array(9 * width).fill(NaN);
          expect(softPairwise(X, other, { ...form, out })).toBe(out);
          expectSameBits(out, whole, `${labelOf(form)} out`);
        }
      }
    });

    it('batches hold the bits of single losses, and their gradients', () => {
      for (const form of SOFT_FORMS) {
        for (const lengths of ['equal', 'ragged'] as const) {
          for (const count of [1, 7, 8, 9, 15, 16, 17]) {
            const channels = count === 7 ? 3 : 1;
            const [X, Y] = [
              setOf(lengths, count, channels, dtype, 4),
              setOf(lengths, count, channels, dtype, 5),
            ];
            const label = `${labelOf(form)} ${count} of ${lengths} lengths`;
            const singles = Array.from({ length: count }, (_, k) =>
              softDistanceGrad(X.series(k), Y.series(k), { ...form, channels }),
            );
            const { values, dX, dY } = softLossBatch(X, Y, { ...form, grad: true });
            const expected = Float64Array.from(singles, ({ value }) => value);
            expectSingles(values, expected, form, `${label} values`);
            if (!dX || !dY) throw new Error(`${label}: no gradients`);
            const joined = (parts: Float64Array[]): Float64Array =>
              Float64Array.from(parts.flatMap((part) => Array.from(part)));
            // A gradient is a sum over cells whose order is that of the loop; the gate has slopes up to 1e4.
            const parts = [joined(singles.map(({ dx }) => dx)), joined(singles.map(({ dy }) => dy))];
            const steepest = Math.max(1, ...parts[0].map(Math.abs), ...parts[1].map(Math.abs));
            const gate = form.loss === 'msm' && form.divergence ? 1e4 : 1;
            const unit = (dtype === 'f64' ? 2 ** -53 : 2 ** -24) * (1 + 20 / (form.gamma ?? 1)) * gate;
            expectClose(dX, parts[0], () => 20 * unit * steepest, `${label} dX`);
            expectClose(dY, parts[1], () => 20 * unit * steepest, `${label} dY`);
            const two = softLossBatch(X, Y, { ...form, grad: true, threads: 2 });
            expectSameBits(two.values, values, `${label} values on 2 threads`);
            expectSameBits(two.dX ?? values, dX, `${label} dX on 2 threads`);
            expectSameBits(two.dY ?? values, dY, `${label} dY on 2 threads`);
            const alone = softLossBatch(X, Y, form);
            expectSameBits(alone.values, values, `${label} values alone`);
            expect([alone.dX, alone.dY]).toEqual([undefined, undefined]);
          }
        }
      }
    });

    it('one series against a batch sums its gradients, weighted', () => {
      for (const loss of reference.SOFT_LOSSES) {
        for (const divergence of [false, true]) {
          for (const lengths of ['equal', 'ragged'] as const) {
            const [Z, Y] = [setOf('equal', 1, 2, dtype, 6), setOf(lengths, 19, 2, dtype, 7)];
            const weights = Float64Array.from({ length: 19 }, (_, k) => (k % 4) / 2);
            const options = { loss, divergence, gamma: 0.5 };
            const singles = Array.from({ length: 19 }, (_, k) =>
              softDistanceGrad(Z.series(0), Y.series(k), { ...options, channels: 2 }),
            );
            const label = labelOf(options, { lengths });
            const near = dtype === 'f64' ? 1e-12 : 1e-4;
            for (const w of [undefined, weights]) {
              const { values, dX, dY } = softLossBatch(Z, Y, { ...options, grad: true, weights: w });
              expectClose(
                values,
                Float64Array.from(singles, ({ value }) => value),
                () => 1e-12,
                `${label} values`,
              );
              const sum = new Float64Array(20);
              singles.forEach(({ dx }, k) => dx.forEach((d, i) => (sum[i] += (w ? w[k] : 1) * d)));
              expectClose(dX ?? [], sum, (_, v) => near * (1 + Math.abs(v)), `${label} dX`);
              const parts = singles.flatMap(({ dy }, k) => Array.from(dy, (d) => (w ? w[k] : 1) * d));
              expectClose(dY ?? [], parts, (_, v) => near * (1 + Math.abs(v)), `${label} dY`);
              const two = softLossBatch(Z, Y, { ...options, grad: true, weights: w, threads: 2 });
              expectSameBits(two.dX ?? sum, dX ?? sum, `${label} on 2 threads`);
            }
          }
        }
      }
    });
  });

  it('promise forms give the same bits and tell how far they are', async () => {
    const [X, Y] = [setOf('ragged', 30, 1, 'f64', 8), setOf('ragged', 30, 1, 'f64', 9)];
    for (const form of SOFT_FORMS) {
      const seen: number[] = [];
      const onProgress = (done: number): void => void seen.push(done);
      const matrix = await softPairwiseAsync(X, Y, { ...form, onProgress });
      expectSameBits(matrix, softPairwise(X, Y, form), labelOf(form));
      expect(seen.at(-1)).toBe(1);
      const batch = await softLossBatchAsync(X, Y, { ...form, grad: true, onProgress });
      const expected = softLossBatch(X, Y, { ...form, grad: true });
      expectSameBits(batch.values, expected.values, labelOf(form));
      expectSameBits(batch.dX ?? matrix, expected.dX ?? matrix, labelOf(form));
      expectSameBits(batch.dY ?? matrix, expected.dY ?? matrix, labelOf(form));
      expect(seen.at(-1)).toBe(1);
      expect(seen.every((done) => done >= 0 && done <= 1)).toBe(true);
    }
  });

  it('named gradients are the general one', () => {
    const [x, y] = softPair(2, 9, 8);
    const options = { channels: 2, gamma: 0.4, alignment: true };
    expect(softDtwGrad(x, y, options)).toEqual(softDistanceGrad(x, y, { ...options, loss: 'dtw' }));
    expect(softMsmGrad(x, y, options)).toEqual(softDistanceGrad(x, y, { ...options, loss: 'msm' }));
  });
});

it('a long matrix or batch stops when its signal is aborted', async () => {
  const X = new SeriesSet(normalSeries(120 * 200, 77), { lengths: 200 });
  const reason = new Error('enough');
  for (const call of ['matrix', 'batch'] as const) {
    const controller = new AbortController();
    const options = {
      loss: 'msm',
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    } as const;
    const promise: Promise<unknown> =
      call === 'matrix'
        ? softPairwiseAsync(X, null, options)
        : softLossBatchAsync(X, X, { ...options, grad: true });
    await expect(promise).rejects.toBe(reason);
  }
});
