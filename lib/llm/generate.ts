/**
 * One text that is being written: its options, how the next token is drawn, when it ends. Sessions and engines share it,
 * so that a text is the same whichever of them writes it.
 */
import { randomInt } from 'node:crypto';
import * as check from '../check.js';
import { NotFiniteError } from '../kernels/not-finite.js';
import { distributionOf, uniformAt } from '../kernels/sampling-options.js';
import type { Distribution, DistributionOptions } from '../kernels/sampling-options.js';
import { prepareSampleRows } from '../kernels/sampling.js';
import type { SampleRow, TokenLogProb } from '../kernels/sampling.js';
import { blocking, promised, requireAsync } from '../native.js';
import type { Decoder } from './decoder.js';
import type { Detokenize } from './stop.js';
import { StopWatch } from './stop.js';

/** What a mask sees beside the logits. */
export interface MaskState {
  /** The context: prompt and what was generated. Not to be changed. */
  readonly tokens: readonly number[];
  /** Position that the token to be drawn will have. */
  readonly position: number;
}

/** How a text is generated. */
export interface GenerateOptions extends Omit<DistributionOptions, 'seen'> {
  /** Most tokens to generate. Default, and at most: what the context has room for. */
  maxTokens?: number;
  /** Seed of the random numbers, an integer from 0 to 2^53 - 1. Default: a fresh one. */
  seed?: number;
  /** Stream of the seed: several texts of one seed want a stream each. Default 0. */
  stream?: number;
  /** Ids that end the text. Default: the model's end-of-text ids, as far as they are in its vocabulary. */
  stopTokens?: readonly number[];
  /** Runs of ids that end the text. Default: none. */
  stopSequences?: readonly (readonly number[])[];
  /** Strings that end the text; they need `detokenize`. Default: none. */
  stop?: readonly string[];
  /** Turns ids into text. With it every token comes with the text that has become certain. Default: no text. */
  detokenize?: Detokenize;
  /** How many of the most probable ids to report with each token. Default 0. */
  topLogProbs?: number;
  /**
   * Changes the logits in place before the token is drawn, say to -Infinity for what a grammar forbids. Synchronous. What
   * it throws ends this text alone.
   */
  mask?: (logits: Float32Array, state: MaskState) => void;
  /** Ends the work; the iterator then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Why a text ended: by a stop token, sequence or string, or for want of room (maxTokens, context). */
export type FinishReason = 'stop' | 'length';

/** A token of a text. */
export interface GeneratedToken {
  token: number;
  /** Probability with which it was drawn: of what temperature, top-k, top-p and min-p leave. */
  probability: number;
  /** Of the model's own distribution, after mask, penalty and bias, at temperature 1: see SampledToken. */
  logProbability: number;
  /** The most probable ids of that distribution, best first. */
  topLogProbs?: TokenLogProb[];
  /**
   * With `detokenize`: the text that is now certain, often that of this token, sometimes less or more: what may yet turn
   * out to be a stop string or half a character is held back. All of them together are the answer.
   */
  text?: string;
  /** On the last token. */
  finishReason?: FinishReason;
  /** On the last token: how many of the last tokens are the stop token or stop sequence and no part of the answer. */
  stopLength?: number;
}

const tokenList = (name: string, value: unknown, vocab: number): number[] => {
  if (!Array.isArray(value) && !ArrayBuffer.isView(value))
    throw check.typeError(name, 'an array of token ids', value);
  return Array.from(value as ArrayLike<unknown>, (token, i) => {
    if (typeof token !== 'number') throw check.typeError(`${name}[${i}]`, 'a token id', token);
    if (!Number.isInteger(token) || token < 0 || token >= vocab)
      throw check.rangeError(`${name}[${i}]`, `in [0, ${vocab})`, token);
    return token;
  });
};

/**
 * Checks tokens that are to enter a context.
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 */
export function requireTokens(value: unknown, decoder: Pick<Decoder, 'vocabSize'>): number[] {
  return tokenList('tokens', value, decoder.vocabSize);
}

function listOf(name: string, value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw check.typeError(name, 'an array', value);
  return value;
}

/** What a text needs to know of its model. */
type Vocabulary = Pick<Decoder, 'vocabSize' | 'eosTokens'>;

function stopWatchOf(o: GenerateOptions, { vocabSize, eosTokens }: Vocabulary): StopWatch {
  const stopSequences = listOf('stopSequences', o.stopSequences).map((each, i) => {
    const sequence = tokenList(`stopSequences[${i}]`, each, vocabSize);
    if (sequence.length === 0) throw check.rangeError(`stopSequences[${i}]`, 'at least one token long', each);
    return sequence;
  });
  const stop = listOf('stop', o.stop).map((each, i) => {
    if (typeof each !== 'string') throw check.typeError(`stop[${i}]`, 'a string', each);
    if (each === '') throw check.rangeError(`stop[${i}]`, 'a string of at least one character', each);
    return each;
  });
  const { detokenize } = o;
  if (detokenize !== undefined && typeof detokenize !== 'function')
    throw check.typeError('detokenize', 'a function', detokenize);
  if (stop.length > 0 && !detokenize) throw check.typeError('detokenize', 'given where stop is', detokenize);
  // Some files name an id that the model has no row for: no text ends with it (see LlamaModel.warnings).
  const own = eosTokens.filter((id) => id < vocabSize);
  const stopTokens = tokenList('stopTokens', o.stopTokens ?? own, vocabSize);
  return new StopWatch({ stopTokens, stopSequences, stop, detokenize });
}

/** Ids of a context, each once. */
class SeenTokens {
  readonly #known = new Set<number>();
  #ids = new Int32Array(64);

