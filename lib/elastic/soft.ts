/**
 * Soft elastic losses: the recursions of the distances with a soft minimum, their exact gradients, divergences.
 */
import * as check from '../check.js';
import { threadsOf } from '../kernels/arguments.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { weightsOf } from './align.js';
import { methodArgs, pairOf } from './distance.js';
import type { Pair } from './distance.js';
import {
  bandOf,
  gapOf,
  nonNegative,
  pack,
  relativeGateFlag,
  requireLengths,
  slopeOf,
  requireKnown,
} from './metrics.js';
import type { Band, NativeMethod } from './metrics.js';
import { prepareMatrix, requireSets, setsOf } from './pairwise.js';
import type { MatrixOptions, Range } from './pairwise.js';
import { SeriesSet } from './series.js';
import type { Collection, Series } from './series.js';
import { nativeCall, runLater, runNow } from './task.js';
import type { Task } from './task.js';

/**
 * Which recursion has its minimum made soft: `'dtw'` is soft-DTW (Cuturi & Blondel 2017), `'msm'` Soft-MSM (Holder &
 * Bagnall 2026, arXiv 2605.00069: squared costs, a smooth gate in the split-merge cost), the others the recursions of
 * softlane's distances as they are.
 */
export type SoftLoss = 'dtw' | 'wdtw' | 'adtw' | 'erp' | 'twe' | 'msm';

/** The soft losses, in the order of the documentation. */
export const SOFT_LOSSES: readonly SoftLoss[] = ['dtw', 'wdtw', 'adtw', 'erp', 'twe', 'msm'];

/** Options that say which loss. */
export interface SoftOptions extends Band {
  /** Channels of series given as arrays. Default 1. Soft-MSM sums over channels; the others share one alignment. */
  channels?: number;
  /** Which loss. Default 'dtw'. */
  loss?: SoftLoss;
  /** Width of the soft minimum, in units of cost, in [1e-30, 1e30]; 0 (value only, not for 'msm'): the hard minimum. Default 1. */
  gamma?: number;
  /** msm: cost of a split or merge, at least 0. Default 1. */
  c?: number;
  /** wdtw: slope of the weight, default 0.05. erp: gap value, one or one a channel, default 0. */
  g?: number | Float64Array;
  /** adtw: penalty of a step off the diagonal. Default 1. */
  warpPenalty?: number;
  /** twe: stiffness. Default 0.001. */
  nu?: number;
  /** twe: penalty of a deletion. Default 1. */
  lambda?: number;
  /**
   * msm: the smoothing of the gate, 1e-9 ('absolute'), or 1e-9 (a^2 + b^2)^2 of the two differences that it compares
   * ('relative': then it does not depend on the amplitude). Default 'absolute': z-normalise first.
   */
  gate?: 'absolute' | 'relative';
  /**
   * s(x, y) - s(x, x) / 2 - s(y, y) / 2 in place of s(x, y): 0 for x = y. A soft loss itself may be negative and is not
   * 0 for x = y. Default false.
   */
  divergence?: boolean;
}

/** Options of the gradient of a pair. */
export interface SoftGradOptions extends SoftOptions {
  /** Also return the soft alignment and the occupancy. Default false. */
  alignment?: boolean;
}

/** A loss and its gradients. */
export interface SoftGradient {
  /** The loss. */
  value: number;
  /** d value / d x, channels x n. */
  dx: Float64Array;
  /** d value / d y, channels x m. */
  dy: Float64Array;
  /** n x m, row-major: expected number of paths that enter (i, j) by its diagonal step. Of s(x, y), summed over channels for msm. */
  alignment?: Float64Array;
  /** n x m: of paths through (i, j). soft-DTW's alignment matrix of the literature is this one. */
  occupancy?: Float64Array;
}

/** Options of softLossBatch. */
export interface SoftBatchOptions extends SoftOptions {
  /** Also return gradients. Default false. */
  grad?: boolean;
  /** A factor of at least 0 of each pair's gradients. Default 1. */
  weights?: Float64Array;
  /** Most threads; results do not depend on them. Default 1. */
  threads?: number;
}

/** Losses of pairs, and their gradients where asked for, laid out as the sets' data. */
export interface SoftBatch {
  values: Float64Array;
  /** Of each X, weighted; for a single X the sum over all pairs. */
  dX?: Float64Array;
  /** Of each Y, weighted. */
  dY?: Float64Array;
}

