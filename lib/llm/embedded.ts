/** The model that comes with the package. */
import { join } from 'node:path';
import { packageRoot } from '../native.js';

/**
 * Folder of llama-kjv, a byte-level Llama of 955,776 parameters trained on the King James Bible: `config.json`,
 * `model.safetensors` (bf16), `tokenizer.json` (one token per byte).
 */
export function embeddedModelPath(): string {
  return join(packageRoot, 'models', 'llama-kjv');
}
