import { isMambaConfig, parseMambaConfig } from '../../lib/sequence/mamba-config.js';
import { mambaParameterCount } from '../../lib/sequence/mamba-tensors.js';
import { SMALL_MAMBA, SMALL_TRANSFORMERS } from '../helpers/mamba-checkpoint.js';
import { CheckpointError } from '../../lib/io/index.js';

/** The public configuration of the 130m size, in both forms. */
const PACKAGE_130M = {
  d_model: 768,
  n_layer: 24,
  vocab_size: 50277,
  ssm_cfg: {},
  rms_norm: true,
  residual_in_fp32: true,
  fused_add_norm: true,
  pad_vocab_size_multiple: 8,
};
const TRANSFORMERS_130M = {
  architectures: ['MambaForCausalLM'],
  bos_token_id: 0,
  conv_kernel: 4,
  eos_token_id: 0,
  expand: 2,
  hidden_act: 'silu',
  hidden_size: 768,
  intermediate_size: 1536,
  layer_norm_epsilon: 1e-5,
  model_type: 'mamba',
  num_hidden_layers: 24,
  residual_in_fp32: true,
  state_size: 16,
  time_step_rank: 48,
  use_bias: false,
  use_conv_bias: true,
  vocab_size: 50280,
};

const SIZES_130M = {
  architecture: 'MambaForCausalLM',
  dModel: 768,
  numLayers: 24,
  paddedVocabSize: 50280,
  dInner: 1536,
  stateSize: 16,
  convWidth: 4,
  timeStepRank: 48,
  projectionBias: false,
  convBias: true,
  rmsNorm: true,
  normEps: 1e-5,
  tieEmbeddings: true,
};

describe('parseMambaConfig', () => {
  it('reads the 130m size in the form of the mamba_ssm package', () => {
    const config = parseMambaConfig(PACKAGE_130M);
    expect(config).toEqual({ ...SIZES_130M, vocabSize: 50277, eosTokenIds: [] });
    // What the model card says: 129,135,360 weights.
    expect(mambaParameterCount(config)).toBe(129_135_360);
  });

  it('reads the 130m size in the form of transformers', () => {
    const config = parseMambaConfig(JSON.stringify(TRANSFORMERS_130M));
    expect(config).toEqual({ ...SIZES_130M, vocabSize: 50280, eosTokenIds: [0] });
    expect(mambaParameterCount(config)).toBe(129_135_360);
  });

  it('reads what is not as usual', () => {
    const ssm = { ...SMALL_MAMBA.ssm_cfg, dt_rank: 'auto', bias: true, conv_bias: false, layer: 'Mamba1' };
    const own = {
      ssm_cfg: ssm,
      rms_norm: false,
      tie_embeddings: false,
      eos_token_id: [1, 2],
      norm_epsilon: 1e-6,
    };
    expect(parseMambaConfig({ ...SMALL_MAMBA, ...own })).toMatchObject({
      dInner: 72,
      stateSize: 5,
      timeStepRank: 2,
      projectionBias: true,
      convBias: false,
      rmsNorm: false,
      normEps: 1e-6,
      tieEmbeddings: false,
      vocabSize: 45,
      paddedVocabSize: 48,
      eosTokenIds: [1, 2],
    });
    const json = { ...SMALL_TRANSFORMERS, intermediate_size: 50, time_step_rank: 'auto', use_bias: true };
    expect(parseMambaConfig({ ...json, tie_word_embeddings: false, use_conv_bias: false })).toMatchObject({
      dInner: 50,
      timeStepRank: 2,
      projectionBias: true,
      convBias: false,
      tieEmbeddings: false,
    });
  });

  it.each<[string, unknown, RegExp]>([
    [
      'Mamba-2 layers',
      { ...SMALL_MAMBA, ssm_cfg: { layer: 'Mamba2' } },
      /"ssm_cfg.layer" to be "Mamba1", received "Mamba2"/,
    ],
    ['attention layers', { ...SMALL_MAMBA, attn_layer_idx: [3] }, /"attn_layer_idx" to be an empty array/],
    ['an MLP', { ...SMALL_MAMBA, d_intermediate: 64 }, /"d_intermediate" to be 0, received 64/],
    ['a width that is none', { ...SMALL_MAMBA, d_model: 0 }, /"d_model" to be an integer from 1/],
    ['another activation', { ...SMALL_TRANSFORMERS, hidden_act: 'relu' }, /"hidden_act" to be "silu"/],
    [
      'another model',
      { architectures: ['Mamba2ForCausalLM'] },
      /MambaForCausalLM.*received "Mamba2ForCausalLM"/,
    ],
    ['no model', { ...SMALL_MAMBA, d_model: null }, /"d_model" and "n_layer", received none/],
    ['too many layers', { ...SMALL_MAMBA, n_layer: 10_001 }, /at most 10000 layers, received 10001/],
    ['a convolution that is too wide', { ...SMALL_MAMBA, ssm_cfg: { d_conv: 9 } }, /2 to 8 taps, received 9/],
    ['no flag', { ...SMALL_MAMBA, rms_norm: 1 }, /"rms_norm" to be true or false, received 1/],
    ['text that is no JSON', '{', /JSON/],
    ['no object', '[]', /a JSON object/],
  ])('refuses %s by name', (_what, json, message) => {
    let thrown: unknown;
    try {
      parseMambaConfig(json, 'folder/config.json');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CheckpointError);
    expect((thrown as CheckpointError).message).toMatch(message);
    expect((thrown as CheckpointError).file).toBe('folder/config.json');
  });
});

test('isMambaConfig knows both forms, and other models', () => {
  // What parseMambaConfig reads is known here too: ssm_cfg has defaults.
  const plain = { d_model: 16, n_layer: 2, vocab_size: 24 };
  expect(parseMambaConfig(plain, 'config.json').dModel).toBe(16);
  const mamba = [SMALL_MAMBA, SMALL_TRANSFORMERS, { model_type: 'mamba' }, plain];
  expect(mamba.map(isMambaConfig)).toEqual([true, true, true, true]);
  const others = [
    { architectures: ['LlamaForCausalLM'], d_model: 1 },
    { model_type: 'llama' },
    null,
    'mamba',
    {},
  ];
  expect(others.map(isMambaConfig)).toEqual([false, false, false, false, false]);
});
