import {
  crossEntropy,
  logSoftmax,
  logSoftmaxBackward,
  logSumExp,
  logSumExpBackward,
  softmax,
  softmaxBackward,
} from '../../lib/index.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { backwardCases } from '../helpers/fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { integers, normalRow, normalRow64 } from '../helpers/rows.js';
import { gradientTolerance } from '../helpers/tolerances.js';
import * as reference from '../reference/softmax.js';
import { sumOver } from '../reference/sums.js';

/** A step of the central difference whose truncation and rounding errors are both near 1e-10. */
const STEP = 1e-5;

/** Central differences of a scalar function at x. */
function differences(x: Float64Array, f: (x: Float64Array) => number): Float64Array {
  return x.map((value, i) => {
    const [above, below] = [x.slice(), x.slice()];
    above[i] = value + STEP;
    below[i] = value - STEP;
    return (f(above) - f(below)) / (2 * STEP);
  });
}

/** sum_i w_i y_i. */
const weighted = (w: ArrayLike<number>, y: ArrayLike<number>): number =>
  sumOver(w.length, (i) => w[i] * y[i]);

onEveryIsa(() => {
  it.each(backwardCases())('$name', ({ rows, cols, temperature, ...c }) => {
    const options = { rows, cols, temperature };
    const float = (values: number[]): Float32Array => Float32Array.from(values);
    const upstream = float(c.upstream);
    const dSoftmax = softmaxBackward(float(c.softmax), upstream, options);
    expectClose(dSoftmax, c.gradSoftmax, gradientTolerance(c.gradSoftmax), 'softmax');
    const dLog = logSoftmaxBackward(float(c.logSoftmax), upstream, options);
    expectClose(dLog, c.gradLogSoftmax, gradientTolerance(c.gradLogSoftmax), 'logSoftmax');
    for (const d of [Float64Array.from(c.upstreamRow), float(c.upstreamRow)]) {
      const dLse = logSumExpBackward(float(c.x), d, options);
      expectClose(dLse, c.gradLogSumExp, gradientTolerance(c.gradLogSumExp), 'logSumExp');
    }
  });

  it.each([
    [1, 1],
    [5, 15],
    [4, 16],
    [40, 17],
    [3, 1009],
    [2, 4097],
    [1, 100_003],
  ])('agrees with the reference on %i rows of %i', (rows, cols) => {
    const x = normalRow(rows * cols, 3, cols);
    const upstream = normalRow(rows * cols, 1, cols + 1);
    const d = normalRow(rows, 1, rows);
    for (const temperature of [1, 0.4]) {
      const options = { rows, temperature };
      const p = softmax(x, options);
      const logp = logSoftmax(x, options);
      const [xs, ps, logps, upstreams] = [x, p, logp, upstream].map((m) => reference.rowsOf(m, rows, cols));
      const each = (f: (r: number) => Float64Array): Float64Array => reference.joined(xs.map((_, r) => f(r)));

      const forSoftmax = each((r) => reference.softmaxBackward(ps[r], upstreams[r], { temperature }));
      const actual = softmaxBackward(p, upstream, options);
      expectClose(actual, forSoftmax, gradientTolerance(forSoftmax), 'softmax');
      const forLog = each((r) => reference.logSoftmaxBackward(logps[r], upstreams[r], { temperature }));
      expectClose(
        logSoftmaxBackward(logp, upstream, options),
        forLog,
        gradientTolerance(forLog),
        'logSoftmax',
      );
      const forLse = each((r) => reference.logSumExpBackward(xs[r], d[r], { temperature }));
      expectClose(logSumExpBackward(x, d, options), forLse, gradientTolerance(forLse), 'logSumExp');
    }
  });

  it('equals finite differences of the float64 forward forms', () => {
    for (const cols of [2, 7, 33]) {
      for (const temperature of [1, 0.5]) {
        const options = { temperature };
        const x = normalRow64(cols, 1, cols);
        const w = normalRow64(cols, 1, cols + 50);

        const p = softmax(x, options);
        const dSoftmax = softmaxBackward(p, w, options);
        expectClose(
          dSoftmax,
          differences(x, (y) => weighted(w, softmax(y, options))),
          () => 1e-6,
          'softmax',
        );

        const logp = logSoftmax(x, options);
        const dLog = logSoftmaxBackward(logp, w, options);
        expectClose(
          dLog,
          differences(x, (y) => weighted(w, logSoftmax(y, options))),
          () => 1e-6,
          'logSoftmax',
        );

        const dLse = logSumExpBackward(x, Float64Array.of(1.5), options);
        expectClose(
          dLse,
          differences(x, (y) => 1.5 * logSumExp(y, options)[0]),
          () => 1e-6,
          'logSumExp',
        );

        const targets = integers(1, cols, cols);
        for (const labelSmoothing of [0, 0.3]) {
          const gradient = new Float32Array(cols);
          crossEntropy(Float32Array.from(x), targets, { ...options, labelSmoothing, gradient });
          const rounded = Float64Array.from(Float32Array.from(x));
          const loss = (y: Float64Array): number =>
            crossEntropy(y, targets, { ...options, labelSmoothing })[0];
          expectClose(gradient, differences(rounded, loss), () => 1e-6, 'crossEntropy');
        }
      }
    }
  });

  it('a constant upstream gradient gives none', () => {
    for (const cols of [1, 16, 100, 5000]) {
      const p = softmax(normalRow(cols, 3, cols));
      for (const constant of [1, -3, 100]) {
        const dx = softmaxBackward(p, new Float32Array(cols).fill(constant));
        expectClose(dx, new Float64Array(cols), () => 1e-6 * Math.abs(constant), `${constant}`);
      }
    }
  });

  it('masked entries and empty rows get no gradient', () => {
    const x = Float32Array.of(1, -Infinity, 2, -Infinity, -Infinity, -Infinity);
    const options = { rows: 2 };
    const upstream = Float32Array.of(1, 2, 3, 4, 5, 6);
    const dx = softmaxBackward(softmax(x, options), upstream, options);
    expect([1, 3, 4, 5].filter((i) => dx[i] !== 0)).toEqual([]);
    const dLse = logSumExpBackward(x, Float64Array.of(1, 1), options);
    expect([1, 3, 4, 5].filter((i) => dLse[i] !== 0)).toEqual([]);
    expectNear(dLse[0] + dLse[2], 1, 1e-6);
  });

  it('the logits themselves must not be NaN for a gradient to be a number', () => {
    const dx = logSumExpBackward(Float32Array.of(1, NaN, 2, 0, 1, 2), Float64Array.of(1, 1), { rows: 2 });
    expect(Array.from(dx.subarray(0, 3))).toEqual([NaN, NaN, NaN]);
    expect(Array.from(dx.subarray(3)).every(Number.isFinite)).toBe(true);
  });

  it('takes strides, an output in place, and any number of threads', () => {
    const [rows, cols] = [37, 1009];
    const p = softmax(normalRow(rows * cols, 3, 1), { rows });
    const upstream = normalRow(rows * cols, 1, 2);
    const logp = p.map(Math.log);
    const d = normalRow(rows, 1, 3);
    const expected = [
      softmaxBackward(p, upstream, { rows }),
      logSoftmaxBackward(logp, upstream, { rows }),
      logSumExpBackward(logp, d, { rows }),
    ];
    for (const threads of [2, 3, 8]) {
      expectSameBits(softmaxBackward(p, upstream, { rows, threads }), expected[0], 'softmax');
      expectSameBits(logSoftmaxBackward(logp, upstream, { rows, threads }), expected[1], 'logSoftmax');
      expectSameBits(logSumExpBackward(logp, d, { rows, threads }), expected[2], 'logSumExp');
    }
    const out = upstream.slice();
    expect(softmaxBackward(p, out, { rows, out })).toBe(out);
    expectSameBits(out, expected[0], 'over the upstream gradient');
    const overP = p.slice();
    softmaxBackward(overP, upstream, { rows, out: overP });
    expectSameBits(overP, expected[0], 'over the probabilities');
    const overLogp = logp.slice();
    logSoftmaxBackward(overLogp, upstream, { rows, out: overLogp });
    expectSameBits(overLogp, expected[1], 'over the log-probabilities');
  });
});
