/**
 * Scans of linear time-invariant diagonal systems (S4D), as a recurrence or as a convolution. Native: native/scan/lti.cc.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, requireBounded, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';
import { discretized, discretizedBackward, RULES } from './discretize.js';
import type { DiscretizationRule, System } from './discretize.js';

/**
 * Arrays of a diagonal system, row-major, all Float32Array or all Float64Array; with `complex` A, B, C and the states hold
 * re and im interleaved, and each stands for a conjugate pair.
 */
export interface LtiInput<T extends Reals = Reals> {
  /** Input: batch x dim x length. */
  u: T;
  /** Step size: dim; absent with discretization 'none'. */
  delta?: T;
  /** Decay: dim x state. */
  A: T;
  /** Input weights: dim x state. */
  B: T;
  /** Read-out weights: dim x state. */
  C: T;
  /** Skip weight: dim. */
  D?: T;
  /** State before the first step: batch x dim x state; default 0. */
  initialState?: T;
}

/** Shape and form of a scan of a diagonal system. */
export interface LtiShape {
  /** Sequences, 0 allowed; default 1. */
  batch?: number;
  /** Channels, at least 1. */
  dim: number;
  /** Steps, 0 allowed. */
  length: number;
  /** States of a channel (complex: pairs), at least 1. */
  state: number;
  /** How A, B and delta become a recurrence, see discretize; default 'zoh'. */
  discretization?: DiscretizationRule;
  /** Whether A, B, C and states are complex; default false. */
  complex?: boolean;
  /** Threads; default 1. The result does not depend on them. */
  threads?: number;
}

/** Options of ltiScan. */
export interface LtiOptions<T extends Reals = Reals> extends LtiShape {
  /** Returns the state after the last step; default false. */
  returnLastState?: boolean;
  /**
   * 'recurrence', step by step; 'convolution' with the kernel of the system (by Fourier transforms above 512 steps),
   * which knows no states; 'auto' (default): the recurrence, except for many long sequences through very many states.
   */
  method?: 'auto' | 'recurrence' | 'convolution';
  /** Where the result goes, batch x dim x length; default a fresh array. It may overlap no input. */
  out?: T;
}

/** What ltiScan returns. */
export interface LtiResult<T extends Reals = Reals> {
  /** batch x dim x length. */
  out: T;
  /** batch x dim x state, with returnLastState. */
  lastState?: T;
}

/** Options of ltiScanBackward. */
export interface LtiBackwardOptions<T extends Reals = Reals> extends LtiShape {
  /** Gradient of lastState, batch x dim x state; default 0. */
  glast?: T;
}

/** Gradients of the arrays that were given, of their shapes; complex ones as d/dRe + i d/dIm. */
export interface LtiGradients<T extends Reals = Reals> {
  du: T;
  ddelta?: T;
  dA: T;
  dB: T;
  dC: T;
  dD?: T;
  dInitialState?: T;
}

/**
 * Numbers of a channel's states (a complex one has two) from which 'auto' convolves eight or more sequences above 512
 * steps: making the kernel costs as much as one sequence's recurrence, which with 256 numbers and a batch of 8 is still
 * the faster one (measured, AVX-512).
 */
const CONVOLVE_FROM = 512;

/** The system of a call, checked. */
function systemOf<T extends Reals>(input: Omit<LtiInput<T>, 'u'>, o: LtiShape, type: 'f32' | 'f64'): System {
  const { A, B, C, delta } = input;
  const dim = check.positiveInteger('dim', o.dim);
  const state = check.positiveInteger('state', o.state);
  const rule = check.oneOf('discretization', o.discretization ?? 'zoh', RULES);
  const complex = check.boolean('complex', o.complex ?? false);
  const weights = dim * state * (complex ? 2 : 1);
  for (const [name, x] of Object.entries({ A, B, C })) {
    if (reals(name, x, type).length * 2 === weights && complex)
      throw check.typeError(name, `complex, re and im interleaved: ${weights} elements`, x);
    reals(name, x, type, weights);
  }
  if (rule !== 'none') reals('delta', delta, type, dim);
  else if (delta !== undefined) throw check.typeError('delta', "absent with discretization 'none'", delta);
  return { A, B, delta, dim, state, complex, rule };
}

