/**
 * Norms over the last axis.
 */
import * as check from '../../check.js';
import { native } from '../../native.js';
import { settings } from '../settings.js';
import { empty, requireTensor, shapeText, sizeOf } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { mul } from './arithmetic.js';
import { axisOf, record } from './op.js';
import { transpose } from './shape.js';

function norm(
  name: string,
  x: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  eps: number,
  centered: boolean,
): Tensor {
  requireTensor(`x of ${name}`, x);
  const cols = x.shape.at(-1);
  if (cols === undefined) throw check.rangeError(`x of ${name}`, 'of at least one axis', shapeText(x.shape));
  if (check.finiteNumber('eps', eps) < 0) throw check.rangeError('eps', 'at least 0', eps);
  for (const [each, given] of [
    ['weight', weight],
    ['bias', bias],
  ] as const) {
    if (given === undefined) continue;
    requireTensor(each, given, x.dtype);
    if (shapeText(given.shape) !== shapeText([cols]))
      throw check.rangeError(
        each,
        `of shape [${cols}] for x of shape ${shapeText(x.shape)}`,
        shapeText(given.shape),
      );
  }
  const rows = sizeOf(x.shape.slice(0, -1));
  let stats: Tensor;
  return record(
    name,
    [x, ...(weight ? [weight] : []), ...(bias ? [bias] : [])],
    (context) => {
      const y = empty(x.shape, x.dtype);
      stats = context.save(empty([rows, 2], x.dtype));
      native('tensorNorm')(
        x.data,
        weight?.data,
        bias?.data,
        y.data,
        stats.data,
        rows,
        cols,
        eps,
        centered,
        settings.threads,
      );
      return y;
    },
    (g, { needs }) => {
      const dx = needs[0] ? empty(x.shape, x.dtype) : undefined;
      const dWeight = weight && needs[1] ? empty([cols], x.dtype) : undefined;
      const dBias = bias && needs[weight ? 2 : 1] ? empty([cols], x.dtype) : undefined;
      native('tensorNormGrad')(
        x.data,
        weight?.data,
        g.data,
        stats.data,
        dx?.data,
        dWeight?.data,
        dBias?.data,
        rows,
        cols,
        centered,
        settings.threads,
      );
      return [dx, ...(weight ? [dWeight] : []), ...(bias ? [dBias] : [])];
    },
  );
}

/**
 * (x - mean) / sqrt(variance + eps) weight + bias, over the last axis.
 *
 * @param weight [cols], optional
 * @param bias [cols], optional
 * @param eps default 1e-5
 * @see arXiv 1607.06450
 */
export const layerNorm = (x: Tensor, weight?: Tensor, bias?: Tensor, eps = 1e-5): Tensor =>
  norm('layerNorm', x, weight, bias, eps, true);

/**
 * x / sqrt(mean(x^2) + eps) weight, over the last axis.
 *
 * @param weight [cols], optional
 * @param eps default 1e-5
 * @see arXiv 1910.07467
 */
export const rmsNorm = (x: Tensor, weight?: Tensor, eps = 1e-5): Tensor =>
  norm('rmsNorm', x, weight, undefined, eps, false);

/**
 * x / sqrt(sum(x^2) + eps) along an axis: vectors of length 1, and 0 for 0.
 *
 * @param axis default -1
 * @param eps default 1e-12
 */
export function l2Normalize(x: Tensor, axis = -1, eps = 1e-12): Tensor {
  requireTensor('x of l2Normalize', x);
  const at = axisOf('axis', axis, x.shape);
  const last = x.shape.length - 1;
  if (at !== last) {
    const order = x.shape.map((_, i) => (i === at ? last : i === last ? at : i));
    return transpose(l2Normalize(transpose(x, order), -1, eps), order);
  }
  const n = Math.max(x.shape[last], 1);
  return mul(
    norm('l2Normalize', x, undefined, undefined, check.finiteNumber('eps', eps) / n, false),
    n ** -0.5,
  );
}
