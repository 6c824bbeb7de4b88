import {
  entropy,
  type Floats,
  logSoftmax,
  logSumExp,
  softmax,
  type SoftmaxOptions,
} from '../../lib/index.js';
import { LARGE, onEveryAlgorithm } from '../helpers/algorithms.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow, normalRow64, POISON, shifted, untouchedOutside } from '../helpers/rows.js';
import { narrow } from '../reference/convert.js';

type Row = (x: Floats, options?: SoftmaxOptions) => Floats;
const forms: [string, Row][] = [
  ['softmax', softmax],
  ['logSoftmax', logSoftmax],
];

/** `rows` rows of `cols` elements set `stride` apart in a poisoned array; the last row ends the array. */
function spread(x: Float32Array, rows: number, cols: number, stride: number): Float32Array {
  const wide = new Float32Array((rows - 1) * stride + cols).fill(POISON);
  for (let r = 0; r < rows; r += 1) wide.set(x.subarray(r * cols, (r + 1) * cols), r * stride);
  return wide;
}

onEveryIsa(() => {
  onEveryAlgorithm((algorithm) => {
    describe.each(forms)('%s', (_name, form) => {
      it('does not care where in memory a row starts, and writes nowhere else', () => {
        for (const length of [1, 15, 17, 97, 4097]) {
          const x = normalRow(length, 3, length);
          const expected = form(x, { algorithm });
          for (const offset of [1, 2, 3, 5, 7, 9, 15]) {
            const input = shifted(x, offset);
            const output = shifted(new Float32Array(length), 16 - offset);
            const result = form(input.view, { algorithm, out: output.view });
            expect(result).toBe(output.view);
            expectSameBits(output.view, expected, `length ${length}, offset ${offset}`);
            expect(untouchedOutside(output.whole, 16 - offset, 16 - offset + length)).toBe(true);
            expectSameBits(input.view, x, 'input');
          }
        }
      });

      it.each([
        [5, 1, 3],
        [3, 13, 16],
        [7, 64, 65],
        [4, 100, 300],
        [2, 5003, 6000],
      ])('leaves the gaps between strided rows alone: %i rows of %i, %i apart', (rows, cols, stride) => {
        const x = normalRow(rows * cols, 3, stride);
        const expected = form(x, { rows, cols, algorithm });
        const wide = spread(x, rows, cols, stride);

        const compact = form(wide, { rows, cols, rowStride: stride, algorithm });
        expectSameBits(compact, expected, 'strided in');

        const out = new Float32Array((rows - 1) * (stride + 2) + cols).fill(POISON);
        form(x, { rows, cols, out, outRowStride: stride + 2, algorithm });
        expectSameBits(out, spread(expected as Float32Array, rows, cols, stride + 2), 'strided out');

        const both = new Float32Array(rows * stride).fill(POISON);
        form(wide, { rows, cols, rowStride: stride, out: both, outRowStride: stride, algorithm });
        const expectedWide = spread(expected as Float32Array, rows, cols, stride);
        expectSameBits(both.subarray(0, expectedWide.length), expectedWide, 'strided in and out');

        // In place the stride of the output is that of the input without being told.
        const inPlace = wide.slice();
        form(inPlace, { rows, cols, rowStride: stride, out: inPlace, algorithm });
        expectSameBits(inPlace, expectedWide, 'strided in place');
      });

      it.each([1, 16, 31, 100, 4096, 5003, LARGE])('in place equals out of place at length %i', (length) => {
        const x = normalRow(length, 3, length);
        const expected = form(x, { algorithm });
        const inPlace = x.slice();
        expect(form(inPlace, { out: inPlace, algorithm })).toBe(inPlace);
        expectSameBits(inPlace, expected);
      });

      it('in place holds for rows, float64 and 16-bit storage', () => {
        const x = normalRow(40 * 33, 3, 1);
        const rows = { rows: 40, algorithm };
        const single = x.slice();
        form(single, { ...rows, out: single });
        expectSameBits(single, form(x, rows), 'float32');

        const x64 = normalRow64(40 * 33, 3, 1);
        const double = x64.slice();
        form(double, { ...rows, out: double });
        expectSameBits(double, form(x64, rows), 'float64');

        for (const dtype of ['bf16', 'f16'] as const) {
          const x16 = narrow(x, dtype);
          const half = x16.slice();
          form(half, { ...rows, dtype, out: half });
          expectSameBits(half, form(x16, { ...rows, dtype }), dtype);
        }
      });

      it('a second view of the same elements is in place too', () => {
        const x = normalRow(500, 3, 9);
        const expected = form(x, { algorithm });
        const view = new Float32Array(x.buffer, x.byteOffset, x.length);
        form(x, { out: view, algorithm });
        expectSameBits(x, expected);
      });

      it('overwrites whatever the output held', () => {
        const x = normalRow(777, 3, 2);
        const expected = form(x, { algorithm });
        for (const rubbish of [NaN, Infinity, -Infinity, 3.4e38]) {
          expectSameBits(form(x, { algorithm, out: new Float32Array(777).fill(rubbish) }), expected);
        }
      });

      it('uses only the front of an output that is too long', () => {
        const x = normalRow(50, 3, 2);
        const out = new Float32Array(60).fill(POISON);
        form(x, { algorithm, out });
        expectSameBits(out.subarray(0, 50), form(x, { algorithm }));
        expect(untouchedOutside(out, 0, 50)).toBe(true);
      });
    });

    it('takes memory shared between threads', () => {
      const x = normalRow(1009, 3, 4);
      const shared = new Float32Array(new SharedArrayBuffer(1009 * 4));
      shared.set(x);
      const out = new Float32Array(new SharedArrayBuffer(1009 * 4));
      softmax(shared, { algorithm, out });
      expectSameBits(out, softmax(x, { algorithm }));
      expectSameBits(logSumExp(shared, { algorithm }), logSumExp(x, { algorithm }));
    });

    it.each([
      [1, 2 ** 20 + 123],
      [3, LARGE],
      [517, 1009],
      [20_001, 10],
      [5000, 64],
    ])('gives the same bits on 1, 2, 3 and 8 threads: %i rows of %i', (rows, cols) => {
      const x = normalRow(rows * cols, 3, cols);
      const shape = { rows, cols, algorithm };
      const expected = [softmax(x, shape), logSoftmax(x, shape), logSumExp(x, shape), entropy(x, shape)];
      for (const threads of [2, 3, 8]) {
        const options = { ...shape, threads };
        expectSameBits(softmax(x, options), expected[0], `softmax on ${threads}`);
        expectSameBits(logSoftmax(x, options), expected[1], `logSoftmax on ${threads}`);
        expectSameBits(logSumExp(x, options), expected[2], `logSumExp on ${threads}`);
        expectSameBits(entropy(x, options), expected[3], `entropy on ${threads}`);
      }
    });
  });

  it('non-temporal stores change no bit', () => {
    for (const [rows, cols] of [
      [1, 5003],
      [1, LARGE],
      [33, 65],
    ]) {
      const x = normalRow(rows * cols, 3, cols);
      for (const algorithm of [
        'two-pass',
        'blocked',
        'three-pass-recompute',
        'three-pass-reload',
        'online',
      ] as const) {
        const options = { rows, algorithm };
        expectSameBits(softmax(x, { ...options, streamingStores: true }), softmax(x, options), algorithm);
        const odd = shifted(x, 3);
        const out = shifted(new Float32Array(x.length), 5);
        softmax(odd.view, { ...options, streamingStores: true, out: out.view });
        expectSameBits(out.view, softmax(x, options), `${algorithm}, unaligned`);
        expect(untouchedOutside(out.whole, 5, 5 + x.length)).toBe(true);
      }
    }
  });

  it('returns nothing for nothing', () => {
    expect(softmax(new Float32Array(0))).toEqual(new Float32Array(0));
    expect(logSoftmax(new Float32Array(0))).toEqual(new Float32Array(0));
    expect(logSumExp(new Float32Array(0))).toEqual(Float64Array.of(-Infinity));
    expect(entropy(new Float32Array(0))).toEqual(Float64Array.of(0));
    expect(softmax(new Float64Array(0))).toEqual(new Float64Array(0));
    expect(softmax(new Uint16Array(0), { dtype: 'bf16' })).toEqual(new Uint16Array(0));
  });
});

describe('the shape of x', () => {
  it('follows from cols alone', () => {
    const x = normalRow(12 * 7, 3, 1);
    expectSameBits(softmax(x, { cols: 7 }), softmax(x, { rows: 12 }));
    expect(() => softmax(x, { cols: 5 })).toThrow(/"cols" must be a divisor of the 84 elements/);
  });

  it('of countless rows without elements is refused rather than walked', () => {
    expect(() => softmax(new Float32Array(0), { rows: 2 ** 53 - 1 })).toThrow(
      /"rows" must be at most 16777216/,
    );
  });
});
