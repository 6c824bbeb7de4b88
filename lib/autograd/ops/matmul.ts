/**
 * Products of matrices. Native: native/matmul (every element one chain of multiply-adds).
 */
import * as check from '../../check.js';
import { native } from '../../native.js';
import { product, sumTo } from '../kernels.js';
import { settings } from '../settings.js';
import { empty, requireTensor, share, shapeText, sizeOf } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { record } from './op.js';

/** Options of matmul. */
export interface MatmulOptions {
  /** Uses the transposes of the matrices of a, which are k x m then; costs nothing. Default false. */
  transposeA?: boolean;
  /** Uses the transposes of the matrices of b, which are n x k then; costs nothing. Default false. */
  transposeB?: boolean;
}

/** A view as one matrix, all leading axes as rows. */
const flat = (x: Tensor): Tensor => share(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1) ?? 1]);

/** Runs with views, and releases them. */
function using<T>(views: readonly Tensor[], fn: () => T): T {
  try {
    return fn();
  } finally {
    for (const each of views) each.release();
  }
}

/**
 * Products of the matrices in the last two axes; leading axes broadcast.
 *
 * @param a [..., m, k] (with transposeA: [..., k, m])
 * @param b [..., k, n] (with transposeB: [..., n, k])
 * @returns [..., m, n]
 * @throws RangeError (ERR_OUT_OF_RANGE) naming both shapes where they do not agree
 */
export function matmul(a: Tensor, b: Tensor, options?: MatmulOptions): Tensor {
  const o = check.options(options);
  requireTensor('a of matmul', a);
  requireTensor('b of matmul', b, a.dtype);
  const transposeA = check.boolean('transposeA', o.transposeA ?? false);
  const transposeB = check.boolean('transposeB', o.transposeB ?? false);
  if (a.shape.length < 2 || b.shape.length < 2)
    throw check.rangeError(
      'matmul',
      'of tensors of at least two axes',
      `${shapeText(a.shape)} and ${shapeText(b.shape)}`,
    );
  return record(
    'matmul',
    [a, b],
    () => product(a, b, transposeA, transposeB),
    (g, { needs }) => {
      const da = (): Tensor =>
        transposeA ? product(b, g, transposeB, true) : product(g, b, false, !transposeB);
      const db = (): Tensor => {
        // One right factor for a whole batch: the sum over the batch is a sum over rows.
        if (b.shape.length === 2 && !transposeA) {
          const views = [flat(a), flat(g)];
          return using(views, () =>
            transposeB ? product(views[1], views[0], true, false) : product(views[0], views[1], true, false),
          );
        }
        return transposeB ? product(g, a, true, transposeA) : product(a, g, !transposeA, false);
      };
      return [
        needs[0] ? sumTo(da(), a.shape, true) : undefined,
        needs[1] ? sumTo(db(), b.shape, true) : undefined,
      ];
    },
  );
}

/**
 * x W^T + b: a layer of a network.
 *
 * @param x [..., inputs]
 * @param weight [outputs, inputs]
 * @param bias [outputs], optional
 * @returns [..., outputs]
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  requireTensor('x of linear', x);
  requireTensor('weight', weight, x.dtype);
  const [outputs, inputs] = weight.shape;
  if (weight.shape.length !== 2 || x.shape.at(-1) !== inputs)
    throw check.rangeError(
      'weight',
      `[outputs, inputs] for x of shape ${shapeText(x.shape)}`,
      shapeText(weight.shape),
    );
  if (bias !== undefined) {
    requireTensor('bias', bias, x.dtype);
    if (shapeText(bias.shape) !== shapeText([outputs]))
      throw check.rangeError(
        'bias',
        `of shape [${outputs}] for a weight of shape ${shapeText(weight.shape)}`,
        shapeText(bias.shape),
      );
  }
  const rows = sizeOf(x.shape.slice(0, -1));
  return record(
    'linear',
    bias ? [x, weight, bias] : [x, weight],
    () => {
      const y = empty([...x.shape.slice(0, -1), outputs], x.dtype);
      native('tensorLinear')(
        x.data,
        weight.data,
        bias?.data,
        y.data,
        rows,
        inputs,
        outputs,
        settings.threads,
      );
      return y;
    },
    (g, { needs }) => {
      const [dx, dWeight, dBias] = [x, weight, bias].map((each, i) =>
        each && needs[i] ? empty(each.shape, each.dtype) : undefined,
      );
      native('tensorLinearGrad')(
        ...[x, weight, g, dx, dWeight, dBias].map((each) => each?.data),
        ...[rows, inputs, outputs, settings.threads],
      );
      return [dx, dWeight, dBias];
    },
  );
}
