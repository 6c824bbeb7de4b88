import { expectClose, expectNear } from '../helpers/compare.js';
import { backwardCases, fixture, lossCases, type MatrixCase, rowCases } from '../helpers/fixtures.js';
import { crossEntropy } from './losses.js';
import {
  entropy,
  joined,
  logSoftmax,
  logSoftmaxBackward,
  logSumExp,
  logSumExpBackward,
  rowsOf,
  softmax,
  softmaxBackward,
} from './softmax.js';
import { CompensatedSum } from './sums.js';

// exp and ln of the JavaScript engine are good to about one unit in the last place, and an argument z of
// exp costs |z| more of them. The 50 digits of the fixtures leave 12 after the point at x = 3.4e38.
const relative =
  (error: number, floor = 1e-300) =>
  (_: number, value: number): number =>
    error * Math.abs(value) + floor;

describe('rows of the fixtures', () => {
  it.each([...rowCases('vectors'), ...rowCases('temperature'), ...rowCases('special')])('$name', (row) => {
    const options = { temperature: row.temperature };
    expectClose(softmax(row.x, options), row.softmax, relative(1e-12), 'softmax');
    expectClose(logSoftmax(row.x, options), row.logSoftmax, relative(1e-14, 4e-13), 'logSoftmax');
    expectNear(logSumExp(row.x, options), row.logSumExp, 1e-14 * (1 + Math.abs(row.logSumExp)), 'logSumExp');
    if (row.softmaxNanPolicy && row.logSoftmaxNanPolicy) {
      const nan = { ...options, emptyRow: 'nan' } as const;
      expectClose(softmax(row.x, nan), row.softmaxNanPolicy, relative(1e-12), 'softmax, NaN policy');
      expectClose(
        logSoftmax(row.x, nan),
        row.logSoftmaxNanPolicy,
        relative(1e-14, 4e-13),
        'logSoftmax, NaN policy',
      );
    }
    if (row.target !== undefined && row.crossEntropy !== undefined && row.crossEntropyGradient) {
      const { loss, gradient } = crossEntropy(row.x, [row.target], options);
      expectNear(loss[0], row.crossEntropy, 1e-13 * (1 + row.crossEntropy), 'loss');
      expectClose(gradient, row.crossEntropyGradient, () => 1e-13, 'gradient');
    }
  });

  it('takes the rows of a matrix one by one', () => {
    const { rows, cols, x, softmax: p, logSumExp: lse } = fixture<MatrixCase>('rows');
    const split = rowsOf(x, rows, cols);
    expectClose(joined(split.map((row) => softmax(row))), p, relative(1e-13));
    expectClose(
      split.map((row) => logSumExp(row)),
      lse,
      relative(1e-14),
    );
  });
});

describe('losses of the fixtures', () => {
  it.each(lossCases())('$name', (c) => {
    const { rows, temperature, labelSmoothing, ignoreIndex } = c;
    const options = { rows, temperature, labelSmoothing, ignoreIndex };
    const none = crossEntropy(c.x, c.targets, options);
    expectClose(none.loss, c.loss, relative(1e-13), 'loss');
    expectClose(none.gradient, c.grad, () => 1e-13, 'gradient');
    expect(none.counted).toBe(c.counted);

    const sum = crossEntropy(c.x, c.targets, { ...options, reduction: 'sum' });
    expectNear(sum.loss[0], c.sum, 1e-12, 'sum');
    expectClose(sum.gradient, c.grad, () => 1e-13, 'gradient of the sum');

    const mean = crossEntropy(c.x, c.targets, { ...options, reduction: 'mean' });
    expectNear(mean.loss[0], c.mean, 1e-12, 'mean');
    expectClose(mean.gradient, c.gradMean, () => 1e-13, 'gradient of the mean');
  });

  it('multiplies each row of the gradient by its scale', () => {
    const c = lossCases()[0];
    const rowScale = [2, -1, 0, 0.5];
    const plain = crossEntropy(c.x, c.targets, { rows: c.rows });
    const scaled = crossEntropy(c.x, c.targets, { rows: c.rows, rowScale });
    expectClose(
      scaled.gradient,
      plain.gradient.map((g, i) => g * rowScale[Math.floor(i / c.cols)]),
      () => 1e-15,
    );
    expect(scaled.loss).toEqual(plain.loss);
  });
});

describe('backward forms of the fixtures', () => {
  it.each(backwardCases())('$name', ({ rows, cols, temperature, ...c }) => {
    const [x, p, logp, upstream] = [c.x, c.softmax, c.logSoftmax, c.upstream].map((m) =>
      rowsOf(m, rows, cols),
    );
    const each = (f: (r: number) => Float64Array): Float64Array => joined(x.map((_, r) => f(r)));
    const near = (): number => 1e-12;
    expectClose(
      each((r) => softmaxBackward(p[r], upstream[r], { temperature })),
      c.gradSoftmax,
      near,
    );
    expectClose(
      each((r) => logSoftmaxBackward(logp[r], upstream[r], { temperature })),
      c.gradLogSoftmax,
      near,
    );
    expectClose(
      each((r) => logSumExpBackward(x[r], c.upstreamRow[r], { temperature })),
      c.gradLogSumExp,
      near,
    );
  });
});

describe('entropy', () => {
  it('is ln N for equal logits and 0 for a certain outcome', () => {
    expectNear(entropy([3, 3, 3, 3]), Math.log(4), 1e-15);
    expect(entropy([0, -Infinity, -Infinity])).toBe(0);
    expectNear(entropy([0, Math.log(3)]), 2 * Math.log(2) - 0.75 * Math.log(3), 1e-15);
  });

  it('is 0 for an empty row and NaN where probabilities are', () => {
    expect(entropy([])).toBe(0);
    expect(entropy([-Infinity])).toBe(0);
    expect(entropy([-Infinity], { emptyRow: 'nan' })).toBe(NaN);
    expect(entropy([1, NaN])).toBe(NaN);
    expect(entropy([1, Infinity])).toBe(NaN);
  });
});

describe('compensated sum', () => {
  it('keeps what a plain sum loses', () => {
    const sum = new CompensatedSum();
    for (const term of [1, 1e100, 1, -1e100]) sum.add(term);
    expect(sum.value).toBe(2);
  });

  it('keeps infinities and NaN', () => {
    const [infinite, undefinedSum] = [new CompensatedSum(), new CompensatedSum()];
    for (const term of [1, Infinity, 2]) infinite.add(term);
    for (const term of [1, Infinity, -Infinity]) undefinedSum.add(term);
    expect(infinite.value).toBe(Infinity);
    expect(undefinedSum.value).toBe(NaN);
  });
});
