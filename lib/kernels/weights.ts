/**
 * Weight matrices for the GEMM kernels: packed panels, and what checkpoints hold. Native: native/gemm/pack.cc.
 */
import * as check from '../check.js';
import { largeArray } from '../large-array.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, arrayOf, threadsOf } from './arguments.js';

/** Storage of weights: float32, bf16 or f16 bit patterns in a Uint16Array, int8 with a float32 scale for each row. */
export type WeightType = 'f32' | 'bf16' | 'f16' | 'int8';

/** The storage types, in the order of the native enumeration. */
export const WEIGHT_TYPES: readonly WeightType[] = ['f32', 'bf16', 'f16', 'int8'];

/** Arrays that hold weights. */
export type WeightArray = Float32Array | Uint16Array | Int8Array;

/** Rows in a panel of packed weights: kPanelRows of native/gemm/gemm.h. */
const PANEL_ROWS = 32;
const NO_SCALES = new Float32Array(0);

/** The storage type of an array of weights: named (by `option`) for a Uint16Array, that of the array otherwise. */
export function weightTypeOf(name: string, w: unknown, type: unknown, option = 'type'): WeightType {
  if (type !== undefined) check.oneOf(option, type, WEIGHT_TYPES);
  const own = check.isA(w, Float32Array) ? 'f32' : check.isA(w, Int8Array) ? 'int8' : undefined;
  if (own === undefined && !check.isA(w, Uint16Array)) {
    throw check.typeError(name, `a Float32Array, an Int8Array, or a Uint16Array with ${option}`, w);
  }
  check.attached(name, w as WeightArray);
  if (own !== undefined) {
    if (type !== undefined && type !== own)
      throw check.rangeError(option, `'${own}' for a ${own === 'f32' ? 'Float32Array' : 'Int8Array'}`, type);
    return own;
  }
  if (type === undefined) throw check.typeError(option, `'bf16' or 'f16', the storage of "${name}"`, type);
  if (type !== 'bf16' && type !== 'f16')
    throw check.typeError(
      name,
      `a ${type === 'f32' ? 'Float32Array' : 'Int8Array'} for ${option} '${type as string}'`,
      w,
    );
  return type;
}

const MARK: unique symbol = Symbol.for('softlane.PackedWeights') as never;
const KINDS = { f32: Float32Array, bf16: Uint16Array, f16: Uint16Array, int8: Int8Array } as const;

/** The shape of a weight matrix. */
export interface WeightShape {
  /** Rows: outputs. */
  n: number;
  /** Columns: inputs. */
  k: number;
  /** Storage; of a Uint16Array it must be given. Default: that of the array. */
  type?: WeightType;
}

/**
 * A weight matrix [n, k] laid out for `gemm`: panels of 32 rows, n padded with zeros, one line of 32 elements for each k,
 * so that a kernel reads memory in one stream. In a bf16 line the rows stand in the order 0, 16, 1, 17, ... The layout is
 * the same on every instruction set: it may be kept in a file or shared between workers.
 */
export class PackedWeights {
  /** Those of the other module format (import beside require) are the same: what counts is the mark, not the class. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && MARK in value;
  }
  /** @internal */
  readonly [MARK] = true;
  /** Rows of the matrix: outputs. */
  readonly n: number;
  /** Columns of the matrix: inputs. */
  readonly k: number;
  /** Storage type of the elements. */
  readonly type: WeightType;
  /** ceil(n / 32) * 32 * k elements. */
  readonly data: WeightArray;
  /** n scales of int8 rows; empty for other types. */
  readonly scales: Float32Array;

  /**
   * Weights that were packed before: `data` and `scales` as another PackedWeights held them.
   * @throws TypeError or RangeError where kinds or lengths do not fit
   */
  constructor(n: number, k: number, type: WeightType, data: WeightArray, scales: Float32Array = NO_SCALES) {
    this.n = check.positiveInteger('n', n);
    this.k = check.positiveInteger('k', k);
    this.type = check.oneOf('type', type, WEIGHT_TYPES);
    weightTypeOf('data', data, type);
    const length = Math.ceil(n / PANEL_ROWS) * PANEL_ROWS * k;
    if (data.length !== length) throw check.rangeError('data', `${length} elements long`, data);
    arrayOf('scales', scales, Float32Array);
    const count = type === 'int8' ? n : 0;
    if (scales.length !== count) throw check.rangeError('scales', `${count} elements long`, scales);
    this.data = data;
    this.scales = scales;
  }

  /** A matrix of zeros, to be filled by `packWeightRows`. */
  static allocate(shape: WeightShape & { type: WeightType }): PackedWeights {
    const n = check.positiveInteger('n', shape.n);
    const k = check.positiveInteger('k', shape.k);
    const type = check.oneOf('type', shape.type, WEIGHT_TYPES);
    const data = largeArray(KINDS[type], Math.ceil(n / PANEL_ROWS) * PANEL_ROWS * k);
    return new PackedWeights(n, k, type, data, type === 'int8' ? new Float32Array(n) : NO_SCALES);
  }

