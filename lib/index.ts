/**
 * softlane: softmax-shaped computation at hardware speed. The kernels; method families are subpaths.
 */
import { loadTuning } from './tuning.js';

loadTuning();

export type { ArgumentError, Floats } from './check.js';
export type { AsyncOptions } from './native.js';
export type { Dtype, MatrixOptions } from './kernels/arguments.js';
export { softmax, softmaxAsync, logSoftmax, logSoftmaxAsync } from './kernels/softmax.js';
export type { RowMap, RowMapAsync, RowOptions, SoftmaxAlgorithm, SoftmaxOptions } from './kernels/softmax.js';
export * from './kernels/losses.js';
export * from './kernels/extended.js';
export * from './kernels/convert.js';
export * from './kernels/gemm.js';
export {
  PackedWeights,
  embed,
  embedAsync,
  packWeightRows,
  packWeightRowsAsync,
  packWeights,
  packWeightsAsync,
  quantizeWeights,
  quantizeWeightsAsync,
} from './kernels/weights.js';
export type {
  EmbedOptions,
  PackOptions,
  PackRowsOptions,
  QuantizedWeights,
  WeightArray,
  WeightShape,
  WeightType,
} from './kernels/weights.js';
export { availableIsas, ceilings, info, isa, memory, setIsa, setThreads, threads } from './machine.js';
export type { Ceilings, CeilingsOptions, Info, Isa, Memory } from './machine.js';
export { explain } from './explain.js';
export type { Explanation, SoftmaxCase } from './explain.js';
export { tune } from './tuning.js';
export type { Calibration, Thresholds, TuneOptions } from './tuning.js';
export { Philox } from './random.js';
export { verify } from './verify.js';
export type { Fingerprint, VerifyOptions } from './verify.js';
