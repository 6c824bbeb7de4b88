import { distance, isSymmetric, pairwise, pairwiseAsync, SeriesSet } from '../../lib/elastic/index.js';
import { expectSameBits } from '../helpers/compare.js';
import {
  type BandOptions,
  type Dtype,
  DTYPES,
  type Form,
  FORMS,
  gridSeries,
  isDefined,
  labelOf,
  normalSeries,
  type Series,
  typed,
} from '../helpers/elastic.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';

/** Lengths of the series of a set: all equal, or around one length, the shortest first or last. */
type Lengths = 'equal' | 'ragged';

const setOf = memo((lengths: Lengths, count: number, channels: number, dtype: Dtype, stream: number) => {
  const series: Series[] = Array.from({ length: count }, (_, k) => {
    const n = lengths === 'equal' ? 12 : 3 + ((k * 7 + stream) % 14);
    return typed(normalSeries(channels * n, 31 * stream + k), dtype);
  });
  return SeriesSet.from(series, { channels });
});

/** Bands of a matrix: few, every kind among them. */
const MATRIX_BANDS: readonly BandOptions[] = [
  {},
  { window: 0.2 },
  { windowAbs: 1 },
  { itakuraMaxSlope: 0.7 },
];

/** Whether every pair of the sets is defined. */
function allDefined(form: Form, band: BandOptions, X: SeriesSet, Y: SeriesSet): boolean {
  return Array.from(X.lengths).every((n) => Array.from(Y.lengths).every((m) => isDefined(form, band, n, m)));
}

/** The matrix by single distances. */
function byDistance(X: SeriesSet, Y: SeriesSet, options: object): Float64Array {
  const matrix = new Float64Array(X.count * Y.count);
  for (let i = 0; i < X.count; i += 1) {
    for (let j = 0; j < Y.count; j += 1) {
      matrix[i * Y.count + j] = distance(X.series(i), Y.series(j), { ...options, channels: X.channels });
    }
  }
  return matrix;
}

