/** What the fitted models share: classes of labels, the choice of the nearest, and models as JSON. */
import * as check from '../check.js';
import { labelsOf } from './scores.js';
import type { Label } from './scores.js';
import { SeriesSet } from './series.js';

/** Labels as numbers: `classes[codes[i]]` is label i. */
export interface Classes {
  /** Sorted: numbers by value, then strings by code units. */
  classes: Label[];
  codes: Int32Array;
}

/** The classes of one label per series. */
export function classesOf(name: string, labels: unknown, count: number): Classes {
  const list = labelsOf(name, labels);
  if (list.length !== count)
    throw check.rangeError(name, `${count} labels long, one per series`, list.length);
  const classes = [...new Set(Array.from(list))].sort(byClass);
  const codeOf = new Map(classes.map((each, code) => [each, code]));
  return { classes, codes: Int32Array.from(Array.from(list), (each) => codeOf.get(each) ?? -1) };
}

function byClass(a: Label, b: Label): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'number') return -1;
  if (typeof b === 'number') return 1;
  return a < b ? -1 : Number(a > b);
}

/** Of each row of a rows x cols matrix the column of the smallest value, the first of equals, and that value. */
export function smallestOfRows(matrix: Float64Array, cols: number): { at: Int32Array; value: Float64Array } {
  const rows = matrix.length / cols;
  const at = new Int32Array(rows);
  const value = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let best = 0;
    for (let j = 1; j < cols; j++) if (matrix[i * cols + j] < matrix[i * cols + best]) best = j;
    at[i] = best;
    value[i] = matrix[i * cols + best];
  }
  return { at, value };
}

/** An object without some of its keys. */
export function without<T extends object, K extends keyof T>(o: T, ...keys: K[]): Omit<T, K> {
  const rest: Partial<T> = { ...o };
  for (const key of keys) delete rest[key];
  return rest as Omit<T, K>;
}

/** A set with values of the class of another's: the kernels take pairs of one class. */
export function inClassOf(other: SeriesSet, set: SeriesSet): SeriesSet {
  return check.isA(other.data, Float32Array) ? set.toFloat32() : set.toFloat64();
}

const ARRAYS = {
  float64: Float64Array,
  float32: Float32Array,
  int32: Int32Array,
  uint32: Uint32Array,
} as const;

/** A value as JSON: typed arrays and sets become objects with one telling key. */
function encode(value: unknown): unknown {
  if (value instanceof SeriesSet) {
    const { channels, lengths, data } = value;
    return { set: { channels, lengths: Array.from(lengths), data: encode(data) } };
  }
  for (const [name, kind] of Object.entries(ARRAYS)) {
    if (check.isA(value, kind as new (length: number) => Float64Array)) return { [name]: Array.from(value) };
  }
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, encode(each)]));
  }
  return value;
}

function decode(name: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each, i) => decode(`${name}[${i}]`, each));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const [key, inner] = (entries.length === 1 ? entries[0] : ['', undefined]) as [string, unknown];
  if (Object.hasOwn(ARRAYS, key)) {
    const isNumbers = Array.isArray(inner) && inner.every((each) => typeof each === 'number');
    if (!isNumbers) throw check.typeError(`${name}.${key}`, 'an array of numbers', inner);
    const array = ARRAYS[key as keyof typeof ARRAYS].from(inner);
    const wrong = key.startsWith('float') ? -1 : array.findIndex((each, i) => each !== inner[i]);
    if (wrong >= 0) throw check.rangeError(`${name}.${key}`, `of ${key} values`, inner[wrong]);
    return array;
  }
  const decoded = Object.fromEntries(entries.map(([k, each]) => [k, decode(`${name}.${k}`, each)]));
  if (key !== 'set') return decoded;
  const { data, ...shape } = check.options(
    decoded.set as ConstructorParameters<typeof SeriesSet>[1] & { data: never },
  );
  return new SeriesSet(data, shape);
}

/** A model as JSON: which model, the version of the form, its options, and what it has learned, null before that. */
export interface ModelJson {
  model: string;
  version: 1;
  options: unknown;
  fitted: unknown;
}

/** The JSON of a model. */
export function modelJson(model: string, options: object, fitted: object | undefined): ModelJson {
  return {
    model,
    version: 1,
    options: encode(options),
    fitted: fitted === undefined ? null : encode(fitted),
  };
}

/** What each field that a model has learned must be. */
export type Kinds = Readonly<
  Record<string, 'set' | 'number' | 'boolean' | 'labels' | 'int32' | 'uint32' | 'float64'>
>;

const IS_KIND: Record<Kinds[string], (value: unknown) => boolean> = {
  set: (value) => value instanceof SeriesSet,
  number: (value) => typeof value === 'number',
  boolean: (value) => typeof value === 'boolean',
  labels: (value) =>
    Array.isArray(value) && value.every((each) => typeof each === 'string' || typeof each === 'number'),
  int32: (value) => check.isA(value, Int32Array),
  uint32: (value) => check.isA(value, Uint32Array),
  float64: (value) => check.isA(value, Float64Array),
};

/**
 * The options of a model out of its JSON.
 * @throws TypeError, RangeError that name the field
 */
export function readOptions<O extends object>(model: string, json: unknown): O {
  if (typeof json !== 'object' || json === null) throw check.typeError('json', 'an object', json);
  const { model: name, version, options } = json as Partial<ModelJson>;
  if (name !== model) throw check.rangeError('json.model', `'${model}'`, name);
  if (version !== 1) throw check.rangeError('json.version', '1', version);
  if (typeof options !== 'object' || options === null)
    throw check.typeError('json.options', 'an object', options);
  return decode('json.options', options) as O;
}

/**
 * What a model had learned out of its JSON, undefined where it had learned nothing.
 * @throws TypeError, RangeError that name the field
 */
export function readFitted<F extends object>(json: unknown, kinds: Kinds): F | undefined {
  const { fitted } = json as Partial<ModelJson>;
  if (fitted === null) return undefined;
  if (typeof fitted !== 'object') throw check.typeError('json.fitted', 'an object or null', fitted);
  const learned = decode('json.fitted', fitted) as Record<string, unknown>;
  for (const [field, kind] of Object.entries(kinds)) {
    if (!IS_KIND[kind](learned[field]))
      throw check.typeError(`json.fitted.${field}`, `of kind '${kind}'`, learned[field]);
  }
  return learned as F;
}

/**
 * Refuses JSON in which what was learned does not fit together.
 * @throws RangeError that names the field
 */
export function requireField(field: string, isRight: boolean, expected: string, received: unknown): void {
  if (!isRight) throw check.rangeError(`json.fitted.${field}`, expected, received);
}

/** Refuses JSON with a number that is none of `count` things counted from 0. @throws RangeError that names the field */
export function requireCodes(field: string, codes: Int32Array | Uint32Array, count: number): void {
  const wrong = codes.find((each) => !(each >= 0 && each < count));
  requireField(field, wrong === undefined, `of integers from 0 to ${count - 1}`, wrong);
}

/** Refuses JSON with the same class twice, or with none. @throws RangeError that names the field */
export function requireClasses(classes: readonly Label[]): void {
  const different = new Set(classes).size;
  requireField('classes', different > 0 && different === classes.length, 'different labels', classes.join());
}
