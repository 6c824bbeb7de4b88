/**
 * Recall tasks: sequences that a model can only complete if it kept what it has read. Example i of a seed depends on the
 * seed and i alone, so that `first` walks through an endless set of fresh examples.
 */
import * as check from '../check.js';
import { Philox } from '../random.js';
import { below, distinct, range } from './draw.js';

/** Target of a position that has none: crossEntropy's ignoreIndex. */
export const NO_TARGET = -100;

/** Examples of a task. */
export interface TaskExamples {
  /** [count, length] token ids. */
  tokens: Int32Array;
  /** [count, length]: what is to be answered at each position, NO_TARGET (-100) where nothing is. */
  targets: Int32Array;
  count: number;
  length: number;
  /** Token ids are 0 to vocabSize - 1. */
  vocabSize: number;
}

/** Which examples. */
export interface TaskOptions {
  /** Examples, at least 1. */
  count: number;
  /** Integer from 0 to 2^53 - 1. Default 0. */
  seed?: number;
  /** Number of the first example. Default 0. */
  first?: number;
}

/** Options of makeDisjointSets. */
export interface DisjointSetsOptions extends TaskOptions {
  /** Tokens in all, special ones included. */
  vocabSize: number;
  /** Elements of the first list. */
  shortLength: number;
  /** Elements of the second list. (Swap the two for the order in which the long list comes first.) */
  longLength: number;
}

/** Options of makeMqar. */
export interface MqarOptions extends TaskOptions {
  /** Tokens in all. */
  vocabSize: number;
  /** Keys with their values, all keys different. */
  pairs: number;
  /** Keys that are asked for, all different. Default: all. */
  queries?: number;
  /** Length of a sequence of the standard form, at least 2 pairs + queries. Default: just that. */
  length?: number;
  /** Default 'standard'. */
  form?: 'standard' | 'mini';
}

/** Options of makeSelectiveCopying. */
export interface SelectiveCopyingOptions extends TaskOptions {
  /** Positions before the queries. */
  length: number;
  /** Data tokens among them. */
  data: number;
}

/** Writes one example into its tokens and targets. */
type Writer = (random: Philox, tokens: Int32Array, targets: Int32Array) => void;

function examples(given: TaskOptions, length: number, vocabSize: number, write: Writer): TaskExamples {
  const count = check.positiveInteger('count', given.count);
  const first = check.nonNegativeInteger('first', given.first ?? 0);
  const seed = check.nonNegativeInteger('seed', given.seed ?? 0);
  check.nonNegativeInteger('first + count', first + count);
  const tokens = new Int32Array(count * length);
  const targets = new Int32Array(count * length).fill(NO_TARGET);
  for (let i = 0; i < count; i++) {
    const [from, to] = [i * length, (i + 1) * length];
    write(new Philox(seed, first + i), tokens.subarray(from, to), targets.subarray(from, to));
  }
  return { tokens, targets, count, length, vocabSize };
}

/**
 * Set disjointness with exactly one common element: two lists of ids, to be followed by the id that is in both. Tokens:
 * 0 mask (unused), 1 begin, 2 between the lists, 3 before the answer, ids from 4 on. For each example the ids are shuffled;
 * the first floor(vocabSize / 2) are the pool of list 1, the rest that of list 2; both lists are drawn without repetition;
 * then one random id of list 1 takes one random place of list 2. Sequence [1, list 1, 2, list 2, 3], target at the last
 * position only.
 *
 * @throws RangeError ERR_OUT_OF_RANGE for a vocabulary that has too few ids for a list; TypeError ERR_INVALID_ARG_TYPE
 * @see "Just read twice: closing the recall gap for recurrent language models", S. Arora et al., 2024, section 3
 */
