/** A Llama-family model in memory: what sessions and engines run on. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as check from '../check.js';
import { openSafetensors } from '../io/safetensors.js';
import { WEIGHT_TYPES, type PackedWeights } from '../kernels/weights.js';
import { requireAsync, type AsyncOptions } from '../native.js';
import { meanScoreMaxima } from './calibrate.js';
import { loadWeights, type LoadWeightsOptions } from './checkpoint.js';
import { parseConfig, parseGenerationEos, type LlamaConfig } from './config.js';
import { embeddedModelPath } from './embedded.js';
import { Engine, type EngineOptions } from './engine.js';
import { CheckpointError } from './error.js';
import { PAGE_TOKENS, pageBytes, type CacheType, type LlamaShape, type LlamaWeights } from './forward.js';
import { randomWeights, type RandomWeightsOptions } from './random-weights.js';
import { Session, type SessionOptions } from './session.js';
import { DisposedError } from './state-error.js';
import { shapeOf } from './tensors.js';

/** How a model is run, unless a session says otherwise. */
export interface ModelOptions {
  /** What keys and values are cached as. Default 'f32'. */
  cache?: CacheType;
  /** Most threads of a forward pass. Default 1. The bits do not depend on it. */
  threads?: number;
}

/** How a model is loaded. */
export interface LoadOptions extends ModelOptions, LoadWeightsOptions {
  /** Name of the weights' file (or index of shards) in the folder. Default: that of a model's only checkpoint. */
  file?: string;
}

/** How a model is made up. */
export interface RandomModelOptions extends ModelOptions, RandomWeightsOptions {}

/**
 * A model in memory. Weights are shared by all of its sessions; token ids go in and come out, tokenising is the
 * caller's.
 *
 * @example
 * const model = await LlamaModel.embedded();
 * const session = model.createSession();
 */
export class LlamaModel {
  /** What `config.json` says. */
  readonly config: LlamaConfig;
  /** Sizes and constants as the forward pass takes them. */
  readonly shape: LlamaShape;
  /** Bytes of the weights in memory, and of the cache for each token of a sequence. */
  readonly bytes: { readonly weights: number; readonly cachePerToken: number };
  /** What was odd about the checkpoint without being wrong: tensors that nothing uses, and the like. */
  readonly warnings: readonly string[];
  /** What keys and values are cached as by default. */
  readonly cache: CacheType;
  /** Most threads of a forward pass by default. */
  readonly threads: number;
  #weights: LlamaWeights | undefined;

  /**
   * A model of weights in memory; most callers want `load`, `random` or `embedded`.
   *
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
   */
  constructor(
    config: LlamaConfig,
    weights: LlamaWeights,
    options: ModelOptions & { warnings?: readonly string[] } = {},
  ) {
    const { cache, threads } = modelOptions(options);
    this.config = config;
    this.shape = shapeOf(config);
    this.cache = cache;
    this.threads = threads;
    this.warnings = options.warnings ?? [];
    this.#weights = weights;
    this.bytes = { weights: bytesOf(weights), cachePerToken: pageBytes(this.shape, cache) / PAGE_TOKENS };
  }

  /**
   * Loads a folder in Hugging Face's layout: `config.json` (and the end-of-text ids of
   * `generation_config.json`) and safetensors, in one file or in shards. The files are
   * streamed tensor by tensor; beside the model a few megabytes are held, and the event loop stays free.
   *
   * @param folder LlamaForCausalLM, MistralForCausalLM or Qwen2ForCausalLM
   * @throws CheckpointError ERR_BAD_CHECKPOINT, naming file, tensor, what was expected and what came; TypeError
   *   ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE; the system's error (ENOENT, ...); the abort reason
   */
  static async load(folder: string, options?: LoadOptions): Promise<LlamaModel> {
    if (typeof folder !== 'string') throw check.typeError('folder', 'a string', folder);
    const o = check.options(options);
    modelOptions(o);
    if (o.file !== undefined && typeof o.file !== 'string') throw check.typeError('file', 'a string', o.file);
    if (o.weights !== undefined) check.oneOf('weights', o.weights, [...WEIGHT_TYPES, 'as-stored']);
    requireAsync(o);
    o.signal?.throwIfAborted();
    const config = await readConfig(folder);
    const file = await openSafetensors(o.file === undefined ? folder : join(folder, o.file));
    try {
      const { weights, warnings } = await loadWeights(file, config, o);
      return new LlamaModel(config, weights, { ...o, warnings });
    } finally {
      await file.close();
    }
  }

