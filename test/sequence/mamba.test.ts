import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bf16ToF32 } from '../../lib/kernels/convert.js';
import { MambaModel, MambaState, parseMambaConfig, StateBusyError } from '../../lib/sequence/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import {
  mambaTensorsOf,
  referenceMamba,
  sizesOf,
  SMALL_MAMBA,
  SMALL_TRANSFORMERS,
  writeMamba,
} from '../helpers/mamba-checkpoint.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { integers } from '../helpers/rows.js';
import { badCheckpoint } from '../helpers/safetensors.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'softlane-mamba-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Logits agree to 1e-4 of the largest, and choose the same token. */
function expectLogits(actual: Float32Array, expected: Float64Array, label: string): void {
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  expectClose(actual, expected, () => 1e-4 * largest, label);
  expect(actual.indexOf(Math.max(...actual))).toBe(expected.indexOf(Math.max(...expected)));
}

const tokens = Int32Array.from(integers(70, 45, 9));

/** Models of several forms: what changes in config.json, and in the tensors. */
const FORMS = {
  'the mamba_ssm form': { json: SMALL_MAMBA, sizes: sizesOf() },
  'the transformers form': {
    json: SMALL_TRANSFORMERS,
    sizes: sizesOf({ rows: 45, embedding: 'backbone.embeddings.weight' }),
    eps: 1e-3,
  },
  'LayerNorm, biases, an output matrix of its own': {
    json: {
      ...SMALL_MAMBA,
      rms_norm: false,
      tie_embeddings: false,
      ssm_cfg: { ...SMALL_MAMBA.ssm_cfg, bias: true, conv_bias: false, d_conv: 3 },
    },
    sizes: sizesOf({ rmsNorm: false, tied: false, bias: true, convBias: false, width: 3 }),
  },
};

describe.each(Object.entries(FORMS))('%s', (_name, form) => {
  const tensors = mambaTensorsOf(form.sizes);
  const eps = 'eps' in form ? form.eps : 1e-5;
  const reference = referenceMamba(form.sizes, tensors, eps);
  const expected = Array.from(tokens, (token) => reference.step(token));

  onEveryIsa(() => {
    it('prefill and steps give the logits of the reference', async () => {
      await writeMamba(folder, form.json, tensors);
      const model = await MambaModel.load(folder);
      expect(model.warnings).toEqual([]);
      const [whole, single] = [model.createState(), model.createState()];
      const logits = await model.prefill(whole, tokens, { logits: 'all' });
      expect(logits).toHaveLength(tokens.length * 45);
      for (let i = 0; i < tokens.length; i += 1) {
        expectLogits(logits.subarray(i * 45, (i + 1) * 45), expected[i], `prefill, token ${i}`);
        expectLogits(await model.step(single, tokens[i]), expected[i], `step, token ${i}`);
      }
      expect([whole.length, single.length]).toEqual([70, 70]);
      const states = [0, 1].map((layer) => reference.state(layer));
      for (const state of [whole, single])
        state.layers.forEach(({ scan }, layer) => {
          const largest = Math.max(...states[layer].map(Math.abs));
          expectClose(scan, states[layer], () => 1e-5 * Math.max(1, largest), `state of layer ${layer}`);
        });
    });
  });
});

