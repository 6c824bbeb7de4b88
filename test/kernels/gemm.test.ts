import fc from 'fast-check';

import {
  gemm,
  gemmAsync,
  type GemmOptions,
  isa,
  packWeights,
  packWeightsAsync,
  type PackedWeights,
  setIsa,
  availableIsas,
} from '../../lib/index.js';
import { expectClose, expectSameBits, type Tolerance } from '../helpers/compare.js';
import { flashFixture, type GemmCase } from '../helpers/flash-fixtures.js';
import { onEveryIsa, usable } from '../helpers/isa.js';
import { memo } from '../helpers/memo.js';
import { normalRow, shifted, untouchedOutside } from '../helpers/rows.js';
import { randomActivations, randomWeights } from '../helpers/weights.js';
import { type Activation, ACTIVATIONS, WEIGHT_TYPES, type WeightType } from '../reference/gemm.js';
import * as reference from '../reference/gemm.js';

const KERNELS = ['auto', 'gemv', 'flat', 'blocked'] as const;

/** Neither a multiple of any tile; single columns, single terms; a few panels. */
const SHAPES: readonly (readonly [n: number, k: number])[] = [
  [1, 1],
  [1, 40],
  [31, 1],
  [17, 33],
  [32, 16],
  [33, 65],
  [70, 7],
  [100, 257],
  [35, 256],
  [64, 513],
];

/** The most rows that the shapes are tried with. */
const ROWS = 17;

/** The product of all rows; that of fewer rows is its beginning. */
const product = memo((n: number, k: number, type: WeightType) =>
  reference.gemm(randomActivations(ROWS, k), randomWeights(n, k, type).values, { m: ROWS, n, k }),
);

/** float32 sums in any order of this many terms stay within 1e-6 of the sum of magnitudes. */
const within =
  (absSum: ArrayLike<number>, share = 1e-6): Tolerance =>
  (i) =>
    share * absSum[i] + 1e-37;

/** Random weights packed once; PackedWeights do not depend on the instruction set. */
const packed = memo((n: number, k: number, type: WeightType): PackedWeights => {
  const { w, scales } = randomWeights(n, k, type);
  return packWeights(w, { n, k, type, scales });
});

/** Weights in both of their forms, as arguments of gemm. */
function forms(n: number, k: number, type: WeightType): [string, PackedWeights | Float32Array, object][] {
  const { w, scales } = randomWeights(n, k, type);
  return [
    ['packed', packed(n, k, type), {}],
    ['as stored', w as Float32Array, { type, scales }],
  ];
}

