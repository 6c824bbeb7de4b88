/**
 * The scan of Mamba-2 and scans of time-invariant diagonal systems as ops (lib/kernels/ssd.ts, lti.ts): the sizes are
 * those of the tensors.
 */
import * as check from '../../check.js';
import type { Reals } from '../../kernels/arguments.js';
import type { DiscretizationRule } from '../../kernels/discretize.js';
import { ltiScan as ltiKernel, ltiScanBackward } from '../../kernels/lti.js';
import { ssdScan as ssdKernel, ssdScanBackward } from '../../kernels/ssd.js';
import type { SsdShape } from '../../kernels/ssd.js';
import { threads } from '../settings.js';
import { empty, type Tensor } from '../tensor.js';
import { gradientOr, kept, kernelOp, operands, requireAxes, requireShape, resultOf } from './operands.js';

/** Operands of ssdScan. */
export interface SsdTensors {
  /** [batch, length, heads, headDim] */
  x: Tensor;
  /** [batch, length, heads] */
  dt: Tensor;
  /** [heads] */
  A: Tensor;
  /** [batch, length, groups, state] */
  B: Tensor;
  /** Shaped as B. */
  C: Tensor;
  /** Skip weights: [heads] or [heads, headDim]. */
  D?: Tensor;
  /** Gate, shaped as x. */
  z?: Tensor;
  /** [heads] */
  dtBias?: Tensor;
  /** [batch, heads, headDim, state]; default 0. */
  initialState?: Tensor;
}

/** Options of ssdScan. */
export interface SsdOpOptions extends Pick<SsdShape, 'chunk' | 'dtSoftplus' | 'dtLimit'> {
  /** Packed sequences: batch x length ids, not decreasing within a row. */
  segmentIds?: Int32Array;
}

/**
 * The scan of Mamba-2 by chunks: see `ssdScan` of softlane. Gradients flow to every operand, from both results.
 *
 * @param input tensors of one type
 * @returns out, shaped as x, and finalState, [batch, heads, headDim, state]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function ssdScan(input: SsdTensors, options?: SsdOpOptions): { out: Tensor; finalState: Tensor } {
  const { chunk, dtSoftplus, dtLimit, ...rest } = check.options(options);
  const segmentIds = kept(rest.segmentIds);
  const optional = ['D', 'z', 'dtBias', 'initialState'] as const;
  const given = operands<keyof SsdTensors>(input, ['x', 'dt', 'A', 'B', 'C'], optional);
  const { x, dt, A, B, C, D, z, dtBias, initialState } = input;
  const [batch, length, heads, headDim] = requireAxes('x', x, 'batch, length, heads, headDim');
  requireShape('dt', dt, [batch, length, heads]);
  requireShape('A', A, [heads]);
  requireShape('B', B, [batch, length, undefined, undefined]);
  const [groups, state] = B.shape.slice(2);
  requireShape('C', C, B.shape);
  if (D) requireShape('D', D, D.shape.length === 2 ? [heads, headDim] : [heads]);
  if (z) requireShape('z', z, x.shape);
  if (dtBias) requireShape('dtBias', dtBias, [heads]);
  const stateShape = [batch, heads, headDim, state];
  if (initialState) requireShape('initialState', initialState, stateShape);
  const shape = { batch, length, heads, headDim, state, groups, chunk, dtSoftplus, dtLimit };
  const arrays = () => ({ ...given.data(), segmentIds });
  const [out, finalState] = kernelOp(
    'ssdScan',
    given,
    () => {
      const result = empty(x.shape, given.dtype);
      const settings = { ...shape, threads: threads(), returnFinalState: true, out: result.data };
      const ran = ssdKernel<Reals>(arrays(), settings);
      return [result, resultOf(ran.finalState as Reals, stateShape)];
    },
    ([gradient, gfinal]) => {
      const gout = gradientOr(gradient, x);
      const settings = { ...shape, threads: threads(), gfinal: gfinal?.data };
      const d = ssdScanBackward<Reals>(arrays(), gout.data, settings);
      if (gout !== gradient) gout.release();
      return {
        ...{ x: d.dx, dt: d.ddt, A: d.dA, B: d.dB, C: d.dC, D: d.dD, z: d.dz },
        ...{ dtBias: d.ddtBias, initialState: d.dInitialState },
      };
    },
  );
  return { out, finalState };
}

/** Operands of ltiScan; complex ones have a last axis [re, im]. */
export interface LtiTensors {
  /** [batch, dim, length] */
  u: Tensor;
  /** [dim]; absent with discretization 'none'. */
  delta?: Tensor;
  /** [dim, state] */
  A: Tensor;
  /** [dim, state] */
  B: Tensor;
  /** [dim, state] */
  C: Tensor;
  /** Skip weights: [dim]. */
  D?: Tensor;
  /** [batch, dim, state]; default 0. */
  initialState?: Tensor;
}

/** Options of ltiScan. */
export interface LtiOpOptions {
  /** Default 'zoh'. */
  discretization?: DiscretizationRule;
  /** A, B, C and the states are complex; default false. */
  complex?: boolean;
  /** Returns the state after the last step, through which gradients flow; default false. */
  returnLastState?: boolean;
  /** Of the forward call: 'convolution' knows no states. Default 'auto'. */
  method?: 'auto' | 'recurrence' | 'convolution';
}

/**
 * The scan of a time-invariant diagonal system: see `ltiScan` of softlane. Gradients flow to every operand; of complex ones
 * they are d/dRe + i d/dIm.
 *
 * @param input tensors of one type
 * @returns out, shaped as u, and with returnLastState the state, [batch, dim, state]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function ltiScan(input: LtiTensors, options?: LtiOpOptions): { out: Tensor; lastState?: Tensor } {
  const { discretization, complex, returnLastState = false, method } = check.options(options);
  check.boolean('returnLastState', returnLastState);
  const optional = ['delta', 'D', 'initialState'] as const;
  const given = operands<keyof LtiTensors>(input, ['u', 'A', 'B', 'C'], optional);
  const { u, delta, A, B, C, D, initialState } = input;
  const [batch, dim, length] = requireAxes('u', u, 'batch, dim, length');
  const parts = check.boolean('complex', complex ?? false) ? [2] : [];
  requireShape('A', A, [dim, undefined, ...parts]);
  const state = A.shape[1];
  requireShape('B', B, A.shape);
  requireShape('C', C, A.shape);
  if (delta) requireShape('delta', delta, [dim]);
  if (D) requireShape('D', D, [dim]);
  const stateShape = [batch, dim, state, ...parts];
  if (initialState) requireShape('initialState', initialState, stateShape);
  const shape = { batch, dim, length, state, discretization, complex };
  const [out, lastState] = kernelOp(
    'ltiScan',
    given,
    () => {
      const result = empty(u.shape, given.dtype);
      const settings = { ...shape, method, returnLastState, threads: threads(), out: result.data };
      const ran = ltiKernel<Reals>(given.data(), settings);
      return ran.lastState ? [result, resultOf(ran.lastState, stateShape)] : [result];
    },
    ([gradient, glast]) => {
      const gout = gradientOr(gradient, u);
      const settings = { ...shape, threads: threads(), glast: glast?.data };
      const d = ltiScanBackward<Reals>(given.data(), gout.data, settings);
      if (gout !== gradient) gout.release();
      return {
        ...{ u: d.du, delta: d.ddelta, A: d.dA, B: d.dB, C: d.dC, D: d.dD },
        initialState: d.dInitialState,
      };
    },
  );
  return { out, ...(returnLastState && { lastState }) };
}
