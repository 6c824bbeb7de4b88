/**
 * The recurrent form of softmax attention and its variants as ops (lib/kernels/recurrent-attention.ts,
 * attention-variants.ts): the sizes are those of the tensors.
 */
import * as check from '../../check.js';
import type { Reals } from '../../kernels/arguments.js';
import {
  attentionVariant as variantKernel,
  attentionVariantBackward,
} from '../../kernels/attention-variants.js';
import type { AttentionVariant, VariantShapeOptions } from '../../kernels/attention-variants.js';
import {
  recurrentAttention as recurrentKernel,
  recurrentAttentionBackward,
} from '../../kernels/recurrent-attention.js';
import type { RecurrentShapeOptions } from '../../kernels/recurrent-attention.js';
import { threads } from '../settings.js';
import { empty, shapeText, type Tensor } from '../tensor.js';
import { attentionSizes, kernelOp, operands, requireShape } from './operands.js';

type Sizes = 'batch' | 'heads' | 'length' | 'headDim' | 'valueDim' | 'threads';

/** Operands of recurrentAttention. */
export interface RecurrentAttentionTensors {
  /** [batch, heads, length, headDim] */
  q: Tensor;
  /** Shaped as q. */
  k: Tensor;
  /** [batch, heads, length, valueDim] */
  v: Tensor;
}

/** Options of recurrentAttention: order, normalization, epsilon, scale, algorithm, chunkSize, ... */
export type RecurrentAttentionOpOptions = Omit<RecurrentShapeOptions, Sizes>;

/**
 * Causal softmax attention with the exponential's series cut at an order: see `recurrentAttention` of softlane. Gradients
 * flow to queries, keys and values.
 *
 * @param input tensors of one type
 * @returns [batch, heads, length, valueDim]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function recurrentAttention(
  input: RecurrentAttentionTensors,
  options?: RecurrentAttentionOpOptions,
): Tensor {
  const o = check.options(options);
  const given = operands<'q' | 'k' | 'v'>(input, ['q', 'k', 'v']);
  const sizes = attentionSizes(input);
  const call = () => ({ ...o, ...sizes, threads: threads() });
  const [out] = kernelOp(
    'recurrentAttention',
    given,
    () => {
      const result = empty(input.v.shape, given.dtype);
      recurrentKernel<Reals>(given.data(), { ...call(), out: result.data });
      return [result];
    },
    ([gradient]) => {
      if (!gradient) return {};
      const found = recurrentAttentionBackward<Reals>({ ...given.data(), gout: gradient.data }, call());
      return { q: found.dq, k: found.dk, v: found.dv };
    },
  );
  return out;
}

/** Operands of attentionVariant: queries, keys, values, and the gates and parameters that the variant has. */
export interface AttentionVariantTensors extends RecurrentAttentionTensors {
  /** Logits of the gate of outputs, [batch, heads, length]. */
  outGate?: Tensor;
  /** Logits of the gate of values, [batch, heads, length]. */
  inGate?: Tensor;
  /** Factors after a norm, [valueDim] or [heads, valueDim]; default 1. */
  gamma?: Tensor;
  /** Added after a layer norm, shaped as gamma may be; default 0. */
  beta?: Tensor;
  /** Logits of 'decay', [batch, heads, length]. */
  decay?: Tensor;
  /** Of 'linear_cosine': [heads]; default 0.5. */
  power?: Tensor;
}

const OPTIONAL = ['outGate', 'inGate', 'gamma', 'beta', 'decay', 'power'] as const;

/** Options of attentionVariant: eps, checkFinite. */
export type AttentionVariantOpOptions = Omit<VariantShapeOptions, Sizes | 'variant'>;

/**
 * Causal attention with something else in the place of softmax's denominator: see `attentionVariant` of softlane for the
 * table. Gradients flow to every operand.
 *
 * @param variant a row of the table, such as 'l2norm' or 'gated_softmax'
 * @param input tensors of one type
 * @returns [batch, heads, length, valueDim]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 */
export function attentionVariant(
  variant: AttentionVariant,
  input: AttentionVariantTensors,
  options?: AttentionVariantOpOptions,
): Tensor {
  const o = check.options(options);
  const given = operands<keyof AttentionVariantTensors>(input, ['q', 'k', 'v'], OPTIONAL);
  const sizes = attentionSizes(input);
  const { batch, heads, length, valueDim } = sizes;
  for (const name of ['outGate', 'inGate', 'decay'] as const) {
    const gate = input[name];
    if (gate) requireShape(name, gate, [batch, heads, length]);
  }
  if (input.power) requireShape('power', input.power, [heads]);
  for (const name of ['gamma', 'beta'] as const) {
    const text = input[name] && shapeText(input[name].shape);
    if (text && text !== shapeText([valueDim]) && text !== shapeText([heads, valueDim]))
      throw check.rangeError(name, `of shape [${valueDim}] or [${heads}, ${valueDim}]`, `shape ${text}`);
  }
  const call = () => ({ ...o, ...sizes, variant, threads: threads() });
  const [out] = kernelOp(
    `attentionVariant '${variant}'`,
    given,
    () => {
      const result = empty(input.v.shape, given.dtype);
      variantKernel<Reals>(given.data(), { ...call(), out: result.data });
      return [result];
    },
    ([gradient]) => {
      if (!gradient) return {};
      const d = attentionVariantBackward<Reals>({ ...given.data(), gout: gradient.data }, call());
      return {
        ...{ q: d.dq, k: d.dk, v: d.dv, outGate: d.doutGate, inGate: d.dinGate },
        ...{ gamma: d.dgamma, beta: d.dbeta, decay: d.ddecay, power: d.dpower },
      };
    },
  );
  return out;
}
