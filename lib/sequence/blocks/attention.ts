/**
 * Attention blocks on the tape, each x + Wout attention(norm(x)): softmax attention and what is to stand in its place.
 * They share their parameters (`norm`, `q`, `k`, `v`, `out`), so that accuracies compare forms and not sizes.
 */
import * as check from '../../check.js';
import {
  exp,
  l2Normalize,
  linearAttention,
  matmul,
  minimum,
  mul,
  prefixLinearAttention,
  scaledDotProductAttention,
  slice,
  zeros,
  type Parameters,
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

/** What stands in the place of softmax's denominator. */
export type AttentionNorm = 'sum' | 'l2' | 'length';

/**
 * Softmax attention with the exponential cut off after the term of order N: a recurrence whose state is of constant size.
 *
 * @param x [batch, length, dModel]
 * @param options `order`: N, default 2; `norm`: 'sum' of the weights (default; odd orders may divide by 0), or 'l2': the
 *   result is scaled to length 1
 * @see "On the Expressiveness of Softmax Attention: A Recurrent Neural Network Perspective", G. Mongaras and E. C. Larson,
 *   2025
 */
export function recurrentSoftmaxBlock(
  params: Readonly<Parameters>,
  x: Tensor,
  options: HeadsOptions & { order?: number; norm?: Exclude<AttentionNorm, 'length'> } = {},
): Tensor {
  const { heads: count = 1, order = 2, norm = 'sum' } = options;
  check.oneOf('norm', norm, ['sum', 'l2']);
  return block(params, x, count, (q, k, v) => {
    const { out } = linearAttention({ q, k, v }, { map: 'taylor', order, normalize: norm === 'sum' });
    return norm === 'sum' ? out : l2Normalize(out);
  });
}

/** Scores are cut off here before the exponential where nothing divides by their sum. */
const SCORE_CLAMP = 5;

/**
 * Causal softmax attention with another norm in the place of its denominator: 'l2' scales the result to length 1, 'length'
 * divides it by the number of positions seen (exp(min(s, 5)) v / t), 'sum' is softmax itself.
 *
 * @param x [batch, length, dModel]
 * @see as recurrentSoftmaxBlock, the ablation of the denominator
 */
export function normedAttentionBlock(
  params: Readonly<Parameters>,
  x: Tensor,
  options: HeadsOptions & { norm: AttentionNorm },
): Tensor {
  const { heads: count = 1 } = check.options(options);
  const norm = check.oneOf('norm', options.norm, ['sum', 'l2', 'length']);
  return block(params, x, count, (q, k, v) => {
    if (norm === 'length') return byLength(q, k, v);
    const out = scaledDotProductAttention(q, k, v, { causal: true });
    // A positive factor of a row, such as softmax's own denominator, is without effect on what is scaled to length 1.
    return norm === 'l2' ? l2Normalize(out) : out;
  });
}

function byLength(q: Tensor, k: Tensor, v: Tensor): Tensor {
  const [, , length, dim] = q.shape;
  const weights = exp(minimum(mul(matmul(q, k, { transposeB: true }), dim ** -0.5), SCORE_CLAMP));
  const seen = zeros([length, length], { dtype: q.dtype });
  for (let t = 0; t < length; t++) seen.data.fill(1 / (t + 1), t * length, t * length + t + 1);
  return matmul(mul(weights, seen), v);
}