  add(token: number): void {
    if (this.#known.has(token)) return;
    if (this.#known.size === this.#ids.length) {
      const longer = new Int32Array(2 * this.#ids.length);
      longer.set(this.#ids);
      this.#ids = longer;
    }
    this.#ids[this.#known.size] = token;
    this.#known.add(token);
  }

  get ids(): Int32Array {
    return this.#ids.subarray(0, this.#known.size);
  }
}

/** A text that is being written. */
export class Generation {
  /** Prompt and what was generated. */
  readonly context: number[];
  /** Tokens that may be generated. */
  readonly maxTokens: number;
  readonly topLogProbs: number;
  readonly signal: AbortSignal | undefined;
  readonly #distribution: Distribution;
  readonly #seed: number;
  readonly #stream: number | undefined;
  readonly #mask: GenerateOptions['mask'];
  readonly #stop: StopWatch;
  readonly #seen = new SeenTokens();
  #generated = 0;
  #finished = false;

  /**
   * @param context the tokens before it, checked, at least one
   * @param given options
   * @param decoder the model
   * @param maxLength tokens that the context may hold in all; Infinity for a model without such a limit
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
   */
  constructor(context: readonly number[], given: GenerateOptions, decoder: Vocabulary, maxLength: number) {
    const o = check.options(given);
    requireAsync(o);
    const room = maxLength - context.length;
    const maxTokens = o.maxTokens === undefined ? room : check.positiveInteger('maxTokens', o.maxTokens);
    if (context.length === 0) throw check.rangeError('tokens', 'at least one token of context', context);
    if (room < 1)
      throw check.rangeError(
        'tokens',
        `fewer than the ${maxLength} of the context, which has to hold an answer`,
        context,
      );
    const distribution = distributionOf({ ...o, seen: undefined });
    for (const id of distribution.biased)
      if (id >= decoder.vocabSize)
        throw check.rangeError('logitBias', `in [0, ${decoder.vocabSize}) for ids`, id);
    const topLogProbs = o.topLogProbs ?? 0;
    if (typeof topLogProbs !== 'number') throw check.typeError('topLogProbs', 'an integer', topLogProbs);
    if (!Number.isInteger(topLogProbs) || topLogProbs < 0 || topLogProbs > decoder.vocabSize)
      throw check.rangeError('topLogProbs', `an integer in [0, ${decoder.vocabSize}]`, topLogProbs);
    if (o.mask !== undefined && typeof o.mask !== 'function')
      throw check.typeError('mask', 'a function', o.mask);
    this.#stop = stopWatchOf(o, decoder);
    this.#seed = o.seed ?? randomInt(2 ** 48 - 1);
    this.#stream = o.stream;
    uniformAt(this.#seed, 0, this.#stream); // checks both
    this.#distribution = distribution;
    this.#mask = o.mask;
    this.context = [...context];
    this.maxTokens = Math.min(maxTokens, room);
    this.topLogProbs = topLogProbs;
    this.signal = o.signal;
    if (distribution.repetitionPenalty !== 1) for (const token of context) this.#seen.add(token);
  }

  /** Tokens generated so far. */
  get generated(): number {
    return this.#generated;
  }

  /** Whether its last token has been drawn. */
  get finished(): boolean {
    return this.#finished;
  }

  /**
   * Applies the mask, and says how the next token is to be drawn. The random number of the text's i-th token depends on
   * seed, stream and i alone.
   * @param logits one row, changed by the mask
   * @throws what the mask throws
   */
  prepare(logits: Float32Array): SampleRow {
    const state: MaskState = { tokens: this.context, position: this.context.length };
    const returned: unknown = this.#mask?.(logits, state);
    if (returned instanceof Promise) {
      returned.catch(() => undefined); // it is reported below, once
      throw check.typeError('mask', 'a synchronous function', returned);
    }
    return { ...this.#distribution, seen: this.#seen.ids, uniform: this.#uniform() };
  }

  /** Takes the token that was drawn. */
  accept(drawn: {
    token: number;
    probability: number;
    logProbability: number;
    topLogProbs?: TokenLogProb[];
  }): GeneratedToken {
    const { token, probability, logProbability } = drawn;
    this.#generated++;
    this.context.push(token);
    if (this.#distribution.repetitionPenalty !== 1) this.#seen.add(token);
    const result: GeneratedToken = { token, probability, logProbability };
    if (this.topLogProbs > 0) result.topLogProbs = drawn.topLogProbs?.slice(0, this.topLogProbs);
    const last = this.#generated === this.maxTokens;
    const { stopped, text, stopLength } = this.#stop.push(token, last);
    if (text !== undefined) result.text = text;
    if (stopped || last) {
      this.#finished = true;
      result.finishReason = stopped ? 'stop' : 'length';
      if (stopLength !== undefined) result.stopLength = stopLength;
    }
    return result;
  }

  #uniform(): number {
    return this.#distribution.temperature === 0 ? 0 : uniformAt(this.#seed, this.#generated, this.#stream);
  }
}

/** Elements of logits up to which drawing blocks: a promise's round trip would take longer. */
const MOST_BLOCKING = 2 ** 15;

/** How the draw of a row went. */
export type Drawn = { token: GeneratedToken } | { error: unknown };

/**
 * Draws the next token of several texts. What fails in one (its mask, logits that are not finite) is told of that one.
 * @param texts one a row; undefined: nobody waits for the row any more
 * @param logits texts.length rows; masks change them
 */
export async function drawTokens(
  texts: readonly (Generation | undefined)[],
  logits: Float32Array,
  threads: number,
): Promise<Drawn[]> {
  const vocab = logits.length / texts.length;
  const failed = new Map<number, unknown>();
  const rows = texts.map((text, r): SampleRow => {
    try {
      if (text) return text.prepare(logits.subarray(r * vocab, (r + 1) * vocab));
    } catch (error) {
      failed.set(r, error);
    }
    return GREEDY;
  });
  const topLogProbs = Math.max(...texts.map((text) => text?.topLogProbs ?? 0));
  const call = prepareSampleRows({ logits, dtype: 'f32', rows, topLogProbs, threads });
  const outcomes = logits.length > MOST_BLOCKING ? await promised(call) : blocking(call);
  return texts.map((text, r): Drawn => {
    const outcome = outcomes[r];
    if (failed.has(r)) return { error: failed.get(r) };
    if (!text) return { error: undefined };
    // The row of the batch means nothing to the text; the position whose logits they are does.
    if (outcome instanceof NotFiniteError)
      return { error: new NotFiniteError(text.context.length - 1, outcome.what) };
    try {
      return { token: text.accept(outcome) };
    } catch (error) {
      return { error }; // of detokenize
    }
  });
}

/** The cheapest draw, for rows that nobody waits for. */
const GREEDY: SampleRow = { ...distributionOf({ temperature: 0 }), uniform: 0 };
