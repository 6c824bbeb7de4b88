import {
  createLinearState,
  linearAttention,
  linearAttentionAsync,
  linearAttentionBackward,
  linearAttentionStep,
  type LinearAlgorithm,
} from '../../lib/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { arraysOf, linearCase, normals, optionsOf, REALS, realsOf, relative } from '../helpers/linear.js';
import { memo } from '../helpers/memo.js';
import { integers } from '../helpers/rows.js';
import * as reference from '../reference/linear-attention.js';
import type { LinearCase } from '../reference/linear-attention.js';

const ALGORITHMS: readonly LinearAlgorithm[] = ['auto', 'quadratic', 'chunk', 'recurrent'];

/** Sizes around vectors, tiles and chunks; every map; with and without what can be left out. */
const SHAPES: readonly Partial<LinearCase>[] = [
  { length: 1 },
  { length: 2, headDim: 1, valueDim: 1, order: 3 },
  { length: 37, headDim: 5, valueDim: 7, order: 4, batch: 2, heads: 3 },
  { length: 67, headDim: 3, valueDim: 17, order: 3, normalize: false },
  { length: 19, headDim: 4, valueDim: 16, order: 0 },
  { length: 50, headDim: 16, valueDim: 33, order: 1, normalize: false, heads: 2 },
  { length: 70, headDim: 17, valueDim: 65, map: 'elu', scale: 1 },
  { length: 41, headDim: 9, valueDim: 31, map: 'relu', scale: 0.3, eps: 1e-3, batch: 2 },
  { length: 33, headDim: 8, valueDim: 8, map: 'identity', scale: 2, normalize: false },
  { length: 45, headDim: 6, valueDim: 5, order: 2, causal: false },
  { length: 300, headDim: 4, valueDim: 20 },
  { length: 29, headDim: 7, valueDim: 9, map: 'elu', scale: 1, causal: false, heads: 2 },
];

// The reference is slow: each case is worked out once for all instruction sets and algorithms.
const worked = memo((key: string) => {
  const [shape, type, masked, padding] = JSON.parse(key) as [
    ...[number, (typeof REALS)[number], boolean],
    'exact' | 'reference',
  ];
  const c = { ...linearCase(SHAPES[shape]), padding };
  const { q, k, v } = arraysOf(type, c);
  const mask = masked ? Uint8Array.from(integers(c.batch * c.length, 2, shape)) : undefined;
  const gout = normals(type, v.length, 1, 6);
  const arrays = { q, k, v, mask };
  return {
    c,
    inputs: { q, k, v, mask, gout },
    expected: reference.linearAttention(c, arrays),
    gradients: reference.linearAttentionBackward(c, arrays, gout),
  };
});

