import {
  embed,
  embedAsync,
  gemm,
  packWeightRows,
  packWeights,
  packWeightsAsync,
  PackedWeights,
  quantizeWeights,
  quantizeWeightsAsync,
} from '../../lib/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { expectCleanEnding, runCode } from '../helpers/child.js';
import { onEveryIsa } from '../helpers/isa.js';
import { normalRow } from '../helpers/rows.js';
import { randomActivations, randomWeights } from '../helpers/weights.js';
import { narrow, widen } from '../reference/convert.js';
import { WEIGHT_TYPES, type WeightType, widenWeights } from '../reference/gemm.js';

const PANEL = 32;

/** Where weight [row, kk] lies in the packed form: panels of 32 rows, k-major, bf16 lines in the order 0,16,1,17,.... */
function place(row: number, kk: number, k: number, type: WeightType): number {
  const column = row % PANEL;
  const at = type === 'bf16' ? (column % 16) * 2 + Math.floor(column / 16) : column;
  return (Math.floor(row / PANEL) * k + kk) * PANEL + at;
}

const STORED: readonly ('f32' | 'bf16' | 'f16')[] = ['f32', 'bf16', 'f16'];

onEveryIsa(() => {
  describe.each(WEIGHT_TYPES)('%s', (type) => {
    it.each([
      [1, 1],
      [31, 3],
      [32, 5],
      [33, 17],
      [64, 1],
      [100, 40],
    ])('n %i, k %i: the documented layout, zeros behind it, every row back', async (n, k) => {
      const { w, scales, values } = randomWeights(n, k, type);
      const packed = packWeights(w, { n, k, type, scales });
      expect([packed.n, packed.k, packed.type]).toEqual([n, k, type]);
      const padded = Math.ceil(n / PANEL) * PANEL;
      const expected = new (w.constructor as Int8ArrayConstructor)(padded * k);
      for (let row = 0; row < n; row += 1) {
        for (let kk = 0; kk < k; kk += 1) expected[place(row, kk, k, type)] = w[row * k + kk];
      }
      expect(packed.data).toHaveLength(padded * k);
      expectSameBits(packed.data, expected, 'data');
      expect(packed.bytes).toBe(packed.data.byteLength + packed.scales.byteLength);
      expect([...packed.scales]).toEqual([...(scales ?? [])]);
      for (let row = 0; row < n; row += 1) {
        const back = packed.row(row);
        expect(back).toBeInstanceOf(Float32Array);
        expectSameBits(back, Float32Array.from(values.subarray(row * k, (row + 1) * k)), `row ${row}`);
      }
      expectSameBits(
        (await packWeightsAsync(w, { n, k, type, scales, threads: 2 })).data,
        expected,
        'promise',
      );
      expectSameBits(packWeights(w, { n, k, type, scales, threads: 3 }).data, expected, 'threads');
    });
  });

  it('rows filled matrix by matrix are the matrices stacked', () => {
    const k = 37;
    const parts = [5, 40, 1, 23];
    const n = parts.reduce((a, b) => a + b);
    const w = normalRow(n * k, 1, 5);
    for (const target of STORED) {
      for (const source of STORED) {
        const stored = source === 'f32' ? w : narrow(w, source);
        const values = source === 'f32' ? w : Float32Array.from(widen(stored, source));
        const matrix = PackedWeights.allocate({ n, k, type: target });
        let row = 0;
        for (const rows of parts) {
          const part = stored.subarray(row * k, (row + rows) * k);
          packWeightRows(matrix, part, { row, rows, type: source });
          row += rows;
        }
        const whole = target === 'f32' ? values : narrow(values, target);
        const expected = packWeights(whole, { n, k, type: target });
        expectSameBits(matrix.data, expected.data, `${source} to ${target}`);
      }
    }
  });

  it('packWeights converts on the way', () => {
    const [n, k] = [40, 21];
    const w = normalRow(n * k, 1, 15);
    for (const to of STORED) {
      for (const source of STORED) {
        const stored = source === 'f32' ? w : narrow(w, source);
        const values = source === 'f32' ? w : Float32Array.from(widen(stored, source));
        const whole = to === 'f32' ? values : narrow(values, to);
        const expected = packWeights(whole, { n, k, type: to });
        expectSameBits(
          packWeights(stored, { n, k, type: source, to }).data,
          expected.data,
          `${source} to ${to}`,
        );
      }
    }
  });

  it('rows filled into int8 are those of quantizeWeights', () => {
    const [n, k] = [45, 33];
    const w = normalRow(n * k, 1, 6);
    const { data, scales } = quantizeWeights(w, { n, k });
    const matrix = PackedWeights.allocate({ n, k, type: 'int8' });
    packWeightRows(matrix, w.subarray(0, 20 * k), { row: 0, rows: 20 });
    packWeightRows(matrix, w.subarray(20 * k), { row: 20, rows: 25 });
    const expected = packWeights(data, { n, k, type: 'int8', scales });
    expectSameBits(matrix.data, expected.data, 'data');
    expectSameBits(matrix.scales, scales, 'scales');
  });

  it.each(STORED)('quantizeWeights of %s: nearest steps of max / 127 of the row', async (type) => {
    const [n, k] = [23, 61];
    const normal = normalRow(n * k, 1, 8).map((value, i) => value * 10 ** (((i / k) % 5) | 0));
    normal.fill(0, 3 * k, 4 * k);
    const w = type === 'f32' ? normal : narrow(normal, type);
    const values = widenWeights(w, k, type);
    const { data, scales } = quantizeWeights(w, { n, k, type });
    expect(data).toBeInstanceOf(Int8Array);
    expect(scales).toHaveLength(n);
    for (let row = 0; row < n; row += 1) {
      const line = values.subarray(row * k, (row + 1) * k);
      const largest = line.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      const q = data.subarray(row * k, (row + 1) * k);
      if (largest === 0) {
        expect([q.every((value) => value === 0), Number.isFinite(scales[row])]).toEqual([true, true]);
        continue;
      }
      expectClose([scales[row]], [largest / 127], (_, scale) => 1e-7 * scale, `scale ${row}`);
      expect(Math.max(...q.map(Math.abs))).toBe(127);
      expectClose(
        Array.from(q, (step) => step * scales[row]),
        line,
        () => scales[row] * (0.5 + 1e-5),
        `row ${row}`,
      );
    }
    const later = await quantizeWeightsAsync(w, { n, k, type });
    expectSameBits(later.data, data, 'promise');
    expectSameBits(later.scales, scales, 'promise');
  });

  it('rows of next to nothing are quantised to zeros, not to anything', () => {
    const { data, scales } = quantizeWeights(Float32Array.of(1e-38, 0, -5e-39, 0), { n: 1, k: 4 });
    const largest = Math.max(...data.map((q) => Math.abs(q * scales[0])));
    expect(largest).toBeLessThanOrEqual(1.0001e-38);
    expect([data[1], data[3]]).toEqual([0, 0]);
  });

  it('quantised weights multiply as near as their steps', () => {
    const [m, n, k] = [4, 50, 200];
    const w = normalRow(n * k, 1, 9);
    const a = randomActivations(m, k);
    const { data, scales } = quantizeWeights(w, { n, k });
    const [exact, near] = [gemm(a, w, { m, n, k }), gemm(a, data, { m, n, k, type: 'int8', scales })];
    // Each weight is off by at most half a step; k of them, of random sign, by about sqrt(k / 12) steps times |a|.
    expectClose(near, exact, (i) => 6 * Math.sqrt(k / 12) * scales[i % n]);
  });

  describe('embed', () => {
    it.each(WEIGHT_TYPES)('rows of a %s table, packed and stored', async (type) => {
      const [n, k] = [45, 31];
      const { w, scales, values } = randomWeights(n, k, type);
      const tokens = Int32Array.of(44, 0, 17, 17, 31, 32);
      const expected = Float32Array.from(
        [...tokens].flatMap((t) => [...values.subarray(t * k, (t + 1) * k)]),
      );
      const packed = packWeights(w, { n, k, type, scales });
      expectSameBits(embed(packed, tokens), expected, 'packed');
      expectSameBits(embed(w, tokens, { n, k, type, scales }), expected, 'stored');
      expectSameBits(await embedAsync(packed, tokens), expected, 'promise');
      expect(embed(packed, new Int32Array(0))).toHaveLength(0);
    });
  });
});

it('weights packed by the other module format are taken for what they are', async () => {
  const ending = await runCode(`
    import('./dist/esm/lib/index.js').then((esm) => {
      const packed = softlane.packWeights(new Float32Array(64).fill(1), { n: 8, k: 8 });
      const one = esm.PackedWeights === softlane.PackedWeights;
      console.log(esm.gemm(new Float32Array(8).fill(1), packed)[7], one);
    });
  `);
  expectCleanEnding(ending);
  expect(ending.stdout.trim()).toBe('8 true');
});
