import { SoftAttention } from '../../lib/sequence/soft-attention.js';
import type { SoftAttentionLayerOptions } from '../../lib/sequence/soft-attention.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { expectThrown } from '../helpers/refused.js';
import { normalRow64 } from '../helpers/rows.js';
import { erfc } from '../reference/activations.js';
import { gaussianAttention, product, softAttention, transpose } from '../reference/soft-attention.js';

type Layer = Required<Pick<SoftAttentionLayerOptions, 'channels' | 'heads' | 'ratio'>> &
  SoftAttentionLayerOptions;

/** The layer written out: one item, plain loops. */
function written(
  layer: SoftAttention,
  o: Layer,
  x: Float64Array,
  height: number,
  width: number,
): Float64Array {
  const { channels: C, heads, ratio: r, kernelSize: k = 0 } = o;
  const [d, n] = [C / heads, height * width];
  const data = Object.fromEntries(Object.entries(layer.parameters()).map(([name, p]) => [name, p.data]));
  const all = ['query', 'value'].map((name) => product(x, transpose(data[`${name}.weight`], C, C), n, C, C));
  const merged = new Float64Array(n * C);
  for (let h = 0; h < heads; h += 1) {
    const [q, v] = all.map((y) =>
      Float64Array.from({ length: n * d }, (_, at) => y[Math.floor(at / d) * C + h * d + (at % d)]),
    );
    let out: Float64Array;
    if (r === 1) out = gaussianAttention(q, v, { n, d, dv: d });
    else {
      const m = n / (r * r);
      const landmarks = new Float64Array(m * d);
      for (let l = 0; l < m; l += 1) {
        const row = new Float64Array(d);
        for (let y = 0; y < r; y += 1)
          for (let z = 0; z < r; z += 1) {
            const across = width / r;
            const token = (Math.floor(l / across) * r + y) * width + (l % across) * r + z;
            for (let c = 0; c < d; c += 1) {
              const value = q[token * d + c] * d ** -0.25;
              if (o.landmarks === 'avgpool') row[c] += value / (r * r);
              else
                for (let e = 0; e < d; e += 1)
                  row[e] += value * data['landmarks.weight'][((y * r + z) * d + c) * d + e];
            }
          }
        if (o.landmarks !== 'avgpool') {
          const mean = row.reduce((sum, value) => sum + value, 0) / d;
          const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / d;
          row.forEach((value, c) => {
            const z =
              ((value - mean) / Math.sqrt(variance + 1e-5)) * data['landmarks.norm.weight'][c] +
              data['landmarks.norm.bias'][c];
            row[c] = (z * erfc(-z / Math.SQRT2)) / 2;
          });
        }
        landmarks.set(row, l * d);
      }
      const { normalize, newton } = o;
      ({ out } = softAttention(q, landmarks, v, { n, m, d, dv: d, normalize, ...newton }));
    }
    const pad = Math.floor(k / 2);
    for (let y = 0; y < height; y += 1)
      for (let z = 0; z < width; z += 1)
        for (let c = 0; c < d; c += 1) {
          let sum = out[(y * width + z) * d + c];
          for (let a = 0; a < k; a += 1)
            for (let b = 0; b < k; b += 1) {
              const [row, col] = [y + a - pad, z + b - pad];
              if (row >= 0 && row < height && col >= 0 && col < width)
                sum += data['residual.weight'][(h * k + a) * k + b] * v[(row * width + col) * d + c];
            }
          merged[(y * width + z) * C + h * d + c] = sum;
        }
  }
  const result = product(merged, transpose(data['output.weight'], C, C), n, C, C);
  return result.map((value, i) => value + data['output.bias'][i % C]);
}

/** Parameters far from their starts, so that nothing is small or the identity. */
function shaken(o: Layer): SoftAttention {
  const layer = new SoftAttention(o);
  Object.values(layer.parameters()).forEach(({ data }, i) => {
    const noise = normalRow64(data.length, 0.3, 100 + i);
    data.forEach((value, j) => (data[j] = value + noise[j]));
  });
  return layer;
}

const LAYERS: readonly (readonly [string, Layer, number, number])[] = [
  ['conv', { channels: 6, heads: 2, ratio: 2, kernelSize: 3 }, 4, 6],
  ['conv, SOFT++', { channels: 4, heads: 1, ratio: 3, normalize: true }, 3, 6],
  ['avgpool', { channels: 8, heads: 2, ratio: 2, landmarks: 'avgpool', kernelSize: 5 }, 4, 4],
  ['avgpool, SOFT++', { channels: 5, heads: 5, ratio: 2, landmarks: 'avgpool', normalize: true }, 2, 8],
  ['exact', { channels: 6, heads: 3, ratio: 1, kernelSize: 9 }, 3, 5],
];