  /** Bytes of the elements and scales. */
  get bytes(): number {
    return this.data.byteLength + this.scales.byteLength;
  }

  /**
   * Row i, widened to float32: k elements.
   * @throws RangeError unless 0 <= i < n
   */
  row(i: number): Float32Array {
    if (typeof i !== 'number') throw check.typeError('i', 'an integer', i);
    if (!Number.isInteger(i) || i < 0 || i >= this.n) throw check.rangeError('i', `in [0, ${this.n})`, i);
    return embed(this, Int32Array.of(i));
  }
}

/** Scales belong to int8 alone: given for other weights they would be passed over, and the caller not know. */
function requireScales(scales: unknown, type: WeightType): Float32Array | undefined {
  if (scales === undefined) return undefined;
  if (type !== 'int8') throw check.typeError('scales', 'given for int8 weights only', scales);
  return arrayOf('scales', scales, Float32Array);
}

/** Options of packWeightRows. */
export interface PackRowsOptions {
  /** First row of the packed matrix to be filled; default 0. */
  row?: number;
  /** Rows of w; default all that it holds. */
  rows?: number;
  /** Storage of w; needed for a Uint16Array. */
  type?: WeightType;
  /** Scales of the rows of w, where it is int8. */
  scales?: Float32Array;
  /** Threads; default 1. */
  threads?: number;
}

function prepareRows(
  target: PackedWeights,
  w: WeightArray,
  given?: PackRowsOptions,
): Prepared<PackedWeights> {
  if (!(target instanceof PackedWeights)) throw check.typeError('target', 'PackedWeights', target);
  const o = check.options(given);
  const type = weightTypeOf('w', w, o.type);
  const row = o.row ?? 0;
  if (typeof row !== 'number') throw check.typeError('row', 'a non-negative integer', row);
  if (!Number.isSafeInteger(row) || row < 0) throw check.rangeError('row', 'a non-negative integer', row);
  const rows = o.rows ?? Math.floor(w.length / target.k);
  if (rows !== 0) check.positiveInteger('rows', rows);
  if (rows * target.k !== w.length)
    throw check.rangeError('w', `rows * k = ${rows * target.k} elements long`, w);
  const scales = requireScales(o.scales, type);
  if (scales && scales.length < rows)
    throw check.rangeError('scales', `at least ${rows} elements long`, scales);
  const outScales = target.type === 'int8' ? target.scales : undefined;
  const { n, k } = target;
  const args = [w, scales, target.data, outScales, row, rows, n, k, type, target.type, threadsOf(o.threads)];
  return { operation: 'packWeightRows', args, result: target };
}

/**
 * Fills rows of a packed matrix, converting them to its type (round to nearest even; to int8 symmetrically by the row's
 * largest magnitude over 127): stacks the tensors of a checkpoint, such as q, k and v, one after the other.
 * @param target made by PackedWeights.allocate
 * @param w rows x k, row-major
 * @throws RangeError where the rows do not fit the target, or are not finite where int8 is wanted
 */
export const packWeightRows = (
  target: PackedWeights,
  w: WeightArray,
  options?: PackRowsOptions,
): PackedWeights => blocking(prepareRows(target, w, options));

/** Promise form of packWeightRows. */
export const packWeightRowsAsync = async (
  target: PackedWeights,
  w: WeightArray,
  options?: PackRowsOptions & AsyncOptions,
): Promise<PackedWeights> => promised(prepareRows(target, w, options), options);

/** Options of packWeights. */
export interface PackOptions extends WeightShape {
  /** Scales of the rows of an Int8Array: value = scale * element. */
  scales?: Float32Array;
  /** Storage of the packed weights; default that of w. */
  to?: WeightType;
  /** Threads; default 1. */
  threads?: number;
}

function preparePack(w: WeightArray, given: PackOptions): Prepared<PackedWeights> {
  const o = check.options(given);
  const type = weightTypeOf('w', w, o.type);
  const n = check.positiveInteger('n', o.n);
  const k = check.positiveInteger('k', o.k);
  if (w.length !== n * k) throw check.rangeError('w', `n * k = ${n * k} elements long`, w);
  requireScales(o.scales, type); // before anything is allocated
  if (type === 'int8' && o.scales === undefined)
    throw check.typeError('scales', 'a Float32Array for int8 weights', o.scales);
  const target = PackedWeights.allocate({ n, k, type: check.oneOf('to', o.to ?? type, WEIGHT_TYPES) });
  return prepareRows(target, w, { rows: n, type, scales: o.scales, threads: o.threads });
}

/**
 * Packs a weight matrix for `gemm`: done once, it pays from the first few products on.
 * @param w n x k, row-major, as checkpoints hold it (one row for each output)
 * @throws TypeError or RangeError naming the argument
 */
export const packWeights = (w: WeightArray, options: PackOptions): PackedWeights =>
  blocking(preparePack(w, options));

