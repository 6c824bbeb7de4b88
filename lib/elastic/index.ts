/**
 * Elastic distances between time series: matrices, search, losses with gradients, averaging, clustering, classification.
 * @module
 */
export { SeriesSet } from './series.js';
export type { Collection, Series, SeriesSetFromOptions, SeriesSetOptions } from './series.js';
export { METRICS, isSymmetric } from './metrics.js';
export type { Band, Metric, MetricOptions } from './metrics.js';
export {
  alignmentPath,
  alignmentPathAsync,
  boundingMatrix,
  costMatrix,
  costMatrixAsync,
  distance,
  distanceAsync,
} from './distance.js';
export type { Alignment, CostMatrix, DistanceOptions } from './distance.js';
export { pairwise, pairwiseAsync } from './pairwise.js';
export type { MatrixOptions, PairwiseOptions, Range } from './pairwise.js';
export { alignmentSums, alignmentSumsAsync } from './align.js';
export type { AlignmentSums, AlignmentSumsOptions } from './align.js';
export {
  SOFT_LOSSES,
  softDistance,
  softDistanceAsync,
  softDistanceGrad,
  softDistanceGradAsync,
  softDtw,
  softDtwGrad,
  softLossBatch,
  softLossBatchAsync,
  softMsm,
  softMsmGrad,
  softPairwise,
  softPairwiseAsync,
} from './soft.js';
export type {
  SoftBatch,
  SoftBatchOptions,
  SoftGradient,
  SoftGradOptions,
  SoftLoss,
  SoftOptions,
  SoftPairwiseOptions,
} from './soft.js';
export { envelope, lbImproved, lbKeogh, lbKim } from './bounds.js';
export type { BoundOptions, Envelope } from './bounds.js';
export { nearest, nearestAsync } from './nearest.js';
export type { Nearest, NearestOptions } from './nearest.js';
export { SubsequenceSearcher, subsequenceSearch, subsequenceSearchAsync } from './subsequence.js';
export type { SubsequenceMatches, SubsequenceOptions } from './subsequence.js';
export * from './methods.js';
export { pairwiseToFile, planPairwise } from './matrix-file.js';
export type { PairwiseFile, PairwiseFileOptions } from './matrix-file.js';
