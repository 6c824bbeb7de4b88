/** What memory alone allows: no decode step is faster than reading what it has to read. */
import * as check from '../check.js';
import { WEIGHT_TYPES } from '../kernels/weights.js';
import type { WeightType } from '../kernels/weights.js';
import type { LlamaConfig } from './config.js';
import type { CacheType } from './forward.js';

/** A decode step whose limit is wanted. */
export interface LimitOptions {
  /** The model. */
  config: Pick<
    LlamaConfig,
    | 'hiddenSize'
    | 'intermediateSize'
    | 'numHiddenLayers'
    | 'numAttentionHeads'
    | 'numKeyValueHeads'
    | 'headDim'
    | 'vocabSize'
    | 'attentionBias'
    | 'outputBias'
    | 'slidingWindow'
  >;
  /** Tokens in the cache of each sequence of the step. */
  lengths: ArrayLike<number>;
  /** Streaming read bandwidth, in 10^9 bytes a second. */
  bandwidthGBps: number;
  /** What the matrices are held as. Default 'bf16'. */
  weights?: WeightType;
  /** What keys and values are cached as. Default 'f32'. */
  cache?: CacheType;
}

const BYTES: Record<WeightType, number> = { f32: 4, bf16: 2, f16: 2, int8: 1 };

/**
 * Bytes that one decode step reads, and the least time that takes: all weights but the embedding table (of which a row a
 * sequence is read, unless it is the output matrix as well), once for the whole batch, and the keys and values of every
 * sequence: 2 layers kvHeads headDim sum(lengths) elements, lengths counted up to the sliding window. Norms, biases and
 * the scales of int8 are float32. (Specification of FlashDecoding++, physical limits: Llama2-7B in 16 bits reads 13.21 GB
 * and 524,288 bytes a cached token.)
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 */
export function decodeLimits(options: LimitOptions): { bytes: number; milliseconds: number } {
  const o = check.options(options);
  if (typeof o.config !== 'object' || o.config === null)
    throw check.typeError('config', 'a LlamaConfig', o.config);
  const bandwidth = check.positiveNumber('bandwidthGBps', o.bandwidthGBps);
  const weights = check.oneOf('weights', o.weights ?? 'bf16', WEIGHT_TYPES);
  const cache = check.oneOf('cache', o.cache ?? 'f32', WEIGHT_TYPES);
  if (!Array.isArray(o.lengths) && !ArrayBuffer.isView(o.lengths))
    throw check.typeError('lengths', 'an array of integers', o.lengths);
  const { config } = o;
  let cached = 0;
  for (const length of Array.from(o.lengths as ArrayLike<number>)) {
    if (!Number.isSafeInteger(length) || length < 0)
      throw check.rangeError('lengths', 'integers >= 0', length);
    cached += Math.min(length, config.slidingWindow ?? Infinity);
  }
  const bytes = weightBytes(config, weights) + cached * cacheBytes(config, cache);
  return { bytes, milliseconds: bytes / (bandwidth * 1e6) };
}

function weightBytes(config: LimitOptions['config'], type: WeightType): number {
  const { hiddenSize: hidden, intermediateSize: inner, headDim } = config;
  const queries = config.numAttentionHeads * headDim;
  const projected = queries + 2 * config.numKeyValueHeads * headDim;
  const matrix = (rows: number, cols: number): number =>
    rows * cols * BYTES[type] + (type === 'int8' ? 4 * rows : 0);
  const biases = (config.attentionBias ? projected : 0) + (config.outputBias ? hidden : 0);
  const layer =
    matrix(projected, hidden) +
    matrix(hidden, queries) +
    matrix(2 * inner, hidden) +
    matrix(hidden, inner) +
    4 * (2 * hidden + biases);
  // Tied or not, the output matrix is read once; rows of the embedding are too few to count.
  return config.numHiddenLayers * layer + 4 * hidden + matrix(config.vocabSize, hidden);
}

function cacheBytes(config: LimitOptions['config'], type: CacheType): number {
  const scale = type === 'int8' ? 4 : 0;
  return 2 * config.numHiddenLayers * config.numKeyValueHeads * (config.headDim * BYTES[type] + scale);
}
