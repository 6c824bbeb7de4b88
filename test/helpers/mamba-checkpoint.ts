import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors, type SafetensorsDtype, type TensorInput } from '../../lib/io/index.js';
import { Philox } from '../../lib/random.js';
import { ReferenceMamba } from '../reference/mamba.js';
import type { Tensor } from '../reference/safetensors.js';
import { stored } from './llama-checkpoint.js';

/** A small `config.json` of the mamba_ssm package; all sizes differ, so that no mistake in one hides behind another. */
export const SMALL_MAMBA = {
  d_model: 24,
  n_layer: 2,
  vocab_size: 45,
  ssm_cfg: { d_state: 5, d_conv: 4, expand: 3, dt_rank: 7 },
  rms_norm: true,
  residual_in_fp32: true,
  fused_add_norm: true,
  pad_vocab_size_multiple: 8,
};

/** The same model as transformers writes it: without rows of padding. */
export const SMALL_TRANSFORMERS = {
  architectures: ['MambaForCausalLM'],
  model_type: 'mamba',
  hidden_size: 24,
  num_hidden_layers: 2,
  vocab_size: 45,
  state_size: 5,
  conv_kernel: 4,
  expand: 3,
  time_step_rank: 7,
  layer_norm_epsilon: 1e-3,
  eos_token_id: 3,
};

/** Sizes of the tensors, by hand. */
export interface Sizes {
  model: number;
  inner: number;
  layers: number;
  state: number;
  width: number;
  rank: number;
  rows: number;
  embedding: string;
  tied: boolean;
  rmsNorm: boolean;
  bias: boolean;
  convBias: boolean;
}

/** Those of SMALL_MAMBA. */
export const sizesOf = (changes: Partial<Sizes> = {}): Sizes => ({
  model: 24,
  inner: 72,
  layers: 2,
  state: 5,
  width: 4,
  rank: 7,
  rows: 48,
  embedding: 'backbone.embedding.weight',
  tied: true,
  rmsNorm: true,
  bias: false,
  convBias: true,
  ...changes,
});

/** Names and shapes, by the public naming. */
function shapes(s: Sizes): [string, number[]][] {
  const list: [string, number[]][] = [[s.embedding, [s.rows, s.model]]];
  for (let i = 0; i < s.layers; i += 1) {
    const [layer, mixer] = [`backbone.layers.${i}`, `backbone.layers.${i}.mixer`];
    list.push([`${layer}.norm.weight`, [s.model]]);
    if (!s.rmsNorm) list.push([`${layer}.norm.bias`, [s.model]]);
    list.push([`${mixer}.in_proj.weight`, [2 * s.inner, s.model]]);
    if (s.bias) list.push([`${mixer}.in_proj.bias`, [2 * s.inner]], [`${mixer}.out_proj.bias`, [s.model]]);
    list.push([`${mixer}.conv1d.weight`, [s.inner, 1, s.width]]);
    if (s.convBias) list.push([`${mixer}.conv1d.bias`, [s.inner]]);
    list.push([`${mixer}.x_proj.weight`, [s.rank + 2 * s.state, s.inner]]);
    list.push([`${mixer}.dt_proj.weight`, [s.inner, s.rank]], [`${mixer}.dt_proj.bias`, [s.inner]]);
    list.push([`${mixer}.A_log`, [s.inner, s.state]], [`${mixer}.D`, [s.inner]]);
    list.push([`${mixer}.out_proj.weight`, [s.model, s.inner]]);
  }
  list.push(['backbone.norm_f.weight', [s.model]]);
  if (!s.rmsNorm) list.push(['backbone.norm_f.bias', [s.model]]);
  if (!s.tied) list.push(['lm_head.weight', [s.rows, s.model]]);
  return list;
}

/** Random tensors of a size at which every part of the model makes a difference. */
export function mambaTensorsOf(
  sizes: Sizes,
  dtype: SafetensorsDtype = 'F32',
  seed = 11,
): Record<string, TensorInput & { values: Float32Array }> {
  const entries = shapes(sizes).map(([name, shape], i) => {
    const length = shape.reduce((product, n) => product * n, 1);
    const scale = shape.length > 1 ? 1.2 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b, 1)) : 0.3;
    const base =
      name.endsWith('norm.weight') || name.endsWith('norm_f.weight') || name.endsWith('.D') ? 1 : 0;
    const values = new Philox(seed, i).normal(new Float32Array(length)).map((x) => base + scale * x);
    if (name.endsWith('A_log'))
      values.forEach((x, j) => (values[j] = Math.log((j % sizes.state) + 1) + 0.3 * x));
    if (name.endsWith('dt_proj.bias')) values.forEach((x, j) => (values[j] = x - 2));
    return [name, { dtype, shape, data: stored(values, dtype), values }] as const;
  });
  return Object.fromEntries(entries);
}

/** Writes a model's folder. */
export async function writeMamba(
  folder: string,
  json: object,
  tensors: Record<string, TensorInput>,
): Promise<void> {
  await writeFile(join(folder, 'config.json'), JSON.stringify(json));
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
}

/** The reference on the tensors of a checkpoint. */
export function referenceMamba(
  sizes: Sizes,
  tensors: Record<string, { shape: readonly number[]; values: ArrayLike<number> }>,
  eps = 1e-5,
  vocab = 45,
): ReferenceMamba {
  const map = new Map<string, Tensor>(
    Object.entries(tensors).map(([name, { shape, values }]) => [
      name,
      { shape: [...shape], data: Float64Array.from(values) },
    ]),
  );
  const { layers, state: stateSize, rank, rmsNorm, embedding, tied } = sizes;
  const head = tied ? embedding : 'lm_head.weight';
  return new ReferenceMamba({ layers, stateSize, rank, rmsNorm, embedding, head, eps, vocab }, map);
}
