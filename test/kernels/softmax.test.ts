import { logSumExp, softmax } from '../../lib/index.js';
import { LARGE, LENGTHS, onEveryAlgorithm } from '../helpers/algorithms.js';
import { expectClose, expectNear } from '../helpers/compare.js';
import { described, expectRow, expectRow64 } from '../helpers/described.js';
import { fixture, type MatrixCase, type RowCase, rowCases } from '../helpers/fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { normalRow, normalRow64, uniformRow } from '../helpers/rows.js';
import { logSumExpTolerance, softmaxTolerance } from '../helpers/tolerances.js';
import * as reference from '../reference/softmax.js';

const cases: RowCase[] = [...rowCases('vectors'), ...rowCases('temperature')];
const OFFSETS = [1e5, -1e5, 130_000, 140_000, -140_000, 2 ** 22, 1e8];

// The reference is slow: each row is described once for all instruction sets and algorithms.
const single = memo((length: number, temperature: number) =>
  described(normalRow(length, 4, length), temperature),
);
const double = memo((length: number, temperature: number) =>
  described(normalRow64(length, 6, length), temperature),
);
const hot = memo((temperature: number) => described(normalRow(1009, 5, 3), temperature));
const wide = memo((scale: number) => described(uniformRow(20_011, -scale, scale, 7)));
const far = memo((offset: number) => described(normalRow(333, 3, 5).map((value) => value + offset)));

onEveryIsa((isa) => {
  onEveryAlgorithm((algorithm) => {
    it('gives the worked numbers', () => {
      const near = (_: number, value: number): number => 1.5e-6 * value;
      const p = softmax(Float32Array.of(1, 2, 3, 4), { algorithm });
      expectClose(p, [0.0320586033, 0.0871443187, 0.2368828181, 0.6439142599], near);
      expectNear(logSumExp(Float32Array.of(1, 2, 3, 4), { algorithm })[0], 4.440189698561196, 2e-6);
      expectClose(softmax(Float32Array.of(0, Math.log(3)), { algorithm }), [0.25, 0.75], near);
      expectClose(softmax(Float32Array.of(-7), { algorithm }), [1], near);
      expectClose(softmax(new Float32Array(37).fill(5), { algorithm }), Array<number>(37).fill(1 / 37), near);
    });

    it.each(cases)('stays within the stated accuracy on $name', ({ temperature = 1, ...row }) => {
      const x = Float32Array.from(row.x);
      const h = reference.entropy(x, { temperature });
      const [p, logp] = [Float64Array.from(row.softmax), Float64Array.from(row.logSoftmax)];
      expectRow({ x, temperature, p, logp, lse: row.logSumExp, h }, algorithm);
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
      for (const temperature of [1, 0.7])
        expectRow(single(length, temperature), algorithm, `T ${temperature}`);
    });

    it.each([100, 1000])('agrees with the reference on inputs spread over +-%i', (scale) => {
      expectRow(wide(scale), algorithm);
    });

    it.each([1e-30, 1e-3, 0.3, 3, 1e3, 1e30])('holds at temperature %p', (temperature) => {
      expectRow(hot(temperature), algorithm);
    });

    it.each(OFFSETS)('keeps its accuracy at an offset of %d', (offset) => {
      expectRow(far(offset), algorithm);
    });

    it.each([...LENGTHS, 100_003])('has a float64 form, at length %i', (length) => {
      for (const temperature of [1, 0.7]) expectRow64(double(length, temperature), algorithm);
    });
  });

  it('gives float64 rows their full range', () => {
    const x = Float64Array.of(1e300, -1e300, 1e300, 0);
    expect(softmax(x)).toEqual(Float64Array.of(0.5, 0, 0.5, 0));
    expectClose(logSumExp(Float64Array.of(-800, -800)), [-800 + Math.LN2], () => 1e-12, isa);
    // What lies below the smallest normal number may be 0.
    const p = softmax(Float64Array.of(0, -700, -740));
    expectClose(p, reference.softmax([0, -700, -740]), (_, value) => 1e-12 * value + 2.3e-308, isa);
  });
});
