/**
 * Loading the weights of a checkpoint tensor by tensor into packed matrices. Beside the model itself two blocks of a few
 * megabytes are held: while one is packed on softlane's pool the next is read.
 */
import { CheckpointError } from '../io/checkpoint-error.js';
import type { SafetensorsFile } from '../io/safetensors.js';
import { arrayClass, type ReadableDtype, type SafetensorsData } from '../io/safetensors-dtype.js';
import { bf16ToF32, f16ToF32 } from '../kernels/convert.js';
import { PackedWeights, packWeightRowsAsync, type WeightType } from '../kernels/weights.js';
import { requireAsync, type AsyncOptions } from '../native.js';
import type { LlamaConfig } from './config.js';
import type { LayerWeights, LlamaWeights } from './forward.js';
import { Progress } from './progress.js';
import {
  allTensors,
  EMBEDDING_NAME,
  HEAD_NAME,
  llamaTensors,
  type ExpectedTensor,
  type LayerTensors,
  type Stack,
} from './tensors.js';

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

/** The weights of a model, and what was odd about their files. */
export interface LoadedWeights {
  weights: LlamaWeights;
  warnings: string[];
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
 * Loads all weights of a model. Names, shapes and dtypes of every tensor are checked before the first is read.
 *
 * @param file an open checkpoint
 * @param config what its `config.json` says
 * @throws CheckpointError ERR_BAD_CHECKPOINT for a tensor that is missing, of another shape or of a dtype that is not
 *   read, or not finite where 'int8' is wanted; the abort reason; what onProgress throws
 */
export async function loadWeights(
  file: SafetensorsFile,
  config: LlamaConfig,
  options: LoadWeightsOptions = {},
): Promise<LoadedWeights> {
  requireAsync(options);
  options.signal?.throwIfAborted();
  const tensors = llamaTensors(config);
  const expected = allTensors(tensors);
  for (const each of expected) checkTensor(file, each);
  const bytes = expected.reduce((sum, { name }) => sum + file.tensors[name].bytes, 0);
  const progress = new Progress(bytes, options.onProgress);
  const loader = new Loader(file, options, progress);

  const embedding = await loader.matrix(tensors.embedding, loader.typeOf(tensors.embedding));
  const types = loader.layerTypes(tensors.layers);
  const layers: LayerWeights[] = [];
  for (const layer of tensors.layers) layers.push(await loader.layer(layer, types));
  const finalNorm = await loader.vector([tensors.finalNorm]);
  const head = config.tieWordEmbeddings
    ? embedding
    : await loader.matrix(tensors.head, loader.typeOf(tensors.head));
  const warnings = await oddities(file, config, expected, options.signal);
  progress.finish();
  return { weights: { layers, finalNorm, head, embedding }, warnings };
}

function checkTensor(file: SafetensorsFile, { name, shape }: ExpectedTensor): void {
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

const show = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** Types in memory of a layer's matrices. */
type LayerTypes = Record<'qkv' | 'output' | 'gateUp' | 'down', WeightType>;

class Loader {
  readonly #file: SafetensorsFile;
  readonly #options: LoadWeightsOptions;
  readonly #progress: Progress;
  readonly #blocks: SafetensorsData[] = [];

  constructor(file: SafetensorsFile, options: LoadWeightsOptions, progress: Progress) {
    this.#file = file;
    this.#options = options;
    this.#progress = progress;
  }

  /** The forward pass wants the same type for a matrix in all layers. */
  layerTypes(layers: readonly LayerTensors[]): LayerTypes {
    const over = (key: keyof LayerTypes): WeightType => this.typeOf(layers.flatMap((layer) => layer[key]));
    return { qkv: over('qkv'), output: over('output'), gateUp: over('gateUp'), down: over('down') };
  }

  /** What tensors that are to have one type are stored as in memory. */
  typeOf(stack: Stack): WeightType {
    const { weights = 'as-stored' } = this.#options;
    if (weights !== 'as-stored') return weights;
    const types = new Set(stack.map(({ name }) => this.#stored(name)));
    return types.size === 1 ? this.#stored(stack[0].name) : 'f32';
  }

  async layer(tensors: LayerTensors, types: LayerTypes): Promise<LayerWeights> {
    const bias = async (stack: Stack): Promise<Float32Array | undefined> =>
      stack.length > 0 ? this.vector(stack) : undefined;
    return {
      inputNorm: await this.vector([tensors.inputNorm]),
      qkv: await this.matrix(tensors.qkv, types.qkv),
      qkvBias: await bias(tensors.qkvBias),
      output: await this.matrix(tensors.output, types.output),
      outputBias: await bias(tensors.outputBias),
      postNorm: await this.vector([tensors.postNorm]),
      gateUp: await this.matrix(tensors.gateUp, types.gateUp),
      down: await this.matrix(tensors.down, types.down),
    };
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
    const n = stack.reduce((sum, { shape }) => sum + shape[0], 0);
    const target = PackedWeights.allocate({ n, k: stack[0].shape[1], type });
    let row = 0;
    for (const { name, shape } of stack) {
      await this.#pack(name, target, row);
      row += shape[0];
    }
    return target;
  }

  /** Packs a tensor into the rows from `row` on, block by block. */
  async #pack(name: string, target: PackedWeights, row: number): Promise<void> {
    const { shape, bytes } = this.#file.tensors[name];
    const [rows, k] = shape;
    const type = this.#stored(name);
    const { threads, signal } = this.#options;
    const fitting = Math.max(1, Math.floor(BLOCK_BYTES / (bytes / rows)));
    const step = fitting > PANEL_ROWS ? fitting - (fitting % PANEL_ROWS) : fitting;
    const start = (first: number, slot: 0 | 1): Promise<SafetensorsData> | undefined => {
      if (first >= rows) return undefined;
      const count = Math.min(step, rows - first);
      return heard(this.#file.readRows(name, first, count, this.#block(slot, name, count * k)));
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
        this.#progress.advance(data.length * (bytes / (rows * k)));
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

/**
 * Tensors that no layer uses, an output matrix that is not the embedding although the configuration ties them, and
 * end-of-text ids that the vocabulary does not have.
 */
async function oddities(
  file: SafetensorsFile,
  config: LlamaConfig,
  expected: readonly ExpectedTensor[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const used = new Set(expected.map(({ name }) => name));
  const { vocabSize } = config;
  const warnings = config.eosTokenIds
    .filter((id) => id >= vocabSize)
    .map((id) => `eos_token_id ${id} is outside the vocabulary of ${vocabSize} tokens: no text ends with it`);
  for (const [name, { dtype, shape }] of Object.entries(file.tensors)) {
    if (used.has(name) || name.endsWith('rotary_emb.inv_freq')) continue;
    if (name !== HEAD_NAME || !config.tieWordEmbeddings)
      warnings.push(`tensor "${name}" ${show(shape)} of ${dtype} is not used`);
    else if (!(await areEqual(file, HEAD_NAME, EMBEDDING_NAME, signal)))
      warnings.push(
        `"${HEAD_NAME}" differs from "${EMBEDDING_NAME}", which is used for both since config.json ties them`,
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
