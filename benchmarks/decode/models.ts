/** Models whose sizes are measured; their weights are random. */
import { parameterCount, parseConfig, type LlamaConfig } from '../../lib/llm/index.js';

/** Fields of a `config.json`, those of a Llama with tied embeddings. */
interface Sizes {
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  intermediate_size: number;
  vocab_size: number;
}

const sizes = (
  hidden_size: number,
  num_hidden_layers: number,
  [num_attention_heads, num_key_value_heads, head_dim]: readonly [number, number, number],
  intermediate_size: number,
  vocab_size: number,
): Sizes => ({
  hidden_size,
  num_hidden_layers,
  num_attention_heads,
  num_key_value_heads,
  head_dim,
  intermediate_size,
  vocab_size,
});

/** By the name of the published model that has these sizes. */
export const MODELS = {
  'llama-3.2-1b': sizes(2048, 16, [32, 8, 64], 8192, 128256),
  'smollm2-360m': sizes(960, 32, [15, 5, 64], 2560, 49152),
  'smollm2-135m': sizes(576, 30, [9, 3, 64], 1536, 49152),
  stories15m: sizes(288, 6, [6, 6, 48], 768, 32000),
  stories260k: sizes(64, 5, [8, 4, 8], 172, 512),
} as const satisfies Record<string, Sizes>;

export type ModelName = keyof typeof MODELS;

/** Names of all models, the largest first. */
export const MODEL_NAMES = Object.keys(MODELS) as ModelName[];

/** The configuration of a model. */
export function configOf(name: ModelName): LlamaConfig {
  return parseConfig({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    ...MODELS[name],
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 500_000,
    max_position_embeddings: 8192,
    tie_word_embeddings: true,
  });
}

/** Parameters of a model; the embedding is counted once, as it is tied. */
export function sizeOf(name: ModelName): number {
  return parameterCount(configOf(name));
}

/** The model whose number of parameters is nearest to the one given, by their ratio. */
export function nearestModel(parameters: number): ModelName {
  const distance = (name: ModelName): number => Math.abs(Math.log(sizeOf(name) / parameters));
  return MODEL_NAMES.reduce((best, name) => (distance(name) < distance(best) ? name : best));
}
