/**
 * From continuous diagonal systems to recurrences: discretisation rules, their gradients, and the initialisations of S4D.
 */
import * as check from '../check.js';
import { Philox } from '../random.js';
import { allocate, realType, reals } from './arguments.js';
import type { Reals } from './arguments.js';

/** How a step of size delta becomes a recurrence; see discretize. */
export type DiscretizationRule = 'zoh' | 'bilinear' | 'euler' | 'none';

/** The rules, for checks. */
export const RULES: readonly DiscretizationRule[] = ['zoh', 'bilinear', 'euler', 'none'];

/** A complex number. */
interface Complex {
  re: number;
  im: number;
}

const mul = (a: Complex, b: Complex): Complex => ({
  re: a.re * b.re - a.im * b.im,
  im: a.re * b.im + a.im * b.re,
});
const scale = (a: Complex, factor: number): Complex => ({ re: a.re * factor, im: a.im * factor });
const size = (a: Complex): number => Math.hypot(a.re, a.im);

function div(a: Complex, b: Complex): Complex {
  if (b.im === 0) return { re: a.re / b.re, im: a.im / b.re };
  const norm = b.re * b.re + b.im * b.im;
  return { re: (a.re * b.re + a.im * b.im) / norm, im: (a.im * b.re - a.re * b.im) / norm };
}

function exp(x: Complex): Complex {
  const size = Math.exp(x.re);
  return x.im === 0 ? { re: size, im: 0 } : { re: size * Math.cos(x.im), im: size * Math.sin(x.im) };
}

/** (e^x - 1) / x, 1 at 0. */
function phi(x: Complex): Complex {
  if (x.re === 0 && x.im === 0) return { re: 1, im: 0 };
  const sine = Math.sin(x.im / 2);
  return div(
    { re: Math.expm1(x.re) * Math.cos(x.im) - 2 * sine * sine, im: Math.exp(x.re) * Math.sin(x.im) },
    x,
  );
}

/** (e^x - phi(x)) / x, by its series sum (k + 1) x^k / (k + 2)! where the difference would cancel. */
function psi(x: Complex): Complex {
  if (size(x) >= 0.5) {
    const [e, p] = [exp(x), phi(x)];
    return div({ re: e.re - p.re, im: e.im - p.im }, x);
  }
  let power: Complex = { re: 0.5, im: 0 }; // x^k / (k + 2)!
  const sum: Complex = { re: 0, im: 0 };
  for (let k = 0; k < 16; k += 1) {
    sum.re += (k + 1) * power.re;
    sum.im += (k + 1) * power.im;
    power = scale(mul(power, x), 1 / (k + 3));
  }
  return sum;
}

/** Abar and the weight w of B. */
interface Step {
  a: Complex;
  w: Complex;
}

/** The derivatives of both by A and delta. */
interface Slopes {
  aByA: Complex;
  aByDelta: Complex;
  wByA: Complex;
  wByDelta: Complex;
}

const ZERO: Complex = { re: 0, im: 0 };
const ONE: Complex = { re: 1, im: 0 };

/** 1 / (1 - x / 2) */
const bilinearPole = (x: Complex): Complex => div(ONE, { re: 1 - x.re / 2, im: -x.im / 2 });

function stepOf(A: Complex, delta: number, rule: DiscretizationRule): Step {
  if (rule === 'none') return { a: A, w: ONE };
  const x = scale(A, delta);
  if (rule === 'bilinear') {
    const inverse = bilinearPole(x);
    return { a: mul({ re: 1 + x.re / 2, im: x.im / 2 }, inverse), w: scale(inverse, delta) };
  }
  return { a: exp(x), w: rule === 'euler' ? { re: delta, im: 0 } : scale(phi(x), delta) };
}

function slopesOf(A: Complex, delta: number, rule: DiscretizationRule): Slopes {
  if (rule === 'none') return { aByA: ONE, aByDelta: ZERO, wByA: ZERO, wByDelta: ZERO };
  const x = scale(A, delta);
  if (rule === 'bilinear') {
    const inverse = bilinearPole(x);
    const square = mul(inverse, inverse);
    return {
      aByA: scale(square, delta),
      aByDelta: mul(A, square),
      wByA: scale(square, (delta * delta) / 2),
      wByDelta: square,
    };
  }
  const a = exp(x);
  const byA = { aByA: scale(a, delta), aByDelta: mul(A, a) };
  if (rule === 'euler') return { ...byA, wByA: ZERO, wByDelta: ONE };
  return { ...byA, wByA: scale(psi(x), delta * delta), wByDelta: a };
}

