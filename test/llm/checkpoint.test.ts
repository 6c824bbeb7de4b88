import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openSafetensors, writeSafetensors, type TensorInput } from '../../lib/io/index.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../lib/kernels/convert.js';
import type { PackedWeights } from '../../lib/kernels/weights.js';
import { loadWeights, type LoadedWeights, type LoadWeightsOptions } from '../../lib/llm/checkpoint.js';
import { parseConfig } from '../../lib/llm/config.js';
import { FLASH_FIXTURES } from '../helpers/flash-fixtures.js';
import { randomTensors, SMALL, stored } from '../helpers/llama-checkpoint.js';
import { badCheckpoint } from '../helpers/safetensors.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-checkpoint-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Loads from a folder or file. */
async function loadFrom(path: string, json: unknown, options?: LoadWeightsOptions): Promise<LoadedWeights> {
  const file = await openSafetensors(path);
  try {
    return await loadWeights(file, parseConfig(json), options);
  } finally {
    await file.close();
  }
}

/** Writes tensors and loads them. */
async function load(
  tensors: Record<string, TensorInput>,
  json: unknown = SMALL,
  options?: LoadWeightsOptions,
): Promise<LoadedWeights> {
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return loadFrom(folder, json, options);
}

/** Frees what nobody holds, so that what is allocated from now on can be counted. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // The memory of arrays is given back by the collection after the one that found them.
  for (let i = 0; i < 3; i++) {
    await new Promise(setImmediate);
    collect();
  }
}

/** All rows, one after the other. */
const rowsOf = (w: PackedWeights): number[] => Array.from({ length: w.n }, (_, i) => [...w.row(i)]).flat();

