import {
  AttentionState,
  createAttentionState,
  linearAttention,
  recurrentAttention,
  recurrentAttentionAsync,
  recurrentAttentionBackward,
  taylorFeatures,
  type RecurrentNormalization,
} from '../../lib/index.js';
import type { Reals } from '../../lib/kernels/arguments.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow64 } from '../helpers/rows.js';
import { normals, REALS, realsOf, recurrentFixtures, relative, type Real } from '../helpers/linear.js';

const ALGORITHMS = ['auto', 'quadratic', 'chunk', 'recurrent'] as const;
const NORMALIZATIONS: readonly RecurrentNormalization[] = ['sum', 'none', 'l2', 'rms', 'layer', 'length'];

/** Arrays of a random case. */
const arrays = (type: Real, rows: number, headDim: number, valueDim: number) => ({
  q: normals(type, rows * headDim, 1, 11),
  k: normals(type, rows * headDim, 1, 12),
  v: normals(type, rows * valueDim, 1, 13),
});

/** Tokens [from, to) of one head. */
const tokens = (x: Reals, dim: number, from: number, to: number): Reals => x.slice(from * dim, to * dim);

onEveryIsa(() => {
  describe.each(REALS)('%s', (type) => {
    describe.each(recurrentFixtures().map((c, i) => [i, c] as const))('fixture %i', (_, c) => {
      const shape = { length: c.T, headDim: c.d, valueDim: c.dv };
      const inputs = {
        ...{ q: realsOf(type, c.q.data), k: realsOf(type, c.k.data), v: realsOf(type, c.v.data) },
        gout: realsOf(type, c.grad_out.data),
      };
      const close = (actual: ArrayLike<number>, expected: { data: number[] }, label: string) =>
        expectClose(actual, expected.data, relative(type, expected.data), label);

      it.each(Object.keys(c.orders).map(Number))('order %i', (order) => {
        const expected = c.orders[order];
        for (const algorithm of ALGORITHMS) {
          for (const chunkSize of [undefined, 5]) {
            const options = { ...shape, order, algorithm, chunkSize };
            const plain = { ...options, normalization: 'none' } as const;
            close(recurrentAttention(inputs, plain).out, expected.numerator, 'numerators');
            // The sum of an odd order's weights may come near 0, and the quotient's error grows with it.
            if (order % 2 === 0 || type === 'f64')
              close(
                recurrentAttention(inputs, options).out,
                expected.normalised_by_truncated_sum,
                'normalized',
              );
            const d = recurrentAttentionBackward(inputs, plain);
            close(d.dq, expected.grad_q, 'dq');
            close(d.dk, expected.grad_k, 'dk');
            close(d.dv, expected.grad_v, 'dv');
          }
        }
      });

      it('states of powers', () => {
        if (!('state_H2_final' in c.orders[2])) throw new Error('the fixture has no states');
        const { state } = linearAttention(inputs, {
          ...{ ...shape, map: 'taylor', order: 2, symmetric: false, returnState: true },
        });
        const { kv } = state!;
        const first = kv.subarray(c.dv, (1 + c.d) * c.dv);
        const second = kv.slice((1 + c.d) * c.dv).map((value) => value * Math.SQRT2);
        close(first, c.orders[2].state_H1_final, 'H1');
        close(second, c.orders[2].state_H2_final, 'H2');
      });

      it('truncation errors fall as listed', () => {
        if (type === 'f32') {
          const { out } = recurrentAttention(inputs, { ...shape, order: 20 });
          close(out, c.variants.softmax.out, 'order 20');
          return;
        }
        for (const [order, error] of Object.entries(c.truncation_error_vs_softmax)) {
          const { out } = recurrentAttention(inputs, {
            ...shape,
            order: Number(order),
            algorithm: 'quadratic',
          });
          const worst = Math.max(...Array.from(out, (x, i) => Math.abs(x - c.variants.softmax.out.data[i])));
          expectNear(worst, error, 1e-9, `order ${order}`);
          if (Number(order) === 20) expect(worst).toBeLessThan(1e-8);
        }
      });
    });

    it('order 0 is a prefix mean, and the first token gives its value', () => {
      const a = arrays(type, 20, 4, 3);
      const shape = { length: 20, headDim: 4, valueDim: 3 };
      const mean = recurrentAttention(a, { ...shape, order: 0 }).out;
      const sum = recurrentAttention(a, { ...shape, order: 0, normalization: 'none' }).out;
      const [total, tolerance] = [[0, 0, 0], type === 'f64' ? 1e-13 : 1e-5];
      for (let t = 0; t < 20; t++) {
        for (let j = 0; j < 3; j++) {
          total[j] += a.v[t * 3 + j];
          expectNear(sum[t * 3 + j], total[j], tolerance * 20);
          expectNear(mean[t * 3 + j], total[j] / (t + 1), tolerance);
        }
      }
      for (const order of [0, 1, 2, 3, 8])
        expectClose(
          recurrentAttention(a, { ...shape, order }).out.subarray(0, 3),
          a.v.subarray(0, 3),
          () => tolerance,
        );
    });

    it('of ones the numerators are partial sums of e, and order 1 at s = -2 has weight -1', () => {
      const one = realsOf(type, [1]);
      const shape = { length: 1, headDim: 1, valueDim: 1, normalization: 'none' } as const;
      [1, 2, 2.5, 8 / 3].forEach((sum, order) => {
        for (const algorithm of ALGORITHMS)
          expectNear(
            recurrentAttention({ q: one, k: one, v: one }, { ...shape, order, algorithm }).out[0],
            sum,
            1e-6,
          );
      });
      const minus = realsOf(type, [-2]);
      expectNear(recurrentAttention({ q: one, k: minus, v: one }, { ...shape, order: 1 }).out[0], -1, 1e-6);
      for (const order of [2, 4, 6])
        for (const s of [-20, -3, -1, 0, 1]) {
          const k = realsOf(type, [s]);
          expect(recurrentAttention({ q: one, k, v: one }, { ...shape, order }).out[0]).toBeGreaterThan(0);
        }
    });

    it('order 1 is linear attention plus the sum of values', () => {
      const a = arrays(type, 30, 4, 3);
      const shape = { length: 30, headDim: 4, valueDim: 3 };
      const first = recurrentAttention(a, { ...shape, order: 1, normalization: 'none' }).out;
      const linear = linearAttention(a, { ...shape, map: 'identity', scale: 0.5, normalize: false }).out;
      const zero = recurrentAttention(a, { ...shape, order: 0, normalization: 'none' }).out;
      expectClose(
        first,
        linear.map((x, i) => x + zero[i]),
        relative(type, first),
      );
    });

    it.each([0, 1, 2, 3])('symmetric states of order %i are smaller and give the same', (order) => {
      const [d, dv] = [4, 3];
      const a = arrays(type, 25, d, dv);
      const options = {
        length: 25,
        headDim: d,
        valueDim: dv,
        map: 'taylor',
        order,
        returnState: true,
      } as const;
      const small = linearAttention(a, options);
      const large = linearAttention(a, { ...options, symmetric: false });
      // An order of 3 may be near a sum of 0.
      const tolerance = order % 2 === 1 ? relative(type, [1000]) : relative(type, large.out);
      expectClose(small.out, large.out, tolerance);
      const choose = [1, 5, 15, 35][order];
      expect([small.state!.features, large.state!.features]).toEqual([choose, [1, 5, 21, 85][order]]);
      expect(taylorFeatures(a.q.subarray(0, d), { dim: d, order }).length).toBe(choose);
    });

    it.each(NORMALIZATIONS)('%s: splits, decodes, and has gradients', async (normalization) => {
      const [T, d, dv, heads] = [23, 3, 5, 2];
      const a = arrays(type, heads * T, d, dv);
      const shape = { heads, headDim: d, valueDim: dv, order: 2, normalization };
      const whole = recurrentAttention(a, { ...shape, length: T, algorithm: 'quadratic' }).out;
      const part = (x: Reals, dim: number, from: number, to: number): Reals =>
        realsOf(
          type,
          [0, 1].flatMap((h) => [...tokens(x, dim, h * T + from, h * T + to)]),
        );
      const cut = (from: number, to: number) => ({
        ...{ q: part(a.q, d, from, to), k: part(a.k, d, from, to), v: part(a.v, dv, from, to) },
      });
      const tolerance = relative(type, whole);
      for (const at of [0, 1, 16, 22]) {
        const first = recurrentAttention(cut(0, at), { ...shape, length: at, returnState: true });
        const second = await recurrentAttentionAsync(
          { ...cut(at, T), initialState: first.state },
          { ...shape, length: T - at, chunkSize: 7, threads: 2 },
        );
        expectClose(first.out, part(whole, dv, 0, at), tolerance, 'first');
        expectClose(second.out, part(whole, dv, at, T), tolerance, 'second');
      }
      const state = createAttentionState({ ...shape, dtype: type as 'f64' }) as AttentionState;
      expect(state.bytes).toBe(heads * 10 * (dv + 1) * (type === 'f64' ? 8 : 4));
      for (let t = 0; t < T; t++) {
        const copy = state.clone();
        const { q, k, v } = cut(t, t + 1);
        const y = state.step(q, k, v);
        expectClose(y, part(whole, dv, t, t + 1), tolerance, `token ${t}`);
        expectSameBits(copy.step(q, k, v), y, 'clone');
      }
      expect(state.tokens).toBe(T);
      if (type === 'f32') return;
      const gout = normalRow64(heads * T * dv, 1, 14);
      const loss = (x: typeof a): number => {
        const { out } = recurrentAttention(x, { ...shape, length: T });
        return gout.reduce((sum, g, i) => sum + g * out[i], 0);
      };
      for (const algorithm of ALGORITHMS) {
        const g = recurrentAttentionBackward(
          { ...a, gout },
          { ...shape, length: T, algorithm, chunkSize: 8 },
        );
        for (const [name, x, dx] of [
          ['q', a.q, g.dq],
          ['k', a.k, g.dk],
          ['v', a.v, g.dv],
        ] as const)
          for (let i = 0; i < x.length; i += 11) {
            const at = (step: number): number => {
              const moved = x.slice();
              moved[i] += step;
              return loss({ ...a, [name]: moved });
            };
            const slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            expectNear(dx[i], slope, 1e-6 * Math.max(1, Math.abs(slope)), `d${name}[${i}]`);
          }
      }
    });

    it('a length of 0 is empty, a sum of 0 is refused unless epsilon is above it', () => {
      const none = realsOf(type, []);
      expect(
        recurrentAttention({ q: none, k: none, v: none }, { length: 0, headDim: 3, valueDim: 2 }).out.length,
      ).toBe(0);
      const inputs = { q: realsOf(type, [1]), k: realsOf(type, [-1]), v: realsOf(type, [3]) };
      const shape = { length: 1, headDim: 1, valueDim: 1, order: 1 };
      expect(() => recurrentAttention(inputs, shape)).toThrow(/"epsilon" must be above 0/);
      expect(recurrentAttention(inputs, { ...shape, epsilon: 1e-3 }).out[0]).toBe(0);
    });
  });
});
