import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig, type LlamaConfig } from '../../lib/llm/config.js';
import { CheckpointError } from '../../lib/llm/error.js';
import { FLASH_FIXTURES } from '../helpers/flash-fixtures.js';

const base = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 256,
};
const mistral = { ...base, architectures: ['MistralForCausalLM'] };
const qwen2 = { ...base, architectures: ['Qwen2ForCausalLM'] };

const fixtureConfig = (name: string): LlamaConfig =>
  parseConfig(readFileSync(join(FLASH_FIXTURES, name, 'config.json'), 'utf8'), `${name}/config.json`);

describe('parseConfig', () => {
  it('fills in the defaults', () => {
    expect(parseConfig(base)).toEqual({
      architecture: 'LlamaForCausalLM',
      hiddenSize: 64,
      intermediateSize: 160,
      numHiddenLayers: 2,
      numAttentionHeads: 4,
      numKeyValueHeads: 4,
      headDim: 16,
      vocabSize: 256,
      maxPositionEmbeddings: 2048,
      rmsNormEps: 1e-6,
      ropeTheta: 10000,
      ropeScaling: null,
      tieWordEmbeddings: false,
      attentionBias: false,
      outputBias: false,
      slidingWindow: null,
      eosTokenIds: [],
      bosTokenId: null,
    });
  });

  it('reads the fixtures', () => {
    expect(fixtureConfig('tiny-llama')).toMatchObject({
      numKeyValueHeads: 2,
      headDim: 16,
      rmsNormEps: 1e-5,
      maxPositionEmbeddings: 512,
      bosTokenId: 1,
      eosTokenIds: [2],
    });
    expect(fixtureConfig('tiny-scaled-sharded')).toMatchObject({
      hiddenSize: 40,
      headDim: 12,
      numAttentionHeads: 6,
      tieWordEmbeddings: true,
      eosTokenIds: [2, 3],
      ropeScaling: {
        type: 'llama3',
        factor: 8,
        lowFreqFactor: 1,
        highFreqFactor: 4,
        originalMaxPositionEmbeddings: 256,
      },
    });
    expect(fixtureConfig('tiny-bias-f16')).toMatchObject({
      architecture: 'Qwen2ForCausalLM',
      attentionBias: true,
      outputBias: false,
      ropeTheta: 1e6,
      numKeyValueHeads: 1,
    });
  });

  it('tells the architecture by model_type where the list is missing', () => {
    const rest: Record<string, unknown> = { ...base, architectures: undefined };
    expect(parseConfig({ ...rest, model_type: 'mistral' }).architecture).toBe('MistralForCausalLM');
    expect(parseConfig({ ...rest, model_type: 'qwen2', architectures: [] }).architecture).toBe(
      'Qwen2ForCausalLM',
    );
  });

  it('gives biases as each architecture has them', () => {
    const biases = (config: object): [boolean, boolean] => {
      const { attentionBias, outputBias } = parseConfig(config);
      return [attentionBias, outputBias];
    };
    expect(biases({ ...base, attention_bias: true })).toEqual([true, true]);
    expect(biases(qwen2)).toEqual([true, false]);
    expect(biases({ ...mistral, attention_bias: true })).toEqual([false, false]);
  });

  describe('windows', () => {
    const layers = 4;
    const window = (config: object): number | null =>
      parseConfig({ sliding_window: 8, num_hidden_layers: layers, ...config }).slidingWindow;
    it('always in Mistral, unless null', () => {
      expect(window({ ...mistral })).toBe(8);
      expect(window({ ...mistral, sliding_window: null })).toBeNull();
    });
    it('in Qwen2 only where it is in use, and never in Llama', () => {
      expect(window({ ...qwen2, num_hidden_layers: layers })).toBeNull();
      expect(window({ ...qwen2, use_sliding_window: true, max_window_layers: 0 })).toBe(8);
      expect(window({ ...qwen2, use_sliding_window: true })).toBeNull(); // from layer 28 on
      const all = Array<string>(layers).fill('sliding_attention');
      expect(window({ ...qwen2, use_sliding_window: true, layer_types: all })).toBe(8);
      expect(window({ ...base })).toBeNull();
    });
    it('refuses layers that differ', () => {
      expect(() => window({ ...qwen2, use_sliding_window: true, max_window_layers: 1 })).toThrow(
        /one attention window for all layers, received "max_window_layers" 1 of 2/,
      );
      const types = ['full_attention', 'sliding_attention'];
      expect(() => window({ ...qwen2, use_sliding_window: true, layer_types: types })).toThrow(/layer_types/);
    });
  });

  describe('rotation', () => {
    const rope = (config: object): unknown[] => {
      const { ropeTheta, ropeScaling } = parseConfig({ ...base, ...config });
      return [ropeTheta, ropeScaling];
    };
    const llama3 = {
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const read = {
      type: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 8192,
    };
    it('in every spelling', () => {
      expect(rope({ rope_theta: 5e5, rope_scaling: null })).toEqual([5e5, null]);
      expect(rope({ rope_scaling: { rope_type: 'default' } })).toEqual([10000, null]);
      expect(rope({ rope_scaling: { type: 'linear', factor: 4 } })).toEqual([
        10000,
        { type: 'linear', factor: 4 },
      ]);
      expect(rope({ rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...llama3 } })).toEqual([
        5e5,
        read,
      ]);
      expect(
        rope({ rope_theta: 5e5, rope_scaling: { type: 'llama3', rope_type: 'llama3', ...llama3 } }),
      ).toEqual([5e5, read]);
      const nested = { rope_type: 'llama3', rope_theta: 5e5, ...llama3 };
      expect(rope({ rope_parameters: nested })).toEqual([5e5, read]);
      expect(rope({ rope_theta: 3, rope_parameters: nested })).toEqual([5e5, read]);
      expect(rope({ rope_theta: 3, rope_parameters: { rope_type: 'default' } })).toEqual([3, null]);
    });
    it.each<[string, object, RegExp]>([
      [
        'yarn',
        { rope_scaling: { rope_type: 'yarn', factor: 4 } },
        /"rope_scaling.rope_type".*received "yarn"/,
      ],
      ['dynamic', { rope_scaling: { type: 'dynamic', factor: 4 } }, /received "dynamic"/],
      ['longrope', { rope_parameters: { rope_type: 'longrope' } }, /"rope_parameters.rope_type".*"longrope"/],
      ['no type', { rope_scaling: { factor: 4 } }, /rope_type.*received none/],
      ['no factor', { rope_scaling: { type: 'linear' } }, /"rope_scaling.factor".*received none/],
      ['factor 0', { rope_scaling: { type: 'linear', factor: 0 } }, /factor.*received 0/],
      ['factor as text', { rope_scaling: { type: 'linear', factor: '4' } }, /factor.*received "4"/],
      [
        'low above high',
        { rope_scaling: { type: 'llama3', ...llama3, low_freq_factor: 4 } },
        /high_freq_factor.*greater/,
      ],
      [
        'no original length',
        { rope_scaling: { type: 'llama3', ...llama3, original_max_position_embeddings: null } },
        /original_max_position_embeddings/,
      ],
      [
        'a rotation per kind of layer',
        { rope_parameters: { full_attention: {} } },
        /"full_attention" with one of its own/,
      ],
      ['a partial rotation', { partial_rotary_factor: 0.5 }, /partial_rotary_factor.*received 0.5/],
      ['no object', { rope_scaling: 'linear' }, /"rope_scaling" to be an object/],
      ['theta', { rope_theta: -1 }, /rope_theta.*received -1/],
    ])('refuses %s', (_, config, reason) => expect(() => rope(config)).toThrow(reason));
  });

  it.each<[string, object, RegExp]>([
    [
      'quantised weights',
      { quantization_config: { quant_method: 'gptq', bits: 4 } },
      /quantised model \(quant_method "gptq"\)/,
    ],
    [
      'architecture',
      { architectures: ['GemmaForCausalLM'] },
      /LlamaForCausalLM.*received "GemmaForCausalLM"/,
    ],
    [
      'architecture of the prototype',
      { architectures: [], model_type: 'toString' },
      /received none.*"toString"/,
    ],
    ['activation', { hidden_act: 'gelu' }, /hidden_act.*received "gelu"/],
    ['bias of the feed-forward layer', { mlp_bias: true }, /mlp_bias/],
    ['odd head_dim', { head_dim: 15 }, /an even head_dim.*received 15/],
    ['odd head_dim by division', { hidden_size: 60 }, /an even head_dim.*received 15/],
    ['hidden_size', { hidden_size: 66 }, /"hidden_size".*multiple of num_attention_heads \(4\).*66/],
    ['key heads', { num_key_value_heads: 3 }, /num_key_value_heads.*divisor of num_attention_heads \(4\).*3/],
    ['no layers', { num_hidden_layers: 0 }, /num_hidden_layers.*received 0/],
    ['more layers than any model has', { num_hidden_layers: 10_001 }, /num_hidden_layers.*10000.*10001/],
    ['layers that no memory holds', { num_hidden_layers: 2 ** 31 - 1 }, /num_hidden_layers.*2147483647/],
    [
      'windowed layers that no memory holds',
      {
        architectures: ['Qwen2ForCausalLM'],
        num_hidden_layers: 2 ** 31 - 1,
        use_sliding_window: true,
        sliding_window: 8,
      },
      /num_hidden_layers.*2147483647/,
    ],
    ...['hidden_size', 'intermediate_size', 'vocab_size', 'num_attention_heads', 'head_dim'].map(
      (key): [string, object, RegExp] => [
        `a ${key} of 2^40`,
        { [key]: 2 ** 40 },
        new RegExp(`"${key}".*1099511627776`),
      ],
    ),
    ['fractions', { vocab_size: 25.5 }, /vocab_size.*received 25.5/],
    ['text', { intermediate_size: '160' }, /intermediate_size.*received "160"/],
    ['a size of 2^31', { vocab_size: 2 ** 31 }, /vocab_size/],
    ['a missing size', { hidden_size: undefined }, /hidden_size.*received none/],
    ['eps', { rms_norm_eps: 0 }, /rms_norm_eps/],
    ['a flag', { tie_word_embeddings: 'yes' }, /tie_word_embeddings.*true or false/],
    ['eos', { eos_token_id: [1, -2] }, /eos_token_id.*received -2/],
    ['bos', { bos_token_id: '1' }, /bos_token_id/],
  ])('refuses %s by name', (_, config, reason) => {
    let error: unknown;
    try {
      parseConfig({ ...base, ...config }, 'model/config.json');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(CheckpointError);
    const { code, file, message } = error as CheckpointError;
    expect([code, file]).toEqual(['ERR_BAD_CHECKPOINT', 'model/config.json']);
    expect(message).toMatch(/^model\/config\.json: expected /);
    expect(message).toMatch(reason);
  });

  it.each(['', '{', '[]', 'null', '7'])('refuses %j', (text) => {
    expect(() => parseConfig(text)).toThrow(CheckpointError);
  });
});
