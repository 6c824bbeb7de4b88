/** Plain JSON values, written in one way only, so that equal content has equal keys. */
import { createHash } from 'node:crypto';
import * as check from '../check.js';

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** An object of what JSON can hold; members that are undefined are left out. */
export interface JsonObject {
  readonly [name: string]: Json | undefined;
}

/**
 * JSON with the names of objects sorted.
 *
 * @param name what an error calls the value
 * @throws TypeError ERR_INVALID_ARG_TYPE for what JSON has no form for, such as functions and typed arrays; RangeError
 *   ERR_OUT_OF_RANGE for NaN and infinities
 */
export function canonicalJson(name: string, value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw check.rangeError(name, 'finite', value);
    return JSON.stringify(value);
  }
  if (Array.isArray(value))
    return `[${value.map((each, i) => canonicalJson(`${name}[${i}]`, each)).join(',')}]`;
  // By its tag: objects of another realm have another prototype.
  if (Object.prototype.toString.call(value) !== '[object Object]')
    throw check.typeError(name, 'a value that JSON can hold', value);
  const entries = Object.entries(value as object).filter(([, each]) => each !== undefined);
  const members = entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => `${JSON.stringify(key)}:${canonicalJson(`${name}.${key}`, each)}`);
  return `{${members.join(',')}}`;
}

/** SHA-256 of a text, in hexadecimal digits. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
