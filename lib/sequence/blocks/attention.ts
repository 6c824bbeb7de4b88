/**
 * Attention blocks on the tape, each x + Wout attention(norm(x)): softmax attention and what is to stand in its place.
 * They share their parameters (`norm`, `q`, `k`, `v`, `out`), so that accuracies compare forms and not sizes.
 */
import * as check from '../../check.js';
import {
  attentionVariant,
  linearAttention,
  prefixLinearAttention,
  recurrentAttention,
  scaledDotProductAttention,
  slice,
  type Parameters,
  type RecurrentAttentionOpOptions,
  type Tensor,
} from '../../autograd/index.js';
import {
  heads,
  normWeight,
  output,
  projection,
  requireInit,
  requireSequence,
  residual,
  type InitOptions,
} from './shared.js';

/** Sizes of an attention block. */
export interface AttentionBlockOptions extends InitOptions {
  /** Heads. Default 1. */
  heads?: number;
  /** Width of queries and keys of a head. Default dModel / heads. */
  headDim?: number;
  /** Width of values of a head. Default dModel / heads. */
  valueDim?: number;
}

/** Parameters of any attention block of this file; projections start uniform within (inputs)^-1/2. */
export function initAttentionBlock(options: AttentionBlockOptions): Parameters {
  const o = requireInit(options) as AttentionBlockOptions;
  const { dModel } = o;
  const count = check.positiveInteger('heads', o.heads ?? 1);
  const headDim = check.positiveInteger('headDim', o.headDim ?? dModel / count);
  const valueDim = check.positiveInteger('valueDim', o.valueDim ?? dModel / count);
  return {
    'norm.weight': normWeight(dModel, o),
    'q.weight': projection(count * headDim, dModel, o),
    'k.weight': projection(count * headDim, dModel, o),
    'v.weight': projection(count * valueDim, dModel, o),
    'out.weight': projection(dModel, count * valueDim, o),
  };
}

/** Parameters of prefixLinearAttentionBlock: those of the others, and projections `kEnc` and `vEnc` of the encoder. */
export function initPrefixLinearAttentionBlock(options: AttentionBlockOptions): Parameters {
  const params = initAttentionBlock(options);
  const like = (name: string): Tensor => {
    const [out, inputs] = params[name].shape;
    return projection(out, inputs, options);
  };
  return { ...params, 'kEnc.weight': like('k.weight'), 'vEnc.weight': like('v.weight') };
}

/** What every attention block is told. */
export interface HeadsOptions {
  /** Heads. Default 1. */
  heads?: number;
}

type Attend = (q: Tensor, k: Tensor, v: Tensor, normed: Tensor) => Tensor;

function block(params: Readonly<Parameters>, x: Tensor, count: number, attend: Attend): Tensor {
  requireSequence(x);
  return residual(params, x, (normed) => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => heads(params, name, normed, count));
    return output(params, attend(q, k, v, normed));
  });
}

/**
 * Softmax attention.
 *
 * @param x [batch, length, dModel]
 * @param options `causal`: whether a position sees only those up to itself, default true
 */
export function softmaxAttentionBlock(
  params: Readonly<Parameters>,
  x: Tensor,
  options: HeadsOptions & { causal?: boolean } = {},
): Tensor {
  const { heads: count = 1, causal = true } = options;
  return block(params, x, count, (q, k, v) => scaledDotProductAttention(q, k, v, { causal }));
}

/** How linear attention maps queries and keys to features. */
export type FeatureMap = 'elu' | 'relu' | 'taylor';

/**
 * Causal linear attention: its state is of constant size. Normalised by the sum of weights.
 *
 * @param x [batch, length, dModel]
 * @param options `featureMap`, default 'taylor': weights 1 + s + s^2 / 2 with s = q k / sqrt(headDim)
 * @see "Transformers are RNNs", A. Katharopoulos et al., 2020
 */
export function linearAttentionBlock(
  params: Readonly<Parameters>,
  x: Tensor,
  options: HeadsOptions & { featureMap?: FeatureMap } = {},
): Tensor {
  const { heads: count = 1, featureMap = 'taylor' } = options;
  return block(params, x, count, (q, k, v) => linearAttention({ q, k, v }, { map: featureMap }).out);
}

/**
 * Prefix linear attention: every position also sees all of the first `encoderLength` positions, through keys and values
 * of their own, in the state of causal linear attention with the same features ('taylor').
 *
 * @param params as initPrefixLinearAttentionBlock names them
 * @param x [batch, length, dModel]
 * @param options `encoderLength`: positions that are read both ways, default all
 * @see "Just read twice: closing the recall gap for recurrent language models", S. Arora et al., 2024, section 4
 */
export function prefixLinearAttentionBlock(
  params: Readonly<Parameters>,
  x: Tensor,
  options: HeadsOptions & { encoderLength?: number } = {},
): Tensor {
  const { heads: count = 1, encoderLength = x.shape[1] } = options;
  return block(params, x, count, (q, k, v, normed) => {
    const prefix = slice(normed, 1, 0, Math.min(encoderLength, normed.shape[1]));
    const kEnc = heads(params, 'kEnc', prefix, count);
    const vEnc = heads(params, 'vEnc', prefix, count);
    return prefixLinearAttention({ q, k, v, kEnc, vEnc });
  });
}

/**
 * Softmax attention with the exponential cut off after the term of order N: a recurrence whose state is of constant size.
 *
 * @param x [batch, length, dModel]
 * @param options `order`: N, default 2; `normalization`: 'sum' of the weights (default; odd orders may divide by 0 and want an
 *   `epsilon`), 'l2', 'rms', 'length', ... as recurrentAttention has them
 * @see "On the Expressiveness of Softmax Attention: A Recurrent Neural Network Perspective", G. Mongaras and E. C. Larson,
 *   2025
 */
export function recurrentSoftmaxBlock(
  params: Readonly<Parameters>,
  x: Tensor,
  options: HeadsOptions & RecurrentAttentionOpOptions = {},
): Tensor {
  const { heads: count = 1, ...form } = options;
  return block(params, x, count, (q, k, v) => recurrentAttention({ q, k, v }, form));
}

/** Variants of softmax's denominator that need no gates or factors. */
export type PlainVariant =
  'softmax' | 'clamp_denom' | 'div_s' | 'l2norm' | 'relu_l2norm' | 'linear_elu' | 'linear_relu';

/**
 * Causal softmax attention with something else in the place of its denominator: 'l2norm' scales the result to length 1,
 * 'div_s' divides it by the number of positions seen, ... as attentionVariant has them.
 *
 * @param x [batch, length, dModel]
 * @see as recurrentSoftmaxBlock, the ablation of the denominator
 */
export function attentionVariantBlock(
  params: Readonly<Parameters>,
  x: Tensor,
  options: HeadsOptions & { variant: PlainVariant },
): Tensor {
  const { heads: count = 1, variant } = check.options(options);
  return block(params, x, count, (q, k, v) => attentionVariant(variant, { q, k, v }));
}