onEveryIsa(() => {
  describe.each(LAYERS)('%s', (_, o, height, width) => {
    const tokens = height * width * o.channels;
    it('is the layer written out, each item alone', () => {
      const layer = shaken({ ...o, dtype: 'f64' });
      const x = normalRow64(2 * tokens, 1, 7);
      const { out, newton } = layer.forward(x, { height, width, batch: 2 });
      for (const item of [0, 1]) {
        const part = x.subarray(item * tokens, (item + 1) * tokens);
        const expected = written(layer, o, part, height, width);
        expectClose(out.subarray(item * tokens, (item + 1) * tokens), expected, () => 1e-6);
      }
      expect(newton?.residual.length).toBe(o.ratio === 1 ? undefined : 2 * o.heads);
      const narrow = new SoftAttention(o);
      Object.entries(layer.parameters()).forEach(([name, { data }]) =>
        narrow.parameters()[name].data.set(data),
      );
      expectClose(narrow.forward(Float32Array.from(x), { height, width, batch: 2 }).out, out, () => 2e-3);
    });

    it('has the gradients of central differences', () => {
      const layer = shaken({ ...o, dtype: 'f64' });
      const [x, g] = [normalRow64(2 * tokens, 1, 8), normalRow64(2 * tokens, 1, 9)];
      const grid = { height, width, batch: 2 };
      layer.forward(x, grid);
      const { dx, parameters } = layer.backward(g, { gradient: 'unrolled' });
      expect(Object.keys(parameters).sort()).toEqual(Object.keys(layer.parameters()).sort());
      const loss = (): number => layer.forward(x, grid).out.reduce((sum, value, i) => sum + value * g[i], 0);
      for (const [name, data, gradient] of [
        ['x', x, dx],
        ...Object.entries(layer.parameters()).map(
          ([name, { data }]) => [name, data, parameters[name].data] as const,
        ),
      ] as const) {
        const size = Math.max(1e-3, ...Array.from(gradient, Math.abs));
        for (const i of [0, Math.floor(data.length / 2), data.length - 1]) {
          const before = data[i];
          const [up, down] = [1e-5, -1e-5].map((h) => {
            data[i] = before + h;
            return loss();
          });
          data[i] = before;
          expectClose([gradient[i]], [(up - down) / 2e-5], () => 1e-6 * size, `${name}[${i}]`);
        }
      }
    });
  });
});

it('the same seed, the same layer; the same bits on any number of threads', () => {
  const options = { channels: 16, heads: 4, ratio: 4, kernelSize: 3, seed: 5 };
  const x = Float32Array.from(normalRow64(3 * 64 * 16, 1, 11));
  const [one, two] = [1, 8].map((threads) => {
    const layer = new SoftAttention({ ...options, threads });
    const { out } = layer.forward(x, { height: 8, width: 8, batch: 3 });
    return { out, ...layer.backward(x) };
  });
  expectSameBits(two.out, one.out);
  expectSameBits(two.dx, one.dx);
  for (const [name, { data }] of Object.entries(one.parameters))
    expectSameBits(two.parameters[name].data, data, name);
  const other = new SoftAttention({ ...options, seed: 6 }).forward(x, { height: 8, width: 8, batch: 3 });
  expect(other.out).not.toEqual(one.out);
});

it('no items, no outputs', () => {
  const layer = new SoftAttention({ channels: 4, heads: 2, ratio: 2, kernelSize: 3 });
  expect(layer.forward(new Float32Array(0), { height: 2, width: 2, batch: 0 }).out).toHaveLength(0);
  expect(layer.backward(new Float32Array(0)).dx).toHaveLength(0);
});

describe('bad input', () => {
  const good = { channels: 4, heads: 2, ratio: 2 };
  const x = new Float32Array(64);
  it.each([
    ['heads', 'range', { heads: 3 }],
    ['heads', 'range', { heads: 0 }],
    ['channels', 'range', { channels: -4 }],
    ['channels', 'type', { channels: '4' }],
    ['ratio', 'range', { ratio: 0 }],
    ['kernelSize', 'range', { kernelSize: 4 }],
    ['landmarks', 'range', { landmarks: 'max' }],
    ['normalize', 'type', { normalize: 1 }],
    ['iterations', 'range', { newton: { iterations: -1 } }],
    ['dtype', 'range', { dtype: 'f16' }],
  ] as const)('option %s, %s: %j', (name, kind, change) => {
    expectThrown(() => new SoftAttention({ ...good, ...change } as never), kind, name);
  });

  it.each([
    ['height', 'range', x, { height: 3, width: 4 }],
    ['width', 'range', x, { height: 4, width: 3 }],
    ['x', 'range', x, { height: 4, width: 6 }],
    ['x', 'range', x.slice(1), { height: 4, width: 4 }],
    ['x', 'type', new Float64Array(64), { height: 4, width: 4 }],
    ['batch', 'range', x, { height: 4, width: 4, batch: -1 }],
  ] as const)('forward, %s, %s', (name, kind, tokens, grid) => {
    expectThrown(() => new SoftAttention(good).forward(tokens, grid), kind, name);
  });

  it('numbers that are none are refused, or pass where that is asked for', () => {
    const broken = x.slice().fill(NaN);
    expectThrown(() => new SoftAttention(good).forward(broken, { height: 4, width: 4 }), 'range', 'x');
    const loose = new SoftAttention({ ...good, checkFinite: false });
    expect(loose.forward(broken, { height: 4, width: 4 }).out.every(Number.isNaN)).toBe(true);
  });

  it('backward before forward is a named error, and a wrong gradient too', () => {
    const layer = new SoftAttention(good);
    expect(() => layer.backward(x)).toThrow(expect.objectContaining({ code: 'ERR_NO_FORWARD' }));
    layer.forward(x, { height: 4, width: 4 });
    expectThrown(() => layer.backward(x.slice(1)), 'range', 'gradOut');
    expectThrown(() => layer.backward(new Float64Array(64)), 'type', 'gradOut');
  });
});
