import { type Dtype, entropy, type Floats, logSoftmax, logSumExp, softmax } from '../../lib/index.js';
import { LENGTHS, onEveryAlgorithm } from '../helpers/algorithms.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { fixture, type HalfCase } from '../helpers/fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { normalRow } from '../helpers/rows.js';
import {
  entropyTolerance,
  logSoftmaxTolerance,
  logSumExpTolerance,
  softmaxTolerance,
} from '../helpers/tolerances.js';
import { halfSteps } from '../helpers/ulp.js';
import { type HalfName, narrow, widen } from '../reference/convert.js';
import * as reference from '../reference/softmax.js';

const { cases } = fixture<{ cases: HalfCase[] }>('softmax16');
const HALVES: HalfName[] = ['bf16', 'f16'];
const DTYPES: ('f32' | HalfName)[] = ['f32', 'bf16', 'f16'];

/** Float32 values stored as `dtype`, and what they are after rounding. */
function stored(x: Float32Array, dtype: 'f32' | HalfName): { data: Floats; values: ArrayLike<number> } {
  if (dtype === 'f32') return { data: x, values: x };
  const data = narrow(x, dtype);
  return { data, values: widen(data, dtype) };
}

// The reference is slow: each matrix is worked out once for all instruction sets and algorithms.
const matrix = memo((dtype: 'f32' | HalfName, rows: number, cols: number) => {
  const { data, values } = stored(normalRow(rows * cols, 3, cols), dtype);
  const options = { temperature: 0.8 };
  const each = reference.rowsOf(values, rows, cols).map((row) => {
    const [p, logp] = [reference.softmax(row, options), reference.logSoftmax(row, options)];
    return { row, p, logp, bits: { bf16: narrow(p, 'bf16'), f16: narrow(p, 'f16') } };
  });
  return { data, each };
});
const single = memo((dtype: HalfName, length: number) => {
  const x = narrow(normalRow(length, 3, length), dtype);
  const values = widen(x, dtype);
  const bits = narrow(reference.softmax(values), dtype);
  return { x, bits, lse: reference.logSumExp(values), h: reference.entropy(values) };
});

/** An output array for `dtype`. */
const emptyOf = (length: number, dtype: Dtype): Floats =>
  dtype === 'f32' ? new Float32Array(length) : new Uint16Array(length);

/** Log-probabilities in 16 bits: one place, and near 0 the error of a float32 result. */
const LOG_FLOOR = { bf16: 2e-6, f16: 2e-6 };
const LOG_PLACE = { bf16: 2 ** -8, f16: 2 ** -11 };

/** Fails unless every 16-bit result is at most one place from the reference rounded to 16 bits. */
function expectOnePlace(actual: ArrayLike<number>, expected: ArrayLike<number>, label: string): void {
  for (let i = 0; i < expected.length; i += 1) {
    if (halfSteps(actual[i], expected[i]) > 1) {
      throw new Error(`${label}[${i}]: expected bits ${expected[i]}, received ${actual[i]}`);
    }
  }
  expect(actual).toHaveLength(expected.length);
}

onEveryIsa(() => {
  onEveryAlgorithm((algorithm) => {
    it.each(cases)('$name', ({ dtype, ...c }) => {
      const x = Uint16Array.from(c.xBits);
      const p16 = softmax(x, { dtype, algorithm });
      expect(p16).toBeInstanceOf(Uint16Array);
      expectOnePlace(p16, c.outBits, 'softmax');
      const p32 = softmax(x, { dtype, algorithm, outDtype: 'f32' });
      expect(p32).toBeInstanceOf(Float32Array);
      expectClose(p32, c.softmax, softmaxTolerance(widen(x, dtype), 1, algorithm), 'in float32');
      expectNear(logSumExp(x, { dtype, algorithm })[0], c.logSumExp, logSumExpTolerance(c.logSumExp));
    });

    it.each(DTYPES.flatMap((dtype) => DTYPES.map((outDtype) => [dtype, outDtype] as const)))(
      'takes %s to %s',
      (dtype, outDtype) => {
        for (const [rows, cols] of [
          [1, 1],
          [3, 15],
          [40, 10],
          [4, 16],
          [5, 33],
          [2, 1009],
          [1, 4097],
          [1, 20_011],
        ]) {
          const { data, each } = matrix(dtype, rows, cols);
          const out = emptyOf(rows * cols, outDtype);
          const options = { rows, dtype, outDtype, algorithm, temperature: 0.8 };
          expect(softmax(data, { ...options, out })).toBe(out);
          expectSameBits(softmax(data, options), out, 'a fresh output');
          const logs = logSoftmax(data, options);
          each.forEach(({ row, p, logp, bits }, r) => {
            const [start, end] = [r * cols, (r + 1) * cols];
            const label = `row ${r} of ${rows} x ${cols}`;
            if (outDtype === 'f32') {
              expectClose(out.subarray(start, end), p, softmaxTolerance(row, 0.8, algorithm), label);
              expectClose(logs.subarray(start, end), logp, logSoftmaxTolerance(row, 0.8), `log, ${label}`);
            } else {
              expectOnePlace(out.subarray(start, end), bits[outDtype], label);
              const near = (_: number, v: number): number =>
                LOG_PLACE[outDtype] * Math.abs(v) + LOG_FLOOR[outDtype];
              expectClose(widen(logs.subarray(start, end), outDtype), logp, near, `log, ${label}`);
            }
          });
        }
      },
    );

    it.each(HALVES)('reads %s rows of every length', (dtype) => {
      for (const length of LENGTHS) {
        const { x, bits, lse, h } = single(dtype, length);
        expectOnePlace(softmax(x, { dtype, algorithm }), bits, `${length}`);
        expectNear(logSumExp(x, { dtype, algorithm })[0], lse, logSumExpTolerance(lse), `${length}`);
        expectNear(entropy(x, { dtype })[0], h, entropyTolerance(h), `${length}`);
      }
    });

    it.each(HALVES)('reads and writes strided rows of %s', (dtype) => {
      const [rows, cols, rowStride] = [7, 33, 40];
      const wide = narrow(normalRow(rows * rowStride, 3, 1), dtype);
      const compact = Uint16Array.from({ length: rows * cols }, (_, i) => {
        return wide[Math.floor(i / cols) * rowStride + (i % cols)];
      });
      const expected = softmax(compact, { rows, dtype, algorithm });
      expectSameBits(softmax(wide, { rows, cols, rowStride, dtype, algorithm }), expected, 'strided in');
      const out = new Uint16Array(rows * rowStride).fill(0xbeef);
      softmax(wide, { rows, cols, rowStride, dtype, algorithm, out, outRowStride: rowStride });
      out.forEach((bits, i) => {
        const [r, c] = [Math.floor(i / rowStride), i % rowStride];
        const value = c < cols ? expected[r * cols + c] : 0xbeef;
        if (bits !== value) throw new Error(`row ${r}, column ${c}: expected ${value}, received ${bits}`);
      });
    });
  });

  it('sums thousands of rounded probabilities to 1 within their rounding', () => {
    const x = narrow(normalRow(4096, 1, 3), 'bf16');
    const p = widen(softmax(x, { dtype: 'bf16' }), 'bf16');
    // Each is off by at most 2^-9 of itself by rounding, and by less than that by the shorter polynomial.
    const total = p.reduce((a, b) => a + b);
    expectNear(total, 1, 2 ** -8);
  });
});
