/**
 * Sampling from logits, written as it is defined: the whole vocabulary sorted, every step on a full array of float64.
 *   p = softmax(logits / temperature);  keep the top k;  of these, renormalised, the shortest prefix with sum >= topP;
 *   drop p_i < minP max p (of the full distribution);  renormalise.  Temperature 0 is argmax. Ties: the lower id first.
 */
import { softmax } from './softmax.js';
import { sumOver } from './sums.js';

/** What is kept. */
export interface SamplingOptions {
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
}

/** Divided by its sum. */
function normalised(p: Float64Array): Float64Array {
  const total = sumOver(p.length, (i) => p[i]);
  return p.map((value) => value / total);
}

/** The final probabilities, 0 for what is not kept. */
export function sampleProbabilities(logits: ArrayLike<number>, o: SamplingOptions = {}): Float64Array {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = o;
  const order = Array.from(logits, (_, i) => i).sort((i, j) => logits[j] - logits[i] || i - j);
  if (temperature === 0) return new Float64Array(logits.length).map((_, i) => (i === order[0] ? 1 : 0));
  const full = softmax(logits, { temperature });
  const top = order.slice(0, topK === 0 ? undefined : topK);
  const kept = normalised(full.map((p, i) => (top.includes(i) ? p : 0)));
  const reached = top.findIndex((_, count) => sumOver(count + 1, (r) => kept[top[r]]) >= topP);
  const prefix = new Set(topP >= 1 || reached < 0 ? top : top.slice(0, reached + 1));
  const floor = minP * full[order[0]];
  return normalised(full.map((p, i) => (prefix.has(i) && p >= floor ? p : 0)));
}

/** The first id in ascending order with cumulative sum > u; the last one kept where rounding leaves none. */
export function draw(probabilities: Float64Array, u: number): number {
  const first = probabilities.findIndex((_, i) => sumOver(i + 1, (j) => probabilities[j]) > u);
  return first >= 0 ? first : probabilities.findLastIndex((p) => p > 0);
}
