import {
  applyRope,
  applyRopeAsync,
  layerNorm,
  layerNormAsync,
  rmsNorm,
  rmsNormAsync,
  swiglu,
  swigluAsync,
} from '../../lib/index.js';
import { expectClose, expectSameBits, type Tolerance } from '../helpers/compare.js';
import { flashFixture, type RopeCase, type RopeScalingFixture } from '../helpers/flash-fixtures.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow, shifted, untouchedOutside } from '../helpers/rows.js';
import { inverseFrequencies, rope } from '../reference/rope.js';
import * as reference from '../reference/transformer.js';

const COLS = [1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 257, 1009, 4096];
const ROWS = [1, 2, 5];

/** Rotation keeps to 1e-6 of the largest element. */
function rotated(x: ArrayLike<number>): Tolerance {
  const largest = Array.from(x).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return () => 1e-6 * largest;
}

onEveryIsa(() => {
  describe('rmsNorm', () => {
    it.each(COLS)('rows of %i, with and without a residual', async (cols) => {
      for (const rows of ROWS) {
        const [x, residual, w] = [rows * cols, rows * cols, cols].map((count, i) => normalRow(count, 2, i));
        for (const eps of [1e-5, 1e-6, 0.1]) {
          const expected = reference.rmsNorm(x, w, eps);
          const y = rmsNorm(x, w, { rows, eps });
          expectClose(y, expected, (_, value) => 2e-6 * Math.abs(value) + 1e-37, `eps ${eps}`);
          expectSameBits(await rmsNormAsync(x, w, { rows, eps }), y, 'promise');
          const out = x.slice();
          expect(rmsNorm(out, w, { rows, eps, out })).toBe(out);
          expectSameBits(out, y, 'in place');

          // x + residual is rounded to float32 once, kept, and normed.
          const sum = x.map((value, i) => value + residual[i]);
          const kept = residual.slice();
          const fused = rmsNorm(x, w, { rows, eps, residual: kept });
          expectSameBits(kept, sum, 'the residual holds the sum');
          expectSameBits(fused, rmsNorm(sum, w, { rows, eps }), 'the sum is normed');
        }
      }
    });

    it('the default eps is 1e-5', () => {
      const x = normalRow(12, 1e-3, 1);
      const w = normalRow(12, 1, 2);
      expectSameBits(rmsNorm(x, w), rmsNorm(x, w, { eps: 1e-5 }));
      expectClose(rmsNorm(x, w), reference.rmsNorm(x, w, 1e-5), (_, value) => 2e-6 * Math.abs(value));
    });

    it('NaN stays in its row; zeros stay zeros; large rows do not overflow early', () => {
      const x = normalRow(3 * 33, 1, 3);
      const w = normalRow(33, 1, 4);
      const clean = rmsNorm(x, w, { rows: 3 });
      x[40] = NaN;
      const spoilt = rmsNorm(x, w, { rows: 3 });
      expectSameBits(spoilt.subarray(0, 33), clean.subarray(0, 33));
      expectSameBits(spoilt.subarray(66), clean.subarray(66));
      expect(spoilt.subarray(33, 66).every(Number.isNaN)).toBe(true);
      expect(rmsNorm(new Float32Array(33), w).every((value) => value === 0)).toBe(true);
      const large = normalRow(33, 1e17, 5);
      expectClose(rmsNorm(large, w), reference.rmsNorm(large, w, 1e-5), (_, v) => 2e-6 * Math.abs(v));
    });

    it('a row does not depend on the others, nor on where it lies', () => {
      const [rows, cols] = [5, 77];
      const [x, w] = [normalRow(rows * cols, 1, 6), normalRow(cols, 1, 7)];
      const all = rmsNorm(x, w, { rows });
      for (let r = 0; r < rows; r += 1) {
        const row = x.subarray(r * cols, (r + 1) * cols);
        expectSameBits(rmsNorm(row, w), all.subarray(r * cols, (r + 1) * cols), `row ${r}`);
        const { view, whole } = shifted(row, 3);
        rmsNorm(view, w, { out: view });
        expectSameBits(view, all.subarray(r * cols, (r + 1) * cols), `row ${r} moved`);
        expect(untouchedOutside(whole, 3, 3 + cols)).toBe(true);
      }
    });
  });

  describe('layerNorm', () => {
    it.each(COLS)('rows of %i', async (cols) => {
      for (const rows of ROWS) {
        const [x, w, b] = [rows * cols, cols, cols].map((count, i) => normalRow(count, 2, 20 + i));
        const expected = reference.layerNorm(x, w, b, 1e-5);
        const y = layerNorm(x, w, b, { rows, eps: 1e-5 });
        // With one or two columns the differences from the mean may be small beside x.
        expectClose(
          y,
          expected,
          (i) => 4e-6 * (Math.abs(w[i % cols]) * 4 + Math.abs(b[i % cols])),
          `${rows}`,
        );
        expectSameBits(await layerNormAsync(x, w, b, { rows, eps: 1e-5 }), y, 'promise');
        const out = x.slice();
        expectSameBits(layerNorm(out, w, b, { rows, out }), y, 'in place');
      }
    });

    it('does not lose the variance of rows far from 0', () => {
      const x = normalRow(100, 1, 30).map((value) => value + 1000);
      const [w, b] = [normalRow(100, 1, 31), normalRow(100, 1, 32)];
      // The mean rounds to 3e-5 at 1000.
      expectClose(layerNorm(x, w, b), reference.layerNorm(x, w, b, 1e-5), () => 4e-4);
    });

    it('NaN stays in its row', () => {
      const [x, w, b] = [99, 33, 33].map((count, i) => normalRow(count, 1, 40 + i));
      const clean = layerNorm(x, w, b, { rows: 3 });
      x[0] = NaN;
      const spoilt = layerNorm(x, w, b, { rows: 3 });
      expect(spoilt.subarray(0, 33).every(Number.isNaN)).toBe(true);
      expectSameBits(spoilt.subarray(33), clean.subarray(33));
    });
  });

  describe('swiglu', () => {
    it.each([1, 7, 8, 15, 16, 17, 33, 100, 4099])('%i elements', async (count) => {
      const [gate, up] = [normalRow(count, 4, 50), normalRow(count, 2, 51)];
      const expected = reference.swiglu(gate, up);
      const y = swiglu(gate, up);
      expectClose(y, expected, (_, value) => 2e-6 * Math.abs(value) + 1e-37);
      expectSameBits(await swigluAsync(gate, up), y, 'promise');
      const out = gate.slice();
      expect(swiglu(out, up, { out })).toBe(out);
      expectSameBits(out, y, 'in place');
    });

    it('far from 0', () => {
      const gate = Float32Array.of(-1e30, -500, -90, -0, 0, 90, 500, 1e30);
      const y = swiglu(gate, new Float32Array(8).fill(1));
      expectClose(
        y,
        reference.swiglu(gate, new Float32Array(8).fill(1)),
        (_, v) => 2e-6 * Math.abs(v) + 1e-36,
      );
      expect(swiglu(Float32Array.of(NaN, 1), Float32Array.of(1, NaN)).every(Number.isNaN)).toBe(true);
    });
  });

  describe('applyRope', () => {
    it.each(flashFixture<RopeCase[]>('rope'))('position $position, theta $theta', (c) => {
      const x = Float32Array.from(c.x);
      const y = applyRope(x, Int32Array.of(c.position), { headDim: c.headDim, heads: 1, theta: c.theta });
      expectClose(y, c.out, rotated(c.x));
    });

    const scaling = flashFixture<RopeScalingFixture>('rope-scaling');
    const llama3 = {
      type: 'llama3',
      factor: scaling.ropeScaling.factor,
      lowFreqFactor: scaling.ropeScaling.low_freq_factor,
      highFreqFactor: scaling.ropeScaling.high_freq_factor,
      originalMaxPositionEmbeddings: scaling.ropeScaling.original_max_position_embeddings,
    } as const;

    it.each(scaling.cases)('position $position, scaling $scaling, both styles', (c) => {
      const x = Float32Array.from(scaling.x);
      const { headDim, theta } = scaling;
      for (const style of ['half', 'interleaved'] as const) {
        const options = { headDim, heads: 1, theta, style };
        const scaled = c.scaling === 'llama3' ? { scaling: llama3 } : {};
        const position = Int32Array.of(c.position);
        const near = rotated(scaling.x);
        expectClose(applyRope(x, position, { ...options, ...scaled }), c[style], near, style);
        const given = c.scaling === 'llama3' ? scaling.scaledInverseFrequencies : scaling.inverseFrequencies;
        const inverse = Float64Array.from(given);
        expectClose(
          applyRope(x, position, { headDim, heads: 1, style, inverseFrequencies: inverse }),
          c[style],
          near,
        );
      }
    });

    it.each([2, 4, 6, 10, 16, 30, 34, 64, 80, 128, 256])('heads of %i', async (headDim) => {
      const [heads, positions] = [3, Int32Array.of(0, 1, 7, 500, 131071)];
      const x = normalRow(positions.length * heads * headDim, 1, headDim);
      for (const style of ['half', 'interleaved'] as const) {
        const expected = new Float64Array(x.length);
        const frequencies = inverseFrequencies(headDim, 10000);
        for (let at = 0; at < x.length; at += headDim) {
          const position = positions[Math.floor(at / headDim / heads)];
          expected.set(rope(x.subarray(at, at + headDim), position, frequencies, style), at);
        }
        const options = { headDim, heads, style };
        const y = applyRope(x, positions, options);
        expectClose(y, expected, rotated(x), style);
        expectSameBits(await applyRopeAsync(x, positions, options), y, 'promise');
        const out = x.slice();
        expectSameBits(applyRope(out, positions, { ...options, out }), y, 'in place');
      }
    });

    it('linear scaling divides the frequencies', () => {
      const x = normalRow(32, 1, 60);
      const scaled = applyRope(x, Int32Array.of(40), {
        headDim: 32,
        heads: 1,
        scaling: { type: 'linear', factor: 8 },
      });
      expectClose(scaled, applyRope(x, Int32Array.of(5), { headDim: 32, heads: 1 }), rotated(x));
    });

    it('scores depend on the distance of the positions alone', () => {
      const [q, k] = [normalRow(64, 1, 61), normalRow(64, 1, 62)];
      const score = (p: number, r: number): number => {
        const turned = [
          applyRope(q, Int32Array.of(p), { headDim: 64, heads: 1 }),
          applyRope(k, Int32Array.of(r), { headDim: 64, heads: 1 }),
        ];
        return turned[0].reduce((sum, value, i) => sum + value * turned[1][i], 0);
      };
      expectClose([score(1003, 1000), score(90_007, 90_004)], [score(3, 0), score(3, 0)], () => 2e-5);
    });
  });
});
