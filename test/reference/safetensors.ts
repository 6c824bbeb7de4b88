/** The tensors of well-formed safetensors files as float64 arrays, read as plainly as the format allows. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { widen } from './convert.js';

/** A tensor, row-major. */
export interface Tensor {
  shape: number[];
  data: Float64Array;
}

interface Entry {
  dtype: 'F32' | 'BF16' | 'F16';
  shape: number[];
  data_offsets: [number, number];
}

/** Every tensor of one file by name. */
export function readSafetensors(path: string): Map<string, Tensor> {
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Record<string, Entry>;
  delete header.__metadata__;
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => {
        const bytes = Uint8Array.from(file.subarray(8 + length + begin, 8 + length + end)).buffer;
        const data =
          dtype === 'F32'
            ? Float64Array.from(new Float32Array(bytes))
            : widen(new Uint16Array(bytes), dtype === 'BF16' ? 'bf16' : 'f16');
        return [name, { shape, data }];
      },
    ),
  );
}

/** Every tensor of a checkpoint folder: `file` where it exists, else the shards that the index names. */
export function readCheckpoint(folder: string, file = 'model.safetensors'): Map<string, Tensor> {
  if (existsSync(join(folder, file))) return readSafetensors(join(folder, file));
  const index = JSON.parse(readFileSync(join(folder, `${file}.index.json`), 'utf8')) as {
    weight_map: Record<string, string>;
  };
  const shards = [...new Set(Object.values(index.weight_map))];
  return new Map(shards.flatMap((shard) => [...readSafetensors(join(folder, shard))]));
}
