/**
 * The state of the recurrent form of softmax attention: as large after a million tokens as after one.
 */
import * as check from '../check.js';
import { reals } from './arguments.js';
import type { Reals } from './arguments.js';
import { createLinearState, stateOf } from './linear-attention-options.js';
import type { LinearCall, LinearState } from './linear-attention-options.js';
import { linearAttentionStep } from './linear-attention.js';
import { NORMALIZATIONS, normOf, type RecurrentNormalization } from './recurrent-norms.js';
import { normRows } from './row-norms.js';

/** Options of createAttentionState. */
export interface AttentionStateOptions {
  /** Sequences; default 1. */
  batch?: number;
  /** Heads of a sequence; default 1. */
  heads?: number;
  /** Numbers of a query and of a key of one head. */
  headDim: number;
  /** Numbers of a value of one head. */
  valueDim: number;
  /** Of the polynomial, an integer in [0, 32]; default 2. */
  order?: number;
  /** As in recurrentAttention; default 'sum'. */
  normalization?: RecurrentNormalization;
  /** Added to the sum of weights; default 0. */
  epsilon?: number;
  /** Factor of scores; default 1 / sqrt(headDim). */
  scale?: number;
  /** One feature for each multiset of variables (default true), or Kronecker's products. */
  symmetric?: boolean;
  /** Largest state of one head in bytes; default 2^28. */
  maxStateBytes?: number;
  /** Default 'f32'. */
  dtype?: 'f32' | 'f64';
}

/** Sums over all tokens so far: a decoder's memory. Made by createAttentionState, or by recurrentAttention. */
export class AttentionState<T extends Reals = Reals> {
  /** The sums: kv [batch, heads, features, valueDim], k [batch, heads, features]. */
  readonly sums: LinearState<T>;
  readonly normalization: RecurrentNormalization;
  #tokens: number;

  /**
   * @param sums taken as they are, not copied
   * @param normalization of steps
   * @param tokens that the sums are of
   */
  constructor(sums: LinearState<T>, normalization: RecurrentNormalization, tokens: number) {
    this.sums = sums;
    this.normalization = normalization;
    this.#tokens = tokens;
  }

  /** Tokens that went in. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Bytes of the sums. */
  get bytes(): number {
    return this.sums.kv.byteLength + this.sums.k.byteLength;
  }

  /** A state of its own with the same sums. */
  clone(): AttentionState<T> {
    const { kv, k, ...rest } = this.sums;
    const sums = { ...rest, kv: kv.slice() as T, k: k.slice() as T };
    return new AttentionState(sums, this.normalization, this.#tokens);
  }

  /**
   * Takes in one token of every head and answers its query.
   *
   * @param q [batch, heads, headDim]
   * @param k [batch, heads, headDim]
   * @param v [batch, heads, valueDim]
   * @returns [batch, heads, valueDim]; with 'sum', 0 where the weights sum to 0
   * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
   */
  step(q: T, k: T, v: T, options: { threads?: number; out?: T } = {}): T {
    const out = linearAttentionStep(this.sums, { q, k, v }, options);
    const { batch, heads, valueDim } = this.sums;
    const job = normOf(this.normalization, { batch, heads, length: 1, valueDim }, this.#tokens);
    if (job) normRows(job, out, out);
    this.#tokens += 1;
    return out;
  }

  /** Throws unless the state fits a call of this shape. */
  requireFor(name: string, n: LinearCall): void {
    stateOf(name, this.sums, n);
    reals(`${name}.kv`, this.sums.kv, n.type);
  }
}

/**
 * A state before the first token.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument; order: a state above
 *   `maxStateBytes`, with its size
 * @see arXiv 2507.23632
 */
export function createAttentionState(
  options: AttentionStateOptions & { dtype: 'f64' },
): AttentionState<Float64Array>;
export function createAttentionState(
  options: AttentionStateOptions & { dtype?: 'f32' },
): AttentionState<Float32Array>;
export function createAttentionState(given: AttentionStateOptions): AttentionState {
  const o = check.options(given);
  const normalization = check.oneOf('normalization', o.normalization ?? 'sum', NORMALIZATIONS);
  const epsilon = check.finiteNumber('epsilon', o.epsilon ?? 0);
  if (epsilon < 0) throw check.rangeError('epsilon', 'at least 0', epsilon);
  const { batch, heads, headDim, valueDim, order, scale, symmetric, maxStateBytes } = o;
  const sums: LinearState = createLinearState({
    ...{ batch, heads, headDim, valueDim, order, scale, symmetric, maxStateBytes, map: 'taylor' },
    ...{ normalize: normalization === 'sum', eps: epsilon, dtype: o.dtype as 'f64' },
  });
  return new AttentionState(sums, normalization, 0);
}
