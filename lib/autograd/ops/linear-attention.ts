/**
 * Linear attention and prefix linear attention as ops (lib/kernels/linear-attention.ts, prefix-attention.ts): the sizes
 * are those of the tensors.
 */
import * as check from '../../check.js';
import type { Reals } from '../../kernels/arguments.js';
import { callOf, makeState } from '../../kernels/linear-attention-options.js';
import type { LinearShapeOptions, LinearState } from '../../kernels/linear-attention-options.js';
import { linearAttention as linearKernel, linearAttentionBackward } from '../../kernels/linear-attention.js';
import {
  prefixLinearAttention as prefixKernel,
  prefixLinearAttentionBackward,
} from '../../kernels/prefix-attention.js';
import type { PrefixShapeOptions } from '../../kernels/prefix-attention.js';
import { threads } from '../settings.js';
import { empty, type Tensor } from '../tensor.js';
import { attentionSizes, gradientOr, kept, kernelOp, operands, requireShape, resultOf } from './operands.js';

/** Sums over tokens of phi(k) v^T and of phi(k). */
export interface LinearStateTensors {
  /** [batch, heads, features, valueDim] */
  kv: Tensor;
  /** [batch, heads, features] */
  k: Tensor;
}

/** Operands of linearAttention. */
export interface LinearAttentionTensors {
  /** [batch, heads, length, headDim] */
  q: Tensor;
  /** Shaped as q. */
  k: Tensor;
  /** [batch, heads, length, valueDim] */
  v: Tensor;
  /** [batch, length] zeros and ones, 0 for padding; default all ones. */
  mask?: Uint8Array;
  /** What came before; default nothing. */
  initialState?: LinearStateTensors;
}

type Sizes = 'batch' | 'heads' | 'length' | 'headDim' | 'valueDim' | 'threads';

/** Options of linearAttention: map, order, symmetric, scale, normalize, eps, causal, algorithm, chunkSize, padding, ... */
export interface LinearAttentionOpOptions extends Omit<LinearShapeOptions, Sizes> {
  /** Returns the state after the last token, through which gradients flow; default false. */
  returnState?: boolean;
}

/** What linearAttention returns. */
export interface LinearAttentionOutputs {
  /** [batch, heads, length, valueDim] */
  out: Tensor;
  /** With returnState. */
  state?: LinearStateTensors;
}

/**
 * Linear attention with a feature map: see `linearAttention` of softlane. Gradients flow to queries, keys, values and the
 * initial state, from the result and from the returned state.
 *
 * @param input tensors of one type
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function linearAttention(
  input: LinearAttentionTensors,
  options?: LinearAttentionOpOptions,
): LinearAttentionOutputs {
  const { returnState = false, ...o } = check.options(options);
  check.boolean('returnState', returnState);
  const { initialState: before } = check.options(input);
  const mask = kept(input.mask);
  const flat = { ...input, kv: before?.kv, sums: before?.k };
  const given = operands<'q' | 'k' | 'v' | 'kv' | 'sums'>(flat, [
    'q',
    'k',
    'v',
    ...(before ? (['kv', 'sums'] as const) : []),
  ]);
  const sizes = attentionSizes(input);
  const call = () => ({ ...o, ...sizes, threads: threads() });
  const numbers = callOf(call(), given.dtype, returnState || before !== undefined);
  const states = [sizes.batch, sizes.heads, numbers.features];
  if (before) {
    requireShape('initialState.kv', before.kv, [...states, sizes.valueDim]);
    requireShape('initialState.k', before.k, states);
  }
  const arrays = () => {
    const { q, k, v, kv, sums } = given.data();
    const initialState: LinearState | undefined = before && makeState<Reals>(numbers, kv, sums);
    return { q, k, v, mask, initialState };
  };
  const [out, kv, k] = kernelOp(
    'linearAttention',
    given,
    () => {
      const result = empty(input.v.shape, given.dtype);
      const { state } = linearKernel<Reals>(arrays(), { ...call(), returnState, out: result.data });
      return state
        ? [result, resultOf(state.kv, [...states, sizes.valueDim]), resultOf(state.k, states)]
        : [result];
    },
    ([gradient, gkv, gk]) => {
      const gout = gradientOr(gradient, input.v);
      const { dtype } = given;
      const gstate = (gkv ?? gk) && {
        kv: gradientOr(gkv, { shape: [...states, sizes.valueDim], dtype }).data,
        k: gradientOr(gk, { shape: states, dtype }).data,
      };
      const found = linearAttentionBackward<Reals>({ ...arrays(), gout: gout.data, gstate }, call());
      if (gout !== gradient) gout.release();
      const { dq, dk, dv, dinitialState } = found;
      return { q: dq, k: dk, v: dv, kv: dinitialState?.kv, sums: dinitialState?.k };
    },
  );
  return returnState ? { out, state: { kv, k } } : { out };
}

/** Operands of prefixLinearAttention. */
export interface PrefixLinearAttentionTensors {
  /** [batch, heads, length, featureDim] */
  q: Tensor;
  /** Shaped as q. */
  k: Tensor;
  /** [batch, heads, length, valueDim] */
  v: Tensor;
  /** [batch, heads, encoderLength, featureDim] */
  kEnc: Tensor;
  /** [batch, heads, encoderLength, valueDim] */
  vEnc: Tensor;
  /** [batch, length] zeros and ones, 0 for padding; default all ones. */
  mask?: Uint8Array;
}

/** Options of prefixLinearAttention: order, symmetric, eps, algorithm, chunkSize, padding, ... */
export type PrefixLinearAttentionOpOptions = Omit<
  PrefixShapeOptions,
  'batch' | 'heads' | 'length' | 'encoderLength' | 'featureDim' | 'valueDim' | 'threads'
>;

/**
 * Prefix linear attention: see `prefixLinearAttention` of softlane. Gradients flow to every operand.
 *
 * @param input tensors of one type
 * @returns [batch, heads, length, valueDim]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function prefixLinearAttention(
  input: PrefixLinearAttentionTensors,
  options?: PrefixLinearAttentionOpOptions,
): Tensor {
  const o = check.options(options);
  const given = operands<'q' | 'k' | 'v' | 'kEnc' | 'vEnc'>(input, ['q', 'k', 'v', 'kEnc', 'vEnc']);
  const { headDim: featureDim, ...sizes } = attentionSizes(input);
  const { batch, heads, valueDim } = sizes;
  requireShape('kEnc', input.kEnc, [batch, heads, undefined, featureDim]);
  const encoderLength = input.kEnc.shape[2];
  requireShape('vEnc', input.vEnc, [batch, heads, encoderLength, valueDim]);
  const call = () => ({ ...o, ...sizes, featureDim, encoderLength, threads: threads() });
  const mask = kept(input.mask);
  const arrays = () => ({ ...given.data(), mask });
  const [out] = kernelOp(
    'prefixLinearAttention',
    given,
    () => {
      const result = empty(input.v.shape, given.dtype);
      prefixKernel<Reals>(arrays(), { ...call(), out: result.data });
      return [result];
    },
    ([gradient]) => {
      if (!gradient) return {};
      const found = prefixLinearAttentionBackward<Reals>({ ...arrays(), gout: gradient.data }, call());
      return { q: found.dq, k: found.dk, v: found.dv, kEnc: found.dkEnc, vEnc: found.dvEnc };
    },
  );
  return out;
}
