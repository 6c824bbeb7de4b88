/**
 * From what and by which random number a token is drawn: the options of sampling, checked.
 */
import * as check from '../check.js';
import { philox4x32 } from '../random.js';

/** From what a token is drawn. */
export interface DistributionOptions {
  /** T in softmax(logits / T): 0 (the largest logit, the lowest id of several) or in [1e-30, 1e30]. Default 1. */
  temperature?: number;
  /** Keeps the k most probable ids; 0: all. Default 0. */
  topK?: number;
  /** Keeps the fewest most probable ids whose probabilities, after top-k, add up to p, in (0, 1]. Default 1: all. */
  topP?: number;
  /** Drops ids less probable than this share of the most probable one, in [0, 1]. Default 0: none. */
  minP?: number;
  /** r > 0: logits of ids in `seen` are divided by r where positive, else multiplied. Default 1: no change. */
  repetitionPenalty?: number;
  /** Ids that repetitionPenalty concerns; an id that is listed twice is penalised once. Default: none. */
  seen?: Int32Array | readonly number[];
  /** What is added to the logits of some ids, after the penalty: finite, or -Infinity to ban an id. Default: nothing. */
  logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
}

/** How one token is drawn. */
export interface SampleOptions extends DistributionOptions {
  /** The random number in [0, 1) that decides. Needed, unless `seed` is given or the temperature is 0. */
  uniform?: number;
  /** Takes uniformAt(seed, index, stream) for `uniform`; an integer from 0 to 2^53 - 1. */
  seed?: number;
  /** Which of the seed's numbers: one a token. Default 0. */
  index?: number;
  /** Which of the seed's independent streams. Default 0. */
  stream?: number;
}

/**
 * The random number in [0, 1), of 53 bits, that decides the token `index` of a text: Philox4x32-10 of (seed, stream) at
 * words 2 index and 2 index + 1 (see Philox). It depends on nothing else.
 * @param seed integer from 0 to 2^53 - 1
 * @param index integer from 0 to 2^52 - 1
 * @param stream integer from 0 to 2^53 - 1. Default 0
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 */
export function uniformAt(seed: number, index: number, stream = 0): number {
  natural('seed', seed);
  natural('stream', stream);
  if (natural('index', index) >= 2 ** 52) throw check.rangeError('index', 'below 2^52', index);
  // What Philox.uniform gives at word 2 index, without the object: one is drawn for every token.
  const block = Math.floor(index / 2);
  const high = (x: number): number => Math.floor(x / 2 ** 32);
  philox4x32(block, high(block), stream, high(stream), seed, high(seed), words);
  const at = 2 * (index % 2);
  return ((words[at] >>> 5) * 2 ** 26 + (words[at + 1] >>> 6)) * 2 ** -53;
}

const words = new Uint32Array(4);

/** An integer >= 0. */
export function natural(name: string, value: unknown): number {
  if (typeof value !== 'number') throw check.typeError(name, 'an integer >= 0', value);
  if (!Number.isSafeInteger(value) || value < 0) throw check.rangeError(name, 'an integer >= 0', value);
  return value;
}

function within(name: string, value: unknown, expected: string, holds: (x: number) => boolean): number {
  if (typeof value !== 'number') throw check.typeError(name, `a number ${expected}`, value);
  if (!holds(value)) throw check.rangeError(name, expected, value);
  return value;
}

/** Options of a distribution, checked, with defaults. */
export interface Distribution {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  seen: Int32Array;
  biased: Int32Array;
  bias: Float64Array;
}

const NONE = new Int32Array(0);

/**
 * Checks what a token is drawn from.
 * @param o the options
 * @param prefix what stands before an option's name in messages
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 */
export function distributionOf(o: DistributionOptions, prefix = ''): Distribution {
  const temperature = within(
    `${prefix}temperature`,
    o.temperature ?? 1,
    '0 or in [1e-30, 1e30]',
    (t) => t === 0 || (t >= 1e-30 && t <= 1e30),
  );
  const topK = natural(`${prefix}topK`, o.topK ?? 0);
  const topP = within(`${prefix}topP`, o.topP ?? 1, 'in (0, 1]', (p) => p > 0 && p <= 1);
  const minP = within(`${prefix}minP`, o.minP ?? 0, 'in [0, 1]', (p) => p >= 0 && p <= 1);
  const repetitionPenalty = check.positiveNumber(`${prefix}repetitionPenalty`, o.repetitionPenalty ?? 1);
  const seen = idsOf(`${prefix}seen`, o.seen);
  return {
    temperature,
    topK,
    topP,
    minP,
    repetitionPenalty,
    seen,
    ...biasOf(`${prefix}logitBias`, o.logitBias),
  };
}

function idsOf(name: string, ids: unknown): Int32Array {
  if (ids === undefined) return NONE;
  if (check.isA(ids, Int32Array)) return check.attached(name, ids);
  if (!Array.isArray(ids)) throw check.typeError(name, 'an Int32Array or an array of integers', ids);
  return Int32Array.from(ids, (id) => tokenId(name, id));
}

/** A token id as far as it can be told without the vocabulary. */
function tokenId(name: string, id: unknown): number {
  if (typeof id !== 'number') throw check.typeError(name, 'made of token ids', id);
  if (!Number.isInteger(id) || id < 0 || id >= 2 ** 31) throw check.rangeError(name, 'made of token ids', id);
  return id;
}

function biasOf(
  name: string,
  given: DistributionOptions['logitBias'],
): { biased: Int32Array; bias: Float64Array } {
  if (given === undefined) return { biased: NONE, bias: new Float64Array(0) };
  if (typeof given !== 'object' || given === null || ArrayBuffer.isView(given) || Array.isArray(given))
    throw check.typeError(name, 'a Map or an object from token ids to numbers', given);
  // Not instanceof: a Map may come from another realm.
  const entries: [number, number][] =
    Object.prototype.toString.call(given) === '[object Map]'
      ? [...(given as ReadonlyMap<number, number>)]
      : Object.entries(given as Record<string, number>).map(([id, value]) => [Number(id), value]);
  const bias = Float64Array.from(entries, ([, value]) =>
    within(name, value, 'finite or -Infinity for every id', (x) => x < Infinity),
  );
  return { biased: Int32Array.from(entries, ([id]) => tokenId(name, id)), bias };
}

/** The uniform of one row. */
export function uniformOf(o: SampleOptions, temperature: number, prefix: string): number {
  if (o.uniform !== undefined) {
    if (o.seed !== undefined)
      throw check.rangeError(`${prefix}uniform`, 'absent where seed is given', o.uniform);
    return within(`${prefix}uniform`, o.uniform, 'in [0, 1)', (u) => u >= 0 && u < 1);
  }
  if (o.seed !== undefined) return uniformAt(o.seed, o.index ?? 0, o.stream);
  if (temperature === 0) return 0;
  throw check.typeError(`${prefix}seed`, 'given, or uniform, unless the temperature is 0', undefined);
}