/** Checks the options of a loss. */
function softMethod(o: SoftOptions, channels: number, isGradient: boolean): NativeMethod {
  requireKnown(o, 'metric');
  const loss = o.loss === undefined ? 'dtw' : check.oneOf('loss', o.loss, SOFT_LOSSES);
  const { band, value } = bandOf(o);
  const gamma = nonNegative('gamma', o.gamma, 1);
  if (gamma !== 0 && !(gamma >= 1e-30 && gamma <= 1e30))
    throw check.rangeError('gamma', 'in [1e-30, 1e30], or 0', gamma);
  if (gamma === 0 && isGradient) throw check.rangeError('gamma', '> 0 for gradients', gamma);
  if (gamma === 0 && loss === 'msm') throw check.rangeError('gamma', "> 0 for loss 'msm'", gamma);
  const gate = o.gate === undefined ? 'absolute' : check.oneOf('gate', o.gate, ['absolute', 'relative']);
  if (o.divergence !== undefined) check.boolean('divergence', o.divergence);
  const parameters = pack(
    {
      gamma,
      slope: loss === 'wdtw' ? slopeOf(o.g) : 0,
      penalty: nonNegative('warpPenalty', o.warpPenalty, 1),
      nu: nonNegative('nu', o.nu, 0.001),
      lambda: nonNegative('lambda', o.lambda, 1),
      cost: nonNegative('c', o.c, 1),
      flags: gate === 'relative' ? relativeGateFlag : 0,
      band: value,
    },
    loss === 'erp' ? gapOf(o.g, channels) : new Float64Array(channels),
  );
  return { metric: loss === 'msm' ? 'softMsm' : loss, band, channels, parameters };
}

/** The shares of a task before and after one of its calls: a divergence has three, a loss one. */
function thirdOf(o: SoftOptions, index: number): readonly [number, number] {
  return o.divergence ? [index / 3, (index + 1) / 3] : [0, 1];
}

function* valueSteps(x: Series, y: Series, o: SoftOptions): Task<number> {
  const pair = pairOf(x, y, o.channels);
  const method = softMethod(o, pair.channels, false);
  requireLengths(method, pair.n, pair.m);
  const call = (a: Series, b: Series): Prepared<number> => ({
    operation: 'elasticDistance',
    args: [a, b, Infinity, ...methodArgs(method)],
    result: (returned) => returned as number,
  });
  const value = yield* nativeCall(call(x, y), thirdOf(o, 0));
  if (!o.divergence) return value;
  const selfX = yield* nativeCall(call(x, x), thirdOf(o, 1));
  const selfY = yield* nativeCall(call(y, y), thirdOf(o, 2));
  return value - selfX / 2 - selfY / 2;
}

/**
 * A soft loss of two series.
 * @param x channels x n values, channel first; float32 computes in float32
 * @param y channels x m values of the class of x
 * @returns the loss, which may be negative (see `divergence`); Infinity where the band leaves no path
 * @throws TypeError, RangeError as `distance`; for gamma below 0, c below 0
 */
export const softDistance = (x: Series, y: Series, options?: SoftOptions): number =>
  runNow(valueSteps(x, y, check.options(options)));

/** Promise form of softDistance: for series so long that one pair takes its time. */
export const softDistanceAsync = async (
  x: Series,
  y: Series,
  options?: SoftOptions & AsyncOptions,
): Promise<number> => {
  const o = check.options(options);
  return runLater(valueSteps(x, y, o), o);
};

/** softDistance with loss 'dtw': soft-DTW. */
export const softDtw = (x: Series, y: Series, options?: Omit<SoftOptions, 'loss'>): number =>
  softDistance(x, y, { ...check.options(options), loss: 'dtw' });

/** softDistance with loss 'msm': Soft-MSM. */
export const softMsm = (x: Series, y: Series, options?: Omit<SoftOptions, 'loss'>): number =>
  softDistance(x, y, { ...check.options(options), loss: 'msm' });

function requirePath(value: number, where: string): void {
  if (!Number.isFinite(value))
    throw check.rangeError('x', 'such that the loss is finite, within the band', `${value} for ${where}`);
}

/** Numbers so large that their squares overflow have a loss, but no gradient. */
function requireFiniteGradient(gradient: Float64Array | undefined): void {
  if (gradient && !gradient.every(Number.isFinite))
    throw check.rangeError(
      'x',
      'of a magnitude whose gradient can be computed',
      'a gradient that is not finite',
    );
}

/** The smallest table that cannot be kept for the way back. */
function requireTable(pair: Pair): void {
  if (pair.n * pair.m * 8 > 2 ** 31)
    throw check.rangeError(
      'x',
      'such that the table of x and y has at most 2^31 bytes',
      `${pair.n} x ${pair.m} cells`,
    );
}

