import { entropy, logSoftmax, logSumExp, softmax } from '../../lib/index.js';
import { onEveryAlgorithm } from '../helpers/algorithms.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { rowCases } from '../helpers/fixtures.js';
import { described } from '../helpers/described.js';
import { onEveryIsa } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { normalRow, normalRow64 } from '../helpers/rows.js';
import { logSoftmaxTolerance, logSumExpTolerance, softmaxTolerance } from '../helpers/tolerances.js';
import { narrow } from '../reference/convert.js';
import * as reference from '../reference/softmax.js';

/** Every length up to four vectors of sixteen and a bit, at every position. */
const LENGTHS = Array.from({ length: 70 }, (_, i) => i + 1);

/** Matrix whose row r is `row` with `value` put at position r, and the clean row after each. */
function afflicted(row: Float32Array, value: number): Float32Array {
  const n = row.length;
  const x = new Float32Array(2 * n * n);
  for (let r = 0; r < 2 * n; r += 1) x.set(row, r * n);
  for (let r = 0; r < n; r += 1) x[2 * r * n + r] = value;
  return x;
}

/** Row r of a matrix. */
function rowAt(x: Float32Array, r: number, cols: number): Float32Array {
  return x.subarray(r * cols, (r + 1) * cols);
}

/** Whether every value is NaN. */
const allNaN = (x: Float32Array): boolean => x.every((value) => value !== value);