onEveryIsa(() => {
  describe.each(DTYPES)('%s', (dtype) => {
    it.each(['equal', 'ragged'] as const)(
      'holds the bits of single distances around every lane count, %s lengths',
      (lengths) => {
        let compared = 0;
        for (const count of [1, 7, 8, 9, 15, 16, 17, 33]) {
          for (const channels of count === 9 || count === 16 ? [1, 3] : [1]) {
            const X = setOf(lengths, 2, channels, dtype, 1);
            const Y = setOf(lengths, count, channels, dtype, 2);
            for (const form of FORMS) {
              for (const band of MATRIX_BANDS) {
                if (!allDefined(form, band, X, Y)) continue;
                const options = { ...form.options, ...band };
                const label = `${labelOf(options)} 2 x ${count} of ${channels} channels`;
                const expected = byDistance(X, Y, options);
                expectSameBits(pairwise(X, Y, options), expected, label);
                expectSameBits(pairwise(X, Y, { ...options, threads: 2 }), expected, `${label}, 2 threads`);
                compared += 1;
              }
            }
          }
        }
        expect(compared).toBeGreaterThan(500);
      },
    );

    it.each(['equal', 'ragged'] as const)(
      'of one set is symmetric where distances are, with a diagonal of 0, %s lengths',
      (lengths) => {
        for (const count of [1, 2, 9, 13]) {
          for (const channels of count === 9 ? [1, 2] : [1]) {
            const X = setOf(lengths, count, channels, dtype, 3);
            for (const form of FORMS) {
              for (const band of MATRIX_BANDS) {
                if (!allDefined(form, band, X, X)) continue;
                const options = { ...form.options, ...band };
                const label = `${labelOf(options)} ${count} of ${channels} channels`;
                const matrix = pairwise(X, null, options);
                const isMirrored = isSymmetric(options, X.length !== null);
                const isLopsided = lengths === 'ragged' && count > 1 && 'itakuraMaxSlope' in band;
                expect([label, isMirrored]).toEqual([label, form.symmetric && !isLopsided]);
                const expected = new Float64Array(count * count);
                for (let i = 0; i < count; i += 1) {
                  for (let j = 0; j < count; j += 1) {
                    const at = i * count + j;
                    if (j < i && isMirrored) expected[at] = expected[j * count + i];
                    else if (j !== i)
                      expected[at] = distance(X.series(i), X.series(j), { ...options, channels });
                  }
                }
                expectSameBits(matrix, expected, label);
                expectSameBits(
                  pairwise(X, null, { ...options, threads: 2 }),
                  expected,
                  `${label}, 2 threads`,
                );
              }
            }
          }
        }
      },
    );

    it('shapeDtw, which has a side where steps are equally good, is computed both ways', () => {
      const X = SeriesSet.from(Array.from({ length: 40 }, (_, k) => typed(gridSeries(9, 60 + k), dtype)));
      const options = { metric: 'shapeDtw', reach: 1 } as const;
      const expected = byDistance(X, X, options);
      for (let i = 0; i < 40; i += 1) expected[i * 41] = 0;
      expectSameBits(pairwise(X, null, options), expected, 'shapeDtw');
      const isAsymmetric = expected.some(
        (value, k) => value !== expected[(k % 40) * 40 + Math.floor(k / 40)],
      );
      expect(isAsymmetric).toBe(true);
    });

    it('gives blocks that are parts of the whole', () => {
      const X = setOf('ragged', 19, 1, dtype, 4);
      const Y = setOf('ragged', 21, 1, dtype, 5);
      const cut = (whole: Float64Array, width: number, rows: number[], cols: number[]): Float64Array =>
        Float64Array.from(
          Array.from({ length: rows[1] - rows[0] }, (_, i) =>
            Array.from(whole.subarray((rows[0] + i) * width + cols[0], (rows[0] + i) * width + cols[1])),
          ).flat(),
        );
      for (const form of FORMS) {
        if (!allDefined(form, {}, X, Y)) continue;
        const options = form.options;
        const [rectangle, square] = [pairwise(X, Y, options), pairwise(X, null, options)];
        for (const [rows, cols] of [
          [
            [0, 19],
            [0, 19],
          ],
          [
            [3, 4],
            [0, 1],
          ],
          [
            [2, 11],
            [5, 19],
          ],
          [
            [10, 19],
            [1, 9],
          ],
          [
            [18, 19],
            [18, 19],
          ],
        ] as const) {
          const block = { ...options, rows: [rows[0], rows[1]], cols: [cols[0], cols[1]] } as const;
          const label = labelOf(block);
          expectSameBits(pairwise(X, Y, { ...block }), cut(rectangle, 21, [...rows], [...cols]), label);
          expectSameBits(
            pairwise(X, null, { ...block }),
            cut(square, 19, [...rows], [...cols]),
            `${label} of one set`,
          );
        }
        expectSameBits(
          pairwise(X, Y, { ...options, rows: [4, 7] }),
          cut(rectangle, 21, [4, 7], [0, 21]),
          'rows',
        );
        expectSameBits(
          pairwise(X, Y, { ...options, cols: [4, 7] }),
          cut(rectangle, 21, [0, 19], [4, 7]),
          'cols',
        );
      }
    });

    it('takes arrays of series, and writes to the array that it is given', () => {
      const [X, Y] = [setOf('ragged', 5, 2, dtype, 6), setOf('ragged', 4, 2, dtype, 7)];
      const arrays = [X, Y].map((set) => Array.from({ length: set.count }, (_, k) => set.series(k)));
      for (const metric of ['dtw', 'msm', 'sbd'] as const) {
        const expected = pairwise(X, Y, { metric });
        const out = new Float64Array(20).fill(NaN);
        expect(pairwise(X, Y, { metric, out })).toBe(out);
        expectSameBits(out, expected, metric);
        expectSameBits(
          pairwise(arrays[0], arrays[1], { metric, channels: 2 }),
          expected,
          `${metric} of arrays`,
        );
        expectSameBits(pairwise(X, arrays[1], { metric, channels: 2 }), expected, `${metric} of both kinds`);
      }
    });
  });

  it('computes in the type of the series, and differs between types by rounding alone', () => {
    const [wide, narrow] = [setOf('equal', 9, 1, 'f64', 8), setOf('equal', 9, 1, 'f64', 8).toFloat32()];
    const [a, b] = [pairwise(wide, null), pairwise(narrow, null)];
    expect(a).not.toEqual(b);
    a.forEach((value, k) => expect(Math.abs(value - b[k])).toBeLessThanOrEqual(1e-5 * (1 + value)));
    expect(b.every((value) => Math.fround(value) === value)).toBe(true);
  });

  it('in its promise form gives the same bits and tells how far it is', async () => {
    for (const lengths of ['equal', 'ragged'] as const) {
      const X = setOf(lengths, 40, 1, 'f64', 9);
      for (const form of FORMS) {
        if (!allDefined(form, {}, X, X)) continue;
        for (const Y of [X, null]) {
          const seen: number[] = [];
          const onProgress = (done: number): void => void seen.push(done);
          const matrix = await pairwiseAsync(X, Y, { ...form.options, threads: 2, onProgress });
          expectSameBits(matrix, pairwise(X, Y, form.options), labelOf(form.options));
          expect(seen.every((done, k) => done >= 0 && done <= 1 && (k === 0 || done >= seen[k - 1]))).toBe(
            true,
          );
          expect(seen.at(-1)).toBe(1);
        }
      }
    }
  });
});

describe('a long matrix', () => {
  const X = new SeriesSet(gridSeries(160 * 400, 11), { lengths: 400 });

  it('stops when its signal is aborted, with the reason', async () => {
    for (const metric of ['dtw', 'msm', 'twe', 'shapeDtw'] as const) {
      const controller = new AbortController();
      const reason = new Error('enough');
      const seen: number[] = [];
      const promise = pairwiseAsync(X, null, {
        metric,
        signal: controller.signal,
        onProgress: (done) => {
          seen.push(done);
          controller.abort(reason);
        },
      });
      await expect(promise).rejects.toBe(reason);
      expect(seen[0]).toBeLessThan(1);
    }
  });

  it('does not begin where the signal is aborted before', async () => {
    const out = new Float64Array(160 * 160).fill(-1);
    const reason = new Error('no');
    await expect(pairwiseAsync(X, null, { out, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(out.every((value) => value === -1)).toBe(true);
  });

  it('leaves the event loop free', async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    try {
      await pairwiseAsync(X, null, { metric: 'twe' });
    } finally {
      clearInterval(timer);
    }
    expect(turns).toBeGreaterThan(5);
  });
});
