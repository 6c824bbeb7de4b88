/**
 * The configuration of a Llama-family model: what softlane reads of a Hugging Face `config.json`.
 */
import { CheckpointError, shortened } from '../io/checkpoint-error.js';
import { Fields } from './fields.js';
import type { RopeScaling } from '../kernels/rope.js';

/** Model classes whose forward pass softlane computes. */
export type LlamaArchitecture = 'LlamaForCausalLM' | 'MistralForCausalLM' | 'Qwen2ForCausalLM';

/** A model's sizes and constants. Names are those of `config.json` in camel case. */
export interface LlamaConfig {
  readonly architecture: LlamaArchitecture;
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Width of the feed-forward layer. */
  readonly intermediateSize: number;
  /** At most 10,000. */
  readonly numHiddenLayers: number;
  /** Query heads. */
  readonly numAttentionHeads: number;
  /** Key and value heads; divides numAttentionHeads. Default numAttentionHeads. */
  readonly numKeyValueHeads: number;
  /** Numbers per head, even. Default hiddenSize / numAttentionHeads, from which it may differ. */
  readonly headDim: number;
  /** Token ids are 0 to vocabSize - 1. */
  readonly vocabSize: number;
  /** Longest context that the model was made for, in tokens. Default 2048 (Llama), 32768 (Mistral, Qwen2). */
  readonly maxPositionEmbeddings: number;
  /** Added to the mean square in RMSNorm. Default 1e-6. */
  readonly rmsNormEps: number;
  /** Base of the rotation frequencies. Default 10000. */
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /** Whether the embedding is the output matrix as well. Default false. */
  readonly tieWordEmbeddings: boolean;
  /** Whether the query, key and value projections have a bias: always in Qwen2, with `attention_bias` in Llama. */
  readonly attentionBias: boolean;
  /** Whether the output projection of attention has one: with `attention_bias` in Llama, never in the others. */
  readonly outputBias: boolean;
  /** A token sees itself and the slidingWindow - 1 tokens before it; null: all before it. */
  readonly slidingWindow: number | null;
  /** Tokens that end a text; empty where the file has none. */
  readonly eosTokenIds: readonly number[];
  /** Token that begins a text. */
  readonly bosTokenId: number | null;
}

const BY_MODEL_TYPE: Readonly<Record<string, LlamaArchitecture>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
};
const ARCHITECTURES = Object.values(BY_MODEL_TYPE);
/** Most layers of a model: far more than any has, few enough to be listed before the checkpoint is looked at. */
export const MAX_LAYERS = 10_000;
/** Layers of a Qwen2 model below this number see everything where the file does not say so (transformers' default). */
const QWEN2_FULL_LAYERS = 28;

/**
 * Reads a `config.json` of LlamaForCausalLM, MistralForCausalLM or Qwen2ForCausalLM. What would change the numbers and
 * is not computed here (quantised weights, other activations, other rope types, mixed windows) is refused by name;
 * keys without influence on the forward pass are passed over.
 *
 * @param json the file's text, or the object that it parses to
 * @param source name of the file in messages. Default 'config.json'
 * @throws CheckpointError ERR_BAD_CHECKPOINT
 */
export function parseConfig(json: unknown, source = 'config.json'): LlamaConfig {
  const fields = Fields.of(json, source);
  const architecture = architectureOf(fields);
  refuseUnsupported(fields);

  const hiddenSize = fields.size('hidden_size');
  const numAttentionHeads = fields.size('num_attention_heads');
  const numHiddenLayers = fields.size('num_hidden_layers');
  if (numHiddenLayers > MAX_LAYERS)
    throw fields.error('num_hidden_layers', `at most ${MAX_LAYERS}`, numHiddenLayers);
  const bias = architecture !== 'MistralForCausalLM' && fields.flag('attention_bias', false);
  const config: LlamaConfig = {
    architecture,
    hiddenSize,
    intermediateSize: fields.size('intermediate_size'),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: fields.size('num_key_value_heads', numAttentionHeads),
    headDim: headDimOf(fields, hiddenSize, numAttentionHeads),
    vocabSize: fields.size('vocab_size'),
    maxPositionEmbeddings: fields.size(
      'max_position_embeddings',
      architecture === 'LlamaForCausalLM' ? 2048 : 32768,
    ),
    rmsNormEps: fields.positive('rms_norm_eps', 1e-6),
    ...ropeOf(fields),
    tieWordEmbeddings: fields.flag('tie_word_embeddings', false),
    attentionBias: architecture === 'Qwen2ForCausalLM' || bias,
    outputBias: architecture === 'LlamaForCausalLM' && bias,
    slidingWindow: windowOf(fields, architecture, numHiddenLayers),
    eosTokenIds: eosOf(fields),
    bosTokenId: fields.has('bos_token_id') ? fields.token('bos_token_id', fields.get('bos_token_id')) : null,
  };
  if (config.numAttentionHeads % config.numKeyValueHeads !== 0)
    throw fields.error(
      'num_key_value_heads',
      `a divisor of num_attention_heads (${numAttentionHeads})`,
      config.numKeyValueHeads,
    );
  return Object.freeze(config);
}

function architectureOf(fields: Fields): LlamaArchitecture {
  const listed = fields.get('architectures');
  const modelType = fields.get('model_type');
  const name: unknown = Array.isArray(listed) && listed.length > 0 ? listed[0] : undefined;
  const found = name ?? BY_MODEL_TYPE[String(modelType)];
  if (ARCHITECTURES.includes(found as LlamaArchitecture)) return found as LlamaArchitecture;
  throw new CheckpointError(fields.source, {
    expected: `"architectures" to name one of ${ARCHITECTURES.join(', ')}`,
    found: name === undefined ? `none, and "model_type" ${shortened(modelType)}` : shortened(name),
  });
}

