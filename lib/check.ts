/**
 * The vocabulary of argument checks: each names the argument, what was expected and what came.
 */

/** An error with the stable code that all of softlane's argument errors carry. */
export interface ArgumentError extends Error {
  code: 'ERR_INVALID_ARG_TYPE' | 'ERR_OUT_OF_RANGE';
}

/** Any typed array of numbers that a kernel takes. */
export type Floats = Float32Array | Float64Array | Uint16Array;

/** How a value reads in a message: numbers and strings as they are, arrays by kind and length. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const kind = value.constructor?.name ?? 'an object';
  return ArrayBuffer.isView(value) && 'length' in value ? `${kind}(${String(value.length)})` : kind;
}

/** A TypeError with code ERR_INVALID_ARG_TYPE. */
export function typeError(name: string, expected: string, received: unknown): ArgumentError {
  const error = new TypeError(`"${name}" must be ${expected}, received ${describe(received)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' as const });
}

/** A RangeError with code ERR_OUT_OF_RANGE. */
export function rangeError(name: string, expected: string, received: unknown): ArgumentError {
  const error = new RangeError(`"${name}" must be ${expected}, received ${describe(received)}`);
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' as const });
}

/** An integer of at least 1 (and at most 2^53 - 1). */
export function positiveInteger(name: string, value: unknown): number {
  if (typeof value !== 'number') throw typeError(name, 'a positive integer', value);
  if (!Number.isSafeInteger(value) || value < 1) throw rangeError(name, 'a positive integer', value);
  return value;
}

/** An integer of at least 0 (and at most 2^53 - 1). */
export function nonNegativeInteger(name: string, value: unknown): number {
  if (typeof value !== 'number') throw typeError(name, 'an integer >= 0', value);
  if (!Number.isSafeInteger(value) || value < 0) throw rangeError(name, 'an integer >= 0', value);
  return value;
}

/** A finite number. */
export function finiteNumber(name: string, value: unknown): number {
  if (typeof value !== 'number') throw typeError(name, 'a finite number', value);
  if (!Number.isFinite(value)) throw rangeError(name, 'a finite number', value);
  return value;
}

/** A finite number greater than 0. */
export function positiveNumber(name: string, value: unknown): number {
  if (typeof value !== 'number') throw typeError(name, 'a finite number > 0', value);
  if (!(value > 0 && value < Infinity)) throw rangeError(name, 'a finite number > 0', value);
  return value;
}

/** One of a list of strings. */
export function oneOf<T extends string>(name: string, value: unknown, list: readonly T[]): T {
  if (!list.includes(value as T)) {
    throw rangeError(name, `one of ${list.map((each) => `'${each}'`).join(', ')}`, value);
  }
  return value as T;
}

/** true or false. */
export function boolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw typeError(name, 'a boolean', value);
  return value;
}

/**
 * An array on memory that can be neither shrunk nor gone. Resizable memory is refused in the blocking form too: a view
 * that is in bounds today may not be tomorrow, and one rule is easier to remember than two.
 */
export function attached<T extends ArrayBufferView>(name: string, array: T): T {
  const buffer = array.buffer as ArrayBuffer & { resizable?: boolean; detached?: boolean };
  if (buffer.resizable === true) {
    throw rangeError(name, 'an array on memory of fixed length', 'a view of a resizable ArrayBuffer');
  }
  // A detached view reads as empty; Node 20 has no ArrayBuffer.prototype.detached, the addon asks there.
  return array;
}

/** A plain object of options. */
export function options<T extends object>(value: T | undefined): T {
  if (value === undefined) return {} as T;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) {
    throw typeError('options', 'an object', value);
  }
  return value;
}

/**
 * Whether a value is a typed array of a class, also where it comes from another realm (a vm context, a test sandbox),
 * whose classes are other objects.
 */
export function isA<T extends ArrayBufferView>(value: unknown, kind: new (length: number) => T): value is T {
  return (
    value instanceof kind ||
    (ArrayBuffer.isView(value) &&
      (value as { [Symbol.toStringTag]?: string })[Symbol.toStringTag] === kind.name)
  );
}
