/** Blocks of sequence models on the tape. */
export {
  attentionVariantBlock,
  initAttentionBlock,
  initPrefixLinearAttentionBlock,
  linearAttentionBlock,
  prefixLinearAttentionBlock,
  recurrentSoftmaxBlock,
  softmaxAttentionBlock,
} from './attention.js';
export type { AttentionBlockOptions, FeatureMap, HeadsOptions, PlainVariant } from './attention.js';
export { initMambaBlock, mambaBlock } from './mamba.js';
export type { MambaBlockOptions, MambaForm } from './mamba.js';
export { initSequenceModel, sequenceLogits } from './model.js';
export type { Block, SequenceModelOptions } from './model.js';
export { initMlpBlock, initShortConvolutionBlock, mlpBlock, shortConvolutionBlock } from './small.js';
export { initSoftAttentionBlock, softAttentionBlock } from './soft-attention.js';
export type { SoftAttentionBlockOptions } from './soft-attention.js';
export type { InitOptions } from './shared.js';
