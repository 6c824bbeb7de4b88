/**
 * Drawing tokens from rows of logits. Native: native/sampling.cc, which states the rules in full.
 *
 * The order of the steps: repetition penalty, logit bias, temperature and softmax, top-k, top-p over the rest
 * renormalised, min-p relative to the largest probability of the full distribution, renormalise, draw.
 */
import * as check from '../check.js';
import type { Floats } from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { dtypeOf, threadsOf } from './arguments.js';
import type { Dtype } from './arguments.js';
import { NotFiniteError } from './not-finite.js';
import { distributionOf, natural, uniformOf } from './sampling-options.js';
import type { Distribution, DistributionOptions, SampleOptions } from './sampling-options.js';

export { uniformAt } from './sampling-options.js';
export type { DistributionOptions, SampleOptions } from './sampling-options.js';

/** What concerns all rows of a call. */
export interface SampleCallOptions {
  /** Storage of the logits: needed for a Uint16Array ('bf16' or 'f16'). All are computed with as float32. */
  dtype?: Dtype;
  /** How many of the most probable ids to report with their log-probabilities. Default 0. */
  topLogProbs?: number;
}

/** Options of sampleBatch. */
export interface SampleBatchOptions extends SampleCallOptions {
  /** Most threads, each on rows of its own. Default 1. The bits do not depend on it. */
  threads?: number;
}

/** An id and its log-probability. */
export interface TokenLogProb {
  token: number;
  /** Natural logarithm; see SampledToken.logProbability. */
  logProbability: number;
}

/** A token that was drawn. */
export interface SampledToken {
  token: number;
  /** Probability with which it was drawn: of the distribution that temperature, top-k, top-p and min-p leave. */
  probability: number;
  /**
   * Natural logarithm of its probability in the model's own distribution, softmax of the logits after mask, repetition
   * penalty and bias, at temperature 1 and with nothing cut off: what a model says of its text does not depend on how
   * boldly it was sampled.
   */
  logProbability: number;
  /** The most probable ids of that same distribution, best first; fewer where fewer are not masked. */
  topLogProbs?: TokenLogProb[];
}

/** One row of a call, checked. */
export interface SampleRow extends Distribution {
  uniform: number;
}

/** What a row gave: a token, or why there is none. */
export type SampleOutcome = SampledToken | NotFiniteError;

/** The numbers by which the native operation says that there is no token. */
const REFUSALS: Readonly<Record<number, string>> = {
  [-1]: 'of the logits holds NaN',
  [-2]: 'of the logits holds +Infinity',
  [-3]: 'of the logits holds nothing but -Infinity: no token is possible',
};

interface RowsCall {
  logits: Floats;
  dtype: Dtype;
  rows: readonly SampleRow[];
  topLogProbs: number;
  threads: number;
  probabilities?: Float64Array;
}

/** A call over checked rows, whose failing rows are told one by one. */
export function prepareSampleRows(call: RowsCall): Prepared<SampleOutcome[]> {
  const { logits, dtype, rows, topLogProbs, threads } = call;
  const count = rows.length;
  const vocab = logits.length / count;
  const settings = new Float64Array(6 * count);
  const seenOffsets = new Int32Array(count + 1);
  const biasOffsets = new Int32Array(count + 1);
  rows.forEach((row, r) => {
    settings.set([row.temperature, row.topK, row.topP, row.minP, row.repetitionPenalty, row.uniform], 6 * r);
    seenOffsets[r + 1] = seenOffsets[r] + row.seen.length;
    biasOffsets[r + 1] = biasOffsets[r] + row.biased.length;
  });
  const seen = new Int32Array(seenOffsets[count]);
  const biased = new Int32Array(biasOffsets[count]);
  const bias = new Float64Array(biasOffsets[count]);
  rows.forEach((row, r) => {
    seen.set(row.seen, seenOffsets[r]);
    biased.set(row.biased, biasOffsets[r]);
    bias.set(row.bias, biasOffsets[r]);
  });
  const tokens = new Int32Array(count);
  const results = new Float64Array(2 * count);
  const best = topLogProbs > 0 ? new Int32Array(count * topLogProbs) : undefined;
  const bestLogs = topLogProbs > 0 ? new Float64Array(count * topLogProbs) : undefined;

  const outcome = (r: number): SampleOutcome => {
    const token = tokens[r];
    if (token < 0) return new NotFiniteError(r, REFUSALS[token]);
    const drawn: SampledToken = { token, probability: results[2 * r], logProbability: results[2 * r + 1] };
    if (best && bestLogs) {
      drawn.topLogProbs = Array.from({ length: topLogProbs }, (_, i) => ({
        token: best[r * topLogProbs + i],
        logProbability: bestLogs[r * topLogProbs + i],
      })).filter((each) => each.token >= 0);
    }
    return drawn;
  };
  return {
    operation: 'sampleRows',
    args: [
      logits,
      count,
      vocab,
      dtype,
      settings,
      seen,
      seenOffsets,
      biased,
      bias,
      biasOffsets,
      tokens,
      results,
      best,
      bestLogs,
      topLogProbs,
      call.probabilities,
      threads,
    ],
    result: () => Array.from(tokens, (_, r) => outcome(r)),
  };
}

