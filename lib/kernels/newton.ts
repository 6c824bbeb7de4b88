/**
 * The pseudo-inverse of Gaussian-kernel matrices by Newton's iteration, as softmax-free attention uses it. Native:
 * native/soft/newton.cc. Source: J. Lu et al., "Softmax-free Linear Transformers" (arXiv 2207.03341) and the published
 * code of the authors, with one start per matrix instead of one per batch.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';
import { finite } from './finite.js';

/** How a pseudo-inverse is found. */
export interface NewtonSettings {
  /**
   * Iterations at most, at least 0; default 20. Fewer are made where ||I - P Y|| falls below 1e-8: after the next one the
   * rest would only move rounding.
   */
  iterations?: number;
  /** Added to the diagonal: P = A + ridge I; at least 0. Default 0.01 for 'regularised', 0 for 'halving'. */
  ridge?: number;
  /**
   * The start Y_0 = alpha P. 'regularised' (default): alpha = 1.8 / rho^2, rho the largest row sum of A, plus the
   * ridge where that is above some 5 % of it. 'halving':
   * alpha = 2 / rho^2, halved up to ten times while ||I - alpha P P||_1 > 1.01; where all row sums are equal that start
   * collapses to zero along their direction, and the residual says so.
   */
  init?: 'regularised' | 'halving';
  /** An alpha of the start, > 0, instead of the variant's. Converges for alpha < 2 / (largest eigenvalue of P)^2. */
  alpha?: number;
  /** The largest residual to accept; default none: residuals are returned, whatever they are. */
  tolerance?: number;
}

/** Options of newtonPseudoInverse. */
export interface NewtonOptions<T extends Reals = Reals> extends NewtonSettings {
  /** Rows and columns of a matrix. */
  m: number;
  /** Number of matrices; default 1. */
  batch?: number;
  /** Refuses NaN and infinities; default true. */
  checkFinite?: boolean;
  /** Threads; default 1. Results do not depend on them. */
  threads?: number;
  /** Where the inverses go, batch x m x m; default a fresh array. */
  out?: T;
}

/** What became of each matrix of a batch; one number per matrix. */
export interface NewtonReport {
  /**
   * ||I - P Y||_1, the largest column's sum of magnitudes: 0 at the inverse; at least 1 for a singular P, which has no
   * inverse but a pseudo-inverse.
   */
  residual: Float64Array;
  /** ||P - P Y P||_1 / ||P||_1: 0 at a pseudo-inverse, of a singular P as well. Where the residual is
   * below 1e-8, that: it is never smaller. */
  penrose: Float64Array;
  /** An estimate of the condition, ||P||_1 ||Y||_1. */
  condition: Float64Array;
  /** The alpha of the start. */
  alpha: Float64Array;
  /** Iterations made. */
  iterations: Int32Array;
  /** Halvings of alpha. */
  halvings: Int32Array;
}

/** Result of newtonPseudoInverse. */
export interface NewtonResult<T extends Reals = Reals> extends NewtonReport {
  /** batch x m x m. */
  inverse: T;
}

/** The error of an inverse whose residual is above the tolerance. */
export class ConvergenceError extends Error {
  readonly code = 'ERR_NO_CONVERGENCE';
  override readonly name = 'ConvergenceError';
  /** ||I - P Y||_1. */
  readonly residual: number;
  /** The alpha of the start. */
  readonly alpha: number;
  /** The matrix of the batch, from 0; of attention: batch item times heads plus head. */
  readonly index: number;

  /**
   * @param index the matrix, from 0
   * @param residual what is left of I - P Y
   * @param alpha of the start
   * @param tolerance that was asked for
   */
  constructor(index: number, residual: number, alpha: number, tolerance: number) {
    super(
      `Newton's iteration left matrix ${index} with a residual of ${residual}, more than the tolerance ${tolerance} ` +
        `(start alpha ${alpha}): more iterations, a larger ridge or landmarks further apart help`,
    );
    this.residual = residual;
    this.alpha = alpha;
    this.index = index;
  }
}

const MOST_ITERATIONS = 10_000;
/** Numbers that the addon reports of a matrix. */
export const REPORT = 6;

/** The settings of a call, checked, as the addon takes them. */
export function newtonSettings(o: NewtonSettings): { native: Float64Array; tolerance: number | undefined } {
  const iterations = o.iterations === undefined ? 20 : check.nonNegativeInteger('iterations', o.iterations);
  if (iterations > MOST_ITERATIONS)
    throw check.rangeError('iterations', `at most ${MOST_ITERATIONS}`, iterations);
  const init =
    o.init === undefined ? 'regularised' : check.oneOf('init', o.init, ['regularised', 'halving'] as const);
  const ridge =
    o.ridge === undefined ? (init === 'halving' ? 0 : 0.01) : check.finiteNumber('ridge', o.ridge);
  if (ridge < 0) throw check.rangeError('ridge', 'a number >= 0', ridge);
  const alpha = o.alpha === undefined ? 0 : check.positiveNumber('alpha', o.alpha);
  const tolerance = o.tolerance === undefined ? undefined : check.positiveNumber('tolerance', o.tolerance);
  return { native: Float64Array.of(iterations, ridge, init === 'halving' ? 1 : 0, alpha), tolerance };
}

