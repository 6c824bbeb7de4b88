/**
 * Pieces of attention on their own: merging partial results, and the softmax with a unified maximum.
 * Native: native/attention/operations.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { arrayOf } from './arguments.js';
import { attentionSplits, softmaxOf } from './attention-options.js';
import type { SoftmaxFormOptions } from './attention-options.js';

/** A result of attention that others can be merged with. */
export interface MergedAttention {
  /** [rows, headDim]. */
  out: Float32Array;
  /** [rows]. */
  logSumExp: Float32Array;
}

/** Shape of what is merged. */
export interface MergeAttentionOptions {
  /** Parts. */
  count: number;
  rows: number;
  headDim: number;
}

function prepareMerge(
  outs: Float32Array,
  logSumExps: Float32Array,
  given: MergeAttentionOptions,
): Prepared<MergedAttention> {
  const o = check.options(given);
  const count = check.positiveInteger('count', o.count);
  const rows = check.positiveInteger('rows', o.rows);
  const headDim = check.positiveInteger('headDim', o.headDim);
  arrayOf('outs', outs, Float32Array);
  arrayOf('logSumExps', logSumExps, Float32Array);
  if (outs.length !== count * rows * headDim)
    throw check.rangeError('outs', `${count * rows * headDim} elements long`, outs);
  if (logSumExps.length !== count * rows)
    throw check.rangeError('logSumExps', `${count * rows} elements long`, logSumExps);
  const result = { out: new Float32Array(rows * headDim), logSumExp: new Float32Array(rows) };
  const args = [outs, logSumExps, result.out, result.logSumExp, count, rows, headDim];
  return { operation: 'mergeAttention', args, result };
}

/**
 * Joins results of attention over different keys (chunks, shards, a shared prefix and a private rest) into that over all
 * of them: weights e^(lse_j - max), as exact as the parts. A part with -Infinity counts for nothing, whatever it holds.
 *
 * @param outs [count, rows, headDim]
 * @param logSumExps [count, rows], natural logarithms
 * @throws TypeError or RangeError naming the argument
 * @see "Flash-Decoding", T. Dao et al., 2023
 */
export const mergeAttention = (
  outs: Float32Array,
  logSumExps: Float32Array,
  options: MergeAttentionOptions,
): MergedAttention => blocking(prepareMerge(outs, logSumExps, options));

/** Promise form of mergeAttention. */
export const mergeAttentionAsync = async (
  outs: Float32Array,
  logSumExps: Float32Array,
  options: MergeAttentionOptions & AsyncOptions,
): Promise<MergedAttention> => promised(prepareMerge(outs, logSumExps, options), options);

/** Options of unifiedSoftmax. */
export interface UnifiedSoftmaxOptions extends Omit<SoftmaxFormOptions, 'softmax'> {
  rows: number;
  cols: number;
}

/** A softmax by the unified maximum. */
export interface UnifiedSoftmax {
  /** [rows, cols]. */
  weights: Float32Array;
  /** [rows]. */
  logSumExp: Float32Array;
  /** How many rows left the range and were computed by their own maximum. */
  fallbackRows: number;
  /** 1 for each of those rows. */
  fallback: Uint8Array;
}

function prepareUnified(scores: Float32Array, given: UnifiedSoftmaxOptions): Prepared<UnifiedSoftmax> {
  const o = check.options(given);
  const rows = check.positiveInteger('rows', o.rows);
  const cols = check.positiveInteger('cols', o.cols);
  arrayOf('scores', scores, Float32Array);
  if (scores.length !== rows * cols) throw check.rangeError('scores', `${rows * cols} elements long`, scores);
  const { phi, elementRule, low, high } = softmaxOf(o);
  const weights = new Float32Array(rows * cols);
  const logSumExp = new Float32Array(rows);
  const fallback = new Uint8Array(rows);
  const args = [scores, weights, logSumExp, fallback, rows, cols, phi, elementRule, low, high];
  return {
    operation: 'unifiedSoftmax',
    args,
    result: (returned) => ({ weights, logSumExp, fallback, fallbackRows: returned as number }),
  };
}

/**
 * Softmax of rows by e^(s - phi) with one phi for all: no maximum is looked for. A row whose terms leave the range of
 * float32 (by either rule) is computed again by its own maximum. A row of -Infinity alone gives zeros and is counted.
 * @see "FlashDecoding++", K. Hong et al., MLSys 2024, section 3, equations 3 and 4
 */
export const unifiedSoftmax = (scores: Float32Array, options: UnifiedSoftmaxOptions): UnifiedSoftmax =>
  blocking(prepareUnified(scores, options));

/** Promise form of unifiedSoftmax. */
export const unifiedSoftmaxAsync = async (
  scores: Float32Array,
  options: UnifiedSoftmaxOptions & AsyncOptions,
): Promise<UnifiedSoftmax> => promised(prepareUnified(scores, options), options);

/** What the workspace of a call depends on. */
export interface WorkspaceCase {
  batch: number;
  queryHeads: number;
  kvHeads: number;
  headDim: number;
  /** Keys of the longest sequence. */
  length: number;
  threads: number;
  /** Keys in a chunk; default 512. */
  chunk?: number;
}

/**
 * Bytes of partial results that decodeAttention keeps at most while threads share the chunks of few tasks; 0 where one
 * thread goes over all chunks of a task.
 */
export function attentionWorkspaceBytes(sizes: WorkspaceCase): number {
  const { batch, queryHeads, kvHeads, headDim, length, threads, chunk = 512 } = check.options(sizes);
  attentionSplits({ batch, kvHeads, length, workers: threads });
  check.positiveInteger('queryHeads', queryHeads);
  check.positiveInteger('headDim', headDim);
  const chunks = Math.ceil(length / check.positiveInteger('chunk', chunk));
  if (threads <= 1 || chunks <= 1 || batch * kvHeads >= 4 * threads) return 0;
  const stride = Math.ceil(headDim / 16) * 16;
  return chunks * batch * queryHeads * (stride + 2) * 4;
}
