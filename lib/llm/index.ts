/**
 * A Llama-family decoder: sessions, continuous batching, sampling, the KV cache. Token ids in, token ids out.
 * @module
 */
export { Session } from './session.js';
export type { PrefillOptions, SessionOptions, SessionStats } from './session.js';
export { Engine } from './engine.js';
export type { EngineOptions, EngineStats } from './engine.js';
export type { TokenStream } from './token-stream.js';
export type { FinishReason, GeneratedToken, GenerateOptions, MaskState } from './generate.js';
export type { Decoder, DecodeOptions, DecoderModel } from './decoder.js';
export type { CacheType, ForwardBatch, ForwardResult } from './forward.js';
export { CacheFullError, KvCache, PAGE_TOKENS } from './cache.js';
export type { KvCacheOptions, KvSequence } from './cache.js';
export { AttentionCache } from './attention-cache.js';
export type { AttentionCacheOptions, CacheAttentionOptions, CacheRows } from './attention-cache.js';
export { TextOfTokens } from './stop.js';
export type { Detokenize } from './stop.js';
export { decodeLimits } from './limits.js';
export type { LimitOptions } from './limits.js';
export { DisposedError, SessionBusyError } from './state-error.js';
export { NotFiniteError } from '../kernels/not-finite.js';
export { LlamaModel } from './model.js';
export type { LoadOptions, ModelOptions, RandomModelOptions } from './model.js';
export type { LoadWeightsOptions } from './checkpoint.js';
export type { RandomWeightsOptions } from './random-weights.js';
export type { LayerWeights, LlamaShape, LlamaWeights } from './forward.js';
export { parseConfig } from './config.js';
export type { LlamaArchitecture, LlamaConfig } from './config.js';
export { inverseFrequencies } from '../kernels/rope.js';
export type { RopeScaling } from '../kernels/rope.js';
export { parameterCount } from './tensors.js';
export { embeddedModelPath } from './embedded.js';
export { CheckpointError } from './error.js';
export type { CheckpointProblem } from './error.js';