/** A diagonal system in float64: real numbers, or complex ones with re and im interleaved. */
export interface System {
  A: Reals;
  B: Reals;
  /** One for each channel; undefined with rule 'none'. */
  delta?: Reals;
  dim: number;
  state: number;
  complex: boolean;
  rule: DiscretizationRule;
}

/** body(position of the numbers of an element, channel, its A and B, and its step size). */
function eachElement(
  s: System,
  body: (at: number, channel: number, A: Complex, B: Complex, delta: number) => void,
): void {
  const parts = s.complex ? 2 : 1;
  for (let d = 0; d < s.dim; d += 1)
    for (let n = 0; n < s.state; n += 1) {
      const at = (d * s.state + n) * parts;
      const read = (x: Reals): Complex => ({ re: x[at], im: s.complex ? x[at + 1] : 0 });
      body(at, d, read(s.A), read(s.B), s.delta ? s.delta[d] : 1);
    }
}

/** Abar and Bbar in float64. */
export function discretized(s: System): { decay: Float64Array; input: Float64Array } {
  const decay = new Float64Array(s.A.length);
  const input = new Float64Array(s.B.length);
  eachElement(s, (at, _, A, B, delta) => {
    const { a, w } = stepOf(A, delta, s.rule);
    const b = mul(w, B);
    decay[at] = a.re;
    input[at] = b.re;
    if (s.complex) {
      decay[at + 1] = a.im;
      input[at + 1] = b.im;
    }
  });
  return { decay, input };
}

/** The chain rule from gradients of Abar and Bbar (as d/dRe + i d/dIm) to those of A, B and delta, added up in float64. */
export function discretizedBackward(
  s: System,
  dDecay: Float64Array,
  dInput: Float64Array,
  dA: Reals,
  dB: Reals,
  ddelta: Reals | undefined,
): void {
  const sums = new Float64Array(s.dim);
  const conj = (x: Complex): Complex => ({ re: x.re, im: -x.im });
  eachElement(s, (at, channel, A, B, delta) => {
    const step = { ...stepOf(A, delta, s.rule), ...slopesOf(A, delta, s.rule) };
    const read = (x: Float64Array): Complex => ({ re: x[at], im: s.complex ? x[at + 1] : 0 });
    const [ga, gb] = [read(dDecay), read(dInput)];
    const gw = mul(gb, conj(B));
    const [fromA, fromW] = [mul(ga, conj(step.aByA)), mul(gw, conj(step.wByA))];
    const b = mul(gb, conj(step.w));
    dA[at] = fromA.re + fromW.re;
    dB[at] = b.re;
    if (s.complex) {
      dA[at + 1] = fromA.im + fromW.im;
      dB[at + 1] = b.im;
    }
    sums[channel] += mul(ga, conj(step.aByDelta)).re + mul(gw, conj(step.wByDelta)).re;
  });
  ddelta?.set(sums);
}

/**
 * Discretises a diagonal system h' = A h + B u, element by element:
 *
 *     'zoh'       Abar = exp(delta A),  Bbar = expm1(delta A) / A B, delta B where A = 0
 *     'bilinear'  Abar = (1 + delta A / 2) / (1 - delta A / 2),  Bbar = delta B / (1 - delta A / 2)
 *     'euler'     Abar = exp(delta A),  Bbar = delta B (what Mamba computes)
 *     'none'      Abar = A,  Bbar = B
 *
 * @param A dim x state, Float32Array or Float64Array; complex: re and im interleaved
 * @param B shaped as A, of the same type
 * @param delta step size of each channel, dim elements; undefined with rule 'none' (then dim is 1 channel of all states)
 * @param rule see above
 * @param options complex: whether A and B are; default false
 * @returns Abar and Bbar, of the type and shape of A
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see "On the Parameterization and Initialization of Diagonal State Space Models", arXiv 2206.11893, section 3.1
 *
 * @example
 * const { Abar, Bbar } = discretize(A, B, delta, 'zoh');
 */