onEveryIsa(() => {
  it.each(flashFixture<GemmCase[]>('flat-gemm'))('m $m, n $n, k $k, $weightType: the fixtures', (c) => {
    const { m, n, k, weightType: type } = c;
    const a = Float32Array.from(c.a.data);
    const w = c.w ? Float32Array.from(c.w.data) : Uint16Array.from(c.wBits?.data ?? []);
    for (const weights of [packWeights(w, { n, k, type }), w]) {
      for (const kernel of KERNELS) {
        const options: GemmOptions = weights === w ? { m, n, k, type, kernel } : { m, kernel };
        const y = gemm(a, weights, options);
        expectClose(y, c.c.data, within(c.absSum.data, 4e-7), `${kernel} ${weights === w}`);
      }
    }
  });

  describe.each(WEIGHT_TYPES)('%s weights', (type) => {
    it.each(SHAPES)('n %i, k %i, for 1 to 17 rows on every path', (n, k) => {
      const { y, absSum } = product(n, k, type);
      const a = randomActivations(ROWS, k);
      for (const [form, weights, options] of forms(n, k, type)) {
        for (let m = 1; m <= ROWS; m += 1) {
          for (const kernel of KERNELS) {
            const out = gemm(a.subarray(0, m * k), weights, { m, n, k, kernel, ...options });
            expect(out).toHaveLength(m * n);
            expectClose(out, y.subarray(0, m * n), within(absSum), `${form}, m ${m}, ${kernel}`);
          }
        }
      }
    });

    it('packed weights: paths, prefetch, threads and the other rows do not change a bit', async () => {
      for (const [n, k] of [
        [33, 65],
        [100, 257],
        [200, 70],
      ]) {
        const rows = 37;
        const a = randomActivations(rows, k);
        const weights = packed(n, k, type);
        const one = gemm(a, weights, { m: rows });
        for (let m = 0; m < rows; m += 1) {
          const alone = gemm(a.subarray(m * k, (m + 1) * k), weights, { m: 1 });
          expectSameBits(alone, one.subarray(m * n, (m + 1) * n), `row ${m} alone`);
        }
        for (const m of [1, 2, 3, 4, 5, 8, 9, 16, 17, rows]) {
          const [part, expected] = [a.subarray(0, m * k), one.subarray(0, m * n)];
          for (const kernel of KERNELS) {
            for (const prefetch of [true, false]) {
              for (const threads of [1, 2, 3]) {
                const label = `m ${m}, ${kernel}, prefetch ${prefetch}, ${threads} threads`;
                expectSameBits(gemm(part, weights, { m, kernel, prefetch, threads }), expected, label);
              }
            }
          }
          expectSameBits(await gemmAsync(part, weights, { m, threads: 2 }), expected, `promise, m ${m}`);
        }
      }
    });

    it('matrices that are large enough for several threads have the bits of one', async () => {
      const [m, n, k] = [19, 1100, 500];
      const { w, scales } = randomWeights(n, k, type);
      const weights = packWeights(w, { n, k, type, scales });
      for (const threads of [2, 3]) {
        const again = await packWeightsAsync(w, { n, k, type, scales, threads });
        expectSameBits(again.data, weights.data, `packed on ${threads} threads`);
      }
      const a = randomActivations(m, k);
      for (const kernel of ['gemv', 'flat', 'blocked'] as const) {
        for (const [form, stored] of [
          [weights, {}],
          [w, { n, k, type, scales }],
        ] as const) {
          for (const rows of [1, m]) {
            const part = a.subarray(0, rows * k);
            const one = gemm(part, form, { kernel, ...stored });
            for (const threads of [2, 3]) {
              expectSameBits(
                gemm(part, form, { kernel, threads, ...stored }),
                one,
                `${kernel}, ${threads} threads`,
              );
            }
          }
        }
      }
    });

    it('stored weights: threads and prefetch do not change a bit', async () => {
      const [n, k, m] = [70, 129, 9];
      const { w, scales } = randomWeights(n, k, type);
      const a = randomActivations(m, k);
      for (const kernel of KERNELS) {
        const options = { m, n, k, type, scales, kernel };
        const expected = gemm(a, w, options);
        for (const threads of [1, 2, 3]) {
          for (const prefetch of [true, false]) {
            expectSameBits(gemm(a, w, { ...options, threads, prefetch }), expected, `${kernel} ${threads}`);
          }
        }
        expectSameBits(await gemmAsync(a, w, { ...options, threads: 3 }), expected, kernel);
      }
    });

    it('arrays may begin anywhere, and nothing else is touched', () => {
      const [m, n, k] = [6, 45, 31];
      const { w, scales } = randomWeights(n, k, type);
      const a = randomActivations(m, k);
      const [bias, residual] = [normalRow(n, 1, 1), normalRow(m * n, 1, 2)];
      for (const weights of [packed(n, k, type), w]) {
        const stored = weights === w ? { type, scales } : {};
        const expected = gemm(a, weights, { m, n, k, bias, residual, ...stored });
        for (let offset = 1; offset < 8; offset += 3) {
          const moved = [a, bias, residual, new Float32Array(m * n)].map((x) => shifted(x, offset));
          const [aa, bb, rr, oo] = moved.map(({ view }) => view);
          const out = gemm(aa, weights, { m, n, k, bias: bb, residual: rr, out: oo, ...stored });
          expect(out).toBe(oo);
          expectSameBits(out, expected, `offset ${offset}`);
          expect(untouchedOutside(moved[3].whole, offset, offset + m * n)).toBe(true);
        }
      }
    });
  });

  it.each(['f32', 'bf16', 'f16'] as const)('%s weights that begin at odd places', (type) => {
    const [m, n, k] = [3, 37, 29];
    const { w } = randomWeights(n, k, type);
    const a = randomActivations(m, k);
    const expected = gemm(a, w, { m, n, k, type });
    const whole = new (w.constructor as Float32ArrayConstructor)(w.length + 5);
    for (const offset of [1, 3, 5]) {
      whole.set(w, offset);
      const view = whole.subarray(offset, offset + w.length);
      expectSameBits(gemm(a, view, { m, n, k, type }), expected, `offset ${offset}`);
      expectSameBits(packWeights(view, { n, k, type }).data, packed(n, k, type).data, 'packed');
    }
  });

  describe.each(Object.keys(ACTIVATIONS) as Activation[])('activation %s', (activation) => {
    it.each([
      [1, 33, 20],
      [5, 64, 33],
      [40, 50, 17],
    ])('m %i, n %i, k %i, with and without bias and residual', (m, n, k) => {
      const a = randomActivations(m, k);
      const [bias, residual] = [normalRow(n, 2, 3), normalRow(m * n, 2, 4)];
      for (const type of ['f32', 'int8'] as const) {
        const { values } = randomWeights(n, k, type);
        for (const [form, weights, stored] of forms(n, k, type)) {
          for (const beside of [{}, { bias }, { residual }, { bias, residual }]) {
            const expected = reference.gemm(a, values, { m, n, k, activation, ...beside });
            const label = `${form} ${type} ${Object.keys(beside).join()}`;
            // Activations have slopes up to 1.13 and round by themselves.
            const near: Tolerance = (i) => 1.5e-6 * (expected.absSum[i] + 0.5);
            for (const kernel of KERNELS) {
              const options = { m, n, k, activation, kernel, ...beside, ...stored };
              const y = gemm(a, weights, options);
              expectClose(y, expected.y, near, label);
              if (!('residual' in beside)) continue;
              // The residual may be the output itself.
              const out = residual.slice();
              expectSameBits(gemm(a, weights, { ...options, residual: out, out }), y, `${label} in place`);
              expect(residual).toEqual(normalRow(m * n, 2, 4));
            }
          }
        }
      }
    });

    it('is exact at zero, far below and far above', () => {
      const a = Float32Array.of(-1e30, -200, -0, 0, 60, 1e30);
      const y = gemm(a, Float32Array.of(1), { m: 6, n: 1, k: 1, activation });
      expectClose(y, a.map(ACTIVATIONS[activation]), (_, value) => 1e-6 * Math.abs(value) + 1e-37);
    });
  });

  it('rows of a may lie further apart, and m may be left out', () => {
    const [m, n, k, aStride] = [11, 40, 19, 23];
    const wide = normalRow(m * aStride, 1, 12);
    const compact = Float32Array.from(
      { length: m * k },
      (_, i) => wide[Math.floor(i / k) * aStride + (i % k)],
    );
    for (const type of WEIGHT_TYPES) {
      for (const [form, weights, stored] of forms(n, k, type)) {
        for (const kernel of KERNELS) {
          const expected = gemm(compact, weights, { n, k, kernel, ...stored });
          expect(expected).toHaveLength(m * n);
          const strided = gemm(wide, weights, { m, n, k, aStride, kernel, ...stored });
          expectSameBits(strided, expected, `${form}, ${kernel}`);
          // The last row needs no room behind it.
          const short = wide.subarray(0, (m - 1) * aStride + k);
          expectSameBits(
            gemm(short, weights, { m, n, k, aStride, kernel, ...stored }),
            expected,
            `${form}, ${kernel}`,
          );
        }
      }
    }
  });

  it('random shapes, with everything at once', () => {
    fc.assert(
      fc.property(
        fc.record({
          m: fc.integer({ min: 1, max: 90 }),
          n: fc.integer({ min: 1, max: 140 }),
          k: fc.integer({ min: 1, max: 300 }),
          threads: fc.integer({ min: 1, max: 3 }),
          type: fc.constantFrom(...WEIGHT_TYPES),
          kernel: fc.constantFrom(...KERNELS),
          prefetch: fc.boolean(),
          activation: fc.constantFrom(...(Object.keys(ACTIVATIONS) as Activation[])),
          besides: fc.subarray(['bias', 'residual']),
        }),
        ({ m, n, k, type, besides, ...options }) => {
          const a = randomActivations(m, k);
          const { values } = randomWeights(n, k, type);
          const beside = {
            bias: besides.includes('bias') ? normalRow(n, 1, 1) : undefined,
            residual: besides.includes('residual') ? normalRow(m * n, 1, 2) : undefined,
          };
          const { activation } = options;
          const expected = reference.gemm(a, values, { m, n, k, activation, ...beside });
          const [packedForm, storedForm] = forms(n, k, type).map(([, weights, stored]) =>
            gemm(a, weights, { m, n, k, ...options, ...beside, ...stored }),
          );
          const near: Tolerance = (i) => 1.5e-6 * (expected.absSum[i] + 0.5);
          expectClose(packedForm, expected.y, near, 'packed');
          expectClose(storedForm, expected.y, near, 'as stored');
        },
      ),
      { numRuns: 60 },
    );
  });

  it('NaN and infinities spoil their row or their column alone', () => {
    const [m, n, k] = [9, 70, 33];
    for (const kernel of KERNELS) {
      for (const type of ['f32', 'bf16'] as const) {
        for (const bad of [NaN, Infinity]) {
          const a = randomActivations(m, k).slice();
          const clean = gemm(a, packed(n, k, type), { m, kernel });
          a[4 * k + 32] = bad;
          const spoilt = gemm(a, packed(n, k, type), { m, kernel });
          const rows = [0, 1, 2, 3, 5, 6, 7, 8];
          for (const row of rows) {
            const [start, end] = [row * n, (row + 1) * n];
            expectSameBits(spoilt.subarray(start, end), clean.subarray(start, end), `row ${row}`);
          }
          expect(spoilt.subarray(4 * n, 5 * n).some(Number.isFinite)).toBe(false);
        }
      }
      const w = randomWeights(n, k, 'f32').w.slice() as Float32Array;
      w[11 * k + 5] = NaN;
      for (const weights of [packWeights(w, { n, k }), w]) {
        const y = gemm(randomActivations(m, k), weights, { m, n, k, kernel });
        y.forEach((value, i) => expect(Number.isNaN(value)).toBe(i % n === 11));
      }
    }
  });

  it('calls at once give what calls one by one give', async () => {
    const [n, k] = [100, 257];
    const calls = [1, 4, 7, 17].map((m) => ({ a: randomActivations(m, k), m }));
    const results = await Promise.all(
      calls.map(({ a, m }) => gemmAsync(a, packed(n, k, 'bf16'), { m, threads: 2 })),
    );
    results.forEach((y, i) =>
      expectSameBits(y, gemm(calls[i].a, packed(n, k, 'bf16'), { m: calls[i].m }), `call ${i}`),
    );
  });

  it('a long inner sum keeps its accuracy', () => {
    const [m, n, k] = [3, 40, 20_003];
    const a = randomActivations(m, k);
    const w = normalRow(n * k, 1, 77);
    const { y, absSum } = reference.gemm(a, w, { m, n, k });
    for (const kernel of KERNELS) {
      expectClose(gemm(a, packWeights(w, { n, k }), { m, kernel }), y, within(absSum), kernel);
      expectClose(gemm(a, w, { m, n, k, kernel }), y, within(absSum), `stored, ${kernel}`);
    }
  });
});

it('packed weights are the same on every instruction set, and work on any other', () => {
  const before = isa();
  const available = availableIsas().filter(usable);
  for (const type of WEIGHT_TYPES) {
    const [n, k] = [45, 31];
    const { w, scales } = randomWeights(n, k, type);
    const each = available.map((name) => {
      setIsa(name);
      return packWeights(w, { n, k, type, scales });
    });
    each.forEach((weights) => expectSameBits(weights.data, each[0].data, type));
  }
  setIsa(before);
});