/** Fails with the place in words: cheaper than an expectation for each of thousands of rows. */
function verify(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`);
}

// The reference is slow: each length is worked out once for all instruction sets and algorithms.
const masked = memo((n: number) => {
  const x = afflicted(normalRow(n, 3, n), -Infinity);
  const rows = Array.from({ length: n }, (_, i) => described(rowAt(x, 2 * i, n)));
  return { x, rows };
});

onEveryIsa(() => {
  onEveryAlgorithm((algorithm) => {
    it.each(rowCases('special'))('$name', (c) => {
      const x = Float32Array.from(c.x);
      // NaN, infinities and zeros must be exact; the rest is within the stated accuracy.
      const p = softmax(x, { algorithm });
      expectClose(p, c.softmax, softmaxTolerance(x), 'softmax');
      c.softmax.forEach((value, i) => {
        if (value === 0 && Math.abs(c.logSoftmax[i]) > 110) expect([i, p[i]]).toEqual([i, 0]);
      });
      const logp = Float32Array.from(c.logSoftmax);
      expectClose(logSoftmax(x, { algorithm }), logp, logSoftmaxTolerance(x), 'logSoftmax');
      expectNear(logSumExp(x, { algorithm })[0], c.logSumExp, logSumExpTolerance(c.logSumExp), 'logSumExp');
      if (c.softmaxNanPolicy && c.logSoftmaxNanPolicy) {
        const options = { algorithm, emptyRow: 'nan' } as const;
        expectClose(softmax(x, options), c.softmaxNanPolicy, softmaxTolerance(x), 'NaN policy');
        expectClose(logSoftmax(x, options), c.logSoftmaxNanPolicy, logSoftmaxTolerance(x), 'NaN policy');
        const lse = logSumExp(x, options)[0];
        expectNear(lse, c.logSumExp, logSumExpTolerance(c.logSumExp), 'logSumExp, NaN policy');
      }
    });

    it.each([
      ['NaN', NaN, NaN],
      ['+Infinity', Infinity, Infinity],
    ])('one %s anywhere spoils its row and no other', (_name, value, lseExpected) => {
      for (const n of LENGTHS) {
        const row = normalRow(n, 3, n);
        const x = afflicted(row, value);
        const rows = 2 * n;
        const clean = { p: softmax(row, { algorithm }), logp: logSoftmax(row, { algorithm }) };
        const p = softmax(x, { rows, algorithm });
        const logp = logSoftmax(x, { rows, algorithm });
        const lse = logSumExp(x, { rows, algorithm });
        const h = entropy(x, { rows });
        for (let r = 0; r < rows; r += 2) {
          const place = `${n} long, at ${r / 2}`;
          verify(allNaN(rowAt(p, r, n)), `${place}: p NaN`);
          verify(allNaN(rowAt(logp, r, n)), `${place}: log p NaN`);
          verify(Object.is(lse[r], lseExpected), `${place}: log-sum-exp ${lse[r]}`);
          verify(Number.isNaN(h[r]), `${place}: entropy ${h[r]}`);
          expectSameBits(rowAt(p, r + 1, n), clean.p, `${place}, row after`);
          expectSameBits(rowAt(logp, r + 1, n), clean.logp, `${place}, row after`);
          const alone = rowAt(x, r, n);
          verify(allNaN(softmax(alone, { algorithm })), `${place}, alone: p NaN`);
          verify(Object.is(logSumExp(alone, { algorithm })[0], lseExpected), `${place}, alone: log-sum-exp`);
        }
      }
    });

    it('one -Infinity anywhere is an exact zero and changes nothing else', () => {
      for (const n of LENGTHS) {
        const { x, rows: expected } = masked(n);
        const rows = 2 * n;
        const p = softmax(x, { rows, algorithm });
        const logp = logSoftmax(x, { rows, algorithm });
        const lse = logSumExp(x, { rows, algorithm });
        expected.forEach((row, i) => {
          const r = 2 * i;
          const place = `${n} long, at ${i}`;
          verify(Object.is(p[r * n + i], 0), `${place}: p 0`);
          verify(logp[r * n + i] === -Infinity, `${place}: log p -Infinity`);
          expectClose(rowAt(p, r, n), row.p, softmaxTolerance(row.x), place);
          expectClose(rowAt(logp, r, n), row.logp, logSoftmaxTolerance(row.x), place);
          expectNear(lse[r], row.lse, logSumExpTolerance(row.lse), place);
        });
      }
    });

    it.each([5000, 100_003])('holds deep inside a row of %i', (n) => {
      const row = normalRow(n, 3, n);
      for (const place of [0, 4095, 4096, n - 1].filter((i) => i < n)) {
        for (const [value, expected] of [
          [NaN, NaN],
          [Infinity, Infinity],
        ]) {
          const x = row.slice();
          x[place] = value;
          expect(allNaN(softmax(x, { algorithm }))).toBe(true);
          expect(allNaN(logSoftmax(x, { algorithm }))).toBe(true);
          expect(logSumExp(x, { algorithm })[0]).toBe(expected);
        }
        const x = row.slice().fill(-Infinity);
        x[place] = 2;
        const p = softmax(x, { algorithm });
        expect(p.filter((value) => value !== 0)).toHaveLength(1);
        expectNear(p[place], 1, 1.2e-7);
        expectNear(logSoftmax(x, { algorithm })[place], 0, 2e-6);
        expectNear(logSumExp(x, { algorithm })[0], 2, 2e-6);
      }
    });

    it('a finite mask of any size gives +0, not -0 or a little more', () => {
      for (let power = 3; power < 38; power += 0.01) {
        for (const temperature of [1, 0.7, 30]) {
          const p = softmax(Float32Array.of(0.5, -(10 ** power), 0), { algorithm, temperature });
          // exp(-1000 / 30) is still a number, and what lies below the smallest normal one may be 0 or not.
          const holds =
            10 ** power > 110 * temperature ? Object.is(p[1], 0) : p[1] >= 0 && !Object.is(p[1], -0);
          verify(holds, `-10^${power.toFixed(2)} at T ${temperature} gives ${p[1]}`);
          verify(Math.abs(p[0] + p[1] + p[2] - 1) < 2e-6, `sum beside -10^${power.toFixed(2)}`);
        }
      }
    });

    it('an infinity of either sign in any block does not hide a NaN', () => {
      const x = normalRow(9000, 3, 1);
      x[10] = Infinity;
      x[8500] = NaN;
      expect(logSumExp(x, { algorithm })[0]).toBe(NaN);
      x[8500] = -Infinity;
      expect(logSumExp(x, { algorithm })[0]).toBe(Infinity);
    });

    it('blocks without a finite entry count for nothing', () => {
      const x = normalRow(3 * 4096 + 5, 3, 1);
      x.fill(-Infinity, 0, 4096);
      x.fill(-Infinity, 8192);
      expectClose(softmax(x, { algorithm }), reference.softmax(x), softmaxTolerance(x));
      const expected = reference.logSumExp(x);
      expectNear(logSumExp(x, { algorithm })[0], expected, 2e-6);
    });

    it('empty rows stand between others', () => {
      for (const cols of [1, 5, 16, 33, 64, 100, 5000]) {
        const x = normalRow(5 * cols, 3, cols);
        x.fill(-Infinity, cols, 2 * cols);
        x.fill(-Infinity, 4 * cols);
        const options = { rows: 5, algorithm };
        const zero = softmax(x, options);
        const nan = softmax(x, { ...options, emptyRow: 'nan' });
        const logs = logSoftmax(x, options);
        const logNan = logSoftmax(x, { ...options, emptyRow: 'nan' });
        for (const r of [1, 4]) {
          expect(rowAt(zero, r, cols)).toEqual(new Float32Array(cols));
          expect(allNaN(rowAt(nan, r, cols))).toBe(true);
          expect(rowAt(logs, r, cols)).toEqual(new Float32Array(cols).fill(-Infinity));
          expect(allNaN(rowAt(logNan, r, cols))).toBe(true);
        }
        for (const r of [0, 2, 3]) {
          const row = rowAt(x, r, cols);
          expectSameBits(rowAt(zero, r, cols), softmax(row, { algorithm }), `row ${r}`);
          expectSameBits(rowAt(nan, r, cols), softmax(row, { algorithm }), `row ${r}`);
        }
        const lse = logSumExp(x, options);
        expect([lse[1], lse[4]]).toEqual([-Infinity, -Infinity]);
      }
    });

    it('temperature changes none of it', () => {
      for (const temperature of [0.3, 1e-30, 1e30]) {
        const options = { algorithm, temperature };
        expect(allNaN(softmax(Float32Array.of(0, NaN, 1), options))).toBe(true);
        expect(allNaN(softmax(Float32Array.of(0, Infinity, 1), options))).toBe(true);
        const [left, all, right] = softmax(Float32Array.of(-Infinity, 3, -Infinity), options);
        expect([left, right]).toEqual([0, 0]);
        expectNear(all, 1, 2 ** -23, 'the only probability');
        expect(softmax(Float32Array.of(-Infinity, -Infinity), options)).toEqual(Float32Array.of(0, 0));
        expect(logSumExp(Float32Array.of(-Infinity, -Infinity), options)[0]).toBe(-Infinity);
      }
    });

    it('float64 and 16-bit storage follow the same rules', () => {
      for (const n of [1, 7, 16, 33, 70]) {
        for (const at of [0, n >> 1, n - 1]) {
          const x64 = normalRow64(n, 3, n);
          const x32 = normalRow(n, 3, n);
          for (const [value, lse] of [
            [NaN, NaN],
            [Infinity, Infinity],
          ]) {
            x64[at] = value;
            x32[at] = value;
            expect(softmax(x64, { algorithm })).toEqual(new Float64Array(n).fill(NaN));
            expect(logSumExp(x64, { algorithm })[0]).toBe(lse);
            for (const dtype of ['bf16', 'f16'] as const) {
              const x16 = narrow(x32, dtype);
              const p = softmax(x16, { algorithm, dtype, outDtype: 'f32', out: new Float32Array(n) });
              expect(p).toEqual(new Float32Array(n).fill(NaN));
              expect(logSumExp(x16, { algorithm, dtype })[0]).toBe(lse);
            }
          }
        }
        expect(softmax(new Float64Array(n).fill(-Infinity), { algorithm })).toEqual(new Float64Array(n));
        const masked = narrow(new Float32Array(n).fill(-Infinity), 'bf16');
        expect(softmax(masked, { algorithm, dtype: 'bf16' })).toEqual(new Uint16Array(n));
      }
    });
  });

  it('does not change how the thread treats subnormals', () => {
    softmax(normalRow(100_003, 30, 1));
    const tiny = 5e-324;
    expect(tiny * 3).toBe(1.5e-323);
    expect(Math.fround(1e-45)).toBeGreaterThan(0);
  });
});
