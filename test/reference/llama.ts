/**
 * A decoder of the Llama family in plain float64, one token at a time with a cache of all keys and values: the yardstick
 * of the model tests. It reads tensors by the names of the checkpoint and shares no code with the package.
 *
 *   x = embed[token];  each layer: y = rms(x, w_in), q,k,v = W y (+ b), q,k = rope(q,k)
 *                                  x += Wo attention(q, K, V);  y = rms(x, w_post);  x += Wdown (silu(Wgate y) (Wup y))
 *   logits = Whead rms(x, w_norm)
 */
import { attention, type AttentionOptions, scoresOf } from './attention.js';
import { inverseFrequencies, rope, type RopeScaling } from './rope.js';
import type { Tensor } from './safetensors.js';
import { rmsNorm, swiglu } from './transformer.js';

/** What config.json says, as far as it decides the arithmetic. */
export interface ReferenceConfig {
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  rope_theta: number;
  rms_norm_eps: number;
  tie_word_embeddings: boolean;
  sliding_window?: number | null;
  rope_scaling?: RopeScaling | null;
}

/** w x (+ b) for w [out, in]. */
function linear(w: Tensor, x: Float64Array, b?: Tensor): Float64Array {
  const [rows, cols] = w.shape;
  const y = new Float64Array(rows);
  for (let r = 0; r < rows; r += 1) {
    let sum = b ? b.data[r] : 0;
    for (let c = 0; c < cols; c += 1) sum += w.data[r * cols + c] * x[c];
    y[r] = sum;
  }
  return y;
}

const plus = (x: Float64Array, y: Float64Array): Float64Array => x.map((value, i) => value + y[i]);

/** One sequence in a model. */
export class ReferenceLlama {
  private readonly keys: number[][];
  private readonly values: number[][];
  private readonly frequencies: Float64Array;
  private length = 0;
  /** Sums over tokens and heads of the largest score of each row, and the extreme scores, layer by layer. */
  readonly scores: { sumOfMaxima: number; rows: number; largest: number; smallest: number }[];

  constructor(
    private readonly config: ReferenceConfig,
    private readonly tensors: ReadonlyMap<string, Tensor>,
  ) {
    const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
    this.keys = layers.map(() => []);
    this.values = layers.map(() => []);
    this.scores = layers.map(() => ({ sumOfMaxima: 0, rows: 0, largest: -Infinity, smallest: Infinity }));
    const scaling = config.rope_scaling ?? { rope_type: 'default' };
    this.frequencies = inverseFrequencies(config.head_dim, config.rope_theta, scaling);
  }

  private tensor(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new Error(`no tensor ${name}`);
    return tensor;
  }

  /** Every head of a row of queries or keys, turned to the present position. */
  private turned(row: Float64Array): Float64Array {
    const { head_dim: headDim } = this.config;
    const out = new Float64Array(row.length);
    for (let at = 0; at < row.length; at += headDim) {
      out.set(rope(row.subarray(at, at + headDim), this.length, this.frequencies), at);
    }
    return out;
  }

  private attend(layer: number, y: Float64Array): Float64Array {
    const { config } = this;
    const name = `model.layers.${layer}.self_attn`;
    const project = (which: string): Float64Array =>
      linear(this.tensor(`${name}.${which}_proj.weight`), y, this.tensors.get(`${name}.${which}_proj.bias`));
    const q = this.turned(project('q'));
    this.keys[layer].push(...this.turned(project('k')));
    this.values[layer].push(...project('v'));
    const length = this.length + 1;
    const options: AttentionOptions = {
      batch: 1,
      queryHeads: config.num_attention_heads,
      kvHeads: config.num_key_value_heads,
      headDim: config.head_dim,
      maxLength: length,
      lengths: [length],
      window: config.sliding_window ?? undefined,
    };
    const result = attention(q, this.keys[layer], this.values[layer], options);
    const seen = this.scores[layer];
    for (let h = 0; h < config.num_attention_heads; h += 1) {
      const row = scoresOf(q, this.keys[layer], options, { b: 0, t: 0, h }).filter((s) => s !== -Infinity);
      seen.rows += 1;
      seen.sumOfMaxima += Math.max(...row);
      seen.largest = Math.max(seen.largest, ...row);
      seen.smallest = Math.min(seen.smallest, ...row);
    }
    return linear(this.tensor(`${name}.o_proj.weight`), result.out, this.tensors.get(`${name}.o_proj.bias`));
  }

  /** Takes the next token and gives the logits after it. */
  step(token: number): Float64Array {
    const { config } = this;
    const { hidden_size: hidden, rms_norm_eps: eps } = config;
    const embedding = this.tensor('model.embed_tokens.weight');
    let x: Float64Array = embedding.data.slice(token * hidden, (token + 1) * hidden);
    for (let layer = 0; layer < config.num_hidden_layers; layer += 1) {
      const name = `model.layers.${layer}`;
      const norm = (which: string): Float64Array =>
        rmsNorm(x, this.tensor(`${name}.${which}_layernorm.weight`).data, eps);
      const part = (which: string, y: Float64Array): Float64Array =>
        linear(this.tensor(`${name}.mlp.${which}_proj.weight`), y);
      x = plus(x, this.attend(layer, norm('input')));
      const y = norm('post_attention');
      x = plus(x, part('down', swiglu(part('gate', y), part('up', y))));
    }
    this.length += 1;
    const head = config.tie_word_embeddings ? embedding : this.tensor('lm_head.weight');
    return linear(head, rmsNorm(x, this.tensor('model.norm.weight').data, eps));
  }
}
