/**
 * Gradients of the selective scan. Native: native/scan/selective_backward.cc.
 */
import * as check from '../check.js';
import type { Floats } from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import type { Reals } from './arguments.js';
import { given as givenOr, scanArrays, scanCall, shaped } from './selective-scan-options.js';
import type { SelectiveScanInput, SelectiveScanShape, StateOf } from './selective-scan-options.js';

/** Options of selectiveScanBackward: those of the forward call, and these. */
export interface SelectiveScanBackwardOptions<T extends Floats = Reals> extends SelectiveScanShape {
  /** Gradient of lastState, batch x dim x state; default 0. */
  glast?: StateOf<T>;
  /** From the forward call with saveCheckpoints; default: worked out by one more scan. */
  checkpoints?: StateOf<T>;
  /** Arrays that gradients go to, of the type and shape of what they belong to; default fresh ones. */
  out?: Partial<SelectiveScanGradients<T>>;
}

/** Gradients of every array of the input that was given, of its shape and type; complex ones as d/dRe + i d/dIm. */
export interface SelectiveScanGradients<T extends Floats = Reals> {
  du: T;
  ddelta: T;
  dA: StateOf<T>;
  dB: T;
  dC: T;
  dD?: StateOf<T>;
  dz?: T;
  ddeltaBias?: StateOf<T>;
  dInitialState?: StateOf<T>;
}

function prepareSelectiveScanBackward<T extends Floats>(
  input: SelectiveScanInput<T>,
  gout: T,
  given: SelectiveScanBackwardOptions<T>,
): Prepared<SelectiveScanGradients<T>> {
  const o = check.options(given);
  const call = scanCall(input, o);
  const complex = o.complex ?? false;
  shaped('gout', gout, call.dtype, call.elements);
  if (o.glast !== undefined) shaped('glast', o.glast, call.real, call.states, complex);
  if (o.checkpoints !== undefined) shaped('checkpoints', o.checkpoints, call.real, call.checkpoints, complex);
  const { u, delta, A, B, C, D, z, deltaBias, initialState } = call.input;
  const to = check.options(o.out);
  const like = (name: keyof typeof to, x: Floats): T => givenOr(name, to[name], call.dtype, x.length) as T;
  const real = (name: keyof typeof to, x: Floats): StateOf<T> =>
    givenOr(name, to[name], call.real, x.length) as StateOf<T>;
  const du = like('du', u);
  const ddelta = like('ddelta', delta);
  const dA = real('dA', A);
  const dB = like('dB', B);
  const dC = like('dC', C);
  const dD = D && real('dD', D);
  const dz = z && like('dz', z);
  const ddeltaBias = deltaBias && real('ddeltaBias', deltaBias);
  const dInitialState = initialState && real('dInitialState', initialState);
  return {
    operation: 'selectiveScanBackward',
    args: [
      ...scanArrays(call),
      ...[o.checkpoints, gout, o.glast],
      ...[du, ddelta, dA, dB, dC, dD, dz, ddeltaBias, dInitialState],
      ...[call.sizes, ...call.settings],
    ],
    result: {
      du,
      ddelta,
      dA,
      dB,
      dC,
      ...(dD && { dD }),
      ...(dz && { dz }),
      ...(ddeltaBias && { ddeltaBias }),
      ...(dInitialState && { dInitialState }),
    },
  };
}

/**
 * Gradients of selectiveScan, given that of its result and, with `glast`, of its last state. States are worked out again
 * from one in 64 of them: memory beyond the gradients is batch dim state length / 64, and as much for the sums over every
 * 64 to 256 channels of a group of each of dB and dC that varies. Bits depend neither on threads nor
 * on whether checkpoints are given. Sums are in float32 (float64); those of 16-bit arrays are rounded at the end.
 *
 * @param input as in the forward call
 * @param gout gradient of `out`, of its type and shape
 * @param options those of the forward call (out and the wishes for states aside), glast and checkpoints
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see arXiv 2312.00752, section 3.3.2 (recomputation)
 *
 * @example
 * const { out, checkpoints } = selectiveScan(input, { ...shape, saveCheckpoints: true });
 * const { du, ddelta, dA, dB, dC } = selectiveScanBackward(input, gout, { ...shape, checkpoints });
 */
export const selectiveScanBackward = <T extends Floats = Reals>(
  input: SelectiveScanInput<T>,
  gout: T,
  options: SelectiveScanBackwardOptions<T>,
): SelectiveScanGradients<T> => blocking(prepareSelectiveScanBackward(input, gout, options));

/** Promise form of selectiveScanBackward. */
export const selectiveScanBackwardAsync = async <T extends Floats = Reals>(
  input: SelectiveScanInput<T>,
  gout: T,
  options: SelectiveScanBackwardOptions<T> & AsyncOptions,
): Promise<SelectiveScanGradients<T>> =>
  promised(prepareSelectiveScanBackward(input, gout, options), options);
