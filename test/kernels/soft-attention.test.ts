import {
  ConvergenceError,
  gaussianAttention,
  gaussianKernel,
  softAttention,
  softAttentionAsync,
  softAttentionBackward,
  softAttentionBackwardAsync,
} from '../../lib/index.js';
import type { SoftAttentionOptions } from '../../lib/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow64 } from '../helpers/rows.js';
import { SOFT_CASES } from '../helpers/soft-fixtures.js';
import { exactInverse, product, softAttention as reference } from '../reference/soft-attention.js';

const largest = (x: ArrayLike<number>): number =>
  Array.from(x).reduce((most, value) => Math.max(most, Math.abs(value)), 1e-300);
const relative = (x: ArrayLike<number>, tolerance: number) => () => tolerance * largest(x);

/** A random problem whose landmarks are spread as the queries are. */
function problem(count: number, n: number, m: number, d: number, dv: number, stream = 1) {
  const q = normalRow64(count * n * d, 1, stream);
  const landmarks = normalRow64(count * m * d, d ** -0.25, stream + 1);
  return {
    q,
    landmarks,
    v: normalRow64(count * n * dv, 1, stream + 2),
    g: normalRow64(count * n * dv, 1, stream + 3),
  };
}

onEveryIsa(() => {
  describe.each([
    ['soft', false],
    ['softpp', true],
  ] as const)('%s', (form, normalize) => {
    it.each(SOFT_CASES)('fixture $#: outputs and gradients', (c) => {
      const { q, landmarks, v, n, m, d, dv } = c;
      const options = { n, m, d, dv, normalize, iterations: 40, tolerance: 1e-6 };
      const { out, saved } = softAttention({ q, landmarks, v }, options);
      const expected = c[form];
      expectClose(out, expected.out, relative(expected.out, 1e-10), 'out');
      for (const gradient of ['implicit', 'unrolled'] as const) {
        const gradients = softAttentionBackward(saved, c.grad_out, { gradient });
        expectClose(gradients.dq, expected.grad_q, relative(expected.grad_q, 1e-8), `dq, ${gradient}`);
        expectClose(
          gradients.dLandmarks,
          expected.grad_landmarks,
          relative(expected.grad_landmarks, 1e-8),
          `dLandmarks, ${gradient}`,
        );
        expectClose(gradients.dv, expected.grad_v, relative(expected.grad_v, 1e-8), `dv, ${gradient}`);
      }
    });

    it.each(SOFT_CASES)('fixture $#: float32', (c) => {
      const { n, m, d, dv } = c;
      const [q, landmarks, v, g] = [c.q, c.landmarks, c.v, c.grad_out].map((x) => Float32Array.from(x));
      const { out, saved } = softAttention({ q, landmarks, v }, { n, m, d, dv, normalize, iterations: 40 });
      const expected = c[form];
      expectClose(out, expected.out, relative(expected.out, 1e-4), 'out');
      const gradients = softAttentionBackward(saved, g);
      expectClose(gradients.dq, expected.grad_q, relative(expected.grad_q, 1e-4), 'dq');
      expectClose(
        gradients.dLandmarks,
        expected.grad_landmarks,
        relative(expected.grad_landmarks, 1e-4),
        'dT',
      );
      expectClose(gradients.dv, expected.grad_v, relative(expected.grad_v, 1e-4), 'dv');
    });

    // m <= d + dv keeps the kernel between the passes, m > d + dv forms it again.
    it.each([
      [1, 1, 1, 1],
      [5, 2, 3, 4],
      [257, 16, 8, 8],
      [300, 33, 17, 5],
      [513, 7, 2, 3],
      [520, 40, 3, 9],
    ])('n = %i, m = %i, d = %i, dv = %i: the reference, head by head', (n, m, d, dv) => {
      const heads = 2;
      const { q, landmarks, v } = problem(heads, n, m, d, dv);
      const { out } = softAttention({ q, landmarks, v }, { heads, n, m, d, dv, normalize, iterations: 6 });
      for (let h = 0; h < heads; h += 1) {
        const expected = reference(
          q.subarray(h * n * d),
          landmarks.subarray(h * m * d, (h + 1) * m * d),
          v.subarray(h * n * dv),
          { n, m, d, dv, normalize, iterations: 6 },
        );
        expectClose(out.subarray(h * n * dv, (h + 1) * n * dv), expected.out, relative(expected.out, 1e-10));
      }
    });

    it.each([
      [300, 5, 4, 3, 20, 'implicit'],
      [300, 5, 4, 3, 20, 'unrolled'],
      [260, 9, 2, 2, 3, 'unrolled'],
      [260, 9, 3, 2, 4, 'unrolled'],
    ] as const)(
      'n = %i, m = %i, d = %i, dv = %i, %i iterations, %s: central differences',
      (n, m, d, dv, iterations, gradient) => {
        const { g, ...input } = problem(1, n, m, d, dv, 21);
        const options = { n, m, d, dv, normalize, iterations };
        const { saved } = softAttention(input, options);
        const gradients = softAttentionBackward(saved, g, { gradient });
        for (const [name, of] of [
          ['q', gradients.dq],
          ['landmarks', gradients.dLandmarks],
          ['v', gradients.dv],
        ] as const) {
          const x = input[name];
          for (const i of [0, Math.floor(x.length / 2), x.length - 1]) {
            const [up, down] = [1e-5, -1e-5].map((h) => {
              const moved = { ...input, [name]: x.map((value, j) => (j === i ? value + h : value)) };
              return softAttention(moved, options).out.reduce((sum, value, j) => sum + value * g[j], 0);
            });
            expectClose([of[i]], [(up - down) / 2e-5], () => 1e-6 * largest(of), `d${name}[${i}]`);
          }
        }
      },
    );

    it('the same bits as a promise, in a batch and on any number of threads', async () => {
      const [batch, heads, n, m, d, dv] = [2, 3, 600, 17, 12, 9];
      const all = problem(batch * heads, n, m, d, dv, 31);
      const [q, landmarks, v, g] = [all.q, all.landmarks, all.v, all.g].map((x) => Float32Array.from(x));
      const options = { batch, heads, n, m, d, dv, normalize };
      const { out, saved } = softAttention({ q, landmarks, v }, options);
      const gradients = softAttentionBackward(saved, g);
      for (const threads of [2, 8]) {
        expectSameBits(softAttention({ q, landmarks, v }, { ...options, threads }).out, out);
        const again = softAttentionBackward(saved, g, { threads });
        for (const name of ['dq', 'dLandmarks', 'dv'] as const)
          expectSameBits(again[name], gradients[name], name);
      }
      const promised = await softAttentionAsync({ q, landmarks, v }, { ...options, threads: 2 });
      expectSameBits(promised.out, out);
      expectSameBits((await softAttentionBackwardAsync(promised.saved, g)).dq, gradients.dq);
      const head = 4;
      const one = softAttention(
        {
          q: q.slice(head * n * d, (head + 1) * n * d),
          landmarks: landmarks.slice(head * m * d, (head + 1) * m * d),
          v: v.slice(head * n * dv, (head + 1) * n * dv),
        },
        { n, m, d, dv, normalize },
      );
      expectSameBits(one.out, out.slice(head * n * dv, (head + 1) * n * dv), 'one head alone');
    });
  });

  it('all scaled tokens as landmarks, no ridge: the exact kernel', () => {
    const [n, d, dv] = [24, 6, 5];
    const q = normalRow64(n * d, 4, 51);
    const v = normalRow64(n * dv, 1, 52);
    const landmarks = q.map((value) => value * d ** -0.25);
    const options = { n, m: n, d, dv, ridge: 0, iterations: 60, tolerance: 1e-9 };
    const { out } = softAttention({ q, landmarks, v }, options);
    expectClose(out, gaussianAttention({ q, v }, { n, d, dv }), () => 1e-8);
  });

  it('permuted tokens permute the rows; permuted landmarks change nothing; S is symmetric and positive', () => {
    const [n, m, d] = [40, 8, 5];
    const { q, landmarks } = problem(1, n, m, d, n, 61);
    const identity = Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
    const options: SoftAttentionOptions<Float64Array> = { n, m, d, dv: n, iterations: 40 };
    const S = softAttention({ q, landmarks, v: identity }, options).out;
    for (let i = 0; i < n; i += 1)
      for (let j = 0; j < i; j += 1) expect(Math.abs(S[i * n + j] - S[j * n + i])).toBeLessThan(1e-11);
    for (let k = 0; k < 5; k += 1) {
      const x = normalRow64(n, 1, 70 + k);
      const form = product(x, product(S, x, n, 1, n), 1, 1, n)[0];
      expect(form).toBeGreaterThan(-1e-10);
    }
    const rows = (x: Float64Array, width: number, order: (i: number) => number): Float64Array =>
      Float64Array.from(x, (_, at) => x[order(Math.floor(at / width)) * width + (at % width)]);
    const v = normalRow64(n * 3, 1, 63);
    const out = softAttention({ q, landmarks, v }, { ...options, dv: 3 }).out;
    const turned = (i: number): number => (i * 7 + 3) % n;
    const permuted = softAttention(
      { q: rows(q, d, turned), landmarks, v: rows(v, 3, turned) },
      { ...options, dv: 3 },
    ).out;
    expectClose(permuted, rows(out, 3, turned), () => 1e-11);
    const other = softAttention(
      { q, landmarks: rows(landmarks, d, (i) => (i * 3 + 1) % m), v },
      { ...options, dv: 3 },
    ).out;
    expectClose(other, out, () => 1e-11);
  });

  it('coinciding landmarks: finite with the ridge, and a tolerance is told', () => {
    const { q, v } = problem(1, 20, 4, 3, 3, 71);
    const landmarks = new Float64Array(12).fill(0.5);
    const options = { n: 20, m: 4, d: 3, iterations: 60 };
    const { out, condition } = softAttention({ q, landmarks, v }, options);
    expect(out.every(Number.isFinite)).toBe(true);
    expect(condition[0]).toBeGreaterThan(400);
    let thrown: unknown;
    try {
      softAttention({ q, landmarks, v }, { ...options, ridge: 0, alpha: 0.1, tolerance: 1e-6 });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ConvergenceError);
  });

  it('SOFT++ of an invertible A without ridge: inv(D^(1/2) A D^(1/2)) in the middle', () => {
    const [n, m, d, dv] = [30, 6, 8, 4];
    const { q, landmarks, v } = problem(1, n, m, d, dv, 81);
    const { out } = softAttention(
      { q, landmarks, v },
      { n, m, d, dv, normalize: true, ridge: 0, iterations: 40, tolerance: 1e-9 },
    );
    const { K1, A } = reference(q, landmarks, v, { n, m, d, dv });
    const roots = Array.from({ length: m }, (_, i) =>
      Math.sqrt(A.subarray(i * m, (i + 1) * m).reduce((sum, x) => sum + x, 0)),
    );
    const middle = exactInverse(
      A.map((value, at) => value * roots[Math.floor(at / m)] * roots[at % m]),
      m,
    );
    const gathered = Float64Array.from({ length: m * dv }, (_, at) => {
      const [i, c] = [Math.floor(at / dv), at % dv];
      let sum = 0;
      for (let t = 0; t < n; t += 1) sum += K1[t * m + i] * v[t * dv + c];
      return sum;
    });
    expectClose(out, product(K1, product(middle, gathered, m, dv, m), n, dv, m), () => 1e-9);
  });

  it('the error against the exact kernel falls with the number of landmarks', () => {
    const [n, d] = [256, 3];
    const q = normalRow64(n * d, 1.5, 91);
    const scale = d ** -0.25;
    const identity = Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
    const exact = gaussianKernel(q, q, { n, m: n, d, scale });
    const size = Math.hypot(...exact);
    const errors = [4, 8, 16, 32, 64, 128].map((m) => {
      const landmarks = q.slice(0, m * d).map((value) => value * scale);
      const options = { n, m, d, dv: n, ridge: 1e-6, iterations: 60 };
      const S = softAttention({ q, landmarks, v: identity }, options).out;
      return Math.hypot(...S.map((value, i) => value - exact[i])) / size;
    });
    errors.slice(1).forEach((error, i) => expect(error).toBeLessThan(0.8 * errors[i]));
    expect(errors[0]).toBeGreaterThan(0.1);
    expect(errors.at(-1)).toBeLessThan(0.05);
  });

  it('an empty batch gives empty arrays', () => {
    const none = new Float32Array(0);
    const { out, saved, residual } = softAttention(
      { q: none, landmarks: none, v: none },
      { batch: 0, n: 4, m: 2, d: 3 },
    );
    expect([out.length, residual.length]).toEqual([0, 0]);
    expect(softAttentionBackward(saved, none).dLandmarks).toHaveLength(0);
  });
});