/** Refuses what would change the numbers. */
function refuseUnsupported(fields: Fields): void {
  if (fields.has('quantization_config')) {
    const method = fields.object('quantization_config').get('quant_method');
    throw new CheckpointError(fields.source, {
      expected: 'weights in float32, bfloat16 or float16, without "quantization_config"',
      found: `a quantised model (quant_method ${shortened(method)}); take the original and quantise it on loading`,
    });
  }
  if (fields.has('hidden_act') && fields.get('hidden_act') !== 'silu')
    throw fields.error('hidden_act', '"silu"', fields.get('hidden_act'));
  if (fields.flag('mlp_bias', false)) throw fields.error('mlp_bias', 'false', true);
  if (fields.has('partial_rotary_factor') && fields.positive('partial_rotary_factor', 1) !== 1)
    throw fields.error('partial_rotary_factor', '1', fields.get('partial_rotary_factor'));
}

function headDimOf(fields: Fields, hiddenSize: number, heads: number): number {
  if (!fields.has('head_dim') && hiddenSize % heads !== 0)
    throw fields.error(
      'hidden_size',
      `a multiple of num_attention_heads (${heads}) without "head_dim"`,
      hiddenSize,
    );
  const headDim = fields.size('head_dim', hiddenSize / heads);
  if (headDim % 2 === 0) return headDim;
  throw new CheckpointError(fields.source, {
    expected: 'an even head_dim, since rotary embedding turns pairs',
    found: String(headDim),
  });
}

/**
 * Base and scaling of the rotation. Older files have `rope_theta` at the top and `rope_scaling` with `type`, later ones
 * `rope_scaling` with `rope_type`, the newest `rope_parameters` with everything in it.
 */
function ropeOf(fields: Fields): Pick<LlamaConfig, 'ropeTheta' | 'ropeScaling'> {
  const key = fields.has('rope_parameters') ? 'rope_parameters' : 'rope_scaling';
  const rope = fields.has(key) ? fields.object(key) : Fields.of({}, fields.source);
  const nested = rope.entries().find(([, value]) => typeof value === 'object' && value !== null);
  if (nested)
    throw new CheckpointError(fields.source, {
      expected: `one rotation for all layers in "${key}"`,
      found: `${shortened(nested[0])} with one of its own`,
    });
  const ropeTheta = (rope.has('rope_theta') ? rope : fields).positive('rope_theta', 10000);
  if (rope.has('partial_rotary_factor') && rope.positive('partial_rotary_factor', 1) !== 1)
    throw rope.error('partial_rotary_factor', '1', rope.get('partial_rotary_factor'));
  return { ropeTheta, ropeScaling: scalingOf(rope, fields) };
}

function scalingOf(rope: Fields, fields: Fields): RopeScaling {
  const key = rope.has('rope_type') ? 'rope_type' : 'type';
  const type = rope.has(key) ? rope.get(key) : rope.has('factor') ? undefined : 'default';
  if (type === 'default') return null;
  if (type === 'linear') return { type, factor: rope.positive('factor') };
  if (type !== 'llama3') throw rope.error('rope_type', '"default", "linear" or "llama3"', type);
  const lowFreqFactor = rope.positive('low_freq_factor');
  const highFreqFactor = rope.positive('high_freq_factor');
  if (highFreqFactor <= lowFreqFactor)
    throw rope.error('high_freq_factor', `greater than low_freq_factor (${lowFreqFactor})`, highFreqFactor);
  const original = 'original_max_position_embeddings';
  return {
    type,
    factor: rope.positive('factor'),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPositionEmbeddings: (rope.has(original) ? rope : fields).size(original),
  };
}

/** Qwen2 has a window only where `use_sliding_window` says so, and then in the layers from `max_window_layers` on. */
function windowOf(fields: Fields, architecture: LlamaArchitecture, layers: number): number | null {
  if (architecture === 'LlamaForCausalLM' || !fields.has('sliding_window')) return null;
  const window = fields.size('sliding_window');
  if (architecture === 'MistralForCausalLM') return window;
  if (!fields.flag('use_sliding_window', false)) return null;
  const first = fields.count('max_window_layers', QWEN2_FULL_LAYERS);
  const types = fields.get('layer_types');
  const [some, every] = Array.isArray(types)
    ? [types.includes('sliding_attention'), types.every((type) => type === 'sliding_attention')]
    : [first < layers, first === 0];
  if (every) return window;
  if (!some) return null;
  throw new CheckpointError(fields.source, {
    expected: 'one attention window for all layers',
    found: Array.isArray(types)
      ? '"layer_types" that differ'
      : `"max_window_layers" ${first} of ${layers} layers`,
  });
}

/**
 * The end-of-text ids of a `generation_config.json`, which some chat models keep there alone.
 * @throws CheckpointError where it is no JSON object or an id is no token
 */
export function parseGenerationEos(json: unknown, source = 'generation_config.json'): number[] {
  return eosOf(Fields.of(json, source));
}

function eosOf(fields: Fields): number[] {
  const value = fields.get('eos_token_id');
  if (value === undefined || value === null) return [];
  return (Array.isArray(value) ? value : [value]).map((each) => fields.token('eos_token_id', each));
}
