import fc from 'fast-check';

import { matmul, matmulAsync, type MatmulOptions } from '../../lib/index.js';
import { onEveryIsa } from '../helpers/isa.js';
import { expectThrown } from '../helpers/refused.js';

type Reals = Float32Array | Float64Array;

/** The product by its definition, in float64, and the sum of magnitudes that its error is measured by. */
function reference(a: Reals, b: Reals, o: MatmulOptions): { out: Float64Array; size: Float64Array } {
  const { m, n, k, batch = 1, transposeA, transposeB, alpha = 1 } = o;
  const { strideA = m * k, strideB = k * n } = o;
  const out = new Float64Array(batch * m * n);
  const size = new Float64Array(batch * m * n);
  for (let q = 0; q < batch; q++)
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++)
        for (let l = 0; l < k; l++) {
          const term =
            alpha *
            a[q * strideA + (transposeA ? l * m + i : i * k + l)] *
            b[q * strideB + (transposeB ? j * k + l : l * n + j)];
          out[(q * m + i) * n + j] += term;
          size[(q * m + i) * n + j] += Math.abs(term);
        }
  return { out, size };
}

type Kind = typeof Float32Array | typeof Float64Array;

function wave(kind: Kind, length: number, phase: number): Reals {
  const x = new kind(length);
  for (let i = 0; i < length; i++) x[i] = Math.sin(i * 1.37 + phase) * 2;
  return x;
}

function expectProduct(kind: Kind, o: MatmulOptions): void {
  const { m, n, k, batch = 1 } = o;
  const a = wave(kind, batch * m * k, 1);
  const b = wave(kind, batch * n * k, 2);
  const expected = reference(a, b, o);
  const got = matmul(a, b, o);
  const epsilon = kind === Float32Array ? 1e-6 : 2e-15;
  expect(got).toHaveLength(batch * m * n);
  let worst = 0;
  for (let i = 0; i < got.length; i++)
    worst = Math.max(worst, Math.abs(got[i] - expected.out[i]) / (expected.size[i] || 1));
  expect(worst).toBeLessThan(epsilon);
  for (const threads of [2, 8]) expect(matmul(a, b, { ...o, threads })).toEqual(got);
}

describe('matmul', () => {
  onEveryIsa(() => {
    test.each([Float32Array, Float64Array])('products of %p in every form of transposition', (kind) => {
      for (const [m, n, k] of [
        [1, 1, 1],
        [7, 33, 129],
        [8, 32, 128],
        [9, 31, 257],
        [70, 5, 3],
        [130, 40, 16],
      ])
        for (const transposeA of [false, true])
          for (const transposeB of [false, true])
            expectProduct(kind, { m, n, k, transposeA, transposeB, batch: m < 10 ? 3 : 1, alpha: 0.75 });
    });

    test('products of any size', () => {
      const size = fc.integer({ min: 0, max: 40 });
      fc.assert(
        fc.property(
          size,
          size,
          size,
          fc.integer({ min: 0, max: 3 }),
          fc.boolean(),
          fc.boolean(),
          (...all) => {
            const [m, n, k, batch, transposeA, transposeB] = all;
            expectProduct(Float32Array, { m, n, k, batch, transposeA, transposeB });
          },
        ),
        { numRuns: 60 },
      );
    });

    test('a row depends on its row of a alone, whatever the number of rows', () => {
      const [n, k] = [37, 300];
      const a = wave(Float32Array, 50 * k, 1);
      const b = wave(Float32Array, n * k, 2);
      const all = matmul(a, b, { m: 50, n, k });
      for (const i of [0, 7, 8, 49]) {
        const one = matmul(a.subarray(i * k, (i + 1) * k), b, { m: 1, n, k });
        expect(one).toEqual(all.subarray(i * n, (i + 1) * n));
      }
    });

    test('the same factor for all of a batch, and sums on top of what is there', () => {
      const o = { m: 5, n: 6, k: 7, batch: 4, strideB: 0 };
      const a = wave(Float64Array, 4 * 35, 1);
      const b = wave(Float64Array, 42, 2);
      const { out } = reference(a, b, o);
      const start = new Float64Array(4 * 30).fill(2);
      expect(matmul(a, b, { ...o, accumulate: true, out: start })).toBe(start);
      start.forEach((value, i) => expect(value).toBeCloseTo(2 + out[i], 12));
    });

    test('nothing to add up gives zeros, or leaves what is there', () => {
      const empty = new Float32Array(0);
      const out = new Float32Array(6).fill(3);
      expect([...matmul(empty, empty, { m: 2, n: 3, k: 0, out, accumulate: true })]).toEqual(
        Array(6).fill(3),
      );
      expect([...matmul(empty, empty, { m: 2, n: 3, k: 0, out })]).toEqual(Array(6).fill(0));
    });

    test('values that are not finite spoil their own row and column only', () => {
      const a = wave(Float32Array, 3 * 4, 1);
      a[4] = NaN;
      const out = matmul(a, wave(Float32Array, 4 * 5, 2), { m: 3, n: 5, k: 4 });
      out.forEach((value, i) => expect(Number.isNaN(value)).toBe(Math.floor(i / 5) === 1));
    });
  });

  test('the promise form gives the same', async () => {
    const o = { m: 9, n: 17, k: 33 };
    const a = wave(Float32Array, 9 * 33, 1);
    const b = wave(Float32Array, 17 * 33, 2);
    expect(await matmulAsync(a, b, { ...o, threads: 2 })).toEqual(matmul(a, b, o));
  });

  test('bad input is refused by name, and nothing is written', () => {
    const a = new Float32Array(6);
    const b = new Float32Array(6);
    const o = { m: 2, n: 2, k: 3 };
    const out = new Float32Array(4).fill(7);
    expectThrown(() => matmul(a, new Float64Array(6) as never, { ...o, out }), 'type', 'b');
    expectThrown(() => matmul([1, 2] as never, b, o), 'type', 'a');
    expectThrown(() => matmul(a.subarray(1), b, { ...o, out }), 'range', 'a');
    expectThrown(() => matmul(a, b.subarray(1), { ...o, out }), 'range', 'b');
    expectThrown(() => matmul(a, b, { ...o, out: new Float32Array(3) }), 'range', 'out');
    expectThrown(() => matmul(a, b, { ...o, m: -1, out }), 'range', 'm');
    expectThrown(() => matmul(a, b, { ...o, batch: 2, out: new Float32Array(8) }), 'range', 'a');
    expectThrown(() => matmul(a, b, { ...o, alpha: NaN, out }), 'range', 'alpha');
    expectThrown(() => matmul(a, b, { ...o, accumulate: true }), 'type', 'out');
    expectThrown(() => matmul(a, b, { ...o, out: a.subarray(0, 4) }), 'range', 'out');
    expect([...out]).toEqual([7, 7, 7, 7]);
  });
});