/** Promise form of packWeights. */
export const packWeightsAsync = async (
  w: WeightArray,
  options: PackOptions & AsyncOptions,
): Promise<PackedWeights> => promised(preparePack(w, options), options);

/** Rows of int8 with their scales: value = scales[row] * data[row * k + i]. */
export interface QuantizedWeights {
  data: Int8Array;
  scales: Float32Array;
}

/**
 * Quantises each row to int8 symmetrically: scale = largest magnitude / 127, elements rounded to the nearest.
 * The error of an element is at most half a scale.
 * @param w n x k, row-major, finite
 * @throws RangeError for an element that is not finite
 */
export const quantizeWeights = (w: Float32Array | Uint16Array, options: WeightShape): QuantizedWeights => {
  const packed = blocking(prepareQuantize(w, options));
  const data = new Int8Array(packed.n * packed.k);
  unpackRows(packed, data, 0, packed.n);
  return { data, scales: packed.scales };
};

/** Elements that are unpacked before other events of the process are let through: about a millisecond. */
const TURN_ELEMENTS = 1 << 20;

/** Promise form of quantizeWeights. */
export const quantizeWeightsAsync = async (
  w: Float32Array | Uint16Array,
  options: WeightShape & AsyncOptions,
): Promise<QuantizedWeights> => {
  const packed = await promised(prepareQuantize(w, options), options);
  const { n, k, scales } = packed;
  const data = new Int8Array(n * k);
  const turn = Math.max(1, Math.floor(TURN_ELEMENTS / k));
  for (let row = 0; row < n; row += turn) {
    unpackRows(packed, data, row, Math.min(row + turn, n));
    await new Promise(setImmediate);
    options.signal?.throwIfAborted();
  }
  return { data, scales };
};

function prepareQuantize(w: Float32Array | Uint16Array, options: WeightShape): Prepared<PackedWeights> {
  if (weightTypeOf('w', w, check.options(options).type) === 'int8')
    throw check.typeError('w', 'a Float32Array, or a Uint16Array with type', w);
  return preparePack(w, { ...options, to: 'int8' });
}

/** Copies rows [from, to) out of packed int8 weights. */
function unpackRows({ data: packed, k }: PackedWeights, data: Int8Array, from: number, to: number): void {
  for (let row = from; row < to; row++) {
    const first = Math.floor(row / PANEL_ROWS) * PANEL_ROWS * k + (row % PANEL_ROWS);
    for (let i = 0; i < k; i++) data[row * k + i] = packed[first + i * PANEL_ROWS];
  }
}

/** Options of embed where the table is a plain array. */
export interface EmbedOptions extends WeightShape {
  /** Scales of int8 rows. */
  scales?: Float32Array;
}

function requireTokens(tokens: Int32Array, n: number): void {
  const wrong = tokens.findIndex((token) => token < 0 || token >= n);
  if (wrong >= 0) throw check.rangeError('tokens', `in [0, ${n})`, `${tokens[wrong]} at index ${wrong}`);
}

function prepareEmbed(
  table: PackedWeights | WeightArray,
  tokens: Int32Array,
  given?: EmbedOptions,
): Prepared<Float32Array> {
  const o = check.options<Partial<EmbedOptions>>(given);
  arrayOf('tokens', tokens, Int32Array);
  if (table instanceof PackedWeights) {
    const { data, scales, n, k, type } = table;
    if (o.scales !== undefined)
      throw check.typeError('scales', 'absent: packed weights have their own', o.scales);
    requireTokens(tokens, n);
    const out = allocate('f32', tokens.length * k) as Float32Array;
    const args = [data, type === 'int8' ? scales : undefined, tokens, out, n, k, type, true];
    return { operation: 'gatherRows', args, result: out };
  }
  const type = weightTypeOf('table', table, o.type);
  const n = check.positiveInteger('n', o.n);
  const k = check.positiveInteger('k', o.k);
  if (table.length < n * k) throw check.rangeError('table', `at least n * k = ${n * k} elements long`, table);
  const scales = requireScales(o.scales, type);
  requireTokens(tokens, n);
  const out = allocate('f32', tokens.length * k) as Float32Array;
  return { operation: 'gatherRows', args: [table, scales, tokens, out, n, k, type, false], result: out };
}

/**
 * Gathers rows of an embedding table, widened to float32: [tokens.length, k].
 * @param table packed, or n x k row-major with the options
 * @param tokens row numbers in [0, n)
 * @throws RangeError for a token outside the table, with its index
 */
export const embed = (
  table: PackedWeights | WeightArray,
  tokens: Int32Array,
  options?: EmbedOptions,
): Float32Array => blocking(prepareEmbed(table, tokens, options));

/** Promise form of embed. */
export const embedAsync = async (
  table: PackedWeights | WeightArray,
  tokens: Int32Array,
  options?: EmbedOptions & AsyncOptions,
): Promise<Float32Array> => promised(prepareEmbed(table, tokens, options), options);
