/** The variants of attention by their table, in float64: every weight of every pair of tokens, one head. */
import type { AttentionVariant } from '../../lib/index.js';

/** One head; logits of a number a token, gamma and beta of a number a column. */
export interface VariantHead {
  length: number;
  headDim: number;
  valueDim: number;
  q: ArrayLike<number>;
  k: ArrayLike<number>;
  v: ArrayLike<number>;
  outGate: ArrayLike<number>;
  inGate: ArrayLike<number>;
  gamma: ArrayLike<number>;
  beta: ArrayLike<number>;
  decay: ArrayLike<number>;
  power: number;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const row = (x: ArrayLike<number>, i: number, dim: number): number[] =>
  Array.from({ length: dim }, (_, j) => x[i * dim + j]);
const dot = (a: number[], b: number[]): number => a.reduce((sum, x, i) => sum + x * b[i], 0);
const unit = (x: number[]): number[] => x.map((value) => value / Math.max(Math.sqrt(dot(x, x)), 1e-12));
const relu = (x: number[]): number[] => x.map((value) => Math.max(value, 0));
const elu = (x: number[]): number[] => x.map((value) => (value > 0 ? value + 1 : Math.exp(value)));

const UNCLAMPED = ['softmax', 'l2norm'];

function weight(variant: AttentionVariant, h: VariantHead, t: number, i: number): number {
  const [q, k] = [row(h.q, t, h.headDim), row(h.k, i, h.headDim)];
  const s = dot(q, k) / Math.sqrt(h.headDim);
  if (variant === 'relu_l2norm') return dot(relu(q), relu(k)) / Math.sqrt(h.headDim);
  if (variant === 'linear_elu') return dot(elu(q), elu(k));
  if (variant === 'linear_relu') return dot(relu(q), relu(k));
  if (variant === 'linear_cosine') return dot(unit(q), unit(k)) / (i + 1) ** sigmoid(h.power);
  if (UNCLAMPED.includes(variant)) return Math.exp(s);
  let w = Math.exp(Math.min(s, 5));
  if (['gated_softmax', 'gated_no_norm', 'no_out_gate', 'decay'].includes(variant)) w *= sigmoid(h.inGate[i]);
  if (variant === 'decay') for (let j = i; j < t; j++) w *= Math.exp(h.decay[j] / 1024);
  return w;
}

function sumOf(variant: AttentionVariant, h: VariantHead, t: number): number {
  let sum = 0;
  for (let i = 0; i <= t; i++) sum += weight(variant, h, t, i);
  return sum;
}

const rms = (x: number[]): number[] => x.map((value) => value / Math.sqrt(dot(x, x) / x.length + 1e-6));
const layer = (x: number[]): number[] => {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
  return x.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
};

/** The output of a head. `detached`: sums of weights that are taken as constants, for differences of the others. */
export function attentionVariant(variant: AttentionVariant, h: VariantHead, detached?: number[]): number[] {
  const result: number[] = [];
  for (let t = 0; t < h.length; t++) {
    let y = new Array<number>(h.valueDim).fill(0);
    for (let i = 0; i <= t; i++) {
      const w = weight(variant, h, t, i);
      y = y.map((sum, j) => sum + w * h.v[i * h.valueDim + j]);
    }
    const sum = sumOf(variant, h, t);
    const scale = (factor: number) => (y = y.map((value) => value * factor));
    const affine = (x: number[], shifted: boolean) =>
      x.map((value, j) => value * h.gamma[j] + (shifted ? h.beta[j] : 0));
    if (['softmax', 'linear_elu'].includes(variant)) scale(1 / sum);
    if (variant === 'linear_relu') scale(1 / (sum + 1e-8));
    if (variant === 'clamp_denom') scale(1 / Math.max(sum, 1));
    if (variant === 'detach_denom') scale(1 / Math.max(detached?.[t] ?? sum, 1));
    if (variant === 'detach_denom_gate') scale(1 / ((detached?.[t] ?? sum) + 1e-4));
    const gates = [
      'detach_denom_gate',
      'gate',
      'out_gate_div_s',
      'gated_softmax',
      'gated_no_norm',
      'no_in_gate',
      'decay',
    ];
    if (gates.includes(variant)) scale(sigmoid(h.outGate[t]));
    const lengths = [
      'div_s',
      'out_gate_div_s',
      'div_s_rmsnorm',
      'div_s_layernorm',
      'gated_softmax',
      'gated_no_norm',
    ];
    if ([...lengths, 'no_in_gate', 'no_out_gate', 'decay'].includes(variant)) scale(1 / (t + 1));
    if (['rmsnorm', 'div_s_rmsnorm'].includes(variant)) y = affine(rms(y), false);
    if (['div_s_layernorm', 'gated_softmax', 'no_in_gate', 'no_out_gate', 'decay'].includes(variant))
      y = affine(layer(y), true);
    if (['l2norm', 'relu_l2norm'].includes(variant)) y = unit(y);
    result.push(...y);
  }
  return result;
}

/** The sums of a head's weights. */
export const variantSums = (variant: AttentionVariant, h: VariantHead): number[] =>
  Array.from({ length: h.length }, (_, t) => sumOf(variant, h, t));
