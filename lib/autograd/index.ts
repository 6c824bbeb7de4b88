/**
 * softlane/autograd: a reverse-mode tape over softlane's kernels.
 */
export { TapeError } from './errors.js';
export type { TapeErrorCode } from './errors.js';
export { limitPool, pooledBytes } from './pool.js';
export type { Real } from './pool.js';
export { apply, backward, enableGrad, grad, isGradEnabled, noGrad, zeroGrad } from './tape.js';
export type { BackwardOptions, GradOptions, Gradients, OpContext, Operation } from './tape.js';
export { customOp } from './custom-op.js';
export type { CustomContext, CustomOp } from './custom-op.js';
export { profile } from './profile.js';
export type { ProfileEntry } from './profile.js';
export { empty, scope, share, Tensor, tensor } from './tensor.js';
export type { Nested, TensorOptions } from './tensor.js';
export { full, ones, rand, randn, zeros } from './create.js';
export type { CreateOptions, RandomOptions } from './create.js';
export { gradCheck } from './grad-check.js';
export type { GradCheckElement, GradCheckOptions, GradCheckResult } from './grad-check.js';
export { checkpoint } from './checkpoint.js';
export { adam, adamW, sgd } from './optim.js';
export type { AdamOptions, Optimizer, OptimizerOptions, OptimizerState, SgdOptions } from './optim.js';
export { clipGradNorm, clipGradValue } from './clip.js';
export {
  constantSchedule,
  cosineSchedule,
  inSequence,
  linearSchedule,
  productOf,
  warmUp,
} from './schedule.js';
export type { Schedule } from './schedule.js';
export { kaiming, normal, uniform, xavier } from './initialize.js';
export type { KaimingOptions, NormalOptions, UniformOptions, XavierOptions } from './initialize.js';
export { assignParameters, countElements, subset, under } from './parameters.js';
export type { Parameters } from './parameters.js';
export type { ParameterGroup, ParameterList } from './parameter-list.js';
export { loadOptimizer, loadParameters, saveOptimizer, saveParameters } from './state-file.js';
export type { LoadOptions, SaveOptions } from './state-file.js';
export { setThreads, threads } from './settings.js';
export {
  abs,
  add,
  broadcastTo,
  clamp,
  div,
  exp,
  log,
  maximum,
  minimum,
  mul,
  neg,
  pow,
  sign,
  sqrt,
  square,
  sub,
  where,
} from './ops/arithmetic.js';
export type { Operand } from './ops/op.js';
export { elu, gelu, relu, sigmoid, silu, softplus, tanh } from './ops/activation.js';
export { cumsum, logSumExp, max, mean, min, sum, variance } from './ops/reduce.js';
export type { Axes, ReduceOptions, VarianceOptions } from './ops/reduce.js';
export { concat, reshape, slice, split, stack, transpose } from './ops/shape.js';
export { linear, matmul } from './ops/matmul.js';
export type { MatmulOptions } from './ops/matmul.js';
export { crossEntropy, logSoftmax, softmax } from './ops/softmax.js';
export type { CrossEntropyOptions, SoftmaxOptions } from './ops/softmax.js';
export { l2Normalize, layerNorm, rmsNorm } from './ops/norm.js';
export { dropout, embedding, gather, oneHot, scatterAdd, topK } from './ops/gather.js';
export { packedAttention, scaledDotProductAttention } from './ops/attention.js';
export type { AttentionOptions } from './ops/attention.js';
export { linearAttention, prefixLinearAttention } from './ops/linear-attention.js';
export type {
  LinearAttentionOpOptions,
  LinearAttentionOutputs,
  LinearAttentionTensors,
  LinearStateTensors,
  PrefixLinearAttentionOpOptions,
  PrefixLinearAttentionTensors,
} from './ops/linear-attention.js';
export { softDistance, softDtw, softMsm } from './ops/elastic.js';
export type { SoftLossOptions } from './ops/elastic.js';
export { selectiveScan, selectiveScanCheckpointed } from './ops/selective-scan.js';
export type {
  SelectiveScanOpOptions,
  SelectiveScanOutputs,
  SelectiveScanTensors,
} from './ops/selective-scan.js';
export { causalConv1d, deltaRuleRecurrence, linearRecurrence } from './ops/recurrence.js';
export type {
  CausalConvOpOptions,
  CausalConvTensors,
  DeltaRuleTensors,
  LinearRecurrenceOpOptions,
} from './ops/recurrence.js';
export { attentionVariant, recurrentAttention } from './ops/attention-variants.js';
export type {
  AttentionVariantOpOptions,
  AttentionVariantTensors,
  RecurrentAttentionOpOptions,
  RecurrentAttentionTensors,
} from './ops/attention-variants.js';
export { softAttention } from './ops/soft-attention.js';
export type { SoftAttentionOpOptions, SoftAttentionTensors } from './ops/soft-attention.js';
export { ltiScan, ssdScan } from './ops/state-space.js';
export type { LtiOpOptions, LtiTensors, SsdOpOptions, SsdTensors } from './ops/state-space.js';
