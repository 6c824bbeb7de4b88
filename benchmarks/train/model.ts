/**
 * The network whose training step is timed: a transformer over characters, norms before attention and before the
 * perceptron, learned positions, cross-entropy of the next character, Adam. Its parameters are plain arrays, so that peers
 * start from the same ones.
 */
import {
  adam,
  add,
  crossEntropy,
  embedding,
  gelu,
  layerNorm,
  linear,
  packedAttention,
  scope,
  tensor,
  type Real,
  type Tensor,
} from '../../lib/autograd/index.js';
import { Philox } from '../../lib/random.js';

/** Sizes of the network and of a batch. */
export interface Sizes {
  layers: number;
  width: number;
  heads: number;
  /** Width of the perceptron's hidden layer. */
  hidden: number;
  vocabulary: number;
  batch: number;
  length: number;
}

/** The sizes of the figure that the project states. */
export const SIZES: Sizes = {
  layers: 2,
  width: 64,
  heads: 4,
  hidden: 256,
  vocabulary: 80,
  batch: 24,
  length: 128,
};

export const LEARNING_RATE = 1e-3;

/** One array of parameters. */
export interface Parameter {
  shape: number[];
  data: Float32Array;
}

/** Parameters by name. Weights of layers are [outputs, inputs]. */
export function parametersOf(sizes: Sizes): Record<string, Parameter> {
  const { layers, width, hidden, vocabulary, length } = sizes;
  const generator = new Philox(1);
  const parameters: Record<string, Parameter> = {};
  const weight = (name: string, outputs: number, inputs: number, deviation = inputs ** -0.5): void => {
    const data = generator.normal(new Float32Array(outputs * inputs)).map((x) => x * deviation);
    parameters[name] = { shape: [outputs, inputs], data };
  };
  const vector = (name: string, size: number, value: number): void => {
    parameters[name] = { shape: [size], data: new Float32Array(size).fill(value) };
  };
  const norm = (name: string): void => {
    vector(`${name}.weight`, width, 1);
    vector(`${name}.bias`, width, 0);
  };
  const layer = (name: string, outputs: number, inputs: number): void => {
    weight(`${name}.weight`, outputs, inputs);
    vector(`${name}.bias`, outputs, 0);
  };
  weight('characters', vocabulary, width, 0.5);
  weight('positions', length, width, 0.1);
  for (let i = 0; i < layers; i++) {
    norm(`${i}.norm1`);
    layer(`${i}.qkv`, 3 * width, width);
    layer(`${i}.out`, width, width);
    norm(`${i}.norm2`);
    layer(`${i}.up`, hidden, width);
    layer(`${i}.down`, width, hidden);
  }
  norm('norm');
  weight('head', vocabulary, width);
  return parameters;
}

/** A batch of characters, row after row, and what follows each. */
export interface Batch {
  inputs: Int32Array;
  targets: Int32Array;
}

/** A text with something to learn: each character follows from the two before, but for a share of noise. */
export function batchOf({ batch, length, vocabulary }: Sizes, seed: number): Batch {
  const random = new Philox(seed, 1);
  const inputs = new Int32Array(batch * length);
  const targets = new Int32Array(batch * length);
  for (let row = 0; row < batch; row++) {
    let [before, last] = [random.uint32() % vocabulary, random.uint32() % vocabulary];
    for (let i = 0; i < length; i++) {
      const noise = random.uint32() % 10 === 0 ? random.uint32() : 0;
      const next = (3 * last + 5 * before + noise) % vocabulary;
      inputs[row * length + i] = last;
      targets[row * length + i] = next;
      [before, last] = [last, next];
    }
  }
  return { inputs, targets };
}

/** A product of [m, k] and [k, n], which a step has `count` times forward, and twice as often backward. */
export interface Product {
  m: number;
  n: number;
  k: number;
  count: number;
}

/** The matrix products of a step; those of attention whole, though half of the scores are masked. */
export function productsOf({ layers, width, heads, hidden, vocabulary, batch, length }: Sizes): Product[] {
  const m = batch * length;
  const dim = width / heads;
  return [
    { m, n: 3 * width, k: width, count: layers },
    { m, n: width, k: width, count: layers },
    { m, n: hidden, k: width, count: layers },
    { m, n: width, k: hidden, count: layers },
    { m, n: vocabulary, k: width, count: 1 },
    { m: length, n: length, k: dim, count: layers * batch * heads },
    { m: length, n: dim, k: length, count: layers * batch * heads },
  ];
}

/** Floating-point operations of the matrix products of a step, forward and backward. */
export const productFlops = (sizes: Sizes): number =>
  productsOf(sizes).reduce((sum, { m, n, k, count }) => sum + 3 * count * 2 * m * n * k, 0);

/**
 * The step on the tape, with parameters and an optimizer of its own.
 *
 * @param dtype 'f32' (default), or 'f64' for a reference
 */
export function tapeStep(sizes: Sizes, dtype: Real = 'f32'): (batch: Batch) => number {
  const { layers, heads, batch: rows, length } = sizes;
  const p: Record<string, Tensor> = {};
  for (const [name, { shape, data }] of Object.entries(parametersOf(sizes)))
    p[name] = tensor(dtype === 'f64' ? Float64Array.from(data) : data, { shape, requiresGrad: true });
  const optimizer = adam(p, { learningRate: LEARNING_RATE });
  const apply = (name: string, x: Tensor): Tensor => linear(x, p[`${name}.weight`], p[`${name}.bias`]);
  const norm = (name: string, x: Tensor): Tensor => layerNorm(x, p[`${name}.weight`], p[`${name}.bias`]);
  const loss = ({ inputs, targets }: Batch): Tensor => {
    let x = add(embedding(p.characters, inputs, [rows, length]), p.positions);
    for (let i = 0; i < layers; i++) {
      const qkv = apply(`${i}.qkv`, norm(`${i}.norm1`, x));
      x = add(x, apply(`${i}.out`, packedAttention(qkv, heads, { causal: true })));
      const hidden = gelu(apply(`${i}.up`, norm(`${i}.norm2`, x)), 'tanh');
      x = add(x, apply(`${i}.down`, hidden));
    }
    return crossEntropy(linear(norm('norm', x), p.head), targets);
  };
  return (batch) =>
    scope(() => {
      optimizer.zeroGrad();
      const value = loss(batch);
      value.backward();
      optimizer.step();
      return value.item();
    });
}
