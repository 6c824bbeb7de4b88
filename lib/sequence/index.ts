/**
 * softlane/sequence: sequence models and their layers.
 */
export { SoftAttention } from './soft-attention.js';
export type {
  SoftAttentionGrid,
  SoftAttentionLayerGradients,
  SoftAttentionLayerOptions,
  SoftParameter,
} from './soft-attention.js';
