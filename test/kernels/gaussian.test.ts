import {
  gaussianAttention,
  gaussianAttentionAsync,
  gaussianAttentionBackward,
  gaussianKernel,
  gaussianKernelAsync,
} from '../../lib/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow64 } from '../helpers/rows.js';
import { SOFT_CASES } from '../helpers/soft-fixtures.js';
import { gaussianAttention as exact, gaussianKernel as reference } from '../reference/soft-attention.js';

const SIZES = [
  [1, 1, 1],
  [3, 2, 5],
  [17, 9, 7],
  [33, 16, 16],
  [31, 33, 64],
  [257, 49, 32],
  [600, 7, 3],
] as const;

onEveryIsa(() => {
  describe('gaussianKernel', () => {
    it.each(SOFT_CASES)('fixture $#: K1 and A', ({ q, landmarks, K1, A, n, m, d }) => {
      const scaled = q.map((value) => value * d ** -0.25);
      expectClose(gaussianKernel(scaled, landmarks, { n, m, d }), K1, () => 1e-12, 'K1');
      expectClose(gaussianKernel(landmarks, landmarks, { n: m, m, d }), A, () => 1e-12, 'A');
      const [queries, points] = [Float32Array.from(scaled), Float32Array.from(landmarks)];
      expectClose(gaussianKernel(queries, points, { n, m, d }), K1, () => 2e-6, 'K1, float32');
      expectClose(gaussianKernel(points, points, { n: m, m, d }), A, () => 2e-6, 'A, float32');
    });

    it.each(SIZES)('%i x %i points of width %i: the reference, in both types', (n, m, d) => {
      const [a, b] = [normalRow64(n * d, 1, n), normalRow64(m * d, 1, m + 1000)];
      const scale = d ** -0.25;
      const expected = reference(a, b, { n, m, d, scaleA: scale, scaleB: scale });
      expectClose(gaussianKernel(a, b, { n, m, d, scale }), expected, () => 1e-13);
      const narrow = gaussianKernel(Float32Array.from(a), Float32Array.from(b), { n, m, d, scale });
      expectClose(narrow, expected, () => 4e-6);
    });

    it('never exceeds 1, where rounding would have it so, and ends at 0', () => {
      const a = Float32Array.from({ length: 64 * 8 }, (_, i) => 3000 + (i % 8));
      const near = gaussianKernel(a, a, { n: 64, m: 64, d: 8 });
      expect(near.every((value) => value >= 0 && value <= 1)).toBe(true);
      const far = gaussianKernel(Float32Array.of(1e18), Float32Array.of(-1e18), { n: 1, m: 1, d: 1 });
      expect(Array.from(far)).toEqual([0]);
    });

    it('the same bits in a batch, as a promise and on any number of threads', async () => {
      const [n, m, d, batch] = [300, 20, 9, 3];
      const [a, b] = [normalRow64(batch * n * d, 1, 5), normalRow64(batch * m * d, 1, 6)];
      const all = gaussianKernel(a, b, { n, m, d, batch });
      for (const threads of [2, 8]) expectSameBits(gaussianKernel(a, b, { n, m, d, batch, threads }), all);
      expectSameBits(await gaussianKernelAsync(a, b, { n, m, d, batch }), all);
      const second = gaussianKernel(a.slice(n * d, 2 * n * d), b.slice(m * d, 2 * m * d), { n, m, d });
      expectSameBits(second, all.slice(n * m, 2 * n * m));
      const out = new Float64Array(n * m);
      expect(gaussianKernel(a.slice(0, n * d), b.slice(0, m * d), { n, m, d, out })).toBe(out);
      expect(gaussianKernel(new Float64Array(0), new Float64Array(0), { n, m, d, batch: 0 })).toHaveLength(0);
    });
  });

  describe('gaussianAttention', () => {
    it.each([
      [1, 1, 1],
      [9, 4, 3],
      [64, 3, 16],
      [300, 8, 5],
    ])('n = %i, d = %i, dv = %i: the reference, and central differences', async (n, d, dv) => {
      const heads = 2;
      const [q, v, g] = [n * d, n * dv, n * dv].map((size, i) => normalRow64(heads * size, 1, 40 + i));
      const options = { heads, n, d, dv };
      const out = gaussianAttention({ q, v }, options);
      for (let h = 0; h < heads; h += 1) {
        const expected = exact(q.subarray(h * n * d), v.subarray(h * n * dv), { n, d, dv });
        expectClose(out.subarray(h * n * dv, (h + 1) * n * dv), expected, () => 1e-11 * n);
      }
      expectSameBits(gaussianAttention({ q, v }, { ...options, threads: 8 }), out);
      expectSameBits(await gaussianAttentionAsync({ q, v }, options), out);
      const gradients = gaussianAttentionBackward({ q, v }, g, options);
      const loss = (queries: Float64Array, values: Float64Array): number =>
        gaussianAttention({ q: queries, v: values }, options).reduce(
          (sum, value, i) => sum + value * g[i],
          0,
        );
      for (const [name, x, gradient, of] of [
        ['dq', q, gradients.dq, (moved: Float64Array) => loss(moved, v)],
        ['dv', v, gradients.dv, (moved: Float64Array) => loss(q, moved)],
      ] as const) {
        for (const i of [0, Math.floor(x.length / 3), x.length - 1]) {
          const moved = [1e-5, -1e-5].map((h) => of(x.map((value, j) => (j === i ? value + h : value))));
          expectClose([gradient[i]], [(moved[0] - moved[1]) / 2e-5], () => 1e-6 * n, `${name}[${i}]`);
        }
      }
      const [q32, v32, g32] = [q, v, g].map((x) => Float32Array.from(x));
      expectClose(gaussianAttention({ q: q32, v: v32 }, options), out, () => 1e-5 * n);
      const narrow = gaussianAttentionBackward({ q: q32, v: v32 }, g32, options);
      expectClose(narrow.dq, gradients.dq, () => 1e-4 * n);
    });
  });
});