export function discretize<T extends Reals>(
  A: T,
  B: T,
  delta: T | undefined,
  rule: DiscretizationRule,
  options: { complex?: boolean } = {},
): { Abar: T; Bbar: T } {
  const type = realType('A', A);
  check.oneOf('rule', rule, RULES);
  const complex = check.boolean('complex', check.options(options).complex ?? false);
  reals('B', B, type, A.length);
  if (rule === 'none') {
    if (delta !== undefined) throw check.typeError('delta', "absent with rule 'none'", delta);
  } else {
    reals('delta', delta, type);
  }
  const dim = delta ? delta.length : 1;
  const numbers = dim * (complex ? 2 : 1);
  if (A.length % numbers !== 0 || (dim === 0 && A.length > 0))
    throw check.rangeError('A', `a multiple of ${numbers} elements long`, A);
  const state = dim === 0 ? 0 : A.length / numbers;
  const { decay, input } = discretized({ A, B, delta, dim, state, complex, rule });
  const Abar = allocate(type, A.length) as T;
  const Bbar = allocate(type, A.length) as T;
  Abar.set(decay);
  Bbar.set(input);
  return { Abar, Bbar };
}

/** The initialisations of S4D. */
export type S4dKind = 'real' | 'lin' | 'inv';

/** Parameters of a diagonal system as S4D begins with them. */
export interface S4dParameters {
  /** dim x state, complex except for 'real'. */
  A: Float64Array;
  /** Ones, shaped as A. */
  B: Float64Array;
  /** Standard normal, shaped as A; of a complex number each part has variance 1/2. */
  C: Float64Array;
  /** Log-uniform in [deltaMin, deltaMax): dim. */
  delta: Float64Array;
  /** Whether A, B and C are complex, re and im interleaved. */
  complex: boolean;
}

/**
 * Initial parameters of S4D, for n = 0 ... state - 1: 'real' A = -(n + 1); 'lin' A = -1/2 + i pi n; 'inv'
 * A = -1/2 + i (M / pi) (M / (2 n + 1) - 1) with M = 2 state, where a state stands for a conjugate pair.
 *
 * @param kind which A
 * @param dim channels
 * @param state states of a channel (complex ones: pairs)
 * @param options seed of C and delta, default 0; deltaMin, default 0.001, and deltaMax, default 0.1
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see arXiv 2206.11893, section 4
 *
 * @example
 * const { A, B, C, delta, complex } = s4dInit('lin', 64, 32);
 */
export function s4dInit(
  kind: S4dKind,
  dim: number,
  state: number,
  options: { seed?: number; deltaMin?: number; deltaMax?: number } = {},
): S4dParameters {
  check.oneOf('kind', kind, ['real', 'lin', 'inv']);
  check.positiveInteger('dim', dim);
  check.positiveInteger('state', state);
  const o = check.options(options);
  const seed = check.nonNegativeInteger('seed', o.seed ?? 0);
  const low = check.positiveNumber('deltaMin', o.deltaMin ?? 0.001);
  const high = check.positiveNumber('deltaMax', o.deltaMax ?? 0.1);
  if (low > high) throw check.rangeError('deltaMin', `at most deltaMax = ${high}`, low);
  const complex = kind !== 'real';
  const parts = complex ? 2 : 1;
  const A = new Float64Array(dim * state * parts);
  const B = new Float64Array(A.length);
  for (let i = 0; i < dim * state; i += 1) {
    const n = i % state;
    const M = 2 * state;
    A[i * parts] = complex ? -0.5 : -(n + 1);
    if (complex) A[i * parts + 1] = kind === 'lin' ? Math.PI * n : (M / Math.PI) * (M / (2 * n + 1) - 1);
    B[i * parts] = 1;
  }
  const random = new Philox(seed);
  const C = random.normal(new Float64Array(A.length)).map((value) => value / Math.sqrt(parts));
  const delta = random
    .uniform(new Float64Array(dim), Math.log(low), Math.log(high))
    .map((value) => Math.exp(value));
  return { A, B, C, delta, complex };
}