onEveryIsa(() => {
  describe.each(REALS)('%s', (type) => {
    describe.each(ALGORITHMS)('%s', (algorithm) => {
      it.each(SHAPES.map((shape, i) => [JSON.stringify(shape), i] as const))('%s', (_, shape) => {
        for (const masked of [false, true]) {
          for (const padding of masked ? (['exact', 'reference'] as const) : (['exact'] as const)) {
            for (const chunkSize of [undefined, 16, 5]) {
              const { c, inputs, expected, gradients } = worked(
                JSON.stringify([shape, type, masked, padding]),
              );
              const options = { ...optionsOf(c), algorithm, chunkSize };
              const { out } = linearAttention(inputs, options);
              expectClose(out, expected.out, relative(type, expected.out), 'out');
              const { dq, dk, dv } = linearAttentionBackward(inputs, options);
              expectClose(dq, gradients.dq, relative(type, gradients.dq), 'dq');
              expectClose(dk, gradients.dk, relative(type, gradients.dk), 'dk');
              expectClose(dv, gradients.dv, relative(type, gradients.dv), 'dv');
            }
          }
        }
      });
    });

    it('gives the same bits for any number of threads', async () => {
      for (const shape of [
        { length: 150, headDim: 5, valueDim: 70 },
        { length: 90, heads: 3, valueDim: 40 },
      ]) {
        const c = linearCase(shape);
        const { q, k, v } = arraysOf(type, c);
        const gout = normals(type, v.length, 1, 6);
        for (const algorithm of ALGORITHMS) {
          const options = { ...optionsOf(c), algorithm, returnState: true };
          const one = linearAttention({ q, k, v }, options);
          const back = linearAttentionBackward({ q, k, v, gout }, options);
          for (const threads of [2, 8]) {
            const many = await linearAttentionAsync({ q, k, v }, { ...options, threads });
            expectSameBits(many.out, one.out, 'out');
            expectSameBits(many.state!.kv, one.state!.kv, 'kv');
            expectSameBits(many.state!.k, one.state!.k, 'k');
            const { dq, dk, dv } = linearAttentionBackward({ q, k, v, gout }, { ...options, threads });
            expectSameBits(dq, back.dq, 'dq');
            expectSameBits(dk, back.dk, 'dk');
            expectSameBits(dv, back.dv, 'dv');
          }
        }
      }
    });

    it.each(['elu', 'relu', 'identity', 'taylor'] as const)('%s goes on from a state', (map) => {
      const c = linearCase({
        length: 53,
        heads: 2,
        headDim: 6,
        valueDim: 18,
        map,
        normalize: map !== 'identity',
      });
      const { q, k, v } = arraysOf(type, c);
      const gout = normals(type, v.length, 1, 6);
      const part = (x: typeof q, dim: number, from: number, to: number) =>
        realsOf(
          type,
          [0, 1].flatMap((head) => [...x.subarray((head * 53 + from) * dim, (head * 53 + to) * dim)]),
        );
      const cut = (from: number, to: number) => ({
        q: part(q, 6, from, to),
        k: part(k, 6, from, to),
        v: part(v, 18, from, to),
        gout: part(gout, 18, from, to),
      });
      const whole = linearAttention({ q, k, v }, { ...optionsOf(c), returnState: true });
      const all = linearAttentionBackward({ q, k, v, gout }, optionsOf(c));
      for (const at of [1, 16, 40, 52]) {
        for (const algorithm of ALGORITHMS) {
          const options = { ...optionsOf(c), algorithm, chunkSize: 16, returnState: true };
          const [head, tail] = [cut(0, at), cut(at, 53)];
          const first = linearAttention(head, { ...options, length: at });
          const second = linearAttention(
            { ...tail, initialState: first.state },
            { ...options, length: 53 - at },
          );
          const expected = part(whole.out, 18, at, 53);
          expectClose(second.out, expected, relative(type, whole.out), 'out');
          expectClose(second.state!.kv, whole.state!.kv, relative(type, whole.state!.kv), 'kv');
          expectClose(second.state!.k, whole.state!.k, relative(type, whole.state!.k), 'k');
          const late = linearAttentionBackward(
            { ...tail, initialState: first.state },
            { ...options, length: 53 - at },
          );
          const early = linearAttentionBackward(
            { ...head, gstate: late.dinitialState },
            { ...options, length: at },
          );
          expectClose(late.dq, part(all.dq, 6, at, 53), relative(type, all.dq), 'late dq');
          expectClose(late.dk, part(all.dk, 6, at, 53), relative(type, all.dk), 'late dk');
          expectClose(early.dq, part(all.dq, 6, 0, at), relative(type, all.dq), 'early dq');
          expectClose(early.dk, part(all.dk, 6, 0, at), relative(type, all.dk), 'early dk');
          expectClose(early.dv, part(all.dv, 18, 0, at), relative(type, all.dv), 'early dv');
        }
      }
    });

    it.each([1, 2, 5, 17])('decodes as it prefills, with %i heads', (heads) => {
      for (const map of ['elu', 'taylor'] as const) {
        const c = linearCase({ length: 9, heads, headDim: 5, valueDim: 67, map });
        const { q, k, v } = arraysOf(type, c);
        const { out, state: last } = linearAttention({ q, k, v }, { ...optionsOf(c), returnState: true });
        const { headDim, valueDim, order, scale } = c;
        const features = {
          heads,
          headDim,
          valueDim,
          map,
          scale,
          order: map === 'taylor' ? order : undefined,
        };
        const state = createLinearState({ ...features, dtype: type as 'f64' });
        for (let t = 0; t < 9; t++) {
          const row = (x: typeof q, dim: number) =>
            realsOf(
              type,
              Array.from({ length: heads }, (_, h) => [
                ...x.subarray((h * 9 + t) * dim, (h * 9 + t + 1) * dim),
              ]).flat(),
            ) as Float64Array;
          const y = linearAttentionStep(state, { q: row(q, 5), k: row(k, 5), v: row(v, 67) });
          expectClose(y, row(out, 67), relative(type, out), `token ${t}`);
        }
        expectClose(state.kv, last!.kv, relative(type, last!.kv), 'kv');
        expectClose(state.k, last!.k, relative(type, last!.k), 'k');
      }
    });

    it('counts rows whose weights sum to zero, and makes them zero', () => {
      const c = linearCase({ length: 4, map: 'relu', scale: 1 });
      const { k, v } = arraysOf(type, c);
      const { out, emptyRows } = linearAttention(
        { q: realsOf(type, new Array(16).fill(-1)), k, v },
        optionsOf(c),
      );
      expect(emptyRows).toBe(4);
      expect([...out]).toEqual(new Array(12).fill(0));
      const masked = linearAttention(
        { q: k, k, v, mask: new Uint8Array(4) },
        { ...optionsOf(c), map: 'elu' },
      );
      expect(masked.emptyRows).toBe(4);
      expect(masked.out.every((value) => value === 0)).toBe(true);
    });

    it('length 0 is empty', () => {
      const empty = realsOf(type, []);
      const none = linearAttention({ q: empty, k: empty, v: empty }, { length: 0, headDim: 4, valueDim: 4 });
      expect(none.out.length).toBe(0);
      const batchless = { batch: 0, length: 5, headDim: 4, valueDim: 4 };
      expect(linearAttention({ q: empty, k: empty, v: empty }, batchless).out.length).toBe(0);
    });
  });
});
