import { crossEntropy, logSumExp } from '../../lib/index.js';
import { onEveryAlgorithm } from '../helpers/algorithms.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { lossCases, rowCases } from '../helpers/fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { integers, normalRow, normalRow64, POISON } from '../helpers/rows.js';
import { gradientTolerance, lossTolerance } from '../helpers/tolerances.js';
import { narrow, widen } from '../reference/convert.js';
import * as reference from '../reference/losses.js';

/** Options of the loss, each tried on every shape. */
const VARIANTS = [
  {},
  { temperature: 0.3 },
  { labelSmoothing: 0.1 },
  { temperature: 3, labelSmoothing: 0.5, reduction: 'mean' },
  { rowScale: true },
  { rowScale: true, reduction: 'sum', labelSmoothing: 0.2 },
] as const;

// The reference is slow: each case is worked out once for all instruction sets and algorithms.
const worked = memo((rows: number, cols: number, variant: number) => {
  const x = normalRow(rows * cols, 4, cols);
  const targets = integers(rows, cols, cols);
  if (rows > 2) targets[1] = -100;
  const { rowScale: scaled, ...plain } = { rowScale: false, ...VARIANTS[variant] };
  const options = { rows, ...plain, ...(scaled ? { rowScale: normalRow(rows, 2, rows) } : {}) };
  return { x, targets, options, expected: reference.crossEntropy(x, targets, options) };
});

