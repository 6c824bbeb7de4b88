import { batchOf, SIZES, tapeStep, type Sizes } from '../../benchmarks/train/model.js';
import * as ag from '../../lib/autograd/index.js';
import type { Tensor } from '../../lib/autograd/index.js';
import { expectSameBits } from '../helpers/compare.js';
import { leaf, single } from '../helpers/gradients.js';
import { onEveryIsa } from '../helpers/isa.js';

/** Ops on arrays large enough to be shared among threads. */
const calls: Record<string, [(...inputs: Tensor[]) => Tensor, number[][]]> = {
  map: [(x) => ag.gelu(x), [[70_000]]],
  broadcast: [ag.mul, [[300, 333], [333]]],
  'broadcast columns': [
    ag.add,
    [
      [300, 333],
      [300, 1],
    ],
  ],
  sum: [(x) => ag.sum(x), [[300, 333]]],
  'sum of rows': [(x) => ag.sum(x, 1), [[300, 333]]],
  'sum of columns': [(x) => ag.sum(x, 0), [[300, 333]]],
  transpose: [(x) => ag.transpose(x), [[300, 333]]],
  matmul: [
    (a, b) => ag.matmul(a, b),
    [
      [2, 150, 200],
      [2, 200, 90],
    ],
  ],
  linear: [(x, w, b) => ag.linear(x, w, b), [[1500, 60], [70, 60], [70]]],
  'large linear': [(x, w, b) => ag.linear(x, w, b), [[40, 300], [320, 300], [320]]],
  softmax: [(x) => ag.softmax(x), [[700, 130]]],
  'causal softmax': [(x) => ag.softmax(x, { causal: true }), [[5, 130, 130]]],
  layerNorm: [(x, w, b) => ag.layerNorm(x, w, b), [[700, 130], [130], [130]]],
  rmsNorm: [(x, w) => ag.rmsNorm(x, w), [[700, 130], [130]]],
  'cross-entropy': [
    (x) =>
      ag.crossEntropy(
        x,
        new Int32Array(700).map((_, i) => i % 130),
        { reduction: 'none' },
      ),
    [[700, 130]],
  ],
  attention: [(x) => ag.packedAttention(x, 4, { causal: true }), [[3, 100, 96]]],
  gather: [
    (x) =>
      ag.gather(
        x,
        1,
        new Int32Array(500).map((_, i) => (7 * i) % 33),
      ),
    [[30, 33, 9]],
  ],
  cumsum: [(x) => ag.cumsum(x, 0), [[300, 333]]],
};

describe('bits depend on nothing but the inputs', () => {
  afterEach(() => ag.setThreads(1));

  onEveryIsa(() => {
    test.each(Object.entries(calls))('%s: 1, 2 and 8 threads', (_, [op, shapes]) => {
      for (const convert of [(t: Tensor): Tensor => t, single]) {
        const inputs = shapes.map((shape, i) => convert(leaf(shape, i)));
        const results = [1, 2, 8].map((threads) => {
          ag.setThreads(threads);
          const y = op(...inputs);
          return [y, ...ag.grad(ag.sum(ag.square(y)), inputs)];
        });
        for (const other of results.slice(1))
          results[0].forEach((each, i) => expectSameBits(other[i].data, each.data));
      }
    });
  });

  test('a training run repeats, on any number of threads', () => {
    const sizes: Sizes = { ...SIZES, width: 32, hidden: 64, vocabulary: 20, batch: 6, length: 40 };
    const run = (threads: number): number[] => {
      ag.setThreads(threads);
      const step = tapeStep(sizes);
      return Array.from({ length: 30 }, (_, i) => step(batchOf(sizes, i)));
    };
    const losses = run(1);
    expect(run(1)).toEqual(losses);
    expect(run(2)).toEqual(losses);
    expect(losses[29]).toBeLessThan(losses[0] * 0.95);
  });
});
