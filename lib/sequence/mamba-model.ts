/** A Mamba language model in memory: reading of prompts, decoding in constant memory, generation. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as check from '../check.js';
import { CheckpointError } from '../io/checkpoint-error.js';
import { openSafetensors } from '../io/safetensors.js';
import { WEIGHT_TYPES, type PackedWeights } from '../kernels/weights.js';
import {
  drawTokens,
  Generation,
  requireTokens,
  type GeneratedToken,
  type GenerateOptions,
} from '../llm/generate.js';
import { DisposedError } from '../llm/state-error.js';
import type { LoadWeightsOptions } from '../llm/tensor-loader.js';
import { requireAsync } from '../native.js';
import { parseMambaConfig, type MambaConfig } from './mamba-config.js';
import { mambaForward } from './mamba-forward.js';
import { randomMambaWeights, type RandomMambaOptions } from './mamba-random.js';
import { MambaState } from './mamba-state.js';
import { loadMambaWeights, type MambaWeights } from './mamba-weights.js';

/** Most tokens of a pass: they bound the memory beside the state. */
const CHUNK = 256;

/** How a model is loaded. */
export interface LoadMambaOptions extends LoadWeightsOptions {
  /** Name of the weights' file (or index of shards) in the folder. Default: that of a model's only checkpoint. */
  file?: string;
}

/** Options of prefill. */
export interface MambaPrefillOptions {
  /** Whose logits to return. Default 'last'. */
  logits?: 'last' | 'all';
  /** Most tokens of one pass. Default 256. */
  chunk?: number;
  /** Stops the work; what chunks are done stay in the state (see its `length`). */
  signal?: AbortSignal;
}

/** Options of generate. */
export interface MambaGenerateOptions extends GenerateOptions {
  /** What has been read before the prompt; it goes on with prompt and text. Default: a fresh one. */
  state?: MambaState;
}

/**
 * A Mamba language model in memory. Token ids go in and come out, tokenising is the caller's. A sequence is a MambaState of
 * constant size; weights are shared by all of them.
 *
 * @example
 * const model = await MambaModel.load('mamba-130m-hf');
 * for await (const { token } of model.generate(prompt, { maxTokens: 100, seed: 1 })) write(token);
 */
export class MambaModel {
  /** What `config.json` says. */
  readonly config: MambaConfig;
  /** Bytes of the weights in memory, and of the state of a sequence. */
  readonly bytes: { readonly weights: number; readonly state: number };
  /** What was odd about the checkpoint without being wrong: tensors that nothing uses, and the like. */
  readonly warnings: readonly string[];
  /** Most threads of a pass. The bits do not depend on it. */
  readonly threads: number;
  #weights: MambaWeights | undefined;

  /**
   * A model of weights in memory; most callers want `load` or `random`.
   *
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
   */
  constructor(
    config: MambaConfig,
    weights: MambaWeights,
    options: { threads?: number; warnings?: readonly string[] } = {},
  ) {
    this.config = config;
    this.threads = check.positiveInteger('threads', options.threads ?? 1);
    this.warnings = options.warnings ?? [];
    this.#weights = weights;
    this.bytes = { weights: bytesOf(weights), state: new MambaState(config).bytes };
  }

  /**
   * Loads a folder that holds `config.json`, in the form of the `mamba_ssm` package or of transformers
   * (`MambaForCausalLM`), and safetensors in one file or in shards with the names `backbone.layers.N.mixer.*`. The files are
   * streamed tensor by tensor; beside the model a few megabytes are held, and the event loop stays free.
   *
   * @param folder a Mamba (version 1) checkpoint
   * @throws CheckpointError ERR_BAD_CHECKPOINT, naming file, tensor, what was expected and what came; TypeError
   *   ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE; the system's error (ENOENT, ...); the abort reason
   */
  static async load(folder: string, options?: LoadMambaOptions): Promise<MambaModel> {
    if (typeof folder !== 'string') throw check.typeError('folder', 'a string', folder);
    const o = check.options(options);
    check.positiveInteger('threads', o.threads ?? 1);
    if (o.file !== undefined && typeof o.file !== 'string') throw check.typeError('file', 'a string', o.file);
    if (o.weights !== undefined) check.oneOf('weights', o.weights, [...WEIGHT_TYPES, 'as-stored']);
    requireAsync(o);
    o.signal?.throwIfAborted();
    const config = await readConfig(folder);
    const file = await openSafetensors(o.file === undefined ? folder : join(folder, o.file));
    try {
      const { weights, warnings } = await loadMambaWeights(file, config, o);
      return new MambaModel(config, weights, { threads: o.threads, warnings });
    } finally {
      await file.close();
    }
  }

  /**
   * A model of random weights: for benchmarks, and for tests of code that needs some model. See randomMambaWeights for how
   * they are drawn.
   *
   * @param config what parseMambaConfig gives, or the object of a `config.json`
   * @throws as `load`
   */
  static async random(
    config: MambaConfig | Readonly<Record<string, unknown>>,
    options?: RandomMambaOptions,
  ): Promise<MambaModel> {
    const o = check.options(options);
    if (typeof config !== 'object' || config === null) throw check.typeError('config', 'an object', config);
    const parsed = 'architecture' in config ? (config as MambaConfig) : parseMambaConfig(config, 'config');
    return new MambaModel(parsed, await randomMambaWeights(parsed, o), { threads: o.threads });
  }

  /** A sequence of which nothing has been read. */
  createState(): MambaState {
    return new MambaState(this.config);
  }