/** Checks a call of `count` rows; `single`: options have no row in their names. */
function prepareRows(
  logits: Floats,
  given: readonly SampleOptions[],
  o: SampleBatchOptions,
  single: boolean,
): RowsCall {
  const dtype = dtypeOf('logits', logits, o.dtype);
  if (given.length === 0) throw check.rangeError('rows', 'at least one', given);
  if (logits.length === 0 || logits.length % given.length !== 0) {
    const expected = single ? 'at least one element' : `${given.length} rows of the same length, at least 1`;
    throw check.rangeError('logits', expected, logits);
  }
  const topLogProbs = natural('topLogProbs', o.topLogProbs ?? 0);
  const vocab = logits.length / given.length;
  if (topLogProbs > vocab) throw check.rangeError('topLogProbs', `at most the ${vocab} ids`, topLogProbs);
  const rows = given.map((row, r) => {
    const options = check.options(row);
    const prefix = single ? '' : `rows[${r}].`;
    const distribution = distributionOf(options, prefix);
    return { ...distribution, uniform: uniformOf(options, distribution.temperature, prefix) };
  });
  return { logits, dtype, rows, topLogProbs, threads: threadsOf(o.threads) };
}

/** A prepared call whose result is made from another's. */
function mapped<A, B>(prepared: Prepared<A>, map: (a: A) => B): Prepared<B> {
  const before = prepared.result as (returned: unknown) => A;
  return { ...prepared, result: (returned: unknown) => map(before(returned)) };
}

function successful(outcomes: SampleOutcome[]): SampledToken[] {
  return outcomes.map((outcome) => {
    if (outcome instanceof NotFiniteError) throw outcome;
    return outcome;
  });
}

const prepareOne = (logits: Floats, given: SampleOptions & SampleCallOptions): Prepared<SampledToken> => {
  const o = check.options(given);
  return mapped(prepareSampleRows(prepareRows(logits, [o], o, true)), (all) => successful(all)[0]);
};

/**
 * Draws a token from one row of logits.
 * @param logits one row of the vocabulary's length
 * @throws TypeError, RangeError for options out of range or ids outside the vocabulary; NotFiniteError ERR_NOT_FINITE
 * for logits with NaN or +Infinity, or of nothing but -Infinity
 */
export const sample = (logits: Floats, options: SampleOptions & SampleCallOptions): SampledToken =>
  blocking(prepareOne(logits, options));

/** Promise form of sample. */
export const sampleAsync = async (
  logits: Floats,
  options: SampleOptions & SampleCallOptions & AsyncOptions,
): Promise<SampledToken> => promised(prepareOne(logits, options), options);

/** Options of sampleProbabilities. */
export interface ProbabilityOptions extends DistributionOptions {
  /** Storage of the logits: needed for a Uint16Array ('bf16' or 'f16'). */
  dtype?: Dtype;
  /** Where the probabilities go, of the logits' length. Default: a fresh array. */
  out?: Float64Array;
}

const prepareProbabilities = (logits: Floats, given?: ProbabilityOptions): Prepared<Float64Array> => {
  const o = check.options<ProbabilityOptions & SampleOptions>(given);
  // The options of `sample`, passed on as they are: what has no effect is told rather than ignored.
  for (const name of ['uniform', 'seed', 'index', 'stream'] as const)
    if (o[name] !== undefined)
      throw check.typeError(name, 'absent: the probabilities do not depend on it', o[name]);
  const call = prepareRows(logits, [{ ...o, uniform: 0 }], { dtype: o.dtype }, true);
  const out = o.out ?? new Float64Array(logits.length);
  if (!check.isA(out, Float64Array)) throw check.typeError('out', 'a Float64Array', out);
  if (out.length !== logits.length) throw check.rangeError('out', `${logits.length} elements long`, out);
  check.attached('out', out);
  return mapped(prepareSampleRows({ ...call, probabilities: out }), (all) => {
    successful(all);
    return out;
  });
};

/**
 * The probabilities that `sample` draws with: 0 for what top-k, top-p and min-p cut off, the rest adding up to 1. Error
 * at most 1e-6.
 * @param logits one row of the vocabulary's length
 * @throws as sample
 */
export const sampleProbabilities = (logits: Floats, options?: ProbabilityOptions): Float64Array =>
  blocking(prepareProbabilities(logits, options));

/** Promise form of sampleProbabilities. */
export const sampleProbabilitiesAsync = async (
  logits: Floats,
  options?: ProbabilityOptions & AsyncOptions,
): Promise<Float64Array> => promised(prepareProbabilities(logits, options), options);

const prepareBatch = (
  logits: Floats,
  rows: readonly SampleOptions[],
  given?: SampleBatchOptions,
): Prepared<SampledToken[]> => {
  if (!Array.isArray(rows)) throw check.typeError('rows', 'an array of options, one a row', rows);
  return mapped(prepareSampleRows(prepareRows(logits, rows, check.options(given), false)), successful);
};

/**
 * Draws a token from each row, with options and a random number of its own. A row's result, to the bit, does not
 * depend on the other rows or on the threads.
 * @param logits rows x vocabulary, row-major
 * @param rows one set of options a row
 * @throws as sample; NotFiniteError for the first row that is concerned, after all were drawn
 */
export const sampleBatch = (
  logits: Floats,
  rows: readonly SampleOptions[],
  options?: SampleBatchOptions,
): SampledToken[] => blocking(prepareBatch(logits, rows, options));

/** Promise form of sampleBatch. */
export const sampleBatchAsync = async (
  logits: Floats,
  rows: readonly SampleOptions[],
  options?: SampleBatchOptions & AsyncOptions,
): Promise<SampledToken[]> => promised(prepareBatch(logits, rows, options), options);
