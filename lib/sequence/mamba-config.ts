/** The configuration of a Mamba language model: what softlane reads of its `config.json`, in either public form. */
import { CheckpointError, shortened } from '../io/checkpoint-error.js';
import { Fields } from '../llm/fields.js';

/** Sizes and constants of a Mamba language model. */
export interface MambaConfig {
  readonly architecture: 'MambaForCausalLM';
  /** Width of the residual stream. */
  readonly dModel: number;
  /** At most 10,000. */
  readonly numLayers: number;
  /** Token ids are 0 to vocabSize - 1; so long are the logits. */
  readonly vocabSize: number;
  /** Rows of the embedding in the file: vocabSize rounded up to the padding multiple. */
  readonly paddedVocabSize: number;
  /** Channels of the scan. Default 2 dModel. */
  readonly dInner: number;
  /** Numbers of state per channel. Default 16. */
  readonly stateSize: number;
  /** Taps of the causal convolution, 2 to 8. Default 4. */
  readonly convWidth: number;
  /** Rank of the time step's projection. Default ceil(dModel / 16). */
  readonly timeStepRank: number;
  /** Whether the input and output projections have a bias. Default false. */
  readonly projectionBias: boolean;
  /** Whether the convolution has a bias. Default true. */
  readonly convBias: boolean;
  /** RMSNorm where true, LayerNorm with bias where false. Default true. */
  readonly rmsNorm: boolean;
  /** Added to the mean square or the variance. Default 1e-5. */
  readonly normEps: number;
  /** Whether the embedding is the output matrix as well. Default true. */
  readonly tieEmbeddings: boolean;
  /** Tokens that end a text; empty where the file has none. */
  readonly eosTokenIds: readonly number[];
}

const ARCHITECTURE = 'MambaForCausalLM';
/** Most layers of a model: far more than any has, few enough to be listed before the checkpoint is looked at. */
const MAX_LAYERS = 10_000;

/**
 * Reads a `config.json` of a Mamba (version 1) language model: that of the `mamba_ssm` package (`d_model`, `n_layer`,
 * `ssm_cfg`, ...) or that of transformers (`MambaForCausalLM`: `hidden_size`, `num_hidden_layers`, `state_size`, ...). What
 * would change the numbers and is not computed here (Mamba-2 layers, attention layers, other activations) is refused by
 * name. The residual stream is float32 whatever `residual_in_fp32` says, and fused kernels are the rule, so that it and
 * `fused_add_norm` are only checked to be true or false.
 *
 * @param json the file's text, or the object that it parses to
 * @param source name of the file in messages. Default 'config.json'
 * @throws CheckpointError ERR_BAD_CHECKPOINT
 */
export function parseMambaConfig(json: unknown, source = 'config.json'): MambaConfig {
  const fields = Fields.of(json, source);
  fields.flag('residual_in_fp32', true);
  const config = isTransformers(fields) ? transformersConfig(fields) : packageConfig(fields);
  if (config.numLayers > MAX_LAYERS)
    throw new CheckpointError(source, {
      expected: `at most ${MAX_LAYERS} layers`,
      found: String(config.numLayers),
    });
  if (config.convWidth < 2 || config.convWidth > 8)
    throw new CheckpointError(source, {
      expected: 'a convolution of 2 to 8 taps',
      found: String(config.convWidth),
    });
  return Object.freeze({ ...config, eosTokenIds: Object.freeze(eosOf(fields)) });
}

/**
 * Whether an object is the configuration of a Mamba model: by `architectures` or `model_type`, or by the keys that the
 * `mamba_ssm` package writes (d_model and n_layer; ssm_cfg may be absent, as when loading). Throws nothing.
 */
export function isMambaConfig(json: unknown): boolean {
  if (typeof json !== 'object' || json === null) return false;
  const { architectures, model_type: type } = json as Record<string, unknown>;
  if (Array.isArray(architectures) && architectures.length > 0) return architectures[0] === ARCHITECTURE;
  return type === 'mamba' || (type === undefined && 'd_model' in json && 'n_layer' in json);
}

