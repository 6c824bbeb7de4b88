/**
 * Tensors of an open checkpoint as the kernels take them: vectors in float32, matrices packed. Two blocks of a few
 * megabytes are held beside what is loaded: while one is packed on softlane's pool the next is read.
 */
import { CheckpointError } from '../io/checkpoint-error.js';
import type { SafetensorsFile } from '../io/safetensors.js';
import { arrayClass, type ReadableDtype, type SafetensorsData } from '../io/safetensors-dtype.js';
import { bf16ToF32, f16ToF32 } from '../kernels/convert.js';
import { PackedWeights, packWeightRowsAsync, type WeightType } from '../kernels/weights.js';
import type { AsyncOptions } from '../native.js';
import type { Progress } from './progress.js';

/** A tensor that a configuration asks for. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A tensor, or some of its rows: from `first` (default 0) on, `rows` of them (default all that follow). */
export interface TensorRows extends ExpectedTensor {
  readonly first?: number;
  readonly rows?: number;
}

/** A matrix for the kernels: tensors [rows, k] below one another. */
export type Stack = readonly TensorRows[];

/** How weights are loaded. */
export interface LoadWeightsOptions extends AsyncOptions {
  /**
   * What matrices are stored as in memory: 'as-stored' keeps the type of the file (F64 becomes 'f32', and so does a
   * matrix that has different types in different layers); 'int8' is rounded with a scale for each row. Norms and biases are float32 always.
   * Default 'as-stored'.
   */
  weights?: WeightType | 'as-stored';
  /** Most threads that pack. Default 1. */
  threads?: number;
}

/** Bytes read at a time. */
const BLOCK_BYTES = 1 << 22;
/** Rows of a panel of packed weights: blocks of whole panels are packed without reading a line twice. */
const PANEL_ROWS = 32;

const STORED: Readonly<Record<string, Exclude<WeightType, 'int8'>>> = {
  F32: 'f32',
  F64: 'f32',
  BF16: 'bf16',
  F16: 'f16',
};

/**
 * Checks that a checkpoint holds a tensor of this shape, in a dtype that is read.
 *
 * @throws CheckpointError ERR_BAD_CHECKPOINT
 */
export function checkTensor(file: SafetensorsFile, { name, shape }: ExpectedTensor): void {
  const found = file.tensors[name];
  if (found === undefined)
    throw new CheckpointError(file.path, {
      tensor: name,
      expected: `a tensor of shape ${show(shape)}, as config.json asks for`,
      found: `none among ${Object.keys(file.tensors).length}`,
    });
  if (found.shape.length !== shape.length || found.shape.some((n, i) => n !== shape[i]))
    throw new CheckpointError(found.file, {
      tensor: name,
      expected: `shape ${show(shape)}, as config.json asks for`,
      found: `shape ${show(found.shape)}`,
    });
  if (STORED[found.dtype] === undefined)
    throw new CheckpointError(found.file, {
      tensor: name,
      expected: `dtype ${Object.keys(STORED).join(', ')}`,
      found: found.dtype,
    });
}

/** A shape as it reads in messages. */
export const show = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** Loads tensors that checkTensor has seen. */
export class Loader {
  readonly #file: SafetensorsFile;
  readonly #options: LoadWeightsOptions;
  readonly #progress: Progress;
  readonly #blocks: SafetensorsData[] = [];

  /**
   * @param file an open checkpoint
   * @param options weights, threads, signal
   * @param progress told of the bytes that are done
   */
  constructor(file: SafetensorsFile, options: LoadWeightsOptions, progress: Progress) {
    this.#file = file;
    this.#options = options;
    this.#progress = progress;
  }

