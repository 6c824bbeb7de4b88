/**
 * What sessions and engines need of a model: one forward pass over rows of several sequences, and some sizes.
 */
import * as check from '../check.js';
import { WEIGHT_TYPES } from '../kernels/weights.js';
import { promised } from '../native.js';
import type { KvSequence } from './cache.js';
import type { LlamaConfig } from './config.js';
import type {
  CacheType,
  ForwardBatch,
  ForwardOptions,
  ForwardResult,
  LlamaShape,
  LlamaWeights,
} from './forward.js';
import { PAGE_TOKENS, pageBytes, prepareForward } from './forward.js';

/** A model as sessions and engines see it. */
export interface Decoder {
  /** Token ids are 0 to vocabSize - 1. */
  readonly vocabSize: number;
  /** Longest context in tokens. */
  readonly maxLength: number;
  /** Tokens that end a text unless options say otherwise. */
  readonly eosTokens: readonly number[];
  /** Bytes of 16 tokens of all layers in the cache. */
  readonly pageBytes: number;
  /** Most threads. */
  readonly threads: number;
  /**
   * Writes the rows' keys and values to the cache's slabs and gives the logits that are wanted. A row's logits depend on
   * its own sequence's tokens alone. Once `signal` aborts it rejects with the signal's reason, and what it was to write
   * is undefined.
   */
  forward(batch: ForwardBatch, slabs: Uint8Array[], signal?: AbortSignal): Promise<ForwardResult>;
}

/** How a session or an engine runs its model. */
export interface DecodeOptions {
  /** Longest context in tokens, at most the model's. Default: the model's. */
  maxLength?: number;
  /** What keys and values are cached as: 'f32', 'bf16', 'f16' or 'int8'. Default: the model's. */
  cache?: CacheType;
  /** Most threads of a forward pass. Default: the model's. The bits do not depend on it. */
  threads?: number;
  /** How partial softmaxes of attention are joined: 'online', 'unified' or 'pair'. Default 'online'. */
  softmax?: ForwardOptions['softmax'];
  /** The maximum of 'unified': one for all layers, or one a layer (see LlamaModel.calibratePhi). Default 0. */
  phi?: number | ArrayLike<number>;
  /** Most rows of prompts in a forward pass. Default 256. */
  chunk?: number;
}

/** A LlamaModel, as far as it is needed here. */
export interface DecoderModel {
  readonly config: Pick<LlamaConfig, 'vocabSize' | 'maxPositionEmbeddings' | 'eosTokenIds'>;
  readonly shape: LlamaShape;
  readonly weights: LlamaWeights;
  readonly cache: CacheType;
  readonly threads: number;
}

/**
 * The decoder of a model, or the given one with its limits checked.
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE; Error ERR_DISPOSED
 */
export function decoderOf(model: DecoderModel | Decoder, o: DecodeOptions): Decoder {
  if (typeof model !== 'object' || model === null) throw check.typeError('model', 'a LlamaModel', model);
  const base = 'forward' in model ? model : ofModel(model, o);
  if (o.maxLength === undefined) return base;
  const maxLength = check.positiveInteger('maxLength', o.maxLength);
  if (maxLength > base.maxLength)
    throw check.rangeError('maxLength', `at most the model's ${base.maxLength}`, maxLength);
  const forward: Decoder['forward'] = (...args) => base.forward(...args);
  const { vocabSize, eosTokens, threads } = base;
  return { vocabSize, eosTokens, threads, pageBytes: base.pageBytes, maxLength, forward };
}

function ofModel(model: DecoderModel, o: DecodeOptions): Decoder {
  const { config, shape } = model;
  const cache = check.oneOf('cache', o.cache ?? model.cache, WEIGHT_TYPES);
  const threads = check.positiveInteger('threads', o.threads ?? model.threads);
  const softmax = check.oneOf('softmax', o.softmax ?? 'online', ['online', 'unified', 'pair']);
  const phi = phiOf(o.phi, shape.layers);
  // Asked now: a model that has been disposed of is told of here rather than in the first call.
  if (typeof model.weights !== 'object') throw check.typeError('model', 'a LlamaModel', model);
  return {
    vocabSize: config.vocabSize,
    maxLength: config.maxPositionEmbeddings,
    eosTokens: config.eosTokenIds,
    pageBytes: pageBytes(shape, cache),
    threads,
    forward: async (batch, slabs, signal) =>
      promised(prepareForward(shape, model.weights, slabs, cache, batch, { threads, softmax, phi }), {
        signal,
      }),
  };
}

function phiOf(phi: unknown, layers: number): number | Float64Array {
  if (phi === undefined) return 0;
  if (typeof phi === 'number') {
    if (!Number.isFinite(phi)) throw check.rangeError('phi', 'finite', phi);
    return phi;
  }
  if (!Array.isArray(phi) && !ArrayBuffer.isView(phi))
    throw check.typeError('phi', 'a number, or an array of one a layer', phi);
  const list = Float64Array.from(phi as ArrayLike<number>);
  if (list.length !== layers) throw check.rangeError('phi', `${layers} elements long, one a layer`, phi);
  for (const each of list)
    if (!Number.isFinite(each)) throw check.rangeError('phi', 'finite in every layer', each);
  return list;
}

/** The next tokens of a sequence, which already has places for them at its end. */
export interface SequenceRows {
  sequence: KvSequence;
  tokens: readonly number[];
  /** Which of the tokens' logits are wanted. */
  logits: 'none' | 'last' | 'all';
}

/** The rows of several sequences as one forward pass takes them. */
export function forwardBatch(parts: readonly SequenceRows[]): ForwardBatch {
  const count = parts.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const maxPages = Math.max(...parts.map(({ sequence }) => sequence.pages.length));
  const batch = {
    tokens: new Int32Array(count),
    sequences: new Int32Array(count),
    positions: new Int32Array(count),
    pageTable: new Int32Array(parts.length * maxPages).fill(-1),
    maxPages,
  };
  const logitRows: number[] = [];
  let row = 0;
  parts.forEach(({ sequence, tokens, logits }, s) => {
    batch.pageTable.set(sequence.pages, s * maxPages);
    const first = sequence.length - tokens.length;
    tokens.forEach((token, i) => {
      batch.tokens[row] = token;
      batch.sequences[row] = s;
      batch.positions[row] = first + i;
      if (logits === 'all' || (logits === 'last' && i === tokens.length - 1)) logitRows.push(row);
      row++;
    });
  });
  return { ...batch, logitRows: Int32Array.from(logitRows) };
}

/** Pages that a context of so many tokens takes. */
export const pagesOf = (tokens: number): number => Math.ceil(tokens / PAGE_TOKENS);

/** `chunk`, checked. */
export const chunkOf = (o: DecodeOptions): number => check.positiveInteger('chunk', o.chunk ?? 256);