describe('loadWeights', () => {
  const config = parseConfig(SMALL);
  const values = (tensors: Record<string, { values: Float32Array }>, ...names: string[]): number[] =>
    names.flatMap((name) => [...tensors[name].values]);
  const layer = (i: number, ...names: string[]): string[] => names.map((name) => `model.layers.${i}.${name}`);
  const qkv = ['q', 'k', 'v'].map((name) => `self_attn.${name}_proj.weight`);

  it('stacks query, key and value, and gate and up, in that order', async () => {
    const tensors = randomTensors(config);
    const { weights, warnings } = await load(tensors);
    expect(warnings).toEqual([]);
    expect(weights.layers).toHaveLength(2);
    weights.layers.forEach((each, i) => {
      const of = (...names: string[]): number[] => values(tensors, ...layer(i, ...names));
      expect([each.qkv.n, each.qkv.k, each.qkv.type]).toEqual([100, 24, 'f32']);
      expect(rowsOf(each.qkv)).toEqual(of(...qkv));
      expect([each.gateUp.n, each.gateUp.k]).toEqual([80, 24]);
      expect(rowsOf(each.gateUp)).toEqual(of('mlp.gate_proj.weight', 'mlp.up_proj.weight'));
      expect([each.output.n, each.output.k]).toEqual([24, 60]);
      expect(rowsOf(each.output)).toEqual(of('self_attn.o_proj.weight'));
      expect(rowsOf(each.down)).toEqual(of('mlp.down_proj.weight'));
      expect([...each.inputNorm]).toEqual(of('input_layernorm.weight'));
      expect([...each.postNorm]).toEqual(of('post_attention_layernorm.weight'));
      expect([each.qkvBias, each.outputBias]).toEqual([undefined, undefined]);
    });
    expect(rowsOf(weights.embedding)).toEqual(values(tensors, 'model.embed_tokens.weight'));
    expect(rowsOf(weights.head)).toEqual(values(tensors, 'lm_head.weight'));
    expect([...weights.finalNorm]).toEqual(values(tensors, 'model.norm.weight'));
  });

  it('loads biases, and takes the embedding for the head where they are tied', async () => {
    const json = { ...SMALL, attention_bias: true, tie_word_embeddings: true };
    const tensors = randomTensors(parseConfig(json));
    const { weights } = await load(tensors, json);
    const bias = ['q', 'k', 'v'].map((name) => `self_attn.${name}_proj.bias`);
    expect([...(weights.layers[1].qkvBias ?? [])]).toEqual(values(tensors, ...layer(1, ...bias)));
    expect([...(weights.layers[0].outputBias ?? [])]).toEqual(
      values(tensors, ...layer(0, 'self_attn.o_proj.bias')),
    );
    expect(weights.head).toBe(weights.embedding);
  });

  describe.each(['F32', 'F64', 'BF16', 'F16'] as const)('from %s', (dtype) => {
    const own = { F32: 'f32', F64: 'f32', BF16: 'bf16', F16: 'f16' } as const;
    const exact = (x: Float32Array): Float32Array => {
      if (dtype === 'BF16') return bf16ToF32(f32ToBf16(x));
      return dtype === 'F16' ? f16ToF32(f32ToF16(x)) : x;
    };
    const tensors = randomTensors(config, dtype);
    const source = exact(tensors['lm_head.weight'].values);

    it.each([['as-stored'], ['f32'], ['bf16'], ['f16']] as const)('to %s', async (weights) => {
      const type = weights === 'as-stored' ? own[dtype] : weights;
      const { weights: loaded } = await load(tensors, SMALL, { weights, threads: 2 });
      expect(loaded.head.type).toBe(type);
      const rounded = {
        f32: (x: Float32Array) => x,
        bf16: (x: Float32Array) => bf16ToF32(f32ToBf16(x)),
        f16: (x: Float32Array) => f16ToF32(f32ToF16(x)),
      };
      expect(rowsOf(loaded.head)).toEqual([...rounded[type](source)]);
      // Norms are never rounded further.
      expect([...loaded.finalNorm]).toEqual([...exact(tensors['model.norm.weight'].values)]);
    });

    it('to int8, half a step at most', async () => {
      const { weights: loaded } = await load(tensors, SMALL, { weights: 'int8' });
      const { head } = loaded;
      expect(head.type).toBe('int8');
      for (let row = 0; row < head.n; row++) {
        const wanted = source.subarray(row * head.k, (row + 1) * head.k);
        const step = Math.max(...wanted.map(Math.abs)) / 127;
        head
          .row(row)
          .forEach((each, i) => expect(Math.abs(each - wanted[i])).toBeLessThanOrEqual(0.501 * step));
      }
    });
  });

  it('keeps one type per matrix over all layers: float32 where the file has several', async () => {
    const tensors = randomTensors(config, 'BF16');
    const name = 'model.layers.1.self_attn.k_proj.weight';
    tensors[name] = { ...tensors[name], dtype: 'F16', data: stored(tensors[name].values, 'F16') };
    const { weights } = await load(tensors);
    expect(weights.layers.map(({ qkv, down }) => [qkv.type, down.type])).toEqual([
      ['f32', 'bf16'],
      ['f32', 'bf16'],
    ]);
    expect(rowsOf(weights.layers[1].qkv).slice(60 * 24, 80 * 24)).toEqual([
      ...f16ToF32(f32ToF16(tensors[name].values)),
    ]);
  });

  it('a tensor of many blocks is the same as one read at once', async () => {
    const json = { ...SMALL, hidden_size: 96, vocab_size: 30_011, num_hidden_layers: 1 };
    const tensors = randomTensors(parseConfig(json));
    const { weights } = await load(tensors, json);
    const wanted = tensors['model.embed_tokens.weight'].values;
    for (let row = 0; row < 30_011; row += 1)
      if (row % 997 === 0 || row > 30_000 || row % 10_912 < 2)
        expect(weights.embedding.row(row)).toEqual(wanted.slice(row * 96, row * 96 + 96));
  });

  it.each(['tiny-llama', 'tiny-scaled-sharded', 'tiny-bias-f16'])('loads the fixture %s', async (name) => {
    const path = join(FLASH_FIXTURES, name);
    const json = await readFile(join(path, 'config.json'), 'utf8');
    const file = name === 'tiny-llama' ? join(path, 'model-bf16.safetensors') : path;
    const { weights, warnings } = await loadFrom(file, json);
    expect(warnings).toEqual([]);
    expect(weights.embedding.type).toBe(name === 'tiny-bias-f16' ? 'f16' : 'bf16');
    expect(weights.layers[0].qkvBias?.length).toBe(name === 'tiny-bias-f16' ? 9 * 8 : undefined);
  });

  describe('refuses', () => {
    const key = 'model.layers.1.mlp.up_proj.weight';
    it('a checkpoint without one of the tensors', async () => {
      const tensors = randomTensors(config);
      delete tensors[key];
      const error = await badCheckpoint(load(tensors));
      expect(error).toMatchObject({ tensor: key, expected: expect.stringContaining('[40, 24]') as string });
      expect(error.message).toMatch(/received none/);
    });

    it('another shape, with both in the message', async () => {
      for (const shape of [[24, 40], [960], [1, 40, 24]]) {
        const tensors = randomTensors(config);
        tensors[key] = { ...tensors[key], shape };
        const error = await badCheckpoint(load(tensors));
        expect(error.message).toContain(
          `tensor "${key}": expected shape [40, 24], as config.json asks for, received shape [${shape.join(', ')}]`,
        );
        expect(error.file).toBe(join(folder, 'model.safetensors'));
      }
    });

    it('another dtype by name', async () => {
      const tensors: Record<string, TensorInput> = randomTensors(config);
      tensors[key] = { dtype: 'F8_E4M3', shape: [40, 24], data: new Uint8Array(960) };
      const error = await badCheckpoint(load(tensors));
      expect(error.message).toMatch(/dtype F32, F64, BF16, F16, received F8_E4M3/);
    });

    it('weights that are not finite, where they are to be rounded to int8', async () => {
      const tensors = randomTensors(config);
      (tensors[key].data as Float32Array)[500] = NaN;
      const error = await badCheckpoint(load(tensors, SMALL, { weights: 'int8' }));
      expect(error).toMatchObject({ tensor: key, expected: 'finite weights to be rounded to int8' });
      await load(tensors);
    });

    it('a file that is cut short while it is loaded', async () => {
      const path = join(folder, 'model.safetensors');
      await writeSafetensors(path, randomTensors(config));
      const file = await openSafetensors(path);
      await truncate(path, 30_000);
      const error = await badCheckpoint(loadWeights(file, config));
      expect(error.message).toMatch(/has become shorter/);
      expect(error.tensor).toMatch(/^model\./);
      await file.close();
    });
  });

  describe('warns', () => {
    const tied = { ...SMALL, tie_word_embeddings: true };
    it('of tensors that nothing uses, but not of rotation tables', async () => {
      const extra = { dtype: 'F32', shape: [2, 1], data: new Float32Array(2) } as const;
      const { warnings } = await load({
        ...randomTensors(config),
        'model.layers.0.self_attn.rotary_emb.inv_freq': extra,
        'model.vision.weight': extra,
      });
      expect(warnings).toEqual(['tensor "model.vision.weight" [2, 1] of F32 is not used']);
    });

    it('of end-of-text ids outside the vocabulary', async () => {
      const json = { ...SMALL, eos_token_id: [1, 50, 49, 128_009] };
      const { warnings } = await load(randomTensors(config), json);
      expect(warnings).toEqual(
        [50, 128_009].map(
          (id) => `eos_token_id ${id} is outside the vocabulary of 50 tokens: no text ends with it`,
        ),
      );
    });

    it('of an output matrix that is not the embedding, and follows the configuration', async () => {
      const tensors = randomTensors(parseConfig(tied));
      const embedding = tensors['model.embed_tokens.weight'];
      expect((await load({ ...tensors, 'lm_head.weight': embedding }, tied)).warnings).toEqual([]);
      const data = Float32Array.from(embedding.values);
      data[data.length - 1]++;
      const { weights, warnings } = await load(
        { ...tensors, 'lm_head.weight': { ...embedding, data } },
        tied,
      );
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(/"lm_head.weight" differs from "model.embed_tokens.weight"/);
      expect(rowsOf(weights.head)).toEqual([...embedding.values]);
    });

    it('of biases that the configuration does not have', async () => {
      const tensors = randomTensors(parseConfig({ ...SMALL, attention_bias: true }));
      expect((await load(tensors)).warnings).toHaveLength(2 * 4);
    });
  });

  describe('while it works', () => {
    const large = {
      ...SMALL,
      hidden_size: 512,
      intermediate_size: 1024,
      vocab_size: 8000,
      num_hidden_layers: 2,
    };

    it('reports progress that rises to 1', async () => {
      const shares: number[] = [];
      await load(randomTensors(config), SMALL, { onProgress: (done) => shares.push(done) });
      expect(shares[shares.length - 1]).toBe(1);
      expect(shares).toEqual([...shares].sort((a, b) => a - b));
    });

    it('stops at an abort with its reason, and at what onProgress throws', async () => {
      const tensors = randomTensors(parseConfig(large));
      const controller = new AbortController();
      const reason = new Error('enough');
      const run = load(tensors, large, {
        signal: controller.signal,
        onProgress: () => controller.abort(reason),
      });
      await expect(run).rejects.toBe(reason);
      await expect(load(tensors, large, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const failing = load(tensors, large, {
        onProgress: () => {
          throw reason;
        },
      });
      await expect(failing).rejects.toBe(reason);
    });

    // A function of its own, so that nothing holds the tensors afterwards.
    const write = async (json: unknown): Promise<void> => {
      await writeSafetensors(join(folder, 'model.safetensors'), randomTensors(parseConfig(json), 'BF16'));
    };

    it('leaves the event loop free and holds little more than the model', async () => {
      const json = { ...large, vocab_size: 32_000 };
      await write(json);
      let share = Infinity;
      let extra = Infinity;
      // The best of a few: machines are shared.
      for (let attempt = 0; attempt < 4 && (share > 0.3 || extra > 24e6); attempt++) {
        const delay = monitorEventLoopDelay({ resolution: 1 });
        await collectGarbage();
        const before = process.memoryUsage().arrayBuffers;
        let most = 0;
        const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers)), 1);
        delay.enable();
        const start = performance.now();
        const { weights } = await loadFrom(folder, json);
        const worked = performance.now() - start;
        delay.disable();
        clearInterval(watch);
        const size =
          2 * weights.head.bytes +
          weights.layers.reduce(
            (sum, { qkv, output, gateUp, down }) =>
              sum + qkv.bytes + output.bytes + gateUp.bytes + down.bytes,
            0,
          );
        extra = Math.min(extra, most - before - size);
        share = Math.min(share, delay.max / 1e6 / worked);
      }
      // The longest that the loop stood still, of the whole time.
      expect(share).toBeLessThan(0.3);
      expect(extra).toBeLessThan(24e6);
    });
  });
});
