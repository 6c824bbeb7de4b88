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
export { matmul, matmulAsync } from './kernels/matmul.js';
export type { MatmulOptions } from './kernels/matmul.js';
export { selectiveScan, selectiveScanAsync } from './kernels/selective-scan.js';
export type { SelectiveScanOptions, SelectiveScanResult } from './kernels/selective-scan.js';
export { selectiveScanBackward, selectiveScanBackwardAsync } from './kernels/selective-scan-backward.js';
export type {
  SelectiveScanBackwardOptions,
  SelectiveScanGradients,
} from './kernels/selective-scan-backward.js';
export type {
  ScanDiscretization,
  ScanLayout,
  SelectiveScanInput,
  SelectiveScanShape,
  StateOf,
} from './kernels/selective-scan-options.js';
export {
  linearAttention,
  linearAttentionAsync,
  linearAttentionBackward,
  linearAttentionBackwardAsync,
  linearAttentionStep,
  linearAttentionStepAsync,
} from './kernels/linear-attention.js';
export type {
  LinearAttentionBackwardInputs,
  LinearAttentionGradients,
  LinearAttentionInputs,
  LinearAttentionOptions,
  LinearAttentionResult,
  LinearStepOptions,
} from './kernels/linear-attention.js';
export { createLinearState } from './kernels/linear-attention-options.js';
export type {
  LinearAlgorithm,
  LinearFeatures,
  LinearMap,
  LinearShapeOptions,
  LinearState,
  LinearStateOptions,
} from './kernels/linear-attention-options.js';
export * from './kernels/prefix-attention.js';
export * from './kernels/recurrent-attention.js';
export { AttentionState, createAttentionState } from './kernels/attention-state.js';
export type { AttentionStateOptions } from './kernels/attention-state.js';
export type { RecurrentNormalization } from './kernels/recurrent-norms.js';
export * from './kernels/attention-variants.js';
export * from './kernels/taylor-features.js';
export * from './kernels/recurrence.js';
export * from './kernels/delta-rule.js';
export * from './kernels/state-update.js';
export * from './kernels/causal-conv.js';
export * from './kernels/ssd.js';
export * from './kernels/lti.js';
export { discretize, s4dInit } from './kernels/discretize.js';
export type { DiscretizationRule, S4dKind, S4dParameters } from './kernels/discretize.js';
export * from './kernels/gaussian.js';
export {
  ConvergenceError,
  newtonPseudoInverse,
  newtonPseudoInverseAsync,
  newtonPseudoInverseBackward,
  newtonPseudoInverseBackwardAsync,
} from './kernels/newton.js';
export type {
  NewtonBackwardOptions,
  NewtonOptions,
  NewtonReport,
  NewtonResult,
  NewtonSettings,
} from './kernels/newton.js';
export * from './kernels/soft-attention.js';
export * from './kernels/attention.js';
export { attentionSplits } from './kernels/attention-options.js';
export type {
  AttentionShape,
  CacheArray,
  CacheType,
  PageTableOptions,
  SoftmaxFormOptions,
  Splits,
  SplitsCase,
  VisibilityOptions,
} from './kernels/attention-options.js';
export * from './kernels/attention-parts.js';
export * from './kernels/transformer.js';
export { inverseFrequencies } from './kernels/rope.js';
export type { RopeScaling } from './kernels/rope.js';
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
export {
  sample,
  sampleAsync,
  sampleBatch,
  sampleBatchAsync,
  sampleProbabilities,
  sampleProbabilitiesAsync,
  uniformAt,
} from './kernels/sampling.js';
export type {
  DistributionOptions,
  ProbabilityOptions,
  SampleBatchOptions,
  SampleCallOptions,
  SampledToken,
  SampleOptions,
  SampleOutcome,
  TokenLogProb,
} from './kernels/sampling.js';
export { NotFiniteError } from './kernels/not-finite.js';
export { chooseKernel, dataflowFor, dataflowTable, useDataflow } from './kernels/dataflow.js';
export type {
  Dataflow,
  DataflowEntry,
  DataflowShape,
  DataflowTable,
  GemmKernel,
  InflectionPoints,
} from './kernels/dataflow.js';
export { availableIsas, ceilings, info, isa, memory, setIsa, setThreads, threads } from './machine.js';
export type { Ceilings, CeilingsOptions, Info, Isa, Memory } from './machine.js';
export { largeArray } from './large-array.js';
export type { LargeArrayKind } from './large-array.js';
export { explain } from './explain.js';
export type { Explanation, GemmCase, GemmExplanation, SoftmaxCase } from './explain.js';
export { tune } from './tuning.js';
export type { Calibration, Thresholds, TuneOptions } from './tuning.js';
export { tuneDataflow } from './tuning-dataflow.js';
export type { TunedShape, TuneDataflowOptions } from './tuning-dataflow.js';
export { Philox } from './random.js';
export { verify } from './verify.js';
export type { Fingerprint, VerifyOptions } from './verify.js';