function requireInput(input: unknown): void {
  if (typeof input !== 'object' || input === null || ArrayBuffer.isView(input))
    throw check.typeError('input', 'an object of arrays', input);
}

/** A call's arrays and shape, checked. */
function ltiCall<T extends Reals>(input: LtiInput<T>, o: LtiShape) {
  requireInput(input);
  const { u, C, D, initialState } = input;
  const type = realType('u', u);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const length = check.nonNegativeInteger('length', o.length);
  requireBounded(batch, length);
  const system = systemOf(input, o, type);
  const threads = threadsOf(o.threads);
  const elements = batch * system.dim * length;
  const states = batch * system.A.length;
  reals('u', u, type, elements);
  if (D !== undefined) reals('D', D, type, system.dim);
  if (initialState !== undefined) reals('initialState', initialState, type, states);
  const { decay, input: weights } = discretized(system);
  return {
    ...{ type, system, elements, states, batch, length, threads },
    arrays: [u, decay, weights, C, D, initialState],
    sizes: Float64Array.of(batch, system.dim, length, system.state),
  };
}

function prepareLtiScan<T extends Reals>(input: LtiInput<T>, given: LtiOptions<T>): Prepared<LtiResult<T>> {
  const o = check.options(given);
  const method = check.oneOf('method', o.method ?? 'auto', ['auto', 'recurrence', 'convolution']);
  const call = ltiCall(input, o);
  const { type, system, elements, states } = call;
  const wantsLast = check.boolean('returnLastState', o.returnLastState ?? false);
  const stateless = !wantsLast && input.initialState === undefined;
  if (method === 'convolution' && !stateless)
    throw check.rangeError('method', "'recurrence' or 'auto' where a state is given or wanted", method);
  const heavy = call.length > 512 && call.batch >= 8 && system.A.length / system.dim >= CONVOLVE_FROM;
  const convolution = method === 'convolution' || (method === 'auto' && stateless && heavy);
  const out = o.out === undefined ? (allocate(type, elements) as T) : reals<T>('out', o.out, type, elements);
  const lastState = wantsLast ? (allocate(type, states) as T) : undefined;
  return {
    operation: 'ltiScan',
    args: [...call.arrays, out, lastState, call.sizes, system.complex, convolution, call.threads],
    result: { out, ...(lastState && { lastState }) },
  };
}

/**
 * Scan of a diagonal system with constant steps: with Abar and Bbar as discretize gives them,
 *
 *     h_t = Abar h_{t-1} + Bbar u_t,   y_t = sum_n C h_t + D u_t   (complex: 2 Re sum_n C h_t + D u_t).
 *
 * The recurrence costs O(batch dim length state), the convolution O(dim length (state + batch log length)); they agree to
 * rounding. Threads share sequences and channels.
 *
 * @param input arrays; see LtiInput
 * @param options shape, form and wishes
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see "On the Parameterization and Initialization of Diagonal State Space Models", A. Gu et al., arXiv 2206.11893
 *
 * @example
 * const { A, B, C, delta, complex } = s4dInit('lin', 64, 32);
 * const { out } = ltiScan({ u, delta, A, B, C }, { dim: 64, length: 4096, state: 32, complex });
 */
export const ltiScan = <T extends Reals>(input: LtiInput<T>, options: LtiOptions<T>): LtiResult<T> =>
  blocking(prepareLtiScan(input, options));

/** Promise form of ltiScan. */
export const ltiScanAsync = async <T extends Reals>(
  input: LtiInput<T>,
  options: LtiOptions<T> & AsyncOptions,
): Promise<LtiResult<T>> => promised(prepareLtiScan(input, options), options);

