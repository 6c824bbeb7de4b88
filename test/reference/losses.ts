/**
 * Cross-entropy with label smoothing in plain float64. With C classes, smoothing s and target t,
 *   q_i = (1 - s) [i = t] + s / C,   loss = -sum_i q_i logp_i,   g_i = scale (p_i - q_i) / T.
 */
import { logSoftmax, type ReferenceOptions, rowsOf, softmax } from './softmax.js';
import { CompensatedSum, sumOver } from './sums.js';

/** Options of the reference loss; the defaults are those of the package. */
export interface LossOptions extends ReferenceOptions {
  rows?: number;
  labelSmoothing?: number;
  ignoreIndex?: number;
  reduction?: 'none' | 'sum' | 'mean';
  /** Upstream derivative of each row's loss; default 1. */
  rowScale?: ArrayLike<number>;
}

/** Losses (one per row, or one in all) and the gradient with respect to the logits. */
export interface Loss {
  loss: Float64Array;
  gradient: Float64Array;
  counted: number;
}

/** q_i of one row. */
function smoothedTarget(target: number, cols: number, smoothing: number): Float64Array {
  const q = new Float64Array(cols).fill(smoothing / cols);
  q[target] += 1 - smoothing;
  return q;
}

/** Loss of one row; a class that the target gives no weight does not count, even at logp = -Infinity. */
function rowLoss(logp: Float64Array, q: Float64Array): number {
  const terms = sumOver(q.length, (i) => (q[i] === 0 ? 0 : q[i] * logp[i]));
  return 0 - terms;
}

/** Cross-entropy of a row-major matrix of logits against one class index per row. */
export function crossEntropy(
  x: ArrayLike<number>,
  targets: ArrayLike<number>,
  options: LossOptions = {},
): Loss {
  const { rows = targets.length, labelSmoothing = 0, ignoreIndex = -100, reduction = 'none' } = options;
  const { temperature = 1, rowScale } = options;
  const cols = rows === 0 ? 0 : x.length / rows;
  const losses = new Float64Array(rows);
  const gradient = new Float64Array(rows * cols);
  const counted = Array.from(targets).filter((target) => target !== ignoreIndex).length;
  const total = new CompensatedSum();

  rowsOf(x, rows, cols).forEach((row, r) => {
    if (targets[r] === ignoreIndex) return;
    const q = smoothedTarget(targets[r], cols, labelSmoothing);
    const p = softmax(row, options);
    losses[r] = rowLoss(logSoftmax(row, options), q);
    total.add(losses[r]);
    const scale = (rowScale ? rowScale[r] : 1) / (reduction === 'mean' ? counted : 1) / temperature;
    p.forEach((_, i) => {
      gradient[r * cols + i] = (p[i] - q[i]) * scale;
    });
  });

  if (reduction === 'none') return { loss: losses, gradient, counted };
  const loss = reduction === 'sum' ? total.value : counted === 0 ? NaN : total.value / counted;
  return { loss: Float64Array.of(loss), gradient, counted };
}