describe('MambaModel', () => {
  const sizes = sizesOf();
  const tensors = mambaTensorsOf(sizes);
  const load = async (options?: object): Promise<MambaModel> => {
    await writeMamba(folder, SMALL_MAMBA, tensors);
    return MambaModel.load(folder, options);
  };

  it('a prompt in two parts, in chunks or with steps behind it is the prompt at once', async () => {
    const model = await load();
    const expected = await model.prefill(model.createState(), tokens, { logits: 'all' });
    const last = expected.subarray(-45);
    const near = (actual: Float32Array, label: string): void =>
      void expectClose(actual, last, () => 1e-5 * Math.max(...last.map(Math.abs)), label);
    for (const chunk of [1, 3, 64]) {
      near(await model.prefill(model.createState(), tokens, { chunk }), `chunks of ${chunk}`);
      const all = await model.prefill(model.createState(), tokens, { chunk, logits: 'all' });
      expect(all).toHaveLength(expected.length);
      near(all.subarray(-45), `all logits, chunks of ${chunk}`);
    }
    for (const cut of [1, 2, 3, 37, 69]) {
      const state = model.createState();
      await model.prefill(state, tokens.subarray(0, cut));
      near(await model.prefill(state, tokens.subarray(cut)), `cut at ${cut}`);
    }
    const state = model.createState();
    await model.prefill(state, tokens.subarray(0, 66));
    for (const token of tokens.subarray(66, 69)) await model.step(state, token);
    near(await model.step(state, tokens[69]), 'steps');
  });

  it('has the same bits for any number of threads', async () => {
    const one = await load({ threads: 1 });
    const states = [one.createState()];
    const expected = await one.prefill(states[0], tokens, { logits: 'all' });
    for (const threads of [2, 8]) {
      const model = await load({ threads });
      const state = model.createState();
      expectSameBits(await model.prefill(state, tokens, { logits: 'all' }), expected, `${threads} threads`);
      expectSameBits(
        await model.step(state, 5),
        await one.step(states[0].clone(), 5),
        `step, ${threads} threads`,
      );
    }
  });

  it('states are of constant size, are cloned and start anew', async () => {
    const model = await load();
    const state = model.createState();
    // 2 layers x 72 channels x (3 inputs of the convolution and 5 numbers of state) x 4 bytes.
    expect([state.bytes, model.bytes.state, state.length]).toEqual([2 * 72 * 8 * 4, 2 * 72 * 8 * 4, 0]);
    const first = await model.prefill(state, tokens);
    expect([state.bytes, state.length]).toEqual([2 * 72 * 8 * 4, 70]);
    const copy = state.clone();
    expect([copy.bytes, copy.length]).toEqual([state.bytes, 70]);
    const after = await model.step(state, 7);
    expect(copy.length).toBe(70);
    expectSameBits(await model.step(copy, 7), after);
    state.reset();
    expect(state.length).toBe(0);
    expectSameBits(await model.prefill(state, tokens), first);
  });

  it.each(['bf16', 'f16', 'int8'] as const)('weights as %s stay near', async (weights) => {
    const full = await load();
    const model = await load({ weights });
    expect(model.bytes.weights).toBeLessThan(0.75 * full.bytes.weights);
    const [expected, actual] = await Promise.all(
      [full, model].map(async (each) => each.prefill(each.createState(), tokens)),
    );
    const largest = Math.max(...expected.map(Math.abs));
    expectClose(actual, expected, () => (weights === 'f16' ? 0.01 : 0.08) * largest, weights);
  });

  it('reads bfloat16 as it is stored', async () => {
    const rounded = mambaTensorsOf(sizes, 'BF16');
    await writeMamba(folder, SMALL_MAMBA, rounded);
    const model = await MambaModel.load(folder);
    const exact = Object.fromEntries(
      Object.entries(rounded).map(([name, { shape, data }]) => [
        name,
        { shape, values: bf16ToF32(data as Uint16Array) },
      ]),
    );
    const reference = referenceMamba(sizes, exact);
    const expected = Array.from(tokens, (token) => reference.step(token));
    expectLogits(await model.prefill(model.createState(), tokens), expected[69], 'bf16');
  });

  it('warns of tensors that nothing uses and of an output matrix that is tied by name alone', async () => {
    const data = new Float32Array(48 * 24);
    await writeMamba(
      folder,
      { ...SMALL_MAMBA, eos_token_id: 50 },
      {
        ...tensors,
        'lm_head.weight': { dtype: 'F32', shape: [48, 24], data },
        extra: { dtype: 'F32', shape: [1], data: new Float32Array(1) },
      },
    );
    expect((await MambaModel.load(folder)).warnings).toEqual([
      'eos_token_id 50 is outside the vocabulary of 45 tokens: no text ends with it',
      '"lm_head.weight" differs from "backbone.embedding.weight", which is used for both since config.json ties them',
      'tensor "extra" [1] of F32 is not used',
    ]);
  });
});