  /**
   * Reads one token: a step of decoding by hand, in memory that does not grow.
   *
   * @param state the sequence, changed in place
   * @param token its next id
   * @returns [vocabSize] logits
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE, before anything is done; StateBusyError
   *   ERR_STATE_BUSY, DisposedError ERR_DISPOSED
   */
  async step(state: MambaState, token: number): Promise<Float32Array> {
    return this.prefill(state, [token]);
  }

  /**
   * Reads tokens by the full scan, in chunks, so that memory does not grow with their number.
   *
   * @param state the sequence, changed in place
   * @param tokens its next ids, at least one
   * @returns [vocabSize] logits after the last token, or [tokens, vocabSize] after each
   * @throws as `step`; the abort reason, with the state after the last complete chunk
   */
  async prefill(
    state: MambaState,
    tokens: ArrayLike<number>,
    options?: MambaPrefillOptions,
  ): Promise<Float32Array> {
    const o = check.options(options);
    requireAsync({ signal: o.signal });
    const wanted = check.oneOf('logits', o.logits ?? 'last', ['last', 'all']);
    const chunk = check.positiveInteger('chunk', o.chunk ?? CHUNK);
    this.#requireState(state);
    const ids = Int32Array.from(requireTokens(tokens, this.config));
    if (ids.length === 0) throw check.rangeError('tokens', 'at least one token', tokens);
    state.enter('prefill');
    try {
      return await this.#feed(state, ids, wanted, chunk, o.signal);
    } finally {
      state.leave();
    }
  }

  /**
   * Reads a prompt and goes on from it. The work is done as tokens are asked for; leaving the loop ends it. A state that is
   * given has then read everything up to the token before the last that was delivered.
   *
   * @param prompt ids, at least one
   * @param options how tokens are drawn and what ends the text; `maxTokens` has no default: without it, and without a stop
   *   token, a text has no end
   * @throws TypeError, RangeError at once, for options and tokens; the iterator rejects with the abort reason,
   *   NotFiniteError ERR_NOT_FINITE, what mask and detokenize throw, StateBusyError, DisposedError
   */
  generate(
    prompt: ArrayLike<number>,
    options?: MambaGenerateOptions,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const { state = this.createState(), ...o } = check.options(options);
    this.#requireState(state);
    const ids = requireTokens(prompt, this.config);
    const vocabulary = { vocabSize: this.config.vocabSize, eosTokens: this.config.eosTokenIds };
    return this.#generate(state, ids, new Generation(ids, o, vocabulary, Infinity));
  }

  /** Lets go of the weights: calls fail from now on; those under way end as they would have. */
  dispose(): void {
    this.#weights = undefined;
  }

  async *#generate(
    state: MambaState,
    prompt: readonly number[],
    text: Generation,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const { signal } = text;
    state.enter('generate');
    try {
      let next = Int32Array.from(prompt);
      while (!text.finished) {
        const logits = await this.#feed(state, next, 'last', CHUNK, signal);
        const [drawn] = await drawTokens([text], logits, this.threads);
        signal?.throwIfAborted();
        if ('error' in drawn) throw drawn.error;
        yield drawn.token;
        next = Int32Array.of(drawn.token.token);
      }
    } finally {
      state.leave();
    }
  }

  async #feed(
    state: MambaState,
    ids: Int32Array,
    wanted: 'last' | 'all',
    chunk: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const weights = this.#weights;
    if (!weights) throw new DisposedError('model');
    const { config, threads } = this;
    const all = wanted === 'all' ? new Float32Array(ids.length * config.vocabSize) : undefined;
    let logits: Float32Array | undefined;
    for (let start = 0; start < ids.length; start += chunk) {
      signal?.throwIfAborted();
      const part = ids.subarray(start, start + chunk);
      const last = start + part.length === ids.length;
      const own = all ? 'all' : last ? 'last' : 'none';
      logits = await mambaForward({ config, weights, threads }, state.layers, part, own);
      if (all && logits) all.set(logits, start * config.vocabSize);
      state.advance(part.length);
    }
    return all ?? (logits as Float32Array);
  }

  #requireState(state: unknown): asserts state is MambaState {
    if (!(state instanceof MambaState)) throw check.typeError('state', 'a MambaState', state);
    const { numLayers } = this.config;
    if (state.layers.length !== numLayers || state.bytes !== this.bytes.state)
      throw check.rangeError(
        'state',
        `one of ${numLayers} layers and ${this.bytes.state} bytes, made by this model's createState`,
        `one of ${state.layers.length} layers and ${state.bytes} bytes`,
      );
  }
}

async function readConfig(folder: string): Promise<MambaConfig> {
  const path = join(folder, 'config.json');
  try {
    return parseMambaConfig(await readFile(path, 'utf8'), path);
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

type Stored = Float32Array | PackedWeights | undefined;

/** Bytes of the weights, each array once. */
function bytesOf({ layers, finalNorm, finalNormBias, head, embedding }: MambaWeights): number {
  const parts = [finalNorm, finalNormBias, embedding, ...(head === embedding ? [] : [head])];
  const ofLayers = layers.flatMap((layer) => Object.values({ ...layer } as Record<string, Stored>));
  const all: Stored[] = [...parts, ...ofLayers];
  return all.reduce((sum, each) => {
    if (each === undefined) return sum;
    return sum + (ArrayBuffer.isView(each) ? each.byteLength : each.bytes);
  }, 0);
}
