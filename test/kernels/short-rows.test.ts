import { crossEntropy, entropy, logSoftmax, logSumExp, softmax } from '../../lib/index.js';
import { onEveryAlgorithm } from '../helpers/algorithms.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { integers, normalRow, normalRow64 } from '../helpers/rows.js';
import { softmaxTolerance } from '../helpers/tolerances.js';
import { narrow } from '../reference/convert.js';
import * as reference from '../reference/softmax.js';

/** Batch sizes around the groups that short rows are worked on in. */
const BATCHES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40];
const MOST = 40;
const WIDTHS = Array.from({ length: 70 }, (_, i) => i + 1);

/** Results of `call` on each row alone, one after another. */
function rowByRow<T extends Float32Array | Float64Array | Uint16Array>(
  x: T,
  cols: number,
  call: (row: T) => ArrayLike<number>,
): number[] {
  return Array.from({ length: MOST }, (_, r) =>
    Array.from(call(x.subarray(r * cols, (r + 1) * cols) as T)),
  ).flat();
}

onEveryIsa(() => {
  onEveryAlgorithm((algorithm) => {
    it('a row has the same bits alone and in any batch', () => {
      for (const cols of WIDTHS) {
        const x = normalRow(MOST * cols, 3, cols);
        const p = Float32Array.from(rowByRow(x, cols, (row) => softmax(row, { algorithm })));
        const logp = Float32Array.from(rowByRow(x, cols, (row) => logSoftmax(row, { algorithm })));
        const lse = Float64Array.from(rowByRow(x, cols, (row) => logSumExp(row, { algorithm })));
        const h = Float64Array.from(rowByRow(x, cols, (row) => entropy(row)));
        for (const rows of BATCHES) {
          const part = x.subarray(0, rows * cols);
          const options = { rows, algorithm };
          const label = `${rows} x ${cols}`;
          expectSameBits(softmax(part, options), p.subarray(0, rows * cols), `softmax ${label}`);
          expectSameBits(logSoftmax(part, options), logp.subarray(0, rows * cols), `logSoftmax ${label}`);
          expectSameBits(logSumExp(part, options), lse.subarray(0, rows), `logSumExp ${label}`);
          expectSameBits(entropy(part, { rows }), h.subarray(0, rows), `entropy ${label}`);
        }
      }
    });

    it('and so it has in float64 and 16-bit storage', () => {
      for (const cols of [1, 3, 8, 10, 17, 31, 63, 64, 65]) {
        const x64 = normalRow64(MOST * cols, 3, cols);
        const p64 = Float64Array.from(rowByRow(x64, cols, (row) => softmax(row, { algorithm })));
        const x = normalRow(MOST * cols, 3, cols);
        for (const rows of BATCHES) {
          const label = `${rows} x ${cols}`;
          const end = rows * cols;
          expectSameBits(softmax(x64.subarray(0, end), { rows, algorithm }), p64.subarray(0, end), label);
        }
        for (const dtype of ['bf16', 'f16'] as const) {
          const x16 = narrow(x, dtype);
          const p16 = Uint16Array.from(rowByRow(x16, cols, (row) => softmax(row, { algorithm, dtype })));
          for (const rows of BATCHES) {
            const end = rows * cols;
            const batch = softmax(x16.subarray(0, end), { rows, algorithm, dtype });
            expectSameBits(batch, p16.subarray(0, end), `${dtype} ${rows} x ${cols}`);
          }
        }
      }
    });

    it('agrees with the reference at every width', () => {
      for (const cols of WIDTHS) {
        const rows = 19;
        for (const temperature of [1, 0.3]) {
          const x = normalRow(rows * cols, 3, 1000 + cols);
          const p = softmax(x, { rows, algorithm, temperature });
          reference.rowsOf(x, rows, cols).forEach((row, r) => {
            const actual = p.subarray(r * cols, (r + 1) * cols);
            const expected = reference.softmax(row, { temperature });
            expectClose(
              actual,
              expected,
              softmaxTolerance(row, temperature, algorithm),
              `row ${r} of ${cols}`,
            );
          });
        }
      }
    });
  });

  it('a loss and its gradient row have the same bits alone and in any batch', () => {
    for (const cols of WIDTHS) {
      const x = normalRow(MOST * cols, 3, 2000 + cols);
      const targets = integers(MOST, cols, cols);
      const alone = new Float32Array(MOST * cols);
      const losses = Float64Array.from({ length: MOST }, (_, r) => {
        const gradient = alone.subarray(r * cols, (r + 1) * cols);
        return crossEntropy(x.subarray(r * cols, (r + 1) * cols), targets.subarray(r, r + 1), {
          gradient,
        })[0];
      });
      for (const rows of BATCHES) {
        const gradient = new Float32Array(rows * cols);
        const part = x.subarray(0, rows * cols);
        const loss = crossEntropy(part, targets.subarray(0, rows), { rows, gradient });
        expectSameBits(loss, losses.subarray(0, rows), `loss ${rows} x ${cols}`);
        expectSameBits(gradient, alone.subarray(0, rows * cols), `gradient ${rows} x ${cols}`);
      }
    }
  });
});