function gradientCall(pair: Pair, method: NativeMethod, wantsAlignment: boolean): Prepared<SoftGradient> {
  requireTable(pair);
  const dx = new Float64Array(pair.x.length);
  const dy = new Float64Array(pair.y.length);
  const alignment = wantsAlignment ? new Float64Array(pair.n * pair.m) : undefined;
  const occupancy = wantsAlignment ? new Float64Array(pair.n * pair.m) : undefined;
  const result = (returned: unknown): SoftGradient => {
    const value = returned as number;
    requirePath(value, 'x and y');
    requireFiniteGradient(dx);
    requireFiniteGradient(dy);
    return alignment && occupancy ? { value, dx, dy, alignment, occupancy } : { value, dx, dy };
  };
  const args = [pair.x, pair.y, dx, dy, alignment, occupancy, ...methodArgs(method)];
  return { operation: 'elasticSoftPair', args, result };
}

function* gradientSteps(x: Series, y: Series, o: SoftGradOptions): Task<SoftGradient> {
  const pair = pairOf(x, y, o.channels);
  const method = softMethod(o, pair.channels, true);
  requireLengths(method, pair.n, pair.m);
  const wants = o.alignment === undefined ? false : check.boolean('alignment', o.alignment);
  const result = yield* nativeCall(gradientCall(pair, method, wants), thirdOf(o, 0));
  if (!o.divergence) return result;
  // The half of a self term is undone by its two equal arguments.
  const selfX = yield* nativeCall(
    gradientCall({ ...pair, y: pair.x, m: pair.n }, method, false),
    thirdOf(o, 1),
  );
  const selfY = yield* nativeCall(
    gradientCall({ ...pair, x: pair.y, n: pair.m }, method, false),
    thirdOf(o, 2),
  );
  result.value -= selfX.value / 2 + selfY.value / 2;
  for (let i = 0; i < result.dx.length; i++) result.dx[i] -= (selfX.dx[i] + selfX.dy[i]) / 2;
  for (let j = 0; j < result.dy.length; j++) result.dy[j] -= (selfY.dx[j] + selfY.dy[j]) / 2;
  return result;
}

/**
 * A soft loss of two series and its gradients in both. Where costs have a corner (erp, twe: equal points) the gradient is
 * the subgradient 0 of that cost.
 * @throws as softDistance; RangeError for gamma 0, for a band without a path, for tables above 2^31 bytes
 */
export const softDistanceGrad = (x: Series, y: Series, options?: SoftGradOptions): SoftGradient =>
  runNow(gradientSteps(x, y, check.options(options)));

/** Promise form of softDistanceGrad. */
export const softDistanceGradAsync = async (
  x: Series,
  y: Series,
  options?: SoftGradOptions & AsyncOptions,
): Promise<SoftGradient> => {
  const o = check.options(options);
  return runLater(gradientSteps(x, y, o), o);
};

/** softDistanceGrad with loss 'dtw'. */
export const softDtwGrad = (x: Series, y: Series, options?: Omit<SoftGradOptions, 'loss'>): SoftGradient =>
  softDistanceGrad(x, y, { ...check.options(options), loss: 'dtw' });

/** softDistanceGrad with loss 'msm'. */
export const softMsmGrad = (x: Series, y: Series, options?: Omit<SoftGradOptions, 'loss'>): SoftGradient =>
  softDistanceGrad(x, y, { ...check.options(options), loss: 'msm' });

/** One native call over pairs: row k of x (or its only row) against row k of y. */
function preparePaired(
  x: SeriesSet,
  y: SeriesSet,
  method: NativeMethod,
  o: { dx?: Float64Array; dy?: Float64Array; weights?: Float64Array; threads: number },
): Prepared<Float64Array> {
  const values = new Float64Array(y.count);
  const args = [
    x.data,
    x.lengths,
    y.data,
    y.lengths,
    values,
    o.dx,
    o.dy,
    o.weights,
    ...methodArgs(method),
    o.threads,
  ];
  return { operation: 'elasticPaired', args, result: values };
}

