import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseConfig } from '../../lib/llm/config.js';
import { embeddedModelPath } from '../../lib/llm/embedded.js';
import { LlamaModel } from '../../lib/llm/model.js';
import { parameterCount } from '../../lib/llm/tensors.js';
import { FLASH_FIXTURES } from '../helpers/flash-fixtures.js';
import { SMALL, writeModel } from '../helpers/llama-checkpoint.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { badCheckpoint } from '../helpers/safetensors.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-model-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));
const tinyLlama = join(FLASH_FIXTURES, 'tiny-llama');

describe('LlamaModel.load', () => {
  it('gives configuration, shape, sizes and warnings', async () => {
    const json = { ...SMALL, sliding_window: 7, architectures: ['MistralForCausalLM'], rms_norm_eps: 1e-5 };
    await writeModel(folder, json, (tensors) => {
      tensors.extra = { dtype: 'F32', shape: [1], data: new Float32Array(1) };
    });
    const model = await LlamaModel.load(folder);
    expect(model.config).toEqual(parseConfig(json));
    expect(model.shape).toMatchObject({
      hidden: 24,
      layers: 2,
      queryHeads: 6,
      kvHeads: 2,
      headDim: 10,
      intermediate: 40,
      vocab: 50,
      eps: 1e-5,
      window: 7,
    });
    expect(model.shape.inverseFrequencies).toHaveLength(5);
    expect(model.warnings).toEqual(['tensor "extra" [1] of F32 is not used']);
    expect([model.cache, model.threads]).toEqual(['f32', 1]);
    // 2 layers x (key and value) x 2 heads x 10 numbers of 4 bytes.
    expect(model.bytes.cachePerToken).toBe(2 * 2 * 2 * 10 * 4);
    // float32, and rows padded to panels of 32: 100 to 128, 24 to 32, 80 to 96, 50 to 64.
    const matrices = 2 * (128 * 24 + 32 * 60 + 96 * 24 + 32 * 40) + 2 * 64 * 24;
    expect(model.bytes.weights).toBe(4 * (matrices + (2 * 2 + 1) * 24));
  });

  it('takes the cache type, the threads and the weights asked for', async () => {
    await writeModel(folder);
    const model = await LlamaModel.load(folder, { cache: 'bf16', threads: 2, weights: 'int8' });
    expect([model.cache, model.threads, model.weights.layers[0].down.type]).toEqual(['bf16', 2, 'int8']);
    expect(model.bytes.cachePerToken).toBe(2 * 2 * 2 * 10 * 2);
  });

  it('loads the file that is named where a folder has several', async () => {
    const types = ['f32', 'bf16'].map(async (type) => {
      const { weights } = await LlamaModel.load(tinyLlama, { file: `model-${type}.safetensors` });
      return weights.head.type;
    });
    expect(await Promise.all(types)).toEqual(['f32', 'bf16']);
    const error = await badCheckpoint(LlamaModel.load(tinyLlama));
    expect(error.message).toMatch(/model-bf16\.safetensors, model-f32\.safetensors/);
  });

  it('takes the end-of-text ids of generation_config.json beside those of config.json', async () => {
    for (const name of ['config.json', 'model.safetensors'])
      await copyFile(join(embeddedModelPath(), name), join(folder, name));
    const write = (json: unknown) => writeFile(join(folder, 'generation_config.json'), JSON.stringify(json));
    await write({ eos_token_id: [101, 10] });
    expect((await LlamaModel.load(folder)).config.eosTokenIds).toEqual([101, 10]);
    await write({ eos_token_id: 'none' });
    expect((await badCheckpoint(LlamaModel.load(folder))).message).toMatch(
      /generation_config\.json.*eos_token_id/s,
    );
  });

  it('refuses folders without a model by name', async () => {
    await expect(LlamaModel.load(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await badCheckpoint(LlamaModel.load(folder))).toMatchObject({ file: join(folder, 'config.json') });
    await writeFile(join(folder, 'config.json'), JSON.stringify(SMALL));
    expect(await badCheckpoint(LlamaModel.load(folder))).toMatchObject({ file: folder });
    await writeFile(join(folder, 'config.json'), '{');
    expect((await badCheckpoint(LlamaModel.load(folder))).message).toMatch(/config\.json: expected JSON/);
    await mkdir(join(folder, 'model.safetensors'));
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...SMALL, quantization_config: {} }));
    expect((await badCheckpoint(LlamaModel.load(folder))).message).toMatch(/quantised/);
    await writeFile(join(folder, 'config.json'), JSON.stringify(SMALL));
    expect((await badCheckpoint(LlamaModel.load(folder))).message).toMatch(/a folder/);
  });

  it('refuses wrong arguments before anything is read', async () => {
    const none = join(folder, 'none');
    await expectRejected(() => LlamaModel.load(7 as never), 'type', 'folder');
    await expectRejected(() => LlamaModel.load(none, 7 as never), 'type', 'options');
    await expectRejected(() => LlamaModel.load(none, { weights: 'q4' as never }), 'range', 'weights');
    await expectRejected(() => LlamaModel.load(none, { cache: 'f8' as never }), 'range', 'cache');
    await expectRejected(() => LlamaModel.load(none, { threads: 0 }), 'range', 'threads');
    await expectRejected(() => LlamaModel.load(none, { file: 7 as never }), 'type', 'file');
    await expectRejected(() => LlamaModel.load(tinyLlama, { signal: 7 as never }), 'type', 'signal');
    await expectRejected(() => LlamaModel.load(tinyLlama, { onProgress: 7 as never }), 'type', 'onProgress');
    const reason = new Error('enough');
    await expect(LlamaModel.load(none, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('LlamaModel.random', () => {
  it('takes a configuration, or the object of a config.json', async () => {
    const [a, b] = await Promise.all([
      LlamaModel.random(SMALL, { seed: 5, weights: 'f32' }),
      LlamaModel.random(parseConfig(SMALL), { seed: 5, weights: 'f32', cache: 'f16', threads: 2 }),
    ]);
    expect(a.config).toEqual(b.config);
    expect(a.weights).toEqual(b.weights);
    expect([b.cache, b.threads]).toEqual(['f16', 2]);
    await expectRejected(() => LlamaModel.random('small' as never), 'type', 'config');
    await expect(LlamaModel.random({ ...SMALL, head_dim: 3 })).rejects.toMatchObject({
      code: 'ERR_BAD_CHECKPOINT',
    });
  });
});

describe('LlamaModel.embedded', () => {
  it('is the byte-level model that comes with the package', async () => {
    const { config, weights, warnings } = await LlamaModel.embedded();
    expect(parameterCount(config)).toBe(955_776);
    expect(config).toMatchObject({ vocabSize: 256, maxPositionEmbeddings: 256, tieWordEmbeddings: true });
    expect([weights.head.type, weights.head === weights.embedding, warnings]).toEqual(['bf16', true, []]);
    expect((await LlamaModel.embedded({ weights: 'int8' })).weights.head.type).toBe('int8');
  });

  it('is found by both builds of the package', async () => {
    const use = '.LlamaModel.embedded().then(({ config }) => console.log(config.vocabSize))';
    const forms = [
      ['module', `import * as llm from './dist/esm/lib/llm/index.js'; llm${use}`],
      ['commonjs', `require('./dist/cjs/lib/llm/index.js')${use}`],
    ];
    for (const [type, script] of forms) {
      const root = join(embeddedModelPath(), '../..');
      const args = [`--input-type=${type}`, '-e', script];
      expect((await promisify(execFile)(process.execPath, args, { cwd: root })).stdout).toBe('256\n');
    }
  });

  it('its folder holds what a tokenizer needs, and nothing of the tests', async () => {
    const text = await readFile(join(embeddedModelPath(), 'tokenizer.json'), 'utf8');
    const { model } = JSON.parse(text) as { model: { vocab: Record<string, number> } };
    expect(Object.keys(model.vocab)).toHaveLength(256);
  });
});

describe('a model', () => {
  it('can be disposed of', async () => {
    const model = await LlamaModel.random(SMALL);
    const session = model.createSession();
    model.dispose();
    model.dispose();
    const disposed = expect.objectContaining({ code: 'ERR_DISPOSED' }) as Error;
    expect(() => model.weights).toThrow(disposed);
    expect(() => model.createSession()).toThrow(disposed);
    expect(() => model.createEngine()).toThrow(disposed);
    await expect(session.prefill([1])).rejects.toThrow(disposed);
    await expect(model.calibratePhi([[1]])).rejects.toThrow(disposed);
    expect(model.config.vocabSize).toBe(50);
  });

  it('is refused with options that it cannot run with', async () => {
    const { config, weights } = await LlamaModel.random(SMALL);
    expectThrown(() => new LlamaModel(config, weights, { threads: 0.5 }), 'range', 'threads');
    expectThrown(() => new LlamaModel(config, weights, { cache: 'no' as never }), 'range', 'cache');
  });
});

describe('calibratePhi', () => {
  const ranges = async (): Promise<{ meanRowMax: number }[]> =>
    JSON.parse(await readFile(join(tinyLlama, 'score-ranges.json'), 'utf8')) as { meanRowMax: number }[];
  const tokens = async (): Promise<number[]> =>
    (JSON.parse(await readFile(join(tinyLlama, 'expected.json'), 'utf8')) as { tokens: number[] }).tokens;

  it('gives the mean of the row maxima of the fixture, a number a layer', async () => {
    const model = await LlamaModel.load(tinyLlama, { file: 'model-f32.safetensors' });
    const shares: number[] = [];
    const phi = await model.calibratePhi([await tokens()], { onProgress: (done) => shares.push(done) });
    const expected = (await ranges()).map(({ meanRowMax }) => meanRowMax);
    expect(phi).toHaveLength(expected.length);
    phi.forEach((each, layer) => expect(Math.abs(each - expected[layer])).toBeLessThan(1e-4));
    expect(shares[shares.length - 1]).toBe(1);
  });

  it('weighs prompts by their tokens, whatever their number and length', async () => {
    const model = await LlamaModel.random(SMALL, { seed: 2, weights: 'f32', deviation: 0.5 });
    const long = Array.from({ length: 300 }, (_, i) => (i * 17) % 50);
    const short = [3, 1, 4];
    const [a, b, both] = await Promise.all(
      [[long], [short], [long, [], short]].map((each) => model.calibratePhi(each)),
    );
    both.forEach((each, layer) => expect(each).toBeCloseTo((300 * a[layer] + 3 * b[layer]) / 303, 9));
    expect(Math.abs(a[0] - b[0])).toBeGreaterThan(1e-6);
  });

  it('refuses prompts without tokens and tokens outside the vocabulary', async () => {
    const model = await LlamaModel.random(SMALL);
    await expectRejected(() => model.calibratePhi([]), 'range', 'prompts');
    await expectRejected(() => model.calibratePhi([[]]), 'range', 'prompts');
    await expectRejected(() => model.calibratePhi([[1], [50]]), 'range', 'prompts[1]');
    await expectRejected(() => model.calibratePhi([[1.5]]), 'range', 'prompts[0]');
    await expectRejected(() => model.calibratePhi(7 as never), 'type', 'prompts');
    await expectRejected(() => model.calibratePhi([7] as never), 'type', 'prompts[0]');
    const reason = new Error('enough');
    await expect(model.calibratePhi([[1]], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
