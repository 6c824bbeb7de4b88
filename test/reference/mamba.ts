/**
 * A Mamba language model in plain float64, one token at a time: the yardstick of the model tests. It reads tensors by the
 * names of the checkpoint and shares no code with the package. Written from "Mamba: Linear-Time Sequence Modeling with
 * Selective State Spaces" (A. Gu and T. Dao, 2023), sections 3.2 to 3.4:
 *
 *   v = embedding[token];  each layer: v += Wout y,  y = scan(silu(conv(x))) silu(z),  (x, z) = Win norm(v)
 *   conv_t = bias + sum_j w[j] x_{t - width + 1 + j}
 *   (r, B, C) = Wx u;  s = softplus(Wdt r + bias);  h = exp(s A) h + s B u;  y = sum_n C h + D u
 *   logits = Whead norm(v)
 */
import type { Tensor } from './safetensors.js';

/** What config.json says, as far as it decides the arithmetic. */
export interface ReferenceMambaConfig {
  layers: number;
  stateSize: number;
  rank: number;
  eps: number;
  rmsNorm: boolean;
  vocab: number;
  embedding: string;
  head: string;
}

interface LayerState {
  /** The last inputs of the convolution, oldest first, of each channel. */
  window: number[][];
  /** h of each channel. */
  h: number[][];
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const silu = (x: number): number => x * sigmoid(x);
const softplus = (x: number): number => (x > 20 ? x : Math.log1p(Math.exp(x)));

/** One sequence in a model. */
export class ReferenceMamba {
  private readonly states: LayerState[];

  constructor(
    private readonly config: ReferenceMambaConfig,
    private readonly tensors: ReadonlyMap<string, Tensor>,
  ) {
    this.states = Array.from({ length: config.layers }, (_, layer) => {
      const [inner, , width] = this.tensor(this.name(layer, 'conv1d.weight')).shape;
      return {
        window: Array.from({ length: inner }, () => new Array<number>(width).fill(0)),
        h: Array.from({ length: inner }, () => new Array<number>(config.stateSize).fill(0)),
      };
    });
  }

  /** Logits after a token: the next of the sequence. */
  step(token: number): Float64Array {
    const { config } = this;
    const embedding = this.tensor(config.embedding);
    const width = embedding.shape[1];
    let v = Array.from({ length: width }, (_, i) => embedding.data[token * width + i]);
    for (let layer = 0; layer < config.layers; layer += 1) {
      const added = this.mix(layer, this.norm(`backbone.layers.${layer}.norm`, v));
      v = v.map((value, i) => value + added[i]);
    }
    const logits = this.linear(config.head, this.norm('backbone.norm_f', v));
    return Float64Array.from(logits.slice(0, config.vocab));
  }

  /** h of a layer: channels x state, one after the other. */
  state(layer: number): number[] {
    return this.states[layer].h.flat();
  }

  private mix(layer: number, x: number[]): number[] {
    const { stateSize, rank } = this.config;
    const { window, h } = this.states[layer];
    const inner = h.length;
    const projected = this.linear(this.name(layer, 'in_proj.weight'), x, this.name(layer, 'in_proj.bias'));
    const convolution = this.tensor(this.name(layer, 'conv1d.weight'));
    const convBias = this.tensors.get(this.name(layer, 'conv1d.bias'));
    const taps = convolution.shape[2];
    const u = window.map((inputs, channel) => {
      inputs.shift();
      inputs.push(projected[channel]);
      let sum = convBias ? convBias.data[channel] : 0;
      for (let j = 0; j < taps; j += 1) sum += convolution.data[channel * taps + j] * inputs[j];
      return silu(sum);
    });
    const selected = this.linear(this.name(layer, 'x_proj.weight'), u);
    const b = selected.slice(rank, rank + stateSize);
    const c = selected.slice(rank + stateSize);
    const raw = this.linear(
      this.name(layer, 'dt_proj.weight'),
      selected.slice(0, rank),
      this.name(layer, 'dt_proj.bias'),
    );
    const aLog = this.tensor(this.name(layer, 'A_log'));
    const d = this.tensor(this.name(layer, 'D'));
    const y = u.map((value, channel) => {
      const step = softplus(raw[channel]);
      let out = d.data[channel] * value;
      for (let n = 0; n < stateSize; n += 1) {
        const a = -Math.exp(aLog.data[channel * stateSize + n]);
        h[channel][n] = Math.exp(step * a) * h[channel][n] + step * b[n] * value;
        out += c[n] * h[channel][n];
      }
      return out * silu(projected[inner + channel]);
    });
    return this.linear(this.name(layer, 'out_proj.weight'), y, this.name(layer, 'out_proj.bias'));
  }

  private norm(name: string, x: readonly number[]): number[] {
    const weight = this.tensor(`${name}.weight`).data;
    const mean = (values: readonly number[]): number =>
      values.reduce((sum, value) => sum + value, 0) / values.length;
    const bias = this.config.rmsNorm ? undefined : this.tensor(`${name}.bias`).data;
    const centre = this.config.rmsNorm ? 0 : mean(x);
    const scale = 1 / Math.sqrt(mean(x.map((value) => (value - centre) ** 2)) + this.config.eps);
    return x.map((value, i) => (value - centre) * scale * weight[i] + (bias ? bias[i] : 0));
  }

  /** w x (+ b) for w [out, in]; the bias where the checkpoint has one. */
  private linear(name: string, x: readonly number[], bias = ''): number[] {
    const { shape, data } = this.tensor(name);
    const added = this.tensors.get(bias)?.data;
    return Array.from({ length: shape[0] }, (_, row) => {
      let sum = added ? added[row] : 0;
      for (let i = 0; i < x.length; i += 1) sum += data[row * shape[1] + i] * x[i];
      return sum;
    });
  }

  private name(layer: number, part: string): string {
    return `backbone.layers.${layer}.mixer.${part}`;
  }

  private tensor(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new Error(`no tensor ${name}`);
    return tensor;
  }
}