  /** What tensors that are to have one type are stored as in memory. */
  typeOf(stack: Stack): WeightType {
    const { weights = 'as-stored' } = this.#options;
    if (weights !== 'as-stored') return weights;
    const types = new Set(stack.map(({ name }) => this.#stored(name)));
    return types.size === 1 ? this.#stored(stack[0].name) : 'f32';
  }

  /** Tensors [n] one after the other, in float32. */
  async vector(stack: Stack): Promise<Float32Array> {
    const parts: Float32Array[] = [];
    for (const { name } of stack) {
      this.#options.signal?.throwIfAborted();
      const data = await this.#file.read(name);
      const type = this.#stored(name);
      parts.push(type === 'bf16' || type === 'f16' ? widened(type, data as Uint16Array) : asFloat32(data));
      this.#progress.advance(this.#file.tensors[name].bytes);
    }
    if (parts.length === 1) return parts[0];
    const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
    parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
    return whole;
  }

  /** Tensors [rows, k] below one another, packed. */
  async matrix(stack: Stack, type: WeightType): Promise<PackedWeights> {
    const n = stack.reduce((sum, each) => sum + rowsOf(each), 0);
    const target = PackedWeights.allocate({ n, k: stack[0].shape[1], type });
    let row = 0;
    for (const each of stack) {
      await this.#pack(each, target, row);
      row += rowsOf(each);
    }
    return target;
  }

  /** Packs rows of a tensor into the rows of the matrix from `row` on, block by block. */
  async #pack(source: TensorRows, target: PackedWeights, row: number): Promise<void> {
    const { name, first: from = 0 } = source;
    const { shape, bytes } = this.#file.tensors[name];
    const [all, k] = shape;
    const rows = rowsOf(source);
    const type = this.#stored(name);
    const { threads, signal } = this.#options;
    const fitting = Math.max(1, Math.floor(BLOCK_BYTES / (bytes / all)));
    const step = fitting > PANEL_ROWS ? fitting - (fitting % PANEL_ROWS) : fitting;
    const start = (first: number, slot: 0 | 1): Promise<SafetensorsData> | undefined => {
      if (first >= rows) return undefined;
      const count = Math.min(step, rows - first);
      return heard(this.#file.readRows(name, from + first, count, this.#block(slot, name, count * k)));
    };

    let next = start(0, 0);
    try {
      for (let first = 0, slot: 0 | 1 = 1; next !== undefined; first += step, slot = slot === 0 ? 1 : 0) {
        const data = asWeights(await next);
        next = start(first + step, slot);
        signal?.throwIfAborted();
        try {
          await packWeightRowsAsync(target, data, { row: row + first, rows: data.length / k, type, threads });
        } catch (cause) {
          throw this.#unpackable(name, cause);
        }
        this.#progress.advance(data.length * (bytes / (all * k)));
      }
    } finally {
      await next?.catch(() => undefined); // the file may be closed next
    }
  }

  /** One of the two blocks that are read into in turn, of the class of a tensor and at least so long. */
  #block(slot: 0 | 1, name: string, length: number): SafetensorsData {
    const kind = arrayClass(this.#file.tensors[name].dtype as ReadableDtype);
    const held = this.#blocks[slot];
    if (held instanceof kind && held.length >= length) return held;
    return (this.#blocks[slot] = new kind(length));
  }

  #unpackable(name: string, cause: unknown): unknown {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_OUT_OF_RANGE') return cause;
    return new CheckpointError(this.#file.tensors[name].file, {
      tensor: name,
      expected: 'finite weights to be rounded to int8',
      found: (cause as Error).message,
      cause,
    });
  }

  #stored(name: string): Exclude<WeightType, 'int8'> {
    return STORED[this.#file.tensors[name].dtype];
  }
}

/** Rows of a part of a matrix. */
export const rowsOf = ({ shape, first = 0, rows = shape[0] - first }: TensorRows): number => rows;

/** A promise whose failure is not an unhandled one while nobody waits for it yet. */
function heard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

function widened(type: 'bf16' | 'f16', bits: Uint16Array): Float32Array {
  return type === 'bf16' ? bf16ToF32(bits) : f16ToF32(bits);
}

function asFloat32(data: SafetensorsData): Float32Array {
  return data.BYTES_PER_ELEMENT === 8 ? new Float32Array(data) : (data as Float32Array);
}

/** What packWeightRows takes: float64 is rounded to float32 first. */
function asWeights(data: SafetensorsData): Float32Array | Uint16Array {
  return data.BYTES_PER_ELEMENT === 2 ? (data as Uint16Array) : asFloat32(data);
}

/** What a model makes of its files. */
export interface UsedTensors {
  /** Names of the tensors that are read. */
  used: Iterable<string>;
  /** Token ids are 0 to vocabSize - 1. */
  vocabSize: number;
  /** Tokens that end a text. */
  eosTokenIds: readonly number[];
  /** Names of the output matrix and of the embedding, where the embedding serves for both. */
  tied?: readonly [head: string, embedding: string];
  /** Names that are passed over in silence. */
  passedOver?: (name: string) => boolean;
  signal?: AbortSignal;
}

/**
 * What is odd about a model's files without being wrong: tensors that no layer uses, an output matrix that is not the
 * embedding although the configuration ties them, and end-of-text ids that the vocabulary does not have.
 */
export async function oddities(file: SafetensorsFile, o: UsedTensors): Promise<string[]> {
  const used = new Set(o.used);
  const warnings = o.eosTokenIds
    .filter((id) => id >= o.vocabSize)
    .map(
      (id) => `eos_token_id ${id} is outside the vocabulary of ${o.vocabSize} tokens: no text ends with it`,
    );
  for (const [name, { dtype, shape }] of Object.entries(file.tensors)) {
    if (used.has(name) || o.passedOver?.(name)) continue;
    if (name !== o.tied?.[0]) warnings.push(`tensor "${name}" ${show(shape)} of ${dtype} is not used`);
    else if (!(await areEqual(file, ...o.tied, o.signal)))
      warnings.push(
        `"${name}" differs from "${o.tied[1]}", which is used for both since config.json ties them`,
      );
  }
  return warnings;
}

/** Whether two tensors have the same dtype, shape and bits. */
async function areEqual(
  file: SafetensorsFile,
  a: string,
  b: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const [left, right] = [file.tensors[a], file.tensors[b]];
  if (left.dtype !== right.dtype || show(left.shape) !== show(right.shape)) return false;
  const blocks = [new Uint8Array(BLOCK_BYTES), new Uint8Array(BLOCK_BYTES)];
  for (let at = 0; at < left.bytes; at += BLOCK_BYTES) {
    signal?.throwIfAborted();
    const count = Math.min(BLOCK_BYTES, left.bytes - at);
    const [x, y] = await Promise.all([
      file.readBytes(a, at, count, blocks[0]),
      file.readBytes(b, at, count, blocks[1]),
    ]);
    if (Buffer.compare(x, y) !== 0) return false;
  }
  return true;
}
