/**
 * The SOFT block on the tape: attention by a Gaussian kernel of tied queries and keys, in linear time through landmarks.
 *
 *   q = Wq norm(x);  T = landmarks of q;  O = K(q, T) inverse(K(T, T)) K(T, q) V;  x + Wout O
 *
 * Landmarks are the averages of q / d^(1/4) over the windows of a grid, or over runs of a sequence.
 */
import * as check from '../../check.js';
import {
  mean,
  mul,
  reshape,
  softAttention,
  transpose,
  type Parameters,
  type Tensor,
} from '../../autograd/index.js';
import { type AttentionBlockOptions } from './attention.js';
import { heads, normWeight, output, projection, requireInit, requireSequence, residual } from './shared.js';

/** How a SOFT block finds its landmarks. */
export interface SoftAttentionBlockOptions {
  /** Heads. Default 1. */
  heads?: number;
  /** Rows of the grid that the positions fill row by row. Default 1: a sequence. */
  height?: number;
  /** Rows and columns of a landmark's window; with height 1 its columns alone. Default 2. */
  ratio?: number;
  /** Whether the low-rank matrix is normalised symmetrically (SOFT++). Default false. */
  normalize?: boolean;
  /** How gradients pass the inverse: 'implicit' (default), or through every iteration of it, 'unrolled'. */
  gradient?: 'implicit' | 'unrolled';
}

/** Parameters of softAttentionBlock: queries serve as keys, `norm`, `q`, `v` and `out`. */
export function initSoftAttentionBlock(options: AttentionBlockOptions): Parameters {
  const o = requireInit(options) as AttentionBlockOptions;
  const { dModel } = o;
  const count = check.positiveInteger('heads', o.heads ?? 1);
  const headDim = check.positiveInteger('headDim', o.headDim ?? dModel / count);
  const valueDim = check.positiveInteger('valueDim', o.valueDim ?? dModel / count);
  return {
    'norm.weight': normWeight(dModel, o),
    'q.weight': projection(count * headDim, dModel, o),
    'v.weight': projection(count * valueDim, dModel, o),
    'out.weight': projection(dModel, count * valueDim, o),
  };
}

/**
 * Applies a SOFT block. Every position sees every other.
 *
 * @param x [batch, length, dModel], the positions of a grid of `height` rows, row by row
 * @throws RangeError ERR_OUT_OF_RANGE where windows do not fill the grid
 * @see "Softmax-free Linear Transformers", J. Lu et al., 2022
 */
export function softAttentionBlock(
  params: Readonly<Parameters>,
  x: Tensor,
  options: SoftAttentionBlockOptions = {},
): Tensor {
  requireSequence(x);
  const { heads: count = 1, height = 1, ratio = 2, normalize = false, gradient } = options;
  return residual(params, x, (normed) => {
    const q = heads(params, 'q', normed, count);
    const landmarks = averages(mul(q, q.shape[3] ** -0.25), height, ratio);
    return output(
      params,
      softAttention({ q, landmarks, v: heads(params, 'v', normed, count) }, { normalize, gradient }),
    );
  });
}

/** Means over windows: [batch, heads, height width, dim] to [batch, heads, landmarks, dim]. */
function averages(q: Tensor, height: number, ratio: number): Tensor {
  const [batch, count, length, dim] = q.shape;
  check.positiveInteger('height', height);
  check.positiveInteger('ratio', ratio);
  const down = height === 1 ? 1 : ratio;
  const width = length / height;
  if (height % down !== 0 || !Number.isInteger(width) || width % ratio !== 0)
    throw check.rangeError('ratio', `a divisor of a grid of ${height} rows and ${width} columns`, ratio);
  const [rows, columns] = [height / down, width / ratio];
  const windows = transpose(reshape(q, [batch * count * rows, down, columns, ratio * dim]), [0, 2, 1, 3]);
  const members = reshape(windows, [batch, count, rows * columns, down * ratio, dim]);
  return mean(members, 3);
}
