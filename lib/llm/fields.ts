/** Members of a JSON object from a file, each taken with a check that names file and key. */
import { CheckpointError, shortened } from '../io/checkpoint-error.js';

/** Largest size taken for real: a count of rows, columns or tokens fits 31 bits. */
const MOST = 2 ** 31 - 1;

/** The object; a member that is null counts as absent. */
export class Fields {
  /** Name of the file in messages. */
  readonly source: string;
  readonly #prefix: string;
  readonly #object: Readonly<Record<string, unknown>>;

  private constructor(object: Readonly<Record<string, unknown>>, source: string, prefix: string) {
    this.#object = object;
    this.source = source;
    this.#prefix = prefix;
  }

  /**
   * @param json a JSON text, or the object that it parses to
   * @param source name of the file in messages
   * @throws CheckpointError for what is not an object
   */
  static of(json: unknown, source: string): Fields {
    let value = json;
    if (typeof json === 'string') {
      try {
        value = JSON.parse(json);
      } catch (cause) {
        throw new CheckpointError(source, {
          expected: 'JSON',
          found: `text that is not (${(cause as Error).message})`,
          cause,
        });
      }
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new CheckpointError(source, { expected: 'a JSON object', found: shortened(value) });
    return new Fields(value as Record<string, unknown>, source, '');
  }

  /** The error for a member. */
  error(key: string, expected: string, found: unknown): CheckpointError {
    return new CheckpointError(this.source, {
      expected: `"${this.#prefix}${key}" to be ${expected}`,
      found: found === undefined ? 'none' : shortened(found),
    });
  }

  /** A member as it is; undefined where there is none. */
  get(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
  }

  /** Whether there is such a member that is not null. */
  has(key: string): boolean {
    return (this.get(key) ?? null) !== null;
  }

  /** All members. */
  entries(): [string, unknown][] {
    return Object.entries(this.#object);
  }

  /** A member that is an object. */
  object(key: string): Fields {
    const value = this.get(key);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.error(key, 'an object', value);
    return new Fields(value as Record<string, unknown>, this.source, `${this.#prefix}${key}.`);
  }

  /** An integer from 1 to 2^31 - 1. */
  size(key: string, fallback?: number): number {
    return this.#integer(key, 1, fallback);
  }

  /** An integer from 0 to 2^31 - 1. */
  count(key: string, fallback?: number): number {
    return this.#integer(key, 0, fallback);
  }

  /** A finite number greater than 0. */
  positive(key: string, fallback?: number): number {
    const value = this.has(key) ? this.get(key) : fallback;
    if (typeof value === 'number' && value > 0 && value < Infinity) return value;
    throw this.error(key, 'a finite number > 0', value);
  }

  /** true or false. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.has(key) ? this.get(key) : fallback;
    if (typeof value === 'boolean') return value;
    throw this.error(key, 'true or false', value);
  }

  /** A value as a token id. */
  token(key: string, value: unknown): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MOST) return value;
    throw this.error(key, 'token ids', value);
  }

  #integer(key: string, least: number, fallback: number | undefined): number {
    const value = this.has(key) ? this.get(key) : fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= MOST) return value;
    throw this.error(key, `an integer from ${least} to ${MOST}`, value);
  }
}
