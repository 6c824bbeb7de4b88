import {
  ConvergenceError,
  newtonPseudoInverse,
  newtonPseudoInverseAsync,
  newtonPseudoInverseBackward,
} from '../../lib/index.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow64 } from '../helpers/rows.js';
import { SOFT_CASES } from '../helpers/soft-fixtures.js';
import {
  exactInverse,
  gaussianKernel,
  newtonPseudoInverse as reference,
} from '../reference/soft-attention.js';

/** The kernel matrix of m points of width d; the wider the points lie, the better its condition. */
function kernelOf(m: number, d: number, deviation: number, stream: number): Float64Array {
  const points = normalRow64(m * d, deviation, stream);
  return gaussianKernel(points, points, { n: m, m, d });
}

const largest = (x: ArrayLike<number>): number =>
  Array.from(x).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const relative = (x: ArrayLike<number>, tolerance: number) => () => tolerance * largest(x);

onEveryIsa(() => {
  describe('newtonPseudoInverse', () => {
    it.each(SOFT_CASES)('fixture $#: the iterates of both starts', (c) => {
      const { m, A, iters: iterations } = c;
      const main = newtonPseudoInverse(A, { m, iterations });
      expectClose(main.inverse, c.newton_main, relative(c.newton_main, 1e-9), 'regularised');
      expectNear(main.alpha[0], c.alpha_main, 1e-14 * c.alpha_main, 'alpha');
      const halving = newtonPseudoInverse(A, { m, iterations, init: 'halving' });
      expectClose(halving.inverse, c.newton_halving, relative(c.newton_halving, 1e-9), 'halving');
      expectNear(halving.alpha[0], c.alpha_halving, 1e-14, 'alpha');
      expect(halving.halvings[0]).toBe(c.halvings);
      // The fixture states the largest element, the call the largest column.
      expect(main.residual[0]).toBeGreaterThanOrEqual(c.newton_main_residual * (1 - 1e-9));
      expect(main.residual[0]).toBeLessThanOrEqual(m * c.newton_main_residual * (1 + 1e-6) + 1e-12);
    });

    it.each([1, 2, 3, 7, 8, 15, 16, 17, 33, 49])(
      'm = %i: the iterate of the reference, and the inverse',
      (m) => {
        const A = kernelOf(m, 6, 1.2, m);
        for (const iterations of [0, 1, 5, 30]) {
          const expected = reference(A, m, { iterations });
          const result = newtonPseudoInverse(A, { m, iterations });
          expectClose(
            result.inverse,
            expected.inverse,
            relative(expected.inverse, 1e-9),
            `after ${iterations}`,
          );
          expectNear(result.residual[0], expected.residual, 1e-9 * m, 'residual');
        }
        const { inverse, residual, penrose, condition, iterations } = newtonPseudoInverse(A, {
          m,
          iterations: 60,
        });
        const exact = exactInverse(reference(A, m).P, m);
        expectClose(inverse, exact, relative(exact, 1e-9), 'inverse');
        expect(residual[0]).toBeLessThan(1e-9);
        expect(penrose[0]).toBeLessThan(1e-9);
        expect(condition[0]).toBeGreaterThanOrEqual(1 - 1e-12);
        expect(iterations[0]).toBeLessThan(60);
      },
    );

    it('one landmark: alpha 1.8, r_0 = -0.83618, limit 1 / 1.01', () => {
      const start = newtonPseudoInverse(Float64Array.of(1), { m: 1, iterations: 0 });
      expectNear(start.alpha[0], 1.8, 1e-15);
      expectNear(start.residual[0], 0.83618, 1e-12);
      const { inverse } = newtonPseudoInverse(Float64Array.of(1), { m: 1 });
      expectNear(inverse[0], 1 / 1.01, 1e-12);
    });

    it('two landmarks whose row sums are equal: the halving start collapses, and says so', () => {
      const A = Float64Array.of(1, 0.5, 0.5, 1);
      const collapsed = newtonPseudoInverse(A, { m: 2, init: 'halving' });
      expectNear(collapsed.alpha[0], 8 / 9, 1e-15);
      expect(collapsed.halvings[0]).toBe(0);
      expectNear(collapsed.residual[0], 1, 0.01);
      expect(() => newtonPseudoInverse(A, { m: 2, init: 'halving', tolerance: 1e-3 })).toThrow(
        ConvergenceError,
      );
      const { inverse } = newtonPseudoInverse(A, { m: 2, ridge: 0 });
      expectClose(inverse, [4 / 3, -2 / 3, -2 / 3, 4 / 3], () => 1e-9);
    });

    it('coinciding landmarks: the pseudo-inverse at once with alpha 1/4, zero from the halving start', () => {
      const ones = new Float64Array(4).fill(1);
      const found = newtonPseudoInverse(ones, { m: 2, ridge: 0, alpha: 0.25, iterations: 1 });
      expectClose(found.inverse, [0.25, 0.25, 0.25, 0.25], () => 1e-15);
      expectNear(found.penrose[0], 0, 1e-15);
      const lost = newtonPseudoInverse(ones, { m: 2, init: 'halving' });
      expect(Array.from(lost.inverse)).toEqual([0, 0, 0, 0]);
      expect(lost.residual[0]).toBe(1);
      expect(lost.penrose[0]).toBe(1);
      expect(newtonPseudoInverse(ones, { m: 2 }).inverse.every(Number.isFinite)).toBe(true);
      expect(newtonPseudoInverse(new Float64Array(4), { m: 2 }).residual[0]).toBe(1);
    });

    it('float32 matrices are computed with in float64', () => {
      const A = Float32Array.from(kernelOf(9, 4, 0.6, 3));
      const { inverse } = newtonPseudoInverse(A, { m: 9, iterations: 40 });
      const expected = reference(A, 9, { iterations: 40 }).inverse;
      expectClose(inverse, expected, (_, value) => 6e-8 * Math.abs(value) + 1e-12 * largest(expected));
    });

    it('a matrix gives the same bits alone, in a batch and on any number of threads', async () => {
      const m = 17;
      const A = new Float64Array(5 * m * m);
      for (let i = 0; i < 5; i += 1) A.set(kernelOf(m, 4, 0.5 + i, i), i * m * m);
      const all = newtonPseudoInverse(A, { m, batch: 5 });
      for (const threads of [2, 8])
        expectSameBits(newtonPseudoInverse(A, { m, batch: 5, threads }).inverse, all.inverse);
      expectSameBits((await newtonPseudoInverseAsync(A, { m, batch: 5, threads: 2 })).inverse, all.inverse);
      const third = newtonPseudoInverse(A.slice(2 * m * m, 3 * m * m), { m });
      expectSameBits(third.inverse, all.inverse.slice(2 * m * m, 3 * m * m));
      expect(third.alpha[0]).toBe(all.alpha[2]);
    });

    it('the error of a residual above the tolerance carries residual, alpha and matrix', async () => {
      const A = Float64Array.of(...[1, 0, 0, 1], ...[1, 1, 1, 1], ...[1, 1, 1, 1]);
      const call = { m: 2, batch: 3, ridge: 0, alpha: 0.25, tolerance: 1e-6 };
      const error = await newtonPseudoInverseAsync(A, call).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ConvergenceError);
      expect(error).toMatchObject({ code: 'ERR_NO_CONVERGENCE', index: 1, alpha: 0.25, residual: 1 });
      expect(() => newtonPseudoInverse(A, call)).toThrow(/matrix 1 .* residual of 1,/);
    });

    it.each([0.05, 0.06, 0.3, 1, 100])('a ridge of %d, far from small, converges', (ridge) => {
      const one = newtonPseudoInverse(Float64Array.of(1), { m: 1, ridge, iterations: 12 });
      expect(one.inverse[0]).toBeCloseTo(1 / (1 + ridge), 12);
      const m = 6;
      const { residual } = newtonPseudoInverse(kernelOf(m, 3, 0.7, 11), { m, ridge, iterations: 30 });
      expect(residual[0]).toBeLessThan(1e-6);
    });

    it('no matrices, no results', () => {
      const { inverse, residual } = newtonPseudoInverse(new Float32Array(0), { m: 3, batch: 0 });
      expect([inverse.length, residual.length]).toEqual([0, 0]);
    });
  });

  describe('newtonPseudoInverseBackward', () => {
    it.each(SOFT_CASES)('fixture $#: the implicit gradient', (c) => {
      const gradient = newtonPseudoInverseBackward(c.A, c.inv_reg, c.grad_inv, { m: c.m });
      expectClose(gradient, c.grad_A, relative(c.grad_A, 1e-8));
    });

    it.each([
      ['regularised', 3, undefined, 0.02],
      ['regularised', 20, undefined, 0.02],
      ['halving', 4, undefined, 0.02],
      ['regularised', 4, 0.05, 0.02],
      ['regularised', 4, undefined, 2],
    ] as const)(
      'unrolled, %s start, %i iterations, alpha %s, ridge %d: central differences',
      (init, iterations, alpha, ridge) => {
        const m = 5;
        const A = kernelOf(m, 3, 0.7, 11);
        const options = { m, init, iterations, alpha, ridge };
        const weight = normalRow64(m * m, 1, 12);
        const loss = (x: Float64Array): number =>
          newtonPseudoInverse(x, options).inverse.reduce((sum, value, i) => sum + value * weight[i], 0);
        const { inverse } = newtonPseudoInverse(A, options);
        const gradient = newtonPseudoInverseBackward(A, inverse, weight, {
          ...options,
          gradient: 'unrolled',
        });
        const numeric = A.map((value, i) => {
          const [up, down] = [1e-5, -1e-5].map((h) => loss(A.map((x, j) => (j === i ? value + h : x))));
          return (up - down) / 2e-5;
        });
        expectClose(gradient, numeric, relative(numeric, 1e-6));
      },
    );
  });
});
