import { entropy, logSoftmax, logSumExp, softmax } from '../../lib/index.js';
import { LARGE, LENGTHS, onEveryAlgorithm } from '../helpers/algorithms.js';
import { expectClose, expectNear } from '../helpers/compare.js';
import { fixture, type MatrixCase, type RowCase, rowCases } from '../helpers/fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow, normalRow64, uniformRow } from '../helpers/rows.js';
import {
  entropyTolerance,
  float64Tolerance,
  logSoftmaxTolerance,
  logSumExpTolerance,
  softmaxTolerance,
} from '../helpers/tolerances.js';
import * as reference from '../reference/softmax.js';

const cases: RowCase[] = [...rowCases('vectors'), ...rowCases('temperature')];

/** Values that float32 cannot hold are infinities there. */
const toFloat32 = (values: readonly number[]): Float32Array => Float32Array.from(values);

onEveryIsa((isa) => {
  onEveryAlgorithm((algorithm) => {
    it('gives the worked numbers', () => {
      const p = softmax(Float32Array.of(1, 2, 3, 4), { algorithm });
      expectClose(p, [0.0320586033, 0.0871443187, 0.2368828181, 0.6439142599], (_, e) => 1.5e-6 * e);
      expectNear(logSumExp(Float32Array.of(1, 2, 3, 4), { algorithm })[0], 4.440189698561196, 2e-6);
      expectClose(
        softmax(Float32Array.of(0, Math.log(3)), { algorithm }),
        [0.25, 0.75],
        (_, e) => 1.5e-6 * e,
      );
      expect(softmax(Float32Array.of(-7), { algorithm })).toEqual(Float32Array.of(1));
      expectClose(softmax(new Float32Array(37).fill(5), { algorithm }), Array(37).fill(1 / 37), () => 4e-8);
    });

    it.each(cases)('stays within the stated accuracy on $name', ({ temperature, ...row }) => {
      const x = Float32Array.from(row.x);
      const options = { algorithm, temperature };
      expectClose(softmax(x, options), row.softmax, softmaxTolerance(x, temperature, algorithm), 'softmax');
      const logp = toFloat32(row.logSoftmax);
      expectClose(logSoftmax(x, options), logp, logSoftmaxTolerance(x, temperature), 'logSoftmax');
      const lse = logSumExp(x, options);
      expect(lse).toBeInstanceOf(Float64Array);
      expectClose(lse, [row.logSumExp], (_, value) => logSumExpTolerance(value), 'logSumExp');
      const expected = reference.entropy(x, { temperature });
      expectClose(entropy(x, options), [expected], () => entropyTolerance(expected), 'entropy');
    });

    it('takes every row of a matrix for itself', () => {
      const { rows, cols, ...c } = fixture<MatrixCase>('rows');
      const x = Float32Array.from(c.x);
      const p = softmax(x, { rows, algorithm });
      const lse = logSumExp(x, { rows, cols, algorithm });
      for (let r = 0; r < rows; r += 1) {
        const [start, end] = [r * cols, (r + 1) * cols];
        const tolerance = softmaxTolerance(x.subarray(start, end), 1, algorithm);
        expectClose(p.subarray(start, end), c.softmax.slice(start, end), tolerance, `row ${r}`);
        expectNear(lse[r], c.logSumExp[r], logSumExpTolerance(c.logSumExp[r]), `row ${r}`);
      }
    });

    it.each([...LENGTHS, LARGE])('agrees with the reference at length %i', (length) => {
      const x = normalRow(length, 4, length);
      for (const temperature of [1, 0.7]) {
        const options = { algorithm, temperature };
        const p = reference.softmax(x, options);
        expectClose(softmax(x, options), p, softmaxTolerance(x, temperature, algorithm), 'softmax');
        const logp = reference.logSoftmax(x, options);
        expectClose(logSoftmax(x, options), logp, logSoftmaxTolerance(x, temperature), 'logSoftmax');
        const lse = reference.logSumExp(x, options);
        expectNear(logSumExp(x, options)[0], lse, logSumExpTolerance(lse), 'logSumExp');
        const h = reference.entropy(x, options);
        expectNear(entropy(x, options)[0], h, entropyTolerance(h), 'entropy');
      }
    });

    it('agrees with the reference on the wide inputs of the benchmark', () => {
      const x = uniformRow(20_011, -1000, 1000, 7);
      expectClose(softmax(x, { algorithm }), reference.softmax(x), softmaxTolerance(x, 1, algorithm));
      expectClose(logSoftmax(x, { algorithm }), reference.logSoftmax(x), logSoftmaxTolerance(x));
    });

    it.each([1e-30, 1e-3, 0.3, 3, 1e3, 1e30])('holds at temperature %p', (temperature) => {
      const x = normalRow(1009, 5, 3);
      const options = { algorithm, temperature };
      const p = reference.softmax(x, options);
      expectClose(softmax(x, options), p, softmaxTolerance(x, temperature, algorithm), 'softmax');
      const lse = reference.logSumExp(x, options);
      expectNear(logSumExp(x, options)[0], lse, logSumExpTolerance(lse), 'logSumExp');
      const logp = Float32Array.from(reference.logSoftmax(x, options));
      expectClose(logSoftmax(x, options), logp, logSoftmaxTolerance(x, temperature), 'logSoftmax');
    });

    it('keeps its accuracy at an offset that the pairs cannot hold', () => {
      for (const offset of [1e5, -1e5, 130_000, 140_000, -140_000, 2 ** 22, 1e8]) {
        const x = normalRow(333, 3, 5).map((value) => value + offset);
        expectClose(softmax(x, { algorithm }), reference.softmax(x), softmaxTolerance(x), `${offset}`);
        expectClose(
          logSoftmax(x, { algorithm }),
          reference.logSoftmax(x),
          logSoftmaxTolerance(x),
          `${offset}`,
        );
        const h = reference.entropy(x);
        expectNear(entropy(x, { algorithm })[0], h, entropyTolerance(h), `${offset}`);
      }
    });

    it.each([...LENGTHS, 100_003])('has a float64 form, at length %i', (length) => {
      const x = normalRow64(length, 6, length);
      for (const temperature of [1, 0.7]) {
        const options = { algorithm, temperature };
        const p = softmax(x, options);
        expect(p).toBeInstanceOf(Float64Array);
        expectClose(p, reference.softmax(x, options), float64Tolerance(x, temperature), 'softmax');
        const logp = reference.logSoftmax(x, options);
        expectClose(logSoftmax(x, options), logp, (_, v) => 2e-14 * (1 + Math.abs(v)), 'logSoftmax');
        const lse = reference.logSumExp(x, options);
        expectNear(logSumExp(x, options)[0], lse, 1e-14 * (1 + Math.abs(lse)), 'logSumExp');
        const h = reference.entropy(x, options);
        expectNear(entropy(x, options)[0], h, 2e-14 * (1 + h), 'entropy');
      }
    });
  });

  it('gives float64 rows their full range', () => {
    const x = Float64Array.of(1e300, -1e300, 1e300, 0);
    expect(softmax(x)).toEqual(Float64Array.of(0.5, 0, 0.5, 0));
    expectClose(logSumExp(Float64Array.of(-800, -800)), [-800 + Math.LN2], () => 1e-12, isa);
    const p = softmax(Float64Array.of(0, -700, -740));
    expectClose(p, reference.softmax([0, -700, -740]), (_, value) => 1e-12 * value + 5e-324, isa);
  });
});
