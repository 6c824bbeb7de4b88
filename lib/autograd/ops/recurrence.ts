/**
 * Linear recurrences, the delta rule and short causal convolutions as ops (lib/kernels/recurrence.ts, delta-rule.ts,
 * causal-conv.ts): the sizes are those of the tensors.
 */
import * as check from '../../check.js';
import type { Reals } from '../../kernels/arguments.js';
import { causalConv1d as convKernel, causalConv1dBackward } from '../../kernels/causal-conv.js';
import { deltaRuleRecurrence as deltaKernel, deltaRuleRecurrenceBackward } from '../../kernels/delta-rule.js';
import { linearRecurrence as recurrenceKernel, linearRecurrenceBackward } from '../../kernels/recurrence.js';
import type { RecurrenceForm } from '../../kernels/recurrence.js';
import { threads } from '../settings.js';
import { empty, type Tensor } from '../tensor.js';
import { gradientOr, kernelOp, operands, requireAxes, requireShape, resultOf } from './operands.js';

/** Options of linearRecurrence. */
export interface LinearRecurrenceOpOptions {
  /** The state before the first step, [batch, width]; default 0. */
  initial?: Tensor;
  /** From the last step to the first; default false. */
  reverse?: boolean;
  /** Default 'diagonal'. */
  form?: RecurrenceForm;
}

/**
 * All states of h_t = a_t h_{t-1} + b_t: see `linearRecurrence` of softlane. Gradients flow to a, b and `initial`.
 *
 * @param a [batch, length, width]; form 'scalar': [batch, length]
 * @param b [batch, length, width], of the type of a
 * @returns [batch, length, width]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function linearRecurrence(a: Tensor, b: Tensor, options?: LinearRecurrenceOpOptions): Tensor {
  const { initial, reverse, form } = check.options(options);
  const given = operands<'a' | 'b' | 'initial'>({ a, b, initial }, ['a', 'b'], ['initial']);
  const [batch, length, width] = requireAxes('b', b, 'batch, length, width');
  requireShape('a', a, form === 'scalar' ? [batch, length] : [batch, length, width]);
  if (initial) requireShape('initial', initial, [batch, width]);
  const call = () => ({ batch, length, width, reverse, form, initial: initial?.data, threads: threads() });
  let h: Tensor;
  const [states] = kernelOp(
    'linearRecurrence',
    given,
    () => {
      h = empty(b.shape, given.dtype);
      recurrenceKernel<Reals>(a.data, b.data, { ...call(), out: h.data });
      return [h];
    },
    ([gradient]) => {
      if (!gradient) return {};
      const found = linearRecurrenceBackward<Reals>(a.data, b.data, h.data, gradient.data, call());
      return { a: found.da, b: found.db, initial: found.dInitial };
    },
  );
  return states;
}

/** Operands of deltaRuleRecurrence. */
export interface DeltaRuleTensors {
  /** [batch, length, heads, keyDim] */
  q: Tensor;
  /** Shaped as q. */
  k: Tensor;
  /** [batch, length, heads, valueDim] */
  v: Tensor;
  /** [batch, length, heads] */
  beta: Tensor;
  /** [batch, length, heads]; default 1. */
  alpha?: Tensor;
  /** [batch, heads, keyDim, valueDim]; default 0. */
  initialState?: Tensor;
}

