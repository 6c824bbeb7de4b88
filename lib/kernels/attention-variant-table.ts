/**
 * The variants of softmax attention of the ablation in arXiv 2507.23632: what is done with its denominator, and what with
 * gates, as rows of a table.
 */
import type { RowNorm } from './row-norms.js';
import { L2_EPS, LAYER_EPS, RMS_EPS } from './recurrent-norms.js';

/** What a variant is made of; what is left out is not there. */
export interface VariantParts {
  /**
   * Weights of a query and a key: 'exp' of their scaled product, 'clamp' of it, no more than e^5; or the product of relu
   * (scaled by 1 / sqrt(headDim) or not), of elu + 1, or of vectors of length 1.
   */
  weights: 'exp' | 'clamp' | 'relu' | 'linear-relu' | 'elu' | 'cosine';
  /** Divides by the sum of the weights, by that plus a constant, or by at least 1. */
  denominator?: { add?: number; least?: number; detached?: boolean };
  /** Multiplies values by the sigmoid of a gate. */
  inGate?: boolean;
  /** Multiplies outputs, before the norm, by the sigmoid of a gate. */
  outGate?: boolean;
  /** Divides by the number of tokens seen. */
  perLength?: boolean;
  /** Divides values by their position to the power of a sigmoid for each head. */
  power?: boolean;
  /** Weights fade by exp of a sum of logits. */
  decay?: boolean;
  norm?: RowNorm;
  eps?: number;
  /** The norm has gamma, and beta if it is a layer norm. */
  affine?: boolean;
}

const LAYER = { norm: 'layer', eps: LAYER_EPS, affine: true } as const;
const RMS = { norm: 'rms', eps: RMS_EPS, affine: true } as const;
const L2 = { norm: 'l2', eps: L2_EPS } as const;
const GATED = { weights: 'clamp', inGate: true, outGate: true, perLength: true, ...LAYER } as const;

/** The rows of the table, by name. */
export const VARIANTS = {
  softmax: { weights: 'exp', denominator: {} },
  clamp_denom: { weights: 'clamp', denominator: { least: 1 } },
  detach_denom: { weights: 'clamp', denominator: { least: 1, detached: true } },
  detach_denom_gate: { weights: 'clamp', denominator: { add: 1e-4, detached: true }, outGate: true },
  gate: { weights: 'clamp', outGate: true },
  div_s: { weights: 'clamp', perLength: true },
  out_gate_div_s: { weights: 'clamp', perLength: true, outGate: true },
  div_s_rmsnorm: { weights: 'clamp', perLength: true, ...RMS },
  div_s_layernorm: { weights: 'clamp', perLength: true, ...LAYER },
  rmsnorm: { weights: 'clamp', ...RMS },
  l2norm: { weights: 'exp', ...L2 },
  gated_softmax: GATED,
  gated_no_norm: { weights: 'clamp', inGate: true, outGate: true, perLength: true },
  no_in_gate: { weights: 'clamp', outGate: true, perLength: true, ...LAYER },
  no_out_gate: { weights: 'clamp', inGate: true, perLength: true, ...LAYER },
  relu_l2norm: { weights: 'relu', ...L2 },
  linear_elu: { weights: 'elu', denominator: {} },
  linear_relu: { weights: 'linear-relu', denominator: { add: 1e-8 } },
  linear_cosine: { weights: 'cosine', power: true },
  decay: { ...GATED, decay: true },
} as const satisfies Record<string, VariantParts>;

/** A row of the table. */
export type AttentionVariant = keyof typeof VARIANTS;
export const VARIANT_NAMES = Object.keys(VARIANTS) as AttentionVariant[];

/** Scores above this count as it where weights are clamped. */
export const CLAMP = 5;
/** Decay logits are divided by this. */
export const DECAY_SCALE = 1024;
