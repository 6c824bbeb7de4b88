/** Small models that the tests make up: shapes that no fixture has. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { ReferenceConfig } from '../reference/llama.js';
import type { Tensor } from '../reference/safetensors.js';
import { normalRow } from './rows.js';

/** config.json of an invented model. */
export interface InventedConfig extends ReferenceConfig {
  architectures: string[];
  intermediate_size: number;
  vocab_size: number;
  attention_bias?: boolean;
  max_position_embeddings?: number;
}

/** A model on disk and its weights as the reference reads them. */
export interface InventedModel {
  folder: string;
  config: InventedConfig;
  tensors: Map<string, Tensor>;
}

/** Names and shapes of the tensors of a configuration. */
function shapes(config: InventedConfig): [string, number[]][] {
  const { hidden_size: hidden, intermediate_size: wide, vocab_size: vocab, head_dim: d } = config;
  const [q, kv] = [config.num_attention_heads * d, config.num_key_value_heads * d];
  const qwen = config.architectures[0] === 'Qwen2ForCausalLM';
  const bias = qwen || config.attention_bias === true;
  const list: [string, number[]][] = [['model.embed_tokens.weight', [vocab, hidden]]];
  for (let layer = 0; layer < config.num_hidden_layers; layer += 1) {
    const name = `model.layers.${layer}`;
    const projections: [string, number, number][] = [
      ['q', q, hidden],
      ['k', kv, hidden],
      ['v', kv, hidden],
      ['o', hidden, q],
    ];
    for (const [which, rows, cols] of projections) {
      list.push([`${name}.self_attn.${which}_proj.weight`, [rows, cols]]);
      if (bias && !(qwen && which === 'o')) list.push([`${name}.self_attn.${which}_proj.bias`, [rows]]);
    }
    list.push([`${name}.mlp.gate_proj.weight`, [wide, hidden]]);
    list.push([`${name}.mlp.up_proj.weight`, [wide, hidden]]);
    list.push([`${name}.mlp.down_proj.weight`, [hidden, wide]]);
    list.push(
      [`${name}.input_layernorm.weight`, [hidden]],
      [`${name}.post_attention_layernorm.weight`, [hidden]],
    );
  }
  list.push(['model.norm.weight', [hidden]]);
  if (!config.tie_word_embeddings) list.push(['lm_head.weight', [vocab, hidden]]);
  return list;
}

/** Writes config.json and model.safetensors (float32, random) into a folder. */
export function inventModel(folder: string, config: InventedConfig, stream = 0): InventedModel {
  const tensors = new Map<string, Tensor>();
  const header: Record<string, object> = {};
  const parts: Buffer[] = [];
  let end = 0;
  shapes(config).forEach(([name, shape], i) => {
    const count = shape.reduce((a, b) => a * b, 1);
    // Matrices keep the size of what they multiply; norms are near 1.
    const matrix = shape.length > 1;
    const values = normalRow(count, matrix ? 1.5 / Math.sqrt(shape[1]) : 0.2, 70_000 + 100 * stream + i);
    if (name.endsWith('norm.weight')) values.forEach((value, j) => (values[j] = 1 + value));
    tensors.set(name, { shape, data: Float64Array.from(values) });
    parts.push(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
  });
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'model.safetensors'), Buffer.concat([length, text, ...parts]));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ hidden_act: 'silu', ...config }));
  return { folder, config, tensors };
}

/** What an invented model is unless something else is said. */
export const inventedConfig = (changes: Partial<InventedConfig> = {}): InventedConfig => ({
  architectures: ['LlamaForCausalLM'],
  hidden_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  head_dim: 8,
  intermediate_size: 40,
  vocab_size: 50,
  rope_theta: 10000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
  max_position_embeddings: 512,
  ...changes,
});
