import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  writeSafetensors,
  type SafetensorsData,
  type SafetensorsDtype,
  type TensorInput,
} from '../../lib/io/index.js';
import { f32ToBf16, f32ToF16 } from '../../lib/kernels/convert.js';
import { parseConfig, type LlamaConfig } from '../../lib/llm/config.js';
import { allTensors, llamaTensors } from '../../lib/llm/tensors.js';
import { Philox } from '../../lib/random.js';

/** A small `config.json`; all sizes differ, so that no mistake in one hides behind another. */
export const SMALL = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  head_dim: 10,
  vocab_size: 50,
};

/** Values as a dtype stores them. */
export function stored(values: Float32Array, dtype: SafetensorsDtype): SafetensorsData {
  if (dtype === 'F64') return Float64Array.from(values);
  if (dtype === 'BF16') return f32ToBf16(values);
  return dtype === 'F16' ? f32ToF16(values) : values;
}

/** The tensors of a model, with numbers that all differ. */
export function randomTensors(
  config: LlamaConfig,
  dtype: SafetensorsDtype = 'F32',
): Record<string, TensorInput & { values: Float32Array }> {
  const entries = allTensors(llamaTensors(config)).map(({ name, shape }, i) => {
    const length = shape.reduce((product, n) => product * n, 1);
    const values = new Philox(7, i).normal(new Float32Array(length));
    return [name, { dtype, shape, data: stored(values, dtype), values }] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * Writes a model's folder.
 *
 * @param json its `config.json`
 * @param change changes the tensors before they are written
 */
export async function writeModel(
  folder: string,
  json: object = SMALL,
  change: (tensors: Record<string, TensorInput>) => void = () => undefined,
): Promise<Record<string, TensorInput>> {
  const tensors: Record<string, TensorInput> = randomTensors(parseConfig(json));
  change(tensors);
  await writeFile(join(folder, 'config.json'), JSON.stringify(json));
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return tensors;
}
