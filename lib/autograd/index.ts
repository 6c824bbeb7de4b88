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