/** The one of the two forms; anything else is refused. */
function isTransformers(fields: Fields): boolean {
  const listed = fields.get('architectures');
  const name: unknown = Array.isArray(listed) && listed.length > 0 ? listed[0] : undefined;
  const type = fields.get('model_type');
  if (name === ARCHITECTURE || (name === undefined && type === 'mamba')) return true;
  if (name === undefined && type === undefined && fields.has('d_model')) return false;
  throw new CheckpointError(fields.source, {
    expected: `"architectures" to name ${ARCHITECTURE}, or the keys "d_model" and "n_layer"`,
    found: name === undefined ? `none, and "model_type" ${shortened(type)}` : shortened(name),
  });
}

type Parsed = Omit<MambaConfig, 'eosTokenIds'>;

/** The form of the `mamba_ssm` package: MambaConfig and, in `ssm_cfg`, the arguments of its Mamba layer. */
function packageConfig(fields: Fields): Parsed {
  const ssm = fields.has('ssm_cfg') ? fields.object('ssm_cfg') : Fields.of({}, fields.source);
  if (ssm.has('layer') && ssm.get('layer') !== 'Mamba1')
    throw ssm.error('layer', '"Mamba1"', ssm.get('layer'));
  if (fields.count('d_intermediate', 0) !== 0)
    throw fields.error('d_intermediate', '0', fields.get('d_intermediate'));
  const attention = fields.get('attn_layer_idx') ?? [];
  if (!Array.isArray(attention) || attention.length > 0)
    throw fields.error('attn_layer_idx', 'an empty array', attention);
  fields.flag('fused_add_norm', true);
  const dModel = fields.size('d_model');
  const vocabSize = fields.size('vocab_size');
  const multiple = fields.size('pad_vocab_size_multiple', 8);
  return {
    architecture: ARCHITECTURE,
    dModel,
    numLayers: fields.size('n_layer'),
    vocabSize,
    paddedVocabSize: Math.ceil(vocabSize / multiple) * multiple,
    dInner: ssm.size('expand', 2) * dModel,
    stateSize: ssm.size('d_state', 16),
    convWidth: ssm.size('d_conv', 4),
    timeStepRank: rankOf(ssm, 'dt_rank', dModel),
    projectionBias: ssm.flag('bias', false),
    convBias: ssm.flag('conv_bias', true),
    rmsNorm: fields.flag('rms_norm', true),
    normEps: fields.positive('norm_epsilon', 1e-5),
    tieEmbeddings: fields.flag('tie_embeddings', true),
  };
}

/** The form of transformers. */
function transformersConfig(fields: Fields): Parsed {
  if (fields.has('hidden_act') && fields.get('hidden_act') !== 'silu')
    throw fields.error('hidden_act', '"silu"', fields.get('hidden_act'));
  const dModel = fields.size('hidden_size');
  const vocabSize = fields.size('vocab_size');
  return {
    architecture: ARCHITECTURE,
    dModel,
    numLayers: fields.size('num_hidden_layers'),
    vocabSize,
    paddedVocabSize: vocabSize,
    dInner: fields.size('intermediate_size', fields.size('expand', 2) * dModel),
    stateSize: fields.size('state_size', 16),
    convWidth: fields.size('conv_kernel', 4),
    timeStepRank: rankOf(fields, 'time_step_rank', dModel),
    projectionBias: fields.flag('use_bias', false),
    convBias: fields.flag('use_conv_bias', true),
    rmsNorm: true,
    normEps: fields.positive('layer_norm_epsilon', 1e-5),
    tieEmbeddings: fields.flag('tie_word_embeddings', true),
  };
}

/** A rank, or "auto": ceil(dModel / 16). */
function rankOf(fields: Fields, key: string, dModel: number): number {
  const auto = Math.ceil(dModel / 16);
  return fields.get(key) === 'auto' ? auto : fields.size(key, auto);
}

function eosOf(fields: Fields): number[] {
  const value = fields.get('eos_token_id') ?? [];
  return (Array.isArray(value) ? value : [value]).map((each) => fields.token('eos_token_id', each));
}