  /**
   * A model of random weights: for benchmarks, and for tests of code that needs some model. See randomWeights for how
   * they are drawn; a model of 1.2 billion parameters takes seconds.
   *
   * @param config what parseConfig gives, or the object of a `config.json`
   * @throws as `load`
   */
  static async random(
    config: LlamaConfig | Readonly<Record<string, unknown>>,
    options?: RandomModelOptions,
  ): Promise<LlamaModel> {
    const o = check.options(options);
    modelOptions(o);
    if (typeof config !== 'object' || config === null) throw check.typeError('config', 'an object', config);
    const parsed = 'architecture' in config ? (config as LlamaConfig) : parseConfig(config, 'config');
    return new LlamaModel(parsed, await randomWeights(parsed, o), o);
  }

  /**
   * Loads llama-kjv, the byte-level model that comes with the package (955,776 parameters, bf16, context of 256 bytes;
   * trained on the King James Bible). A token is a byte.
   *
   * @throws as `load`
   */
  static async embedded(options?: Omit<LoadOptions, 'file'>): Promise<LlamaModel> {
    return LlamaModel.load(embeddedModelPath(), options);
  }

  /**
   * The matrices.
   *
   * @throws DisposedError ERR_DISPOSED after `dispose`
   */
  get weights(): LlamaWeights {
    if (this.#weights) return this.#weights;
    throw new DisposedError('model');
  }

  /** A sequence of its own. @throws as Session's constructor; DisposedError ERR_DISPOSED */
  createSession(options?: SessionOptions): Session {
    return new Session(this, options);
  }

  /** Many sequences, one forward pass a step for all of them. @throws as Engine's constructor; DisposedError ERR_DISPOSED */
  createEngine(options?: EngineOptions): Engine {
    return new Engine(this, options);
  }

  /**
   * Unified maxima, one a layer, for `softmax: 'unified'`: the mean of the largest attention scores on these prompts.
   *
   * @param prompts token ids, one array a prompt
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, the abort reason; DisposedError ERR_DISPOSED
   */
  async calibratePhi(prompts: Iterable<ArrayLike<number>>, options: AsyncOptions = {}): Promise<number[]> {
    return meanScoreMaxima(this.shape, this.weights, prompts, { threads: this.threads, ...options });
  }

  /** Lets go of the weights. Sessions fail from their next call on; calls under way end as they would have. */
  dispose(): void {
    this.#weights = undefined;
  }
}

function modelOptions({ cache = 'f32', threads = 1 }: ModelOptions): Required<ModelOptions> {
  check.oneOf('cache', cache, WEIGHT_TYPES);
  check.positiveInteger('threads', threads);
  return { cache, threads };
}

async function readConfig(folder: string): Promise<LlamaConfig> {
  const path = join(folder, 'config.json');
  try {
    const config = parseConfig(await readFile(path, 'utf8'), path);
    const more = await generationEos(join(folder, 'generation_config.json'));
    const eosTokenIds = Object.freeze([...new Set([...config.eosTokenIds, ...more])]);
    return Object.freeze({ ...config, eosTokenIds });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    await stat(folder); // a folder that is not there is the system's error
    throw new CheckpointError(path, {
      expected: 'the configuration of a model',
      found: 'no such file',
      cause,
    });
  }
}

/** End-of-text ids of the file beside the configuration, where there is one. */
async function generationEos(path: string): Promise<number[]> {
  try {
    return parseGenerationEos(await readFile(path, 'utf8'), path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function bytesOf({ layers, finalNorm, head, embedding }: LlamaWeights): number {
  const matrices = new Set<PackedWeights>([head, embedding]);
  let vectors = finalNorm.byteLength;
  for (const layer of layers) {
    for (const each of [layer.qkv, layer.output, layer.gateUp, layer.down]) matrices.add(each);
    for (const each of [layer.inputNorm, layer.postNorm, layer.qkvBias, layer.outputBias])
      vectors += each?.byteLength ?? 0;
  }
  return [...matrices].reduce((sum, { bytes }) => sum + bytes, vectors);
}