/** What the addon reports, by name. Throws ConvergenceError for the first matrix whose residual exceeds the tolerance. */
export function readReport(report: Float64Array, tolerance: number | undefined): NewtonReport {
  const count = report.length / REPORT;
  const column = (at: number): Float64Array =>
    Float64Array.from({ length: count }, (_, i) => report[i * REPORT + at]);
  const [residual, penrose, condition, alpha, iterations, halvings] = [0, 1, 2, 3, 4, 5].map(column);
  if (tolerance !== undefined) {
    const index = residual.findIndex((value) => !(value <= tolerance));
    if (index >= 0) throw new ConvergenceError(index, residual[index], alpha[index], tolerance);
  }
  return {
    residual,
    penrose,
    condition,
    alpha,
    iterations: Int32Array.from(iterations),
    halvings: Int32Array.from(halvings),
  };
}

function prepare<T extends Reals>(A: T, given: NewtonOptions<T>): Prepared<NewtonResult<T>> {
  const o = check.options(given);
  const type = realType('A', A);
  const m = check.positiveInteger('m', o.m);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  reals('A', A, type, batch * m * m);
  const { native, tolerance } = newtonSettings(o);
  const threads = threadsOf(o.threads);
  finite('A', A, o.checkFinite, threads);
  const size = batch * m * m;
  const inverse = o.out === undefined ? (allocate(type, size) as T) : reals<T>('out', o.out, type, size);
  const report = new Float64Array(batch * REPORT);
  return {
    operation: 'newtonInverse',
    args: [A, inverse, report, native, m, threads],
    result: () => ({ inverse, ...readReport(report, tolerance) }),
  };
}

/**
 * Pseudo-inverses of symmetric matrices by Newton's (Schulz's) iteration Y_{j+1} = 2 Y_j - Y_j P Y_j, Y_0 = alpha P,
 * P = A + ridge I. Meant for the kernel matrices of landmarks (entries >= 0): with other signs the largest row sum need not
 * bound the eigenvalues, and the residual tells. Computed in float64 also for float32 matrices. Matrices do not influence
 * each other.
 *
 * A direction of eigenvalue l has converged to a relative error e after about log2((rho / l)^2 ln(1 / e)) iterations: with 20
 * of them, up to condition numbers of some 300. Check `residual`, or set `tolerance`.
 *
 * @param A batch x m x m, symmetric, Float32Array or Float64Array
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument; ConvergenceError
 *   (ERR_NO_CONVERGENCE) when `tolerance` is given and a residual exceeds it
 */
export const newtonPseudoInverse = <T extends Reals>(A: T, options: NewtonOptions<T>): NewtonResult<T> =>
  blocking(prepare(A, options));

/** Promise form of newtonPseudoInverse. */
export const newtonPseudoInverseAsync = async <T extends Reals>(
  A: T,
  options: NewtonOptions<T> & AsyncOptions,
): Promise<NewtonResult<T>> => promised(prepare(A, options), options);

/** Options of newtonPseudoInverseBackward: those of the forward call, and which gradient. */
export interface NewtonBackwardOptions<T extends Reals = Reals> extends NewtonOptions<T> {
  /**
   * 'implicit' (default): -Y^T G Y^T, that of a converged inverse of an invertible P. 'unrolled': that of the iterations
   * themselves, start included, which are run again; it needs (iterations + 1) m^2 numbers beside.
   */
  gradient?: 'implicit' | 'unrolled';
}

function prepareBackward<T extends Reals>(
  A: T,
  inverse: T,
  gradInverse: T,
  given: NewtonBackwardOptions<T>,
): Prepared<T> {
  const o = check.options(given);
  const type = realType('A', A);
  const m = check.positiveInteger('m', o.m);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const size = batch * m * m;
  reals('A', A, type, size);
  reals('inverse', inverse, type, size);
  reals('gradInverse', gradInverse, type, size);
  const { native } = newtonSettings(o);
  const unrolled = unrolledOf(o.gradient);
  const threads = threadsOf(o.threads);
  const out = o.out === undefined ? (allocate(type, size) as T) : reals<T>('out', o.out, type, size);
  return {
    operation: 'newtonInverseBackward',
    args: [A, inverse, gradInverse, out, native, m, unrolled, threads],
    result: out,
  };
}

/** Whether the gradient is that of the iterations. */
export function unrolledOf(gradient: unknown): boolean {
  if (gradient === undefined) return false;
  return check.oneOf('gradient', gradient, ['implicit', 'unrolled'] as const) === 'unrolled';
}

/**
 * The gradient with respect to A of a loss, from that with respect to its pseudo-inverse.
 *
 * @param A as given to newtonPseudoInverse
 * @param inverse what it returned
 * @param gradInverse the gradient with respect to `inverse`, batch x m x m
 * @param options those of the forward call
 * @returns batch x m x m, not symmetrised
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 */
export const newtonPseudoInverseBackward = <T extends Reals>(
  A: T,
  inverse: T,
  gradInverse: T,
  options: NewtonBackwardOptions<T>,
): T => blocking(prepareBackward(A, inverse, gradInverse, options));

/** Promise form of newtonPseudoInverseBackward. */
export const newtonPseudoInverseBackwardAsync = async <T extends Reals>(
  A: T,
  inverse: T,
  gradInverse: T,
  options: NewtonBackwardOptions<T> & AsyncOptions,
): Promise<T> => promised(prepareBackward(A, inverse, gradInverse, options), options);
