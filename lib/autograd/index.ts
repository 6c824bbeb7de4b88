/**
 * softlane/autograd: a reverse-mode tape over softlane's kernels.
 */
export { TapeError } from './errors.js';
export type { TapeErrorCode } from './errors.js';
export { limitPool, pooledBytes } from './pool.js';
export type { Real } from './pool.js';
export {
  apply,
  backward,
  customOp,
  enableGrad,
  grad,
  isGradEnabled,
  noGrad,
  profile,
  setThreads,
  threads,
  zeroGrad,
} from './tape.js';
export type {
  BackwardOptions,
  CustomContext,
  CustomOp,
  GradOptions,
  Gradients,
  OpContext,
  Operation,
  ProfileEntry,
} from './tape.js';
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
