/**
 * The check that an array holds numbers only, at the speed of reading it.
 */
import * as check from '../check.js';
import { native } from '../native.js';
import type { Reals } from './arguments.js';

/** Throws a RangeError where an array holds a NaN or an infinity, unless `wanted` is false. */
export function finite(name: string, x: Reals, wanted: unknown, threads = 1): void {
  if (wanted !== undefined && !check.boolean('checkFinite', wanted)) return;
  const at = native('allFinite')(x, threads) as number;
  if (at >= 0) throw check.rangeError(name, 'an array of finite numbers', `${x[at]} at element ${at}`);
}
