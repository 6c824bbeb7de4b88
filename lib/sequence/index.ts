/**
 * softlane/sequence: sequence models and their layers: a Mamba language model that decodes in constant memory, blocks on
 * the tape of softlane/autograd, recall tasks to train them on, softmax-free attention over grids.
 * @module
 */
export { isMambaConfig, parseMambaConfig } from './mamba-config.js';
export type { MambaConfig } from './mamba-config.js';
export { MambaModel } from './mamba-model.js';
export type { LoadMambaOptions, MambaGenerateOptions, MambaPrefillOptions } from './mamba-model.js';
export type { RandomMambaOptions } from './mamba-random.js';
export { MambaState, StateBusyError } from './mamba-state.js';
export { mambaParameterCount } from './mamba-tensors.js';
export type { MambaLayerWeights, MambaWeights } from './mamba-weights.js';
export { CheckpointError } from '../io/checkpoint-error.js';
export type { FinishReason, GeneratedToken, GenerateOptions } from '../llm/generate.js';
export * from './blocks/index.js';
export { makeDisjointSets, makeMqar, makeSelectiveCopying, NO_TARGET, repeatPrompt } from './tasks.js';
export type {
  DisjointSetsOptions,
  MqarOptions,
  RepeatPromptOptions,
  SelectiveCopyingOptions,
  TaskExamples,
  TaskOptions,
} from './tasks.js';
export { taskAccuracy, taskLoss, train } from './trainer.js';
export type { TrainOptions, TrainResult } from './trainer.js';
export { SoftAttention } from './soft-attention.js';
export type {
  SoftAttentionGrid,
  SoftAttentionLayerGradients,
  SoftAttentionLayerOptions,
  SoftParameter,
} from './soft-attention.js';
