/**
 * Softmax attention for training: scores never leave the cache, probabilities are formed again in the backward pass.
 * Native: native/tensor/attention.cc.
 */
import * as check from '../../check.js';
import { native } from '../../native.js';
import { settings } from '../settings.js';
import { empty, requireTensor, shapeText } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { record } from './op.js';

/** Options of attention. */
export interface AttentionOptions {
  /** Query i sees keys 0 to i + keys - queries; default false. */
  causal?: boolean;
  /** What scores are multiplied by; default 1 / sqrt(dim). */
  scale?: number;
}

function optionsOf(options: AttentionOptions | undefined, dim: number): { causal: boolean; scale: number } {
  const o = check.options(options);
  return {
    causal: check.boolean('causal', o.causal ?? false),
    scale: check.finiteNumber('scale', o.scale ?? Math.max(dim, 1) ** -0.5),
  };
}

/**
 * softmax(scale q k^T) v. Memory beside the results: two numbers a query.
 *
 * @param q [batch, heads, queries, dim]
 * @param k [batch, heads, keys, dim]
 * @param v [batch, heads, keys, valueDim]
 * @returns [batch, heads, queries, valueDim]; a query that sees no key gets zeros
 * @throws RangeError (ERR_OUT_OF_RANGE) naming the shapes that do not agree
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options?: AttentionOptions,
): Tensor {
  requireTensor('q', q);
  requireTensor('k', k, q.dtype);
  requireTensor('v', v, q.dtype);
  const shapes = `${shapeText(q.shape)}, ${shapeText(k.shape)} and ${shapeText(v.shape)}`;
  if ([q, k, v].some((each) => each.shape.length !== 4))
    throw check.rangeError('q, k and v', '[batch, heads, length, dim] each', shapes);
  const [batch, heads, queries, dim] = q.shape;
  const [, , keys, valueDim] = v.shape;
  const agrees = [k, v].every((each) => each.shape[0] === batch && each.shape[1] === heads);
  if (!agrees || k.shape[2] !== keys || k.shape[3] !== dim)
    throw check.rangeError('q, k and v', 'of shapes that agree', shapes);
  const { causal, scale } = optionsOf(options, dim);
  const view = (length: number, width: number): number[] => [
    0,
    heads * length * width,
    length * width,
    width,
  ];
  const sizes = Float64Array.of(
    ...[batch, heads, queries, keys, dim, valueDim],
    ...view(queries, dim),
    ...view(keys, dim),
    ...view(keys, valueDim),
    ...view(queries, valueDim),
  );
  let y: Tensor;
  let stats: Tensor;
  return record(
    'scaledDotProductAttention',
    [q, k, v],
    (context) => {
      y = empty([batch, heads, queries, valueDim], q.dtype);
      stats = context.save(empty([2, batch, heads, queries], q.dtype));
      native('tensorAttention')(
        q.data,
        k.data,
        v.data,
        y.data,
        stats.data,
        sizes,
        scale,
        causal,
        settings.threads,
      );
      return y;
    },
    (g) => {
      const gradients = [q, k, v].map((each) => empty(each.shape, each.dtype));
      native('tensorAttentionGrad')(
        ...[q, k, v, y, stats, g].map((each) => each.data),
        ...gradients.map((each) => each.data),
        sizes,
        scale,
        causal,
        settings.threads,
      );
      return gradients;
    },
  );
}

/**
 * Attention of several heads on queries, keys and values as one projection gives them, and its result as the next one takes
 * it: what splitting, transposing, scaledDotProductAttention and transposing back give, without the copies.
 *
 * @param qkv [batch, length, 3 heads dim]: queries of all heads, then keys, then values
 * @param heads at least 1
 * @returns [batch, length, heads dim]
 */
export function packedAttention(qkv: Tensor, heads: number, options?: AttentionOptions): Tensor {
  requireTensor('qkv', qkv);
  check.positiveInteger('heads', heads);
  const [batch, length, width] = qkv.shape;
  if (qkv.shape.length !== 3 || width % (3 * heads) !== 0)
    throw check.rangeError('qkv', `[batch, length, 3 x ${heads} heads x dim]`, shapeText(qkv.shape));
  const dim = width / (3 * heads);
  const { causal, scale } = optionsOf(options, dim);
  const sizes = Float64Array.of(
    ...[batch, heads, length, length, dim, dim],
    ...[0, 1, 2].flatMap((part) => [(part * width) / 3, length * width, dim, width]),
    ...[0, (length * width) / 3, dim, width / 3],
  );
  let y: Tensor;
  let stats: Tensor;
  return record(
    'packedAttention',
    [qkv],
    (context) => {
      y = empty([batch, length, width / 3], qkv.dtype);
      stats = context.save(empty([2, batch, heads, length], qkv.dtype));
      const x = qkv.data;
      native('tensorAttention')(x, x, x, y.data, stats.data, sizes, scale, causal, settings.threads);
      return y;
    },
    (g) => {
      const dx = empty(qkv.shape, qkv.dtype);
      const x = qkv.data;
      native('tensorAttentionGrad')(
        ...[x, x, x, y.data, stats.data, g.data, dx.data],
        undefined,
        undefined,
        sizes,
        scale,
        causal,
        settings.threads,
      );
      return [dx];
    },
  );
}