describe('bad checkpoints', () => {
  const mixer = 'backbone.layers.1.mixer.';
  const tensors = mambaTensorsOf(sizesOf());
  const broken = async (name: string, change: object | undefined): Promise<string> => {
    const { [name]: old, ...rest } = tensors;
    await writeMamba(folder, SMALL_MAMBA, change ? { ...rest, [name]: { ...old, ...change } } : rest);
    const error = await badCheckpoint(MambaModel.load(folder));
    expect(error.tensor).toBe(name);
    return error.message;
  };

  it('name the tensor that is missing, of another shape or another type', async () => {
    expect(await broken(`${mixer}A_log`, undefined)).toMatch(/a tensor of shape \[72, 5\].*none among/);
    const data = new Float32Array(72 * 4);
    expect(await broken(`${mixer}A_log`, { shape: [72, 4], data })).toMatch(
      /shape \[72, 5\].*shape \[72, 4\]/,
    );
    expect(await broken(`${mixer}conv1d.weight`, { shape: [72, 4], data })).toMatch(
      /\[72, 1, 4\].*\[72, 4\]/,
    );
    const integers = { dtype: 'I8', data: new Uint8Array(72) };
    expect(await broken(`${mixer}D`, integers)).toMatch(/dtype F32, F64, BF16, F16.*I8/);
    expect(await broken('backbone.embedding.weight', undefined)).toMatch(/backbone.embeddings.weight/);
  });

  it('name the configuration that is missing or of another model', async () => {
    expect((await badCheckpoint(MambaModel.load(folder))).file).toBe(join(folder, 'config.json'));
    await writeFile(join(folder, 'config.json'), JSON.stringify({ architectures: ['LlamaForCausalLM'] }));
    expect((await badCheckpoint(MambaModel.load(folder))).message).toContain('LlamaForCausalLM');
    await expect(MambaModel.load(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('random models', () => {
  it('depend on the seed alone', async () => {
    const config = parseMambaConfig(SMALL_MAMBA);
    const logitsOf = async (json: object, options?: object): Promise<Float32Array> => {
      const model = await MambaModel.random(json as Record<string, unknown>, options);
      return model.prefill(model.createState(), tokens);
    };
    const expected = await logitsOf(config, { seed: 4 });
    expect(expected.every(Number.isFinite)).toBe(true);
    expectSameBits(await logitsOf(SMALL_MAMBA, { seed: 4, threads: 2 }), expected);
    expect(await logitsOf(SMALL_MAMBA, { seed: 5 })).not.toEqual(expected);
    const tiny = await logitsOf(SMALL_MAMBA, { seed: 4, weights: 'int8' });
    expectClose(tiny, expected, () => 0.1 * Math.max(...expected.map(Math.abs)));
  });

  it('refuse what is no configuration, and models larger than memory', async () => {
    await expectRejected(async () => MambaModel.random(7 as never), 'type', 'config');
    const giant = { ...SMALL_MAMBA, d_model: 2 ** 20, n_layer: 1000 };
    await expectRejected(async () => MambaModel.random(giant), 'range', 'config');
  });
});

describe('generate', () => {
  const random = async (): Promise<MambaModel> =>
    MambaModel.random({ ...SMALL_MAMBA, eos_token_id: 3 }, { seed: 2 });
  const collect = async (
    model: MambaModel,
    prompt: ArrayLike<number>,
    options: object,
  ): Promise<{ tokens: number[]; reason: string | undefined }> => {
    const all: number[] = [];
    let reason: string | undefined;
    for await (const each of model.generate(prompt, options)) {
      all.push(each.token);
      reason = each.finishReason;
    }
    return { tokens: all, reason };
  };

  it('goes on greedily with the most probable token', async () => {
    const model = await random();
    const { tokens: text, reason } = await collect(model, [5, 6], {
      maxTokens: 9,
      temperature: 0,
      stopTokens: [],
    });
    const state = model.createState();
    let logits = await model.prefill(state, [5, 6]);
    for (const token of text) {
      expect(token).toBe(logits.indexOf(Math.max(...logits)));
      logits = await model.step(state, token);
    }
    expect([text.length, reason]).toEqual([9, 'length']);
  });

  it('depends on the seed alone, and stops at stop tokens', async () => {
    const model = await random();
    const options = { maxTokens: 40, seed: 8, topK: 20, topP: 0.95, stopTokens: [] };
    const first = await collect(model, [1], options);
    expect(first.tokens).toHaveLength(40);
    expect(await collect(model, [1], options)).toEqual(first);
    expect(await collect(model, [1], { ...options, seed: 9 })).not.toEqual(first);
    const stop = first.tokens[7];
    const cut = await collect(model, [1], { ...options, stopTokens: [stop] });
    expect(cut.reason).toBe('stop');
    expect(cut.tokens).toEqual(first.tokens.slice(0, first.tokens.indexOf(stop) + 1));
  });

  it('goes on from a state that is given', async () => {
    const model = await random();
    const options = { maxTokens: 6, temperature: 0, stopTokens: [] };
    const whole = await collect(model, [4, 5, 6], options);
    const state = model.createState();
    await model.prefill(state, [4, 5]);
    expect(await collect(model, [6], { ...options, state })).toEqual(whole);
    expect(state.length).toBe(3 + 5);
    const rest = await collect(model, [whole.tokens[5]], { ...options, state });
    const long = await collect(model, [4, 5, 6], { ...options, maxTokens: 12 });
    expect([...whole.tokens, ...rest.tokens]).toEqual(long.tokens);
  });

  it('ends by its signal and when it is left; the state is free again', async () => {
    const model = await random();
    const controller = new AbortController();
    const state = model.createState();
    const text = model.generate([1], { state, signal: controller.signal, seed: 1, stopTokens: [] });
    await text.next();
    await expect(model.step(state, 1)).rejects.toBeInstanceOf(StateBusyError);
    expect(() => state.clone()).toThrow(StateBusyError);
    controller.abort(new Error('enough'));
    await expect(text.next()).rejects.toThrow('enough');
    const length = state.length;
    await model.step(state, 1);
    expect(state.length).toBe(length + 1);
    for await (const each of model.generate([1], { state, seed: 1, stopTokens: [] }))
      if (each.token >= 0) break;
    await model.step(state, 1);
  });

  it('an aborted prefill stays at its last chunk', async () => {
    const model = await random();
    const state = model.createState();
    await expect(
      model.prefill(state, tokens, { signal: AbortSignal.abort(new Error('no')) }),
    ).rejects.toThrow('no');
    expect(state.length).toBe(0);
  });

  it('refuses bad calls by name', async () => {
    const model = await random();
    const state = model.createState();
    await expectRejected(async () => model.step(state, 45), 'range', 'tokens[0]');
    await expectRejected(async () => model.step(state, 1.5), 'range', 'tokens[0]');
    await expectRejected(async () => model.prefill(state, []), 'range', 'tokens');
    await expectRejected(async () => model.prefill(state, 'text' as never), 'type', 'tokens');
    await expectRejected(async () => model.prefill(state, [1], { chunk: 0 }), 'range', 'chunk');
    await expectRejected(
      async () => model.prefill(state, [1], { logits: 'some' as never }),
      'range',
      'logits',
    );
    await expectRejected(async () => model.prefill({} as MambaState, [1]), 'type', 'state');
    const other = new MambaState({ numLayers: 2, dInner: 70, convWidth: 4, stateSize: 5 });
    await expectRejected(async () => model.step(other, 1), 'range', 'state');
    expectThrown(() => model.generate([]), 'range', 'tokens');
    expectThrown(() => model.generate([1], { temperature: -1 }), 'range', 'temperature');
    await expectRejected(async () => MambaModel.load(3 as never), 'type', 'folder');
    await expectRejected(async () => MambaModel.load(folder, { threads: 0 }), 'range', 'threads');
    expect(state.length).toBe(0);
    model.dispose();
    await expect(model.step(state, 1)).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    await expect(model.generate([1]).next()).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });
});
