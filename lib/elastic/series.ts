/**
 * Sets of time series in one array, of equal or unequal lengths, univariate or multivariate.
 */
import * as check from '../check.js';

/** One time series: channels x length, row-major (channel first). */
export type Series = Float64Array | Float32Array;

/** What is accepted wherever a set is: the set itself, or an array of series of one class. */
export type Collection = SeriesSet | readonly Series[];

/** Options of a SeriesSet. */
export interface SeriesSetOptions {
  /** Channels of every series. Default 1. */
  channels?: number;
  /** Time points: one number for all series (their count follows from the data), or one for each. */
  lengths: number | ArrayLike<number>;
}

/** Options of `SeriesSet.from`. */
export interface SeriesSetFromOptions {
  /** Channels of every series. Default 1. */
  channels?: number;
}

/** Checks a Float64Array or Float32Array. */
export function seriesArray(name: string, x: unknown): Series {
  if (!check.isA(x, Float64Array) && !check.isA(x, Float32Array))
    throw check.typeError(name, 'a Float64Array or a Float32Array', x);
  const { buffer } = x;
  if (typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer)
    throw check.typeError(
      name,
      'an array on memory that no other thread can change',
      'a SharedArrayBuffer view',
    );
  return check.attached(name, x);
}

/** Throws a RangeError that names the first element that is NaN or infinite. */
export function requireFinite(name: string, x: Series): void {
  // One sum of x - x finds them: 0 for a finite number, NaN otherwise, and NaN stays.
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] - x[i];
  if (sum === 0) return;
  const at = x.findIndex((value) => !Number.isFinite(value));
  throw check.rangeError(name, 'finite', `${x[at]} at index ${at}`);
}

/** The time points of one series of so many channels. */
export function lengthOf(name: string, x: Series, channels: number): number {
  if (x.length === 0) throw check.rangeError(name, 'of at least one time point', x);
  if (x.length % channels !== 0)
    throw check.rangeError(name, `of a length divisible by the ${channels} channels`, x);
  return x.length / channels;
}

/**
 * Series of one class and one number of channels, concatenated: series i is elements `offsets[i]` to `offsets[i + 1]`
 * of `data`, laid out channels x `lengths[i]`. Immutable by agreement: the values are checked once, when it is made.
 *
 * @throws TypeError for another class of array; RangeError for no series, an empty series, lengths that do not add up
 *   to the data, NaN or infinite values (the message names the series)
 */
export class SeriesSet {
  /** All values. */
  readonly data: Series;
  /** Channels of every series. */
  readonly channels: number;
  /** Number of series. */
  readonly count: number;
  /** Time points of each. */
  readonly lengths: Int32Array;
  /** Start of each in `data`, and the end of the last. */
  readonly offsets: Float64Array;
  /** The common length, null where lengths differ. */
  readonly length: number | null;

  constructor(data: Series, given: SeriesSetOptions) {
    const o = check.options(given);
    this.data = seriesArray('data', data);
    this.channels = o.channels === undefined ? 1 : check.positiveInteger('channels', o.channels);
    this.lengths = lengthsOf(data, this.channels, o.lengths);
    this.count = this.lengths.length;
    this.offsets = new Float64Array(this.count + 1);
    let longest = 0;
    let shortest = Infinity;
    for (let i = 0; i < this.count; i++) {
      const n = this.lengths[i];
      this.offsets[i + 1] = this.offsets[i] + n * this.channels;
      longest = Math.max(longest, n);
      shortest = Math.min(shortest, n);
    }
    if (this.offsets[this.count] !== data.length)
      throw check.rangeError(
        'lengths',
        `such that they need the ${data.length} elements of "data"`,
        `a need of ${this.offsets[this.count]}`,
      );
    this.length = shortest === longest ? longest : null;
    for (let i = 0; i < this.count; i++) requireFinite(`series ${i}`, this.series(i));
  }

  /**
   * A set of copies of the series.
   * @throws as the constructor; TypeError where the classes differ
   */
  static from(series: readonly Series[], given?: SeriesSetFromOptions): SeriesSet {
    const o = check.options(given);
    if (!Array.isArray(series)) throw check.typeError('series', 'an array of typed arrays', series);
    const list = series as readonly Series[];
    if (list.length === 0) throw check.rangeError('series', 'at least one', 'none');
    const channels = o.channels === undefined ? 1 : check.positiveInteger('channels', o.channels);
    const isDouble = check.isA(list[0], Float64Array);
    let total = 0;
    const lengths = list.map((each, i) => {
      seriesArray(`series ${i}`, each);
      if (check.isA(each, Float64Array) !== isDouble)
        throw check.typeError(
          `series ${i}`,
          `a ${isDouble ? 'Float64Array' : 'Float32Array'} like series 0`,
          each,
        );
      total += each.length;
      return lengthOf(`series ${i}`, each, channels);
    });
    const data = isDouble ? new Float64Array(total) : new Float32Array(total);
    let at = 0;
    for (const each of list) {
      data.set(each, at);
      at += each.length;
    }
    return new SeriesSet(data, { channels, lengths });
  }

