/**
 * Softmax, its logarithm, and the cross-entropy of logits.
 */
import * as check from '../../check.js';
import { native } from '../../native.js';
import { binary, map } from '../kernels.js';
import { settings } from '../settings.js';
import { empty, requireTensor, share, shapeText, sizeOf } from '../tensor.js';
import type { Tensor } from '../tensor.js';
import { axisOf, record, requireIndices } from './op.js';
import { transpose } from './shape.js';

/** Options of softmax and logSoftmax. */
export interface SoftmaxOptions {
  /** Default -1. */
  axis?: number;
  /**
   * The last two axes are queries and keys, and query i sees keys 0 to i + keys - queries: others get 0. Default false.
   */
  causal?: boolean;
}

function normalized(name: string, x: Tensor, log: boolean, options: SoftmaxOptions | undefined): Tensor {
  requireTensor(`x of ${name}`, x);
  const o = check.options(options);
  const axis = axisOf('axis', o.axis ?? -1, x.shape);
  const causal = check.boolean('causal', o.causal ?? false);
  const last = x.shape.length - 1;
  if (axis !== last) {
    if (causal) throw check.rangeError('axis', 'the last one where causal', axis);
    const order = x.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
    return transpose(normalized(name, transpose(x, order), log, {}), order);
  }
  if (causal && last < 1)
    throw check.rangeError('x', 'of at least two axes where causal', shapeText(x.shape));
  const cols = x.shape[last];
  const rows = sizeOf(x.shape.slice(0, -1));
  const queries = causal ? x.shape[last - 1] : 0;
  let y: Tensor;
  return record(
    name,
    [x],
    () => {
      y = empty(x.shape, x.dtype);
      native('tensorSoftmax')(x.data, y.data, rows, cols, queries, causal, log, settings.threads);
      return y;
    },
    (g) => {
      const dx = empty(x.shape, x.dtype);
      native('tensorSoftmaxGrad')(y.data, g.data, dx.data, rows, cols, log, settings.threads);
      return [dx];
    },
  );
}

/** e^x over its sum along an axis; a row of -Infinity, or one that sees nothing, gives zeros. */
export const softmax = (x: Tensor, options?: SoftmaxOptions): Tensor =>
  normalized('softmax', x, false, options);

/** log softmax, without the detour through probabilities. */
export const logSoftmax = (x: Tensor, options?: Omit<SoftmaxOptions, 'causal'>): Tensor =>
  normalized('logSoftmax', x, true, { axis: options?.axis });

/** Options of crossEntropy. */
export interface CrossEntropyOptions {
  /** Rows with this target count nothing; default -100. */
  ignoreIndex?: number;
  /** s in q_i = (1 - s) [i = target] + s / classes, in [0, 1); default 0. */
  labelSmoothing?: number;
  /** What is made of the rows' losses; default 'mean' over rows that count (NaN without any). */
  reduction?: 'mean' | 'sum' | 'none';
}

/** Losses and gradient with smoothed targets; returns the one that is reduced to. */
function smoothed(
  logits: Tensor,
  targets: Int32Array,
  losses: Float64Array,
  gradient: Tensor | undefined,
  o: { rows: number; cols: number } & Required<CrossEntropyOptions>,
): number {
  const out = o.reduction === 'none' ? losses.subarray(0, o.rows) : losses.subarray(0, 1);
  native('crossEntropy')(
    ...[logits.data, targets, out, gradient?.data, undefined, o.rows, o.cols, o.cols, logits.dtype],
    ...[1, 'auto', o.labelSmoothing, o.ignoreIndex, o.reduction, 'zero', settings.threads],
  );
  return out[0];
}

/**
 * -sum_i q_i log softmax(logits)_i, q the target's distribution. Loss and gradient are formed in one call, so that a
 * training step reads the logits twice and stores no probabilities beside the gradient.
 *
 * @param logits [..., classes]
 * @param targets one class for each row, row-major
 * @returns a scalar, or for 'none' one loss a row [...]
 */
export function crossEntropy(logits: Tensor, targets: Int32Array, options?: CrossEntropyOptions): Tensor {
  requireTensor('logits', logits);
  requireIndices('targets', targets);
  const o = check.options(options);
  const cols = logits.shape.at(-1);
  if (cols === undefined) throw check.rangeError('logits', 'of at least one axis', shapeText(logits.shape));
  const rowShape = logits.shape.slice(0, -1);
  const rows = sizeOf(rowShape);
  if (targets.length !== rows)
    throw check.rangeError(
      'targets',
      `${rows} classes, one for each row of ${shapeText(logits.shape)}`,
      targets,
    );
  const ignoreIndex = o.ignoreIndex ?? -100;
  if (!Number.isInteger(ignoreIndex)) throw check.typeError('ignoreIndex', 'an integer', ignoreIndex);
  const labelSmoothing = check.finiteNumber('labelSmoothing', o.labelSmoothing ?? 0);
  if (labelSmoothing < 0 || labelSmoothing >= 1)
    throw check.rangeError('labelSmoothing', 'in [0, 1)', labelSmoothing);
  const reduction = check.oneOf('reduction', o.reduction ?? 'mean', ['mean', 'sum', 'none'] as const);
  const single = reduction !== 'none';
  let gradient: Tensor | undefined;
  return record(
    'crossEntropy',
    [logits],
    (context) => {
      if (context.recording) gradient = context.save(empty(logits.shape, logits.dtype));
      const losses = new Float64Array(Math.max(rows, 1));
      const total =
        labelSmoothing > 0
          ? smoothed(logits, targets, losses, gradient, {
              rows,
              cols,
              labelSmoothing,
              ignoreIndex,
              reduction,
            })
          : (native('tensorCrossEntropy')(
              ...[logits.data, targets, gradient?.data, losses.subarray(0, rows)],
              ...[rows, cols, ignoreIndex, reduction === 'mean', settings.threads],
            ) as number);
      const y = empty(single ? [] : rowShape, logits.dtype);
      y.data.set(single ? [total] : losses.subarray(0, rows));
      return y;
    },
    (g) => {
      if (gradient === undefined) return [];
      if (single) return [g.item() === 1 ? share(gradient) : map('affine', gradient, g.item(), 0)];
      const slope = share(g, [...rowShape, 1]);
      const dx = binary('mul', gradient, slope);
      slope.release();
      return [dx];
    },
  );
}