export function makeDisjointSets(options: DisjointSetsOptions): TaskExamples {
  const o = check.options(options);
  const vocabSize = check.positiveInteger('vocabSize', o.vocabSize);
  const short = check.positiveInteger('shortLength', o.shortLength);
  const long = check.positiveInteger('longLength', o.longLength);
  const half = Math.floor(vocabSize / 2);
  if (short > Math.min(half, vocabSize - 4) || long > vocabSize - 4 - half)
    throw check.rangeError(
      'vocabSize',
      `large enough for lists of ${short} and ${long} from its halves`,
      vocabSize,
    );
  const ids = range(4, vocabSize);
  return examples(o, short + long + 3, vocabSize, (random, tokens, targets) => {
    const shuffled = distinct(ids, ids.length, random);
    const first = distinct(shuffled.subarray(0, half), short, random);
    const second = distinct(shuffled.subarray(half), long, random);
    const common = first[below(short, random)];
    second[below(long, random)] = common;
    tokens.set([1, ...first, 2, ...second, 3]);
    targets[tokens.length - 1] = common;
  });
}

/**
 * Multi-query associative recall: pairs of key and value, later some of the keys again, each to be answered by its value.
 *
 * 'standard': [k1 v1 ... kn vn] and `length` - 2n further positions, where each query stands at a random place of its own,
 * 0 elsewhere; target at a query's position: its value. Keys are 1 to V/2 - 1, values V/2 to V - 1.
 * 'mini': [k1 v1 ... kn vn, 1, q1 ... qm, 1, 0 x 2m], targets at the last 2m positions: q1, its value, q2, its value, ...
 * Keys are 2 to V/2 - 1, all values different. (V/2 is rounded down.)
 *
 * @throws RangeError ERR_OUT_OF_RANGE for a vocabulary with too few keys or values, more queries than pairs, a length
 *   without room for them; TypeError ERR_INVALID_ARG_TYPE
 * @see "Zoology: Measuring and improving recall in efficient language models", S. Arora et al., 2023, and for the mini form
 *   "Just read twice", 2024
 */
export function makeMqar(options: MqarOptions): TaskExamples {
  const o = check.options(options);
  const vocabSize = check.positiveInteger('vocabSize', o.vocabSize);
  const pairs = check.positiveInteger('pairs', o.pairs);
  const queries = check.positiveInteger('queries', o.queries ?? pairs);
  const form = check.oneOf('form', o.form ?? 'standard', ['standard', 'mini']);
  if (queries > pairs) throw check.rangeError('queries', `at most the ${pairs} pairs`, queries);
  const half = Math.floor(vocabSize / 2);
  const keys = range(form === 'mini' ? 2 : 1, Math.max(half, 2));
  const values = range(half, vocabSize);
  if (keys.length < pairs || values.length < (form === 'mini' ? pairs : 1))
    throw check.rangeError(
      'vocabSize',
      `large enough for ${pairs} keys and values from its halves`,
      vocabSize,
    );
  const least = form === 'mini' ? 2 * pairs + 2 + 3 * queries : 2 * pairs + queries;
  const length = check.positiveInteger('length', o.length ?? least);
  if (length < least || (form === 'mini' && length !== least))
    throw check.rangeError('length', `${form === 'mini' ? '' : 'at least '}${least}`, length);
  return examples(o, length, vocabSize, (random, tokens, targets) => {
    const k = distinct(keys, pairs, random);
    const v =
      form === 'mini'
        ? distinct(values, pairs, random)
        : Int32Array.from({ length: pairs }, () => values[below(values.length, random)]);
    k.forEach((key, i) => tokens.set([key, v[i]], 2 * i));
    const asked = distinct(range(0, pairs), queries, random);
    if (form === 'standard') {
      const places = distinct(range(2 * pairs, length), queries, random);
      asked.forEach((pair, i) => {
        tokens[places[i]] = k[pair];
        targets[places[i]] = v[pair];
      });
    } else {
      tokens.set([1, ...asked.map((pair) => k[pair]), 1], 2 * pairs);
      asked.forEach((pair, i) => targets.set([k[pair], v[pair]], length - 2 * queries + 2 * i));
    }
  });
}

/** Tokens of selective copying: data are the ids below. */
export const COPYING_NOISE = 8;
/** Asks for the next data token. */
export const COPYING_QUERY = 9;

