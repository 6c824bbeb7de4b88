/**
 * The element-wise steps of a transformer: norms, rotary positions, SwiGLU. Native: native/llama/steps.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { arrayOf, threadsOf } from './arguments.js';
import { inverseFrequencies } from './rope.js';
import type { RopeScaling } from './rope.js';

/** Options of the norms. */
export interface NormOptions {
  /** Rows of x; default x.length / w.length. */
  rows?: number;
  /** Added to the mean square or the variance; default 1e-5. */
  eps?: number;
  /** Threads; default 1. */
  threads?: number;
  /** Where the result goes, as long as x; x itself is allowed. */
  out?: Float32Array;
}

/** Options of rmsNorm. */
export interface RmsNormOptions extends NormOptions {
  /** x is added to it in place, and the norm is that of the sum: the fused residual of a decoder. */
  residual?: Float32Array;
}

/** The argument checks that both norms share. */
function rowsOf(
  x: Float32Array,
  w: Float32Array,
  o: NormOptions,
): { rows: number; eps: number; out: Float32Array } {
  arrayOf('x', x, Float32Array);
  arrayOf('w', w, Float32Array);
  if (w.length === 0) throw check.rangeError('w', 'of at least one element', w);
  const rows = o.rows === undefined ? x.length / w.length : check.positiveInteger('rows', o.rows);
  if (rows * w.length !== x.length || rows < 1)
    throw check.rangeError('x', `rows of the ${w.length} elements of w`, x);
  const eps = o.eps === undefined ? 1e-5 : o.eps;
  if (typeof eps !== 'number') throw check.typeError('eps', 'a finite number >= 0', eps);
  if (!(eps >= 0 && eps < Infinity)) throw check.rangeError('eps', 'a finite number >= 0', eps);
  const out = outOf(o.out, x.length);
  return { rows, eps, out };
}

function outOf(given: Float32Array | undefined, length: number): Float32Array {
  if (given === undefined) return new Float32Array(length);
  if (arrayOf('out', given, Float32Array).length !== length)
    throw check.rangeError('out', `${length} elements long`, given);
  return given;
}

function prepareRmsNorm(x: Float32Array, w: Float32Array, given?: RmsNormOptions): Prepared<Float32Array> {
  const o = check.options(given);
  const { rows, eps, out } = rowsOf(x, w, o);
  if (o.residual !== undefined && arrayOf('residual', o.residual, Float32Array).length !== x.length)
    throw check.rangeError('residual', `${x.length} elements long`, o.residual);
  const args = [x, w, o.residual, out, rows, eps, threadsOf(o.threads)];
  return { operation: 'rmsNorm', args, result: out };
}

/**
 * Root mean square norm of each row: x / sqrt(mean(x^2) + eps) * w.
 * @param x [rows, n]
 * @param w n elements
 * @throws TypeError or RangeError naming the argument
 * @see "Root Mean Square Layer Normalization", B. Zhang and R. Sennrich, 2019
 */
export const rmsNorm = (x: Float32Array, w: Float32Array, options?: RmsNormOptions): Float32Array =>
  blocking(prepareRmsNorm(x, w, options));

/** Promise form of rmsNorm. */
export const rmsNormAsync = async (
  x: Float32Array,
  w: Float32Array,
  options?: RmsNormOptions & AsyncOptions,
): Promise<Float32Array> => promised(prepareRmsNorm(x, w, options), options);

function prepareLayerNorm(
  x: Float32Array,
  w: Float32Array,
  b: Float32Array | undefined,
  given?: NormOptions,
): Prepared<Float32Array> {
  const o = check.options(given);
  const { rows, eps, out } = rowsOf(x, w, o);
  if (b !== undefined && arrayOf('b', b, Float32Array).length !== w.length)
    throw check.rangeError('b', `${w.length} elements long`, b);
  return { operation: 'layerNorm', args: [x, w, b, out, rows, eps, threadsOf(o.threads)], result: out };
}

/**
 * Layer norm of each row: (x - mean) / sqrt(variance + eps) * w + b.
 * @param x [rows, n]
 * @param w n elements
 * @param b n elements, or undefined for none
 * @throws TypeError or RangeError naming the argument
 * @see "Layer Normalization", J. L. Ba et al., 2016
 */
export const layerNorm = (
  x: Float32Array,
  w: Float32Array,
  b?: Float32Array,
  options?: NormOptions,
): Float32Array => blocking(prepareLayerNorm(x, w, b, options));