  /** The values of series i, a view. */
  series(i: number): Series {
    if (!Number.isInteger(i) || i < 0 || i >= this.count)
      throw check.rangeError('i', `in [0, ${this.count})`, i);
    return this.data.subarray(this.offsets[i], this.offsets[i + 1]);
  }

  /** A new set of the series with these indices, in this order. */
  subset(indices: ArrayLike<number>): SeriesSet {
    return SeriesSet.from(
      Array.from(indices, (i) => this.series(i)),
      { channels: this.channels },
    );
  }

  /** The set with float32 values: itself where it has them. */
  toFloat32(): SeriesSet {
    if (check.isA(this.data, Float32Array)) return this;
    return new SeriesSet(Float32Array.from(this.data), this);
  }

  /** The set with float64 values: itself where it has them. */
  toFloat64(): SeriesSet {
    if (check.isA(this.data, Float64Array)) return this;
    return new SeriesSet(Float64Array.from(this.data), this);
  }

  /** Each channel of each series with mean 0 and population standard deviation 1; constant channels become 0. */
  zNormalized(): SeriesSet {
    const data = this.data.slice();
    for (let s = 0; s < this.count; s++) {
      const n = this.lengths[s];
      for (let c = 0; c < this.channels; c++)
        zNormalize(data.subarray(this.offsets[s] + c * n, this.offsets[s] + (c + 1) * n));
    }
    return new SeriesSet(data, this);
  }
}

/** In place. A channel whose deviation is rounding alone counts as constant. */
function zNormalize(x: Series): void {
  let mean = 0;
  for (const value of x) mean += value;
  mean /= x.length;
  let square = 0;
  let largest = 0;
  for (const value of x) {
    square += (value - mean) * (value - mean);
    largest = Math.max(largest, Math.abs(value));
  }
  const deviation = Math.sqrt(square / x.length);
  const isConstant = deviation <= 1e-13 * largest;
  for (let i = 0; i < x.length; i++) x[i] = isConstant ? 0 : (x[i] - mean) / deviation;
}

function lengthsOf(data: Series, channels: number, lengths: unknown): Int32Array {
  if (typeof lengths === 'number') {
    check.positiveInteger('lengths', lengths);
    const count = data.length / (channels * lengths);
    if (!Number.isInteger(count) || count === 0)
      throw check.rangeError(
        'data',
        `a positive number of series of ${channels} x ${lengths} elements`,
        data,
      );
    return new Int32Array(count).fill(lengths);
  }
  if (typeof lengths !== 'object' || lengths === null || !('length' in lengths))
    throw check.typeError('lengths', 'a number or an array of numbers', lengths);
  const list = Array.from(lengths as ArrayLike<number>);
  if (list.length === 0) throw check.rangeError('lengths', 'of at least one series', 'none');
  list.forEach((n, i) => {
    check.positiveInteger(`lengths[${i}]`, n);
    if (n > 0x7fffffff) throw check.rangeError(`lengths[${i}]`, 'below 2^31', n);
  });
  return Int32Array.from(list);
}

/**
 * The set that an argument stands for: itself, one with the same fields, or an array of series.
 * @param channels of series given as an array; a set has its own, and must agree where both are given
 */
export function asSet(name: string, x: unknown, channels: number | undefined): SeriesSet {
  if (x instanceof SeriesSet) {
    if (channels !== undefined && channels !== x.channels)
      throw check.typeError('channels', `${x.channels} as those of "${name}"`, channels);
    return x;
  }
  const likeness = x as Partial<SeriesSet> | null;
  if (typeof x === 'object' && ArrayBuffer.isView(likeness?.data) && ArrayBuffer.isView(likeness.lengths)) {
    // A set of the package's other module format, or what structuredClone leaves of one: the same fields, checked anew.
    return asSet(name, new SeriesSet(likeness.data, likeness as SeriesSet), channels);
  }
  if (!Array.isArray(x)) throw check.typeError(name, 'a SeriesSet or an array of series', x);
  return SeriesSet.from(x as Series[], { channels });
}
