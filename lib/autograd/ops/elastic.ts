/**
 * Soft elastic losses of pairs of series (lib/elastic/soft.ts) with their exact gradients in both.
 */
import * as check from '../../check.js';
import { softLossBatch, type SoftOptions } from '../../elastic/soft.js';
import { SeriesSet } from '../../elastic/series.js';
import type { Reals } from '../../kernels/arguments.js';
import { threads } from '../settings.js';
import { apply } from '../tape.js';
import { empty, requireTensor, shapeText, type Tensor } from '../tensor.js';

/** Options of the losses: the channels are those of the tensors. */
export type SoftLossOptions = Omit<SoftOptions, 'channels'>;

/** A tensor of series: [length], [channels, length] or [batch, channels, length]. */
interface Batch {
  count: number;
  channels: number;
  length: number;
}

function batchOf(name: string, x: Tensor): Batch {
  const { shape } = x;
  if (shape.length < 1 || shape.length > 3)
    throw check.rangeError(
      name,
      'of axes [length], [channels, length] or [batch, channels, length]',
      `shape ${shapeText(shape)}`,
    );
  const [count, channels, length] = [...Array<number>(3 - shape.length).fill(1), ...shape];
  if (x.size === 0) throw check.rangeError(name, 'without empty axes', `shape ${shapeText(shape)}`);
  return { count, channels, length };
}

/** Series of a batch, that of a batch of one again and again where there are to be more. */
function setOf(x: Tensor, { count, channels, length }: Batch, wanted: number): SeriesSet {
  let { data } = x;
  if (count !== wanted) {
    const one = data;
    data = x.dtype === 'f64' ? new Float64Array(wanted * one.length) : new Float32Array(wanted * one.length);
    for (let k = 0; k < wanted; k++) data.set(one, k * one.length);
  }
  return new SeriesSet(data, { channels, lengths: new Int32Array(wanted).fill(length) });
}

/** sum_k factor[k] d[k], or each product on its own where the tensor had a series for each pair. */
function scaled(like: Tensor, each: Float64Array, factor: Reals): Tensor {
  const result = empty(like.shape, like.dtype);
  const size = each.length / factor.length;
  const sum = new Float64Array(like.size);
  for (let k = 0; k < factor.length; k++) {
    const start = like.size === each.length ? k * size : 0;
    for (let i = 0; i < size; i++) sum[start + i] += factor[k] * each[k * size + i];
  }
  result.data.set(sum);
  return result;
}

/**
 * A soft elastic loss of pairs of series: series k of x against series k of y; a batch of one goes against every series of
 * the other. Losses and gradients are exact derivatives of each other; they are computed in the type of the tensors,
 * gradients are summed in float64.
 *
 * @param x [length], [channels, length] or [batch, channels, length]; finite
 * @param y the same number of axes, channels and type as x; its length may be another
 * @param options which loss, `gamma`, a band, `divergence`: those of `softDistance` in softlane/elastic
 * @returns [batch] losses; a single number without the batch axis
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument; with gradients also where
 *   the band leaves no path
 */
export function softDistance(x: Tensor, y: Tensor, options?: SoftLossOptions): Tensor {
  requireTensor('x', x);
  requireTensor('y', y, x.dtype);
  const o = check.options(options);
  const a = batchOf('x', x);
  const b = batchOf('y', y);
  if (x.shape.length !== y.shape.length || a.channels !== b.channels)
    throw check.rangeError(
      'y',
      `of ${x.shape.length} axes and ${a.channels} channels as x`,
      `shape ${shapeText(y.shape)}`,
    );
  if (a.count !== b.count && a.count !== 1 && b.count !== 1)
    throw check.rangeError('y', `of ${a.count} series as x, or of one`, `${b.count}`);
  const count = Math.max(a.count, b.count);
  let kept: { dX?: Float64Array; dY?: Float64Array } = {};
  return apply({
    name: o.loss === undefined ? 'softDistance' : `softDistance '${o.loss}'`,
    inputs: [x, y],
    forward: ({ recording }) => {
      const settings = { ...o, channels: undefined, grad: recording, threads: threads() };
      const { values, dX, dY } = softLossBatch(setOf(x, a, count), setOf(y, b, count), settings);
      kept = { dX, dY };
      const losses = empty(x.shape.length === 3 ? [count] : [], x.dtype);
      losses.data.set(values);
      return losses;
    },
    backward: ([gradient], { needs }) =>
      [x, y].map((each, i) => {
        const d = i === 0 ? kept.dX : kept.dY;
        return needs[i] && d && gradient ? scaled(each, d, gradient.data) : undefined;
      }),
  });
}

/** softDistance with the recursion of dynamic time warping (Cuturi and Blondel, "Soft-DTW", ICML 2017). */
export const softDtw = (x: Tensor, y: Tensor, options?: Omit<SoftLossOptions, 'loss'>): Tensor =>
  softDistance(x, y, { ...check.options(options), loss: 'dtw' });

/** softDistance with the recursion of move-split-merge (Holder and Bagnall, arXiv 2605.00069). */
export const softMsm = (x: Tensor, y: Tensor, options?: Omit<SoftLossOptions, 'loss'>): Tensor =>
  softDistance(x, y, { ...check.options(options), loss: 'msm' });
