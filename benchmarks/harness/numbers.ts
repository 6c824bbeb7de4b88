/** Random numbers for large arrays. */
import { Philox } from '../../lib/random.js';

/** Numbers drawn once and repeated: a prime, so that no row, head or page sees the same ones at the same place. */
const DRAWN = 1_000_003;

/**
 * Normal numbers from softlane's generator; beyond the first million they repeat, since drawing takes longer than most
 * measurements.
 *
 * @param stream keeps arrays apart
 * @param deviation default 1
 */
export function normal(length: number, stream: number, deviation = 1): Float32Array {
  const out = new Float32Array(length);
  const drawn = out.subarray(0, Math.min(length, DRAWN));
  new Philox(2023, stream).normal(drawn);
  if (deviation !== 1) for (let i = 0; i < drawn.length; i++) drawn[i] *= deviation;
  for (let at = DRAWN; at < length; at *= 2) out.copyWithin(at, 0, Math.min(at, length - at));
  return out;
}
