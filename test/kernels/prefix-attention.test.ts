import {
  linearAttention,
  linearAttentionStep,
  prefixLinearAttention,
  prefixLinearAttentionAsync,
  prefixLinearAttentionBackward,
  taylorFeatureMap,
  taylorFeatures,
} from '../../lib/index.js';
import { expectClose, expectNear, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import {
  arraysOf,
  linearCase,
  normals,
  prefixFixtures,
  REALS,
  realsOf,
  relative,
  type PrefixFixture,
  type Real,
} from '../helpers/linear.js';
import * as reference from '../reference/linear-attention.js';

const ALGORITHMS = ['auto', 'quadratic', 'chunk', 'recurrent'] as const;

const inputsOf = (type: Real, c: PrefixFixture) => {
  const array = (x: { data: number[] }) => realsOf(type, x.data);
  return {
    ...{ q: array(c.q), k: array(c.k), v: array(c.v), kEnc: array(c.k_enc), vEnc: array(c.v_enc) },
    gout: array(c.grad_out),
  };
};
const shapeOf = (c: PrefixFixture) => ({
  ...{ length: c.N, encoderLength: c.M, featureDim: c.f, valueDim: c.dv },
});

onEveryIsa(() => {
  describe.each(REALS)('%s', (type) => {
    const close = (actual: ArrayLike<number>, expected: { data: number[] }, label: string) =>
      expectClose(actual, expected.data, relative(type, expected.data), label);

    it.each(prefixFixtures().map((c, i) => [i, c] as const))('fixture %i', (_, c) => {
      const inputs = inputsOf(type, c);
      for (const algorithm of ALGORITHMS) {
        for (const chunkSize of [undefined, 1, 4]) {
          const options = { ...shapeOf(c), algorithm, chunkSize };
          const { out, state, emptyRows } = prefixLinearAttention(inputs, {
            ...options,
            symmetric: false,
            returnState: true,
          });
          close(out, c.out, 'out');
          close(state!.kv, c.state_kv_final, 'kv');
          close(state!.k, c.state_k_final, 'k');
          expect([state!.features, emptyRows]).toEqual([c.D, 0]);
          close(prefixLinearAttention(inputs, options).out, c.out, 'symmetric out');
          const d = prefixLinearAttentionBackward(inputs, options);
          close(d.dq, c.grad_q, 'dq');
          close(d.dk, c.grad_k, 'dk');
          close(d.dv, c.grad_v, 'dv');
          close(d.dkEnc, c.grad_k_enc, 'dkEnc');
          close(d.dvEnc, c.grad_v_enc, 'dvEnc');
          const none = realsOf(type, []);
          const alone = { ...options, encoderLength: 0 };
          close(
            prefixLinearAttention({ ...inputs, kEnc: none, vEnc: none }, alone).out,
            c.causal_only_out,
            'causal',
          );
          const mask = new Uint8Array(c.N).fill(1).fill(0, 0, c.left_pad);
          const padded = prefixLinearAttention({ ...inputs, mask }, { ...options, padding: 'reference' });
          close(padded.out, c.out_left_padded_reference, 'padded');
        }
      }
      const phi = taylorFeatureMap(inputs.q.subarray(0, c.f), { rows: 1, dim: c.f });
      close(phi, c.phi_q0, 'phi');
    });

    it('without an encoder is causal linear attention, and constant values come back', () => {
      const c = linearCase({ length: 40, headDim: 16, valueDim: 5, scale: 0.25 });
      const { q, k } = arraysOf(type, c);
      const [v, none] = [realsOf(type, new Array(200).fill(3)), realsOf(type, [])];
      const shape = { length: 40, featureDim: 16, valueDim: 5 };
      const { out } = prefixLinearAttention(
        { q, k, v, kEnc: none, vEnc: none },
        { ...shape, encoderLength: 0 },
      );
      const causal = linearAttention({ q, k, v }, { length: 40, headDim: 16, valueDim: 5, map: 'taylor' });
      expectSameBits(out, causal.out);
      expectClose(out, v, () => (type === 'f64' ? 1e-10 : 1e-5));
      const encoded = prefixLinearAttention({ q, k, v, kEnc: k, vEnc: v }, { ...shape, encoderLength: 40 });
      expectClose(encoded.out, v, () => (type === 'f64' ? 1e-10 : 1e-5));
    });

    it('of one token with q = 0 is the mean of both values', () => {
      const array = (...x: number[]) => realsOf(type, x);
      const inputs = { q: array(0, 0), k: array(1, 2), v: array(5), kEnc: array(3, 4), vEnc: array(8) };
      const { out } = prefixLinearAttention(inputs, {
        ...{ length: 1, encoderLength: 1, featureDim: 2, valueDim: 1 },
      });
      expectNear(out[0], 6.5, 1e-6);
    });

    it.each(ALGORITHMS)('prefills with %s, then decodes as one causal pass', (algorithm) => {
      const [N, M, extra, f, dv] = [37, 21, 6, 16, 20];
      const c = linearCase({
        length: N + extra,
        encoderLength: M,
        headDim: f,
        valueDim: dv,
        heads: 2,
        scale: 0.25,
      });
      const arrays = arraysOf(type, c);
      const part = (x: typeof arrays.q, dim: number, from: number, to: number) =>
        realsOf(
          type,
          [0, 1].flatMap((h) => [
            ...x.subarray((h * (N + extra) + from) * dim, (h * (N + extra) + to) * dim),
          ]),
        );
      const shape = { heads: 2, encoderLength: M, featureDim: f, valueDim: dv, algorithm };
      const whole = prefixLinearAttention(arrays, { ...shape, length: N + extra }).out;
      const early = {
        ...arrays,
        q: part(arrays.q, f, 0, N),
        k: part(arrays.k, f, 0, N),
        v: part(arrays.v, dv, 0, N),
      };
      const { out, state } = prefixLinearAttention(early, { ...shape, length: N, returnState: true });
      expectClose(out, part(whole, dv, 0, N), relative(type, whole), 'prefill');
      for (let t = N; t < N + extra; t++) {
        const y = linearAttentionStep(state!, {
          ...{
            q: part(arrays.q, f, t, t + 1),
            k: part(arrays.k, f, t, t + 1),
            v: part(arrays.v, dv, t, t + 1),
          },
        });
        expectClose(y, part(whole, dv, t, t + 1), relative(type, whole), `token ${t}`);
      }
    });

    it('sees the encoder without order, and as much of it as there are tokens', () => {
      const c = linearCase({ length: 12, encoderLength: 15, headDim: 4, valueDim: 3, heads: 2 });
      const arrays = arraysOf(type, c);
      const gout = normals(type, 72, 1, 9);
      const shape = { heads: 2, length: 12, encoderLength: 15, featureDim: 4, valueDim: 3 };
      const first = (x: typeof arrays.q, dim: number) =>
        realsOf(
          type,
          [0, 1].flatMap((h) => [...x.subarray(h * 15 * dim, (h * 15 + 12) * dim)]),
        );
      const cutArrays = { ...arrays, kEnc: first(arrays.kEnc, 4), vEnc: first(arrays.vEnc, 3) };
      const cut = { ...shape, encoderLength: 12 };
      expectSameBits(prefixLinearAttention(arrays, shape).out, prefixLinearAttention(cutArrays, cut).out);
      const long = prefixLinearAttentionBackward({ ...arrays, gout }, shape);
      const short = prefixLinearAttentionBackward({ ...cutArrays, gout }, cut);
      expectSameBits(first(long.dkEnc, 4), short.dkEnc);
      expectSameBits(first(long.dvEnc, 3), short.dvEnc);
      expect(long.dkEnc.subarray(48, 60).every((value) => value === 0)).toBe(true);

      const turned = (x: typeof arrays.q, dim: number) =>
        realsOf(
          type,
          [0, 1].flatMap((h) =>
            Array.from({ length: 12 }, (_, j) => [
              ...x.subarray((h * 12 + 11 - j) * dim, (h * 12 + 12 - j) * dim),
            ]).flat(),
          ),
        );
      const permuted = { ...cutArrays, kEnc: turned(cutArrays.kEnc, 4), vEnc: turned(cutArrays.vEnc, 3) };
      const { out } = prefixLinearAttention(cutArrays, cut);
      expectClose(prefixLinearAttention(permuted, cut).out, out, relative(type, out));
    });

    it('masks exactly: as without the padding', () => {
      const pad = 5;
      const c = linearCase({ length: 30, encoderLength: 20, headDim: 4, valueDim: 3 });
      const arrays = arraysOf(type, c);
      const gout = normals(type, 90, 1, 9);
      const mask = new Uint8Array(30).fill(1).fill(0, 0, pad);
      const options = { length: 30, encoderLength: 20, featureDim: 4, valueDim: 3, chunkSize: 8 };
      const after = (x: typeof arrays.q, dim: number) => x.slice(pad * dim);
      const rest = {
        ...{ q: after(arrays.q, 4), k: after(arrays.k, 4), v: after(arrays.v, 3) },
        ...{ kEnc: after(arrays.kEnc, 4), vEnc: after(arrays.vEnc, 3), gout: after(gout, 3) },
      };
      for (const algorithm of ALGORITHMS) {
        const padded = prefixLinearAttention({ ...arrays, mask }, { ...options, algorithm });
        const short = { ...options, algorithm, length: 25, encoderLength: 15 };
        const { out } = prefixLinearAttention(rest, short);
        expectClose(after(padded.out, 3), out, relative(type, out), 'out');
        const d = prefixLinearAttentionBackward(
          { ...arrays, gout: gout.slice().fill(0, 0, pad * 3), mask },
          { ...options, algorithm },
        );
        const expected = prefixLinearAttentionBackward(rest, short);
        expectClose(after(d.dq, 4), expected.dq, relative(type, expected.dq), 'dq');
        expectClose(after(d.dk, 4), expected.dk, relative(type, expected.dk), 'dk');
        expectClose(after(d.dkEnc, 4), expected.dkEnc, relative(type, expected.dkEnc), 'dkEnc');
        expect(d.dkEnc.subarray(0, pad * 4).every((value) => value === 0)).toBe(true);
        expect(d.dv.subarray(0, pad * 3).every((value) => value === 0)).toBe(true);
      }
      const nothing = prefixLinearAttention({ ...arrays, mask: new Uint8Array(30) }, options);
      expect(nothing.emptyRows).toBe(30);
      expect(nothing.out.every((value) => value === 0)).toBe(true);
    });

    it.each([
      { length: 9, encoderLength: 40, batch: 2, heads: 2, order: 3 },
      { length: 75, encoderLength: 33, headDim: 16, valueDim: 18, heads: 2 },
      { length: 20, encoderLength: 20, order: 4, headDim: 3 },
    ])('agrees with the reference: %j', async (shape) => {
      const c = linearCase({ ...shape, padding: 'exact' });
      const used = { ...c, encoderLength: Math.min(c.length, c.encoderLength!) };
      const arrays = arraysOf(type, used);
      const gout = normals(type, arrays.v.length, 1, 9);
      const mask = new Uint8Array(c.batch * c.length).fill(1).fill(0, 2, 5);
      const { batch, heads, length, headDim, valueDim, order, eps } = c;
      const options = { batch, heads, length, featureDim: headDim, valueDim, order, eps };
      const scaled = { ...used, scale: 1 / Math.sqrt(headDim) };
      for (const padding of ['exact', 'reference'] as const) {
        const expected = reference.linearAttention({ ...scaled, padding }, { ...arrays, mask });
        const gradients = reference.linearAttentionBackward(
          { ...scaled, padding },
          { ...arrays, mask },
          gout,
        );
        for (const algorithm of ALGORITHMS) {
          const full = { ...options, encoderLength: used.encoderLength, padding, algorithm, chunkSize: 12 };
          const one = prefixLinearAttention({ ...arrays, mask }, full);
          expectClose(one.out, expected.out, relative(type, expected.out), 'out');
          const many = await prefixLinearAttentionAsync({ ...arrays, mask }, { ...full, threads: 8 });
          expectSameBits(many.out, one.out, 'threads');
          const d = prefixLinearAttentionBackward({ ...arrays, gout, mask }, full);
          for (const name of ['dq', 'dk', 'dv', 'dkEnc', 'dvEnc'] as const)
            expectClose(d[name], gradients[name], relative(type, gradients[name]), name);
        }
      }
    });

    it('features: their inner products are the polynomial', () => {
      for (const [dim, order] of [
        [1, 0],
        [1, 3],
        [4, 2],
        [16, 2],
        [5, 4],
        [3, 6],
      ] as const) {
        const x = normals(type, 3 * dim, 1, dim);
        for (const symmetric of [true, false]) {
          const phi = taylorFeatures(x, { dim, order, symmetric });
          const count = phi.length / 3;
          const dot = (i: number, j: number, values: ArrayLike<number>, width: number): number => {
            let sum = 0;
            for (let f = 0; f < width; f++) sum += values[i * width + f] * values[j * width + f];
            return sum;
          };
          const choose = Array.from({ length: order }, (_, n) => (dim + order - n) / (order - n));
          const expected = symmetric
            ? Math.round(choose.reduce((a, b) => a * b, 1))
            : Array.from({ length: order + 1 }, (_, n) => dim ** n).reduce((a, b) => a + b, 0);
          expect(count).toBe(expected);
          for (const [i, j] of [
            [0, 1],
            [1, 2],
            [2, 2],
          ] as const) {
            const weight = reference.taylor(dot(i, j, x, dim) / Math.sqrt(dim), order);
            expectNear(
              dot(i, j, phi, count),
              weight,
              (type === 'f64' ? 1e-12 : 1e-5) * Math.max(1, Math.abs(weight)) * 8,
            );
          }
        }
      }
      const two = taylorFeatureMap(realsOf(type, [2]), { rows: 1, dim: 1 });
      expectClose(two, [1, 2, 4 / Math.SQRT2], () => 1e-6);
      const one = taylorFeatureMap(realsOf(type, [1]), { rows: 1, dim: 1 });
      expectNear(two[0] * one[0] + two[1] * one[1] + two[2] * one[2], 5, 1e-5);
    });
  });
});
