/**
 * Gates, lengths, powers and decays of the attention variants as two factors a token: one of its value, one of its output.
 */
import * as check from '../check.js';
import type { Reals } from './arguments.js';
import { DECAY_SCALE, type VariantParts } from './attention-variant-table.js';

/** What the factors are made of; logits of one number a head and token, but `power` of one a head. */
export interface FactorInputs {
  inGate?: Reals;
  outGate?: Reals;
  power?: Reals;
  decay?: Reals;
}

/** Numbers of a call: rows are batch x heads x length. */
export interface FactorShape {
  batch: number;
  heads: number;
  length: number;
}

const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

/** Half the range of a decay's sums that factors can take apart: e^80 is within float32. */
const MOST_DECAY = 80;

/** sum_(j < t) of the logits / 1024, for each head less the middle of its range: only differences count. */
function decaySums(decay: Reals, { length }: FactorShape): Float64Array {
  const sums = new Float64Array(decay.length);
  for (let from = 0; from < decay.length; from += length) {
    let [low, high] = [0, 0];
    for (let t = 1; t < length; t++) {
      sums[from + t] = sums[from + t - 1] + decay[from + t - 1] / DECAY_SCALE;
      low = Math.min(low, sums[from + t]);
      high = Math.max(high, sums[from + t]);
    }
    if (!(high - low <= 2 * MOST_DECAY))
      throw check.rangeError('decay', `logits whose sums / 1024 span at most ${2 * MOST_DECAY}`, high - low);
    for (let t = 0; t < length; t++) sums[from + t] -= (low + high) / 2;
  }
  return sums;
}

/** Factors of values and of outputs; undefined where all are 1. */
export interface Factors {
  values?: Float64Array;
  outputs?: Float64Array;
}

/** The factors of a variant. */
export function factorsOf(parts: VariantParts, inputs: FactorInputs, shape: FactorShape): Factors {
  const { length, heads } = shape;
  const rows = shape.batch * heads * length;
  const sums = parts.decay ? decaySums(inputs.decay!, shape) : undefined;
  const values = parts.inGate || parts.power || sums ? new Float64Array(rows).fill(1) : undefined;
  const outputs = parts.outGate || parts.perLength || sums ? new Float64Array(rows).fill(1) : undefined;
  for (let row = 0; row < rows; row++) {
    const seen = 1 + (row % length);
    if (values) {
      if (parts.inGate) values[row] *= sigmoid(inputs.inGate![row]);
      if (parts.power) values[row] *= seen ** -sigmoid(inputs.power![Math.floor(row / length) % heads]);
      if (sums) values[row] *= Math.exp(-sums[row]);
    }
    if (outputs) {
      if (parts.outGate) outputs[row] *= sigmoid(inputs.outGate![row]);
      if (parts.perLength) outputs[row] /= seen;
      if (sums) outputs[row] *= Math.exp(sums[row]);
    }
  }
  return { values, outputs };
}

/** Gradients of what the factors are made of. */
export interface FactorGradients {
  dinGate?: Float64Array;
  doutGate?: Float64Array;
  dpower?: Float64Array;
  ddecay?: Float64Array;
}

/** The way back of factorsOf, from the gradients of the factors. */
export function factorsBackward(
  parts: VariantParts,
  inputs: FactorInputs,
  shape: FactorShape,
  factors: Factors,
  gradients: Factors,
): FactorGradients {
  const { length, heads } = shape;
  const rows = shape.batch * heads * length;
  // Every factor is a product: its gradient times itself is that of the logarithm.
  const along = (which: keyof Factors, row: number): number => gradients[which]![row] * factors[which]![row];
  const gate = (which: keyof Factors, logits: Reals): Float64Array =>
    Float64Array.from({ length: rows }, (_, row) => along(which, row) * (1 - sigmoid(logits[row])));
  const result: FactorGradients = {};
  if (parts.inGate) result.dinGate = gate('values', inputs.inGate!);
  if (parts.outGate) result.doutGate = gate('outputs', inputs.outGate!);
  if (parts.power) {
    const dpower = new Float64Array(heads);
    for (let row = 0; row < rows; row++) {
      const head = Math.floor(row / length) % heads;
      const p = sigmoid(inputs.power![head]);
      dpower[head] -= along('values', row) * Math.log(1 + (row % length)) * p * (1 - p);
    }
    result.dpower = dpower;
  }
  if (parts.decay) {
    const ddecay = new Float64Array(rows);
    for (let from = 0; from < rows; from += length) {
      let later = 0;
      for (let t = length - 1; t >= 0; t--) {
        ddecay[from + t] = later / DECAY_SCALE;
        later += along('outputs', from + t) - along('values', from + t);
      }
    }
    result.ddecay = ddecay;
  }
  return result;
}

/** Rows of x times their factors. */
export function scaleRows<T extends Reals>(x: T, factors: Float64Array | undefined, columns: number): T {
  if (!factors) return x;
  const y = x.slice() as T;
  factors.forEach((factor, row) => {
    for (let j = row * columns; j < (row + 1) * columns; j++) y[j] *= factor;
  });
  return y;
}

/** The sum of a b over each row. */
export function rowDots(a: Reals, b: Reals, columns: number): Float64Array {
  return Float64Array.from({ length: a.length / columns }, (_, row) => {
    let sum = 0;
    for (let j = row * columns; j < (row + 1) * columns; j++) sum += a[j] * b[j];
    return sum;
  });
}