/** Promise form of layerNorm. */
export const layerNormAsync = async (
  x: Float32Array,
  w: Float32Array,
  b?: Float32Array,
  options?: NormOptions & AsyncOptions,
): Promise<Float32Array> => promised(prepareLayerNorm(x, w, b, options), options);

/** Options of swiglu. */
export interface SwigluOptions {
  /** Threads; default 1. */
  threads?: number;
  /** Where the result goes; gate itself is allowed. */
  out?: Float32Array;
}

function prepareSwiglu(gate: Float32Array, up: Float32Array, given?: SwigluOptions): Prepared<Float32Array> {
  const o = check.options(given);
  arrayOf('gate', gate, Float32Array);
  if (arrayOf('up', up, Float32Array).length !== gate.length)
    throw check.rangeError('up', `${gate.length} elements long, as gate`, up);
  const out = outOf(o.out, gate.length);
  return { operation: 'swiglu', args: [gate, up, out, threadsOf(o.threads)], result: out };
}

/**
 * silu(gate) * up, element by element; silu(x) = x / (1 + e^-x).
 * @throws TypeError or RangeError naming the argument
 * @see "GLU Variants Improve Transformer", N. Shazeer, 2020
 */
export const swiglu = (gate: Float32Array, up: Float32Array, options?: SwigluOptions): Float32Array =>
  blocking(prepareSwiglu(gate, up, options));

/** Promise form of swiglu. */
export const swigluAsync = async (
  gate: Float32Array,
  up: Float32Array,
  options?: SwigluOptions & AsyncOptions,
): Promise<Float32Array> => promised(prepareSwiglu(gate, up, options), options);

/** Options of applyRope. */
export interface RopeOptions {
  /** Elements of a head: even. */
  headDim: number;
  /** Heads of a row; default x.length / (positions.length * headDim). */
  heads?: number;
  /** Base of the frequencies theta^(-2i / headDim); default 10000. */
  theta?: number;
  /** Pairs (i, i + headDim / 2), as in Hugging Face checkpoints (default), or (2i, 2i + 1), as in Meta's and llama2.c. */
  style?: 'half' | 'interleaved';
  /** How frequencies are stretched for long contexts. */
  scaling?: RopeScaling;
  /** Instead of theta and scaling: headDim / 2 angles of one position. */
  inverseFrequencies?: Float64Array;
  /** Threads; default 1. */
  threads?: number;
  /** Where the result goes; x itself is allowed. */
  out?: Float32Array;
}

function prepareRope(x: Float32Array, positions: Int32Array, given: RopeOptions): Prepared<Float32Array> {
  const o = check.options(given);
  arrayOf('x', x, Float32Array);
  arrayOf('positions', positions, Int32Array);
  const headDim = check.positiveInteger('headDim', o.headDim);
  if (headDim % 2 !== 0) throw check.rangeError('headDim', 'even', headDim);
  const rows = positions.length;
  const heads = check.positiveInteger('heads', o.heads ?? x.length / (rows * headDim));
  if (x.length !== rows * heads * headDim)
    throw check.rangeError('x', `${rows * heads * headDim} elements long`, x);
  const style = check.oneOf('style', o.style ?? 'half', ['half', 'interleaved'] as const);
  const frequencies =
    o.inverseFrequencies === undefined
      ? inverseFrequencies(headDim, o.theta, o.scaling)
      : arrayOf('inverseFrequencies', o.inverseFrequencies, Float64Array);
  if (frequencies.length !== headDim / 2)
    throw check.rangeError('inverseFrequencies', `${headDim / 2} elements long`, frequencies);
  const out = outOf(o.out, x.length);
  const args = [
    x,
    positions,
    frequencies,
    out,
    heads,
    headDim,
    style === 'interleaved',
    threadsOf(o.threads),
  ];
  return { operation: 'applyRope', args, result: out };
}

/**
 * Rotary position embedding: pair i of each head is turned by position * theta^(-2i / headDim). Angles are formed in
 * float64 (float32 errs by 5e-4 at position 8192).
 * @param x [positions.length, heads, headDim]
 * @param positions one for each row
 * @throws TypeError or RangeError naming the argument
 * @see "RoFormer", J. Su et al., 2021
 */
export const applyRope = (x: Float32Array, positions: Int32Array, options: RopeOptions): Float32Array =>
  blocking(prepareRope(x, positions, options));

/** Promise form of applyRope. */
export const applyRopeAsync = async (
  x: Float32Array,
  positions: Int32Array,
  options: RopeOptions & AsyncOptions,
): Promise<Float32Array> => promised(prepareRope(x, positions, options), options);
