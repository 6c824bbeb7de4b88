import type { PackedWeights } from '../../lib/kernels/weights.js';
import { parseConfig } from '../../lib/llm/config.js';
import { randomWeights } from '../../lib/llm/random-weights.js';
import { parameterCount } from '../../lib/llm/tensors.js';
import { SMALL } from '../helpers/llama-checkpoint.js';
import { expectRejected } from '../helpers/refused.js';

const config = parseConfig({ ...SMALL, attention_bias: true });
const rowsOf = (w: PackedWeights): number[] => Array.from({ length: w.n }, (_, i) => [...w.row(i)]).flat();

describe('randomWeights', () => {
  it('have the shapes of the model, and norms of 1', async () => {
    const { layers, head, embedding, finalNorm } = await randomWeights(config);
    expect(layers).toHaveLength(2);
    const [{ qkv, output, gateUp, down, inputNorm, qkvBias, outputBias }] = layers;
    expect([qkv, output, gateUp, down, head, embedding].map(({ n, k }) => [n, k])).toEqual([
      [100, 24],
      [24, 60],
      [80, 24],
      [24, 40],
      [50, 24],
      [50, 24],
    ]);
    expect(head).not.toBe(embedding);
    expect([qkvBias?.length, outputBias?.length]).toEqual([100, 24]);
    expect([...inputNorm, ...finalNorm].every((each) => each === 1)).toBe(true);
    const tied = await randomWeights(parseConfig({ ...SMALL, tie_word_embeddings: true }));
    expect(tied.head).toBe(tied.embedding);
  });

  it('depend on the seed alone', async () => {
    const head = async (seed: number, threads = 1): Promise<number[]> =>
      rowsOf((await randomWeights(config, { seed, threads })).head);
    const first = await head(1);
    expect(await head(1, 2)).toEqual(first);
    expect(await head(2)).not.toEqual(first);
  });

  it.each(['f32', 'bf16', 'f16', 'int8'] as const)(
    'are normal with the given deviation in %s',
    async (weights) => {
      const wide = parseConfig({ ...SMALL, hidden_size: 256, vocab_size: 5000, num_hidden_layers: 1 });
      const { embedding } = await randomWeights(wide, { weights, deviation: 0.5, seed: 3 });
      expect(embedding.type).toBe(weights);
      const drawn = rowsOf(embedding);
      const mean = drawn.reduce((sum, each) => sum + each, 0) / drawn.length;
      const square = drawn.reduce((sum, each) => sum + each * each, 0) / drawn.length;
      // Deviations of the estimates: 0.5 / sqrt(1.28e6) = 4e-4, and 1 / sqrt(2 * 1.28e6) of the deviation.
      expect(Math.abs(mean)).toBeLessThan(0.003);
      expect(Math.abs(Math.sqrt(square) / 0.5 - 1)).toBeLessThan(0.01);
      // 5000 rows in two blocks: hardly any is there twice.
      const rows = new Set(Array.from({ length: 5000 }, (_, i) => embedding.row(i).join()));
      expect(rows.size).toBeGreaterThan(4500);
    },
  );

  it('count as the formula says', () => {
    const kjv = {
      ...SMALL,
      hidden_size: 128,
      intermediate_size: 352,
      num_hidden_layers: 5,
      vocab_size: 256,
      head_dim: 32,
      num_attention_heads: 4,
      tie_word_embeddings: true,
    };
    expect(parameterCount(parseConfig(kjv))).toBe(955_776);
  });

  it('stop at an abort, report progress, and refuse bad options', async () => {
    const shares: number[] = [];
    await randomWeights(config, { onProgress: (done) => shares.push(done) });
    expect(shares[shares.length - 1]).toBe(1);
    const reason = new Error('enough');
    await expect(randomWeights(config, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expectRejected(() => randomWeights(config, { weights: 'f8' as never }), 'range', 'weights');
    await expectRejected(() => randomWeights(config, { deviation: 0 }), 'range', 'deviation');
    await expectRejected(() => randomWeights(config, { seed: -1 }), 'range', 'seed');
  });

  it('refuse a model that no memory holds before anything is allocated', async () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const size of ['hidden_size', 'intermediate_size', 'vocab_size', 'head_dim', 'num_attention_heads'])
      await expectRejected(
        () =>
          randomWeights(parseConfig({ ...SMALL, head_dim: 4, num_key_value_heads: 1, [size]: 2 ** 31 - 4 })),
        'range',
        'config',
      );
    // A configuration made by hand, which parseConfig has not seen.
    const deep = { ...config, numHiddenLayers: 2 ** 31 - 1 };
    await expectRejected(() => randomWeights(deep), 'range', 'numHiddenLayers');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10e6);
  });
});