/**
 * Selective copying: `length` positions of noise (token 8) hold `data` random data tokens (0 to 7) at random different
 * places; then as many queries (token 9), to be answered by the data tokens in their order. Sequences are length + data
 * long, targets stand at the queries; chance is 1/8.
 *
 * @throws RangeError ERR_OUT_OF_RANGE for more data than places; TypeError ERR_INVALID_ARG_TYPE
 * @see "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", A. Gu and T. Dao, 2023, section 4.1.1
 */
export function makeSelectiveCopying(options: SelectiveCopyingOptions): TaskExamples {
  const o = check.options(options);
  const length = check.positiveInteger('length', o.length);
  const data = check.positiveInteger('data', o.data);
  if (data > length) throw check.rangeError('data', `at most the ${length} places`, data);
  const all = range(0, length);
  return examples(o, length + data, COPYING_QUERY + 1, (random, tokens, targets) => {
    tokens.fill(COPYING_NOISE, 0, length).fill(COPYING_QUERY, length);
    const places = distinct(all, data, random).sort();
    places.forEach((place, i) => {
      tokens[place] = below(COPYING_NOISE, random);
      targets[length + i] = tokens[place];
    });
  });
}

/** Options of repeatPrompt. */
export interface RepeatPromptOptions {
  /** Copies, at least 1. Default 2. */
  times?: number;
  /** What follows the context in every copy. Default: nothing. */
  question?: ArrayLike<number>;
  /** What stands between two copies. Default: nothing. */
  separator?: ArrayLike<number>;
  /** Tokens that the model has room for. Default: any number. */
  maxLength?: number;
  /** Of these, tokens that are kept free for the answer. Default 0. */
  answerLength?: number;
  /** Whether a context that is too long is cut at its beginning; otherwise it is an error. Default true. */
  trim?: boolean;
}

/**
 * The prompt with its context and question repeated (JRT-Prompt): context question context question. A model of constant
 * state reads the context a second time when it knows what is asked. Where maxLength is given, each copy has room for
 * floor((maxLength - answerLength - separators) / times) tokens, and the context is cut at its beginning to fit: every
 * copy is whole.
 *
 * @param tokens ids of the context
 * @throws RangeError ERR_OUT_OF_RANGE where the question alone is too long, or the prompt is and `trim` is false; TypeError
 *   ERR_INVALID_ARG_TYPE
 * @see "Just read twice: closing the recall gap for recurrent language models", S. Arora et al., 2024, section 3
 *
 * @example
 * repeatPrompt([5, 6]); // Int32Array [5, 6, 5, 6]
 */
export function repeatPrompt(tokens: ArrayLike<number>, options?: RepeatPromptOptions): Int32Array {
  const o = check.options(options);
  const times = check.positiveInteger('times', o.times ?? 2);
  const trim = check.boolean('trim', o.trim ?? true);
  const context = idsOf('tokens', tokens);
  const question = idsOf('question', o.question ?? []);
  const separator = idsOf('separator', o.separator ?? []);
  const answer = check.nonNegativeInteger('answerLength', o.answerLength ?? 0);
  let kept = context;
  if (o.maxLength !== undefined) {
    const most = check.positiveInteger('maxLength', o.maxLength);
    const room = Math.floor((most - answer - (times - 1) * separator.length) / times) - question.length;
    if (room < 0)
      throw check.rangeError(
        'maxLength',
        `large enough for ${times} copies of a question of ${question.length}`,
        most,
      );
    if (context.length > room && !trim)
      throw check.rangeError('tokens', `at most ${room} long for ${times} copies in ${most} tokens`, context);
    kept = context.subarray(Math.max(0, context.length - room));
  }
  const copy = [...kept, ...question];
  const rest = Array.from({ length: times - 1 }, () => [...separator, ...copy]).flat();
  return Int32Array.from([...copy, ...rest]);
}

function idsOf(name: string, value: unknown): Int32Array {
  if (!Array.isArray(value) && !ArrayBuffer.isView(value))
    throw check.typeError(name, 'an array of token ids', value);
  return Int32Array.from(value as ArrayLike<number>, (id) => check.nonNegativeInteger(`${name}[i]`, id));
}