onEveryIsa(() => {
  onEveryAlgorithm((algorithm) => {
    it.each(lossCases())('$name', (c) => {
      const { rows, cols, temperature, labelSmoothing, ignoreIndex } = c;
      const x = Float32Array.from(c.x);
      const targets = Int32Array.from(c.targets);
      const options = { rows, cols, temperature, labelSmoothing, ignoreIndex, algorithm };
      const gradient = new Float32Array(rows * cols).fill(POISON);

      const losses = crossEntropy(x, targets, { ...options, gradient });
      expect(losses).toBeInstanceOf(Float64Array);
      expectClose(losses, c.loss, (_, loss) => lossTolerance(loss), 'loss');
      expectClose(gradient, c.grad, gradientTolerance(c.grad), 'gradient');
      // Without a gradient the losses come from one pass over the logits, and are the same.
      expectSameBits(crossEntropy(x, targets, options), losses, 'loss alone');

      const sum = crossEntropy(x, targets, { ...options, reduction: 'sum', gradient });
      expectClose(sum, [c.sum], (_, loss) => rows * lossTolerance(loss), 'sum');
      expectClose(gradient, c.grad, gradientTolerance(c.grad), 'gradient of the sum');

      const mean = crossEntropy(x, targets, { ...options, reduction: 'mean', gradient });
      expectClose(mean, [c.mean], (_, loss) => lossTolerance(loss), 'mean');
      expectClose(gradient, c.gradMean, gradientTolerance(c.gradMean), 'gradient of the mean');
    });

    it.each(rowCases('vectors').filter((row) => row.target !== undefined))('$name', (row) => {
      const x = Float32Array.from(row.x);
      const gradient = new Float32Array(x.length);
      const options = { temperature: row.temperature, algorithm, gradient };
      const loss = crossEntropy(x, Int32Array.of(row.target ?? 0), options);
      expectClose(loss, [row.crossEntropy ?? NaN], (_, value) => lossTolerance(value), 'loss');
      const expected = row.crossEntropyGradient ?? [];
      expectClose(gradient, expected, gradientTolerance(expected), 'gradient');
    });

    it.each([
      [1, 1],
      [7, 15],
      [5, 16],
      [40, 17],
      [33, 100],
      [3, 4097],
      [2, 70_001],
    ])('agrees with the reference on %i rows of %i', (rows, cols) => {
      VARIANTS.forEach((variant, k) => {
        const { x, targets, options, expected } = worked(rows, cols, k);
        const gradient = new Float32Array(rows * cols);
        const loss = crossEntropy(x, targets, { ...options, algorithm, gradient });
        const label = JSON.stringify(variant);
        expectClose(loss, expected.loss, (_, value) => lossTolerance(value), `loss ${label}`);
        expectClose(gradient, expected.gradient, gradientTolerance(expected.gradient), `gradient ${label}`);
      });
    });

    it('keeps its accuracy where the log-sum-exp is much larger than the loss', () => {
      for (const offset of [1e5, -2e5, 1e8, 1e20]) {
        const x = normalRow(100, 3, 1).map((value) => value + offset);
        const target = x.indexOf(Math.max(...x));
        const loss = crossEntropy(x, Int32Array.of(target), { algorithm });
        const expected = reference.crossEntropy(x, [target]).loss[0];
        expectNear(loss[0], expected, lossTolerance(expected), `offset ${offset}`);
      }
    });

    it('a masked class costs nothing unless the target gives it weight', () => {
      const x = Float32Array.of(1, -Infinity, 2, -Infinity);
      const gradient = new Float32Array(4);
      const loss = crossEntropy(x, Int32Array.of(0), { algorithm, gradient });
      const expected = reference.crossEntropy(x, [0]);
      expectNear(loss[0], expected.loss[0], 2e-6);
      expectClose(gradient, expected.gradient, () => 1e-6);
      expect([gradient[1], gradient[3]]).toEqual([0, 0]);
      expect(crossEntropy(x, Int32Array.of(1), { algorithm })[0]).toBe(Infinity);
      expect(crossEntropy(x, Int32Array.of(0), { algorithm, labelSmoothing: 0.1 })[0]).toBe(Infinity);
    });

    it('NaN and +Infinity spoil their row alone, and nothing where the row is ignored', () => {
      for (const cols of [1, 5, 16, 17, 70, 5000]) {
        for (const bad of [NaN, Infinity]) {
          const x = normalRow(3 * cols, 3, cols);
          x[cols + (cols >> 1)] = bad;
          const targets = Int32Array.of(0, cols - 1, 0);
          const gradient = new Float32Array(3 * cols);
          const loss = crossEntropy(x, targets, { rows: 3, algorithm, gradient });
          const clean = crossEntropy(x.subarray(0, cols), Int32Array.of(0), { algorithm });
          expect([loss[0], loss[1]]).toEqual([clean[0], NaN]);
          expect(gradient.subarray(cols, 2 * cols)).toEqual(new Float32Array(cols).fill(NaN));
          expect(gradient.subarray(2 * cols).every(Number.isFinite)).toBe(true);

          targets[1] = -100;
          const ignored = crossEntropy(x, targets, { rows: 3, algorithm, gradient, reduction: 'mean' });
          expect(Number.isFinite(ignored[0])).toBe(true);
          expect(gradient.subarray(cols, 2 * cols)).toEqual(new Float32Array(cols));
        }
      }
    });

    it('gives the same bits on 1, 2, 3 and 8 threads', () => {
      for (const [rows, cols] of [
        [1, 300_007],
        [301, 1009],
        [20_000, 10],
      ]) {
        const x = normalRow(rows * cols, 3, cols);
        const targets = integers(rows, cols, rows);
        const one = new Float32Array(rows * cols);
        const options = { rows, algorithm, labelSmoothing: 0.1, reduction: 'mean' } as const;
        const loss = crossEntropy(x, targets, { ...options, gradient: one });
        for (const threads of [2, 3, 8]) {
          const gradient = new Float32Array(rows * cols);
          expectSameBits(
            crossEntropy(x, targets, { ...options, gradient, threads }),
            loss,
            `${threads} threads`,
          );
          expectSameBits(gradient, one, `${threads} threads`);
        }
      }
    });

    it('the gradient may take the place of the logits', () => {
      const x = normalRow(12 * 333, 3, 1);
      const targets = integers(12, 333, 1);
      const gradient = new Float32Array(x.length);
      const options = { rows: 12, algorithm, labelSmoothing: 0.1 };
      const loss = crossEntropy(x, targets, { ...options, gradient });
      expectSameBits(crossEntropy(x, targets, { ...options, gradient: x }), loss, 'loss');
      expectSameBits(x, gradient, 'gradient');
    });
  });

  it('reads 16-bit logits', () => {
    for (const dtype of ['bf16', 'f16'] as const) {
      const x = narrow(normalRow(9 * 101, 4, 2), dtype);
      const targets = integers(9, 101, 2);
      const gradient = new Float32Array(x.length);
      const loss = crossEntropy(x, targets, { rows: 9, dtype, gradient });
      const expected = reference.crossEntropy(widen(x, dtype), targets, { rows: 9 });
      expectClose(loss, expected.loss, (_, value) => lossTolerance(value), dtype);
      expectClose(gradient, expected.gradient, gradientTolerance(expected.gradient), dtype);
    }
  });

  it('reads float64 logits, and its losses are good to float64', () => {
    const x = normalRow64(9 * 101, 4, 2);
    const targets = integers(9, 101, 2);
    for (const options of [{}, { temperature: 0.7, labelSmoothing: 0.1 }]) {
      const loss = crossEntropy(x, targets, { rows: 9, ...options });
      const expected = reference.crossEntropy(x, targets, { rows: 9, ...options });
      expectClose(loss, expected.loss, (_, value) => 1e-13 * (1 + value));
    }
  });

  it('reads strided rows', () => {
    const [rows, cols, rowStride] = [5, 33, 40];
    const wide = normalRow(rows * rowStride, 3, 1);
    const compact = Float32Array.from({ length: rows * cols }, (_, i) => {
      return wide[Math.floor(i / cols) * rowStride + (i % cols)];
    });
    const targets = integers(rows, cols, 1);
    const strided = crossEntropy(wide, targets, { rows, cols, rowStride });
    expectSameBits(strided, crossEntropy(compact, targets, { rows }));
  });

  it('the loss of a target is its log-sum-exp minus its logit', () => {
    const x = normalRow(8 * 50, 3, 3);
    const targets = integers(8, 50, 3);
    const lse = logSumExp(x, { rows: 8 });
    const expected = Array.from(lse, (value, r) => value - x[r * 50 + targets[r]]);
    expectClose(crossEntropy(x, targets, { rows: 8 }), expected, () => 4e-6);
  });
});