/**
 * The (gated) delta rule: see `deltaRuleRecurrence` of softlane. Gradients flow to every operand.
 *
 * @param input tensors of one type
 * @returns out, [batch, length, heads, valueDim], and lastState, [batch, heads, keyDim, valueDim]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function deltaRuleRecurrence(input: DeltaRuleTensors): { out: Tensor; lastState: Tensor } {
  const given = operands<keyof DeltaRuleTensors>(input, ['q', 'k', 'v', 'beta'], ['alpha', 'initialState']);
  const { q, k, v, beta, alpha, initialState } = input;
  const [batch, length, heads, keyDim] = requireAxes('q', q, 'batch, length, heads, keyDim');
  requireShape('k', k, q.shape);
  requireShape('v', v, [batch, length, heads, undefined]);
  requireShape('beta', beta, [batch, length, heads]);
  if (alpha) requireShape('alpha', alpha, beta.shape);
  const stateShape = [batch, heads, keyDim, v.shape[3]];
  if (initialState) requireShape('initialState', initialState, stateShape);
  const shape = { batch, length, heads, keyDim, valueDim: v.shape[3] };
  const [out, lastState] = kernelOp(
    'deltaRuleRecurrence',
    given,
    () => {
      const result = empty(v.shape, given.dtype);
      const settings = { ...shape, threads: threads(), returnLastState: true, out: result.data };
      const ran = deltaKernel<Reals>(given.data(), settings);
      return [result, resultOf(ran.lastState as Reals, stateShape)];
    },
    ([gradient, glast]) => {
      const gout = gradientOr(gradient, v);
      const settings = { ...shape, threads: threads(), glast: glast?.data };
      const found = deltaRuleRecurrenceBackward<Reals>(given.data(), gout.data, settings);
      if (gout !== gradient) gout.release();
      const { dq, dk, dv, dbeta, dalpha, dInitialState } = found;
      return { q: dq, k: dk, v: dv, beta: dbeta, alpha: dalpha, initialState: dInitialState };
    },
  );
  return { out, lastState };
}

/** Operands of causalConv1d. */
export interface CausalConvTensors {
  /** [batch, dim, length]; layout 'time-first': [batch, length, dim]. */
  x: Tensor;
  /** Taps of each channel, oldest first: [dim, width]. */
  weight: Tensor;
  /** [dim] */
  bias?: Tensor;
  /** The inputs before the first: [batch, dim, width - 1]; default 0. */
  initialState?: Tensor;
}

/** Options of causalConv1d. */
export interface CausalConvOpOptions {
  /** Default 'channels-first'. */
  layout?: 'channels-first' | 'time-first';
  /** 'silu': x sigmoid(x) of the sum; default 'none'. */
  activation?: 'none' | 'silu';
}

/**
 * Depthwise causal convolution: see `causalConv1d` of softlane. Gradients flow to every operand.
 *
 * @param input tensors of one type
 * @returns out, shaped as x, and finalState, [batch, dim, width - 1]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function causalConv1d(
  input: CausalConvTensors,
  options?: CausalConvOpOptions,
): { out: Tensor; finalState: Tensor } {
  const { layout = 'channels-first', activation } = check.options(options);
  check.oneOf('layout', layout, ['channels-first', 'time-first']);
  const given = operands<keyof CausalConvTensors>(input, ['x', 'weight'], ['bias', 'initialState']);
  const { x, weight, bias, initialState } = input;
  const timeFirst = layout === 'time-first';
  const [batch, second, third] = requireAxes('x', x, timeFirst ? 'batch, length, dim' : 'batch, dim, length');
  const [dim, length] = timeFirst ? [third, second] : [second, third];
  requireShape('weight', weight, [dim, undefined]);
  const width = weight.shape[1];
  const stateShape = [batch, dim, width - 1];
  if (bias) requireShape('bias', bias, [dim]);
  if (initialState) requireShape('initialState', initialState, stateShape);
  const shape = { batch, dim, length, width, layout, activation };
  const [out, finalState] = kernelOp(
    'causalConv1d',
    given,
    () => {
      const result = empty(x.shape, given.dtype);
      const settings = { ...shape, threads: threads(), returnFinalState: true, out: result.data };
      const ran = convKernel<Reals>(given.data(), settings);
      return [result, resultOf(ran.finalState as Reals, stateShape)];
    },
    ([gradient, gfinal]) => {
      const gout = gradientOr(gradient, x);
      const settings = { ...shape, threads: threads(), gfinal: gfinal?.data };
      const found = causalConv1dBackward<Reals>(given.data(), gout.data, settings);
      if (gout !== gradient) gout.release();
      const { dx, dweight, dbias, dInitialState } = found;
      return { x: dx, weight: dweight, bias: dbias, initialState: dInitialState };
    },
  );
  return { out, finalState };
}
