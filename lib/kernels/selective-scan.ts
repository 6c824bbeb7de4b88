/**
 * The selective scan of Mamba (S6): a linear recurrence over time whose decay, input weights and read-out weights depend
 * on the step. Native: native/scan/selective.cc.
 */
import * as check from '../check.js';
import type { Floats } from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate } from './arguments.js';
import type { Reals } from './arguments.js';
import { given as givenOr, scanArrays, scanCall, segmentCount } from './selective-scan-options.js';
import type { SelectiveScanInput, SelectiveScanShape, StateOf } from './selective-scan-options.js';

/** Options of selectiveScan. */
export interface SelectiveScanOptions<T extends Floats = Reals> extends SelectiveScanShape {
  /** Returns the state after the last step; default false. */
  returnLastState?: boolean;
  /** Returns the state at the end of every segment; needs segmentIds; default false. */
  segmentStates?: boolean;
  /** Returns the state before every 64th step, which spares the backward call one scan; default false. */
  saveCheckpoints?: boolean;
  /** Where the result goes, shaped as u; default a fresh array. It may overlap no input. */
  out?: T;
}

/** What selectiveScan returns. */
export interface SelectiveScanResult<T extends Floats = Reals> {
  /** batch x dim x length, or as the layout says. */
  out: T;
  /** batch x dim x state (complex: re, im interleaved), with returnLastState. */
  lastState?: StateOf<T>;
  /** segments x dim x state, the segments of the rows one after the other, with segmentStates. */
  segmentStates?: StateOf<T>;
  /** batch x ceil(length / 64) x dim x state, with saveCheckpoints: for selectiveScanBackward. */
  checkpoints?: StateOf<T>;
  /** Tiles of channels that took one exponential and its powers instead of an exponential for each state. */
  sharedPowers: number;
}

function prepareSelectiveScan<T extends Floats>(
  input: SelectiveScanInput<T>,
  given: SelectiveScanOptions<T>,
): Prepared<SelectiveScanResult<T>> {
  const o = check.options(given);
  const call = scanCall(input, o);
  const wantsLast = check.boolean('returnLastState', o.returnLastState ?? false);
  const wantsSegments = check.boolean('segmentStates', o.segmentStates ?? false);
  const wantsCheckpoints = check.boolean('saveCheckpoints', o.saveCheckpoints ?? false);
  const ids = call.input.segmentIds;
  if (wantsSegments && ids === undefined)
    throw check.typeError('segmentIds', 'an Int32Array where segmentStates are wanted', ids);
  const out = givenOr('out', o.out, call.dtype, call.elements) as T;
  const state = (length: number): StateOf<T> => allocate(call.real, length) as StateOf<T>;
  const lastState = wantsLast ? state(call.states) : undefined;
  const segmentStates =
    wantsSegments && ids ? state(segmentCount(ids, o.batch, o.length) * call.weights) : undefined;
  const checkpoints = wantsCheckpoints ? state(call.checkpoints) : undefined;
  return {
    operation: 'selectiveScan',
    args: [...scanArrays(call), out, lastState, segmentStates, checkpoints, call.sizes, ...call.settings],
    result: (returned) => ({
      out,
      ...(lastState && { lastState }),
      ...(segmentStates && { segmentStates }),
      ...(checkpoints && { checkpoints }),
      sharedPowers: returned as number,
    }),
  };
}

/**
 * Selective scan (S6) of Mamba. For every row and channel, with s = delta + deltaBias or softplus of that,
 *
 *     h_t[n] = a h_{t-1}[n] + b u_t B_t[n],   y_t = sum_n C_t[n] h_t[n] + D u_t,   out_t = y_t z_t sigmoid(z_t)
 *
 * 'euler' (what Mamba computes): a = exp(s A[n]), b = s; 'zoh': a = exp(s A), b = expm1(s A) / A, s where A = 0;
 * 'bilinear': a = (1 + s A / 2) / (1 - s A / 2), b = s / (1 - s A / 2). D, z, deltaBias and initialState may be absent.
 * With `complex` a state stands for a conjugate pair: y_t = 2 Re sum_n C_t[n] h_t[n] + D u_t.
 *
 * Time O(batch dim length state). Whatever the threads, the bits are the same; time is split only by what the shape
 * says (few channels, 2048 steps or more). States are float32 for 16-bit values, which are widened first. A value that
 * is not finite spoils its own channel from there on (in B and C: the channels of the group). Relative error about
 * 1e-6 in float32, of the largest magnitude; shared powers add up to n times that of the first where s is small.
 *
 * @param input arrays; see SelectiveScanInput for their shapes
 * @param options batch, dim, length, state and the form; see SelectiveScanOptions
 * @returns out, and the states that were asked for
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument, before anything is written
 * @see "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", A. Gu, T. Dao, arXiv 2312.00752, sections 3.2
 *   and 3.3
 *
 * @example
 * const { out, lastState } = selectiveScan(
 *   { u, delta, A, B, C, D, z, deltaBias },
 *   { batch: 1, dim: 1536, length: 512, state: 16, deltaSoftplus: true, returnLastState: true },
 * );
 */
export const selectiveScan = <T extends Floats = Reals>(
  input: SelectiveScanInput<T>,
  options: SelectiveScanOptions<T>,
): SelectiveScanResult<T> => blocking(prepareSelectiveScan(input, options));

/** Promise form of selectiveScan. */
export const selectiveScanAsync = async <T extends Floats = Reals>(
  input: SelectiveScanInput<T>,
  options: SelectiveScanOptions<T> & AsyncOptions,
): Promise<SelectiveScanResult<T>> => promised(prepareSelectiveScan(input, options), options);