function prepareLtiBackward<T extends Reals>(
  input: LtiInput<T>,
  gout: T,
  given: LtiBackwardOptions<T>,
): Prepared<LtiGradients<T>> {
  const o = check.options(given);
  const call = ltiCall(input, o);
  const { type, system } = call;
  reals('gout', gout, type, call.elements);
  if (o.glast !== undefined) reals('glast', o.glast, type, call.states);
  const like = (array: T): T => allocate(type, array.length) as T;
  const { u, delta, A, B, C, D, initialState } = input;
  const [du, dA, dB, dC] = [u, A, B, C].map(like);
  const ddelta = delta && like(delta);
  const dD = D && like(D);
  const dInitialState = initialState && like(initialState);
  const dDecay = new Float64Array(A.length);
  const dInput = new Float64Array(A.length);
  return {
    operation: 'ltiScanBackward',
    args: [
      ...[...call.arrays, gout, o.glast, du, dDecay, dInput, dC, dD, dInitialState],
      ...[call.sizes, system.complex, call.threads],
    ],
    result: () => {
      discretizedBackward(system, dDecay, dInput, dA, dB, ddelta);
      return {
        ...{ du, dA, dB, dC },
        ...(ddelta && { ddelta }),
        ...(dD && { dD }),
        ...(dInitialState && { dInitialState }),
      };
    },
  };
}

/**
 * Gradients of ltiScan, given that of its result and, with `glast`, of its last state, by the reverse recurrence; states
 * are worked out again from one in 64 of them. The chain rule of the discretisation is in float64.
 *
 * @param input as in the forward call
 * @param gout gradient of `out`, batch x dim x length
 * @param options those of the forward call (`out`, method and returnLastState aside), and glast
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 */
export const ltiScanBackward = <T extends Reals>(
  input: LtiInput<T>,
  gout: T,
  options: LtiBackwardOptions<T>,
): LtiGradients<T> => blocking(prepareLtiBackward(input, gout, options));

/** Promise form of ltiScanBackward. */
export const ltiScanBackwardAsync = async <T extends Reals>(
  input: LtiInput<T>,
  gout: T,
  options: LtiBackwardOptions<T> & AsyncOptions,
): Promise<LtiGradients<T>> => promised(prepareLtiBackward(input, gout, options), options);

function prepareLtiKernel<T extends Reals>(
  input: Omit<LtiInput<T>, 'u' | 'D' | 'initialState'>,
  given: Omit<LtiShape, 'batch'>,
): Prepared<T> {
  const o = check.options(given);
  requireInput(input);
  const type = realType('A', input.A);
  const length = check.nonNegativeInteger('length', o.length);
  const system = systemOf(input, o, type);
  const threads = threadsOf(o.threads);
  const { decay, input: weights } = discretized(system);
  const out = allocate(type, system.dim * length) as T;
  const sizes = Float64Array.of(1, system.dim, length, system.state);
  return {
    operation: 'ltiKernel',
    args: [decay, weights, input.C, out, sizes, system.complex, threads],
    result: out,
  };
}

/**
 * The convolution kernel of a diagonal system: K[l] = sum_n C Bbar Abar^l (complex: 2 Re of it), so that ltiScan without D
 * is the causal convolution of u with K. Powers are started anew every 64 steps in float64.
 *
 * @param input delta, A, B and C as in ltiScan
 * @param options shape and form
 * @returns dim x length
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see arXiv 2206.11893, equation 5
 */
export const ltiKernel = <T extends Reals>(
  input: Omit<LtiInput<T>, 'u' | 'D' | 'initialState'>,
  options: Omit<LtiShape, 'batch'>,
): T => blocking(prepareLtiKernel(input, options));

/** Promise form of ltiKernel. */
export const ltiKernelAsync = async <T extends Reals>(
  input: Omit<LtiInput<T>, 'u' | 'D' | 'initialState'>,
  options: Omit<LtiShape, 'batch'> & AsyncOptions,
): Promise<T> => promised(prepareLtiKernel(input, options), options);