function* batchSteps(X: Collection, Y: Collection, o: SoftBatchOptions): Task<SoftBatch> {
  const sets = setsOf(X, Y, o.channels);
  const { x } = sets;
  const { y } = sets;
  if (!y) throw check.typeError('Y', 'a SeriesSet or an array of series', Y);
  const grad = o.grad === undefined ? false : check.boolean('grad', o.grad);
  const method = softMethod(o, x.channels, grad);
  if (x.count !== y.count && x.count !== 1)
    throw check.rangeError('X', `one series, or ${y.count} as Y`, `${x.count}`);
  requireSets(method, x, y);
  const weights = weightsOf(o.weights, y.count);
  const threads = threadsOf(o.threads);
  const dX = grad ? new Float64Array(x.data.length) : undefined;
  const dY = grad ? new Float64Array(y.data.length) : undefined;
  const values = yield* nativeCall(
    preparePaired(x, y, method, { dx: dX, dy: dY, weights, threads }),
    thirdOf(o, 0),
  );
  if (grad) values.forEach((value, k) => requirePath(value, `pair ${k}`));
  requireFiniteGradient(dX);
  requireFiniteGradient(dY);
  if (!o.divergence) return { values, dX, dY };

  const single = x.count === 1 && y.count > 1;
  const total = weights ? weights.reduce((a, b) => a + b, 0) : y.count;
  for (const [set, into, isX] of [
    [x, dX, true],
    [y, dY, false],
  ] as const) {
    const shared = isX && single;
    const own = shared ? undefined : weights;
    const da = grad ? new Float64Array(set.data.length) : undefined;
    const db = grad ? new Float64Array(set.data.length) : undefined;
    const self = yield* nativeCall(
      preparePaired(set, set, method, { dx: da, dy: db, weights: own, threads }),
      thirdOf(o, isX ? 1 : 2),
    );
    for (let k = 0; k < values.length; k++) values[k] -= self[shared ? 0 : k] / 2;
    const share = shared ? total : 1;
    if (into && da && db) for (let i = 0; i < into.length; i++) into[i] -= (share * (da[i] + db[i])) / 2;
  }
  return { values, dX, dY };
}

/**
 * Soft losses of pairs of series, for training: series k of X against series k of Y, or a single X against every Y (the
 * objective of a barycentre: dX is then the weighted sum over pairs, summed in their order). Pairs run side by side in
 * vector lanes, and a gradient costs about as much again as the value.
 * @returns values in float64; gradients laid out as the sets' data
 * @throws as softDistanceGrad; RangeError for counts that do not fit, weights that are negative or all 0
 */
export const softLossBatch = (X: Collection, Y: Collection, options?: SoftBatchOptions): SoftBatch =>
  runNow(batchSteps(X, Y, check.options(options)));

/** Promise form of softLossBatch. */
export const softLossBatchAsync = async (
  X: Collection,
  Y: Collection,
  options?: SoftBatchOptions & AsyncOptions,
): Promise<SoftBatch> => {
  const o = check.options(options);
  return runLater(batchSteps(X, Y, o), o);
};

/** Options of softPairwise. */
export type SoftPairwiseOptions = SoftOptions & MatrixOptions;

function* selfTerms(
  set: SeriesSet,
  [begin, end]: Range,
  method: NativeMethod,
  threads: number,
): Task<Float64Array> {
  const all = begin === 0 && end === set.count;
  const part = all ? set : set.subset(Array.from({ length: end - begin }, (_, i) => begin + i));
  return yield* nativeCall(preparePaired(part, part, method, { threads }));
}

function* matrixSteps(X: Collection, Y: Collection | null, o: SoftPairwiseOptions): Task<Float64Array> {
  const { x, y } = setsOf(X, Y, o.channels);
  const method = softMethod(o, x.channels, false);
  const prepared = prepareMatrix(x, y, method, o);
  const out = yield* nativeCall(prepared, [0, 1]);
  if (!o.divergence) return out;
  // Self terms once for each series of the block, not for each pair.
  const threads = threadsOf(o.threads);
  const rows = o.rows ?? [0, x.count];
  const cols = o.cols ?? [0, (y ?? x).count];
  const selfRows = yield* selfTerms(x, rows, method, threads);
  const isSame = !y && rows[0] === cols[0] && rows[1] === cols[1];
  const selfCols = isSame ? selfRows : yield* selfTerms(y ?? x, cols, method, threads);
  let at = 0;
  for (const row of selfRows) for (const col of selfCols) out[at++] -= row / 2 + col / 2;
  return out;
}

/**
 * Soft losses between every series of X and every one of Y, or of X itself where Y is null (computed once for each pair;
 * the diagonal holds the self terms, 0 for divergences).
 * @returns count(X) x count(Y) losses, row-major, or the block of `rows` and `cols`
 * @throws as softDistance and pairwise
 */
export const softPairwise = (
  X: Collection,
  Y: Collection | null,
  options?: SoftPairwiseOptions,
): Float64Array => runNow(matrixSteps(X, Y, check.options(options)));

/** Promise form of softPairwise. */
export const softPairwiseAsync = async (
  X: Collection,
  Y: Collection | null,
  options?: SoftPairwiseOptions & AsyncOptions,
): Promise<Float64Array> => {
  const o = check.options(options);
  return runLater(matrixSteps(X, Y, o), o);
};
