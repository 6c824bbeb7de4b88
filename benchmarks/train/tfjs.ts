/**
 * The same step in TensorFlow.js, in its own ops and with its own Adam, on one of its backends.
 */
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import { messageOf } from '../harness/errors.js';
import type { Tfjs } from '../peers/tfjs.js';
import { LEARNING_RATE, parametersOf, type Batch, type Sizes } from './model.js';

/** Backends of TensorFlow.js that run in Node without native code. */
export type Backend = 'cpu' | 'wasm';

/**
 * Loads TensorFlow.js with its gradients, which the package of the core alone lacks, and chooses a backend.
 *
 * @returns TensorFlow.js, or one line that says why it is left out
 */
export async function loadBackend(backend: Backend): Promise<Tfjs | string> {
  try {
    const tf = await import('@tensorflow/tfjs-core');
    await import('@tensorflow/tfjs');
    if (backend === 'wasm') await import('@tensorflow/tfjs-backend-wasm');
    if (!(await tf.setBackend(backend))) throw new Error('the backend did not start');
    return tf;
  } catch (error) {
    return `TensorFlow.js on ${backend} is left out: ${messageOf(error)}`;
  }
}

/**
 * The step, with parameters of its own. The wasm backend has no kernel for the gradient of a gather: there, characters are
 * looked up by a product with ones and zeros.
 */
export function tfjsStep(
  tf: Tfjs,
  backend: Backend,
  sizes: Sizes,
): { step: (batch: Batch) => number; release: () => void } {
  const { layers, width, heads, vocabulary, batch: rows, length } = sizes;
  const dim = width / heads;
  const p: Record<string, Variable> = {};
  for (const [name, { shape, data }] of Object.entries(parametersOf(sizes)))
    p[name] = tf.variable(tf.tensor(data, shape), true);
  const optimizer = tf.train.adam(LEARNING_RATE, 0.9, 0.999, 1e-8);
  // 0 where a query sees a key, a large negative number elsewhere.
  const mask = tf.tidy(() => {
    const steps = tf.range(0, length, 1);
    return tf.mul(tf.cast(tf.less(tf.reshape(steps, [-1, 1]), tf.reshape(steps, [1, -1])), 'float32'), -1e9);
  });

  const linear = (x: Tensor, weight: Tensor, bias?: Tensor): Tensor => {
    const y = tf.matMul(x, weight, false, true);
    return bias ? tf.add(y, bias) : y;
  };
  const layer = (name: string, x: Tensor): Tensor => linear(x, p[`${name}.weight`], p[`${name}.bias`]);
  const norm = (name: string, x: Tensor): Tensor => {
    const centered = tf.sub(x, tf.mean(x, -1, true));
    const deviation = tf.sqrt(tf.add(tf.mean(tf.square(centered), -1, true), 1e-5));
    return tf.add(tf.mul(tf.div(centered, deviation), p[`${name}.weight`]), p[`${name}.bias`]);
  };
  const gelu = (x: Tensor): Tensor => {
    const cubic = tf.mul(tf.add(tf.mul(tf.square(x), 0.044715), 1), x);
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(tf.mul(cubic, Math.sqrt(2 / Math.PI))), 1));
  };
  const attention = (qkv: Tensor): Tensor => {
    const parts = tf.split(tf.reshape(qkv, [rows, length, 3 * heads, dim]), 3, 2);
    const [q, k, v] = parts.map((each) => tf.transpose(each, [0, 2, 1, 3]));
    const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), dim ** -0.5), mask);
    const seen = tf.matMul(tf.softmax(scores), v);
    return tf.reshape(tf.transpose(seen, [0, 2, 1, 3]), [rows * length, width]);
  };
  const lossOf = ({ inputs, targets }: Batch): Tensor => {
    const indices = tf.tensor1d(inputs, 'int32');
    const looked =
      backend === 'wasm'
        ? tf.matMul(tf.cast(tf.oneHot(indices, vocabulary), 'float32'), p.characters)
        : tf.gather(p.characters, indices);
    let x = tf.reshape(tf.add(tf.reshape(looked, [rows, length, width]), p.positions), [
      rows * length,
      width,
    ]);
    for (let i = 0; i < layers; i++) {
      x = tf.add(x, layer(`${i}.out`, attention(layer(`${i}.qkv`, norm(`${i}.norm1`, x)))));
      x = tf.add(x, layer(`${i}.down`, gelu(layer(`${i}.up`, norm(`${i}.norm2`, x)))));
    }
    const logits = linear(norm('norm', x), p.head);
    const labels = tf.oneHot(tf.tensor1d(targets, 'int32'), vocabulary);
    return tf.losses.softmaxCrossEntropy(labels, logits);
  };
  return {
    step: (batch) => {
      const loss = tf.tidy(() => {
        const scalar = optimizer.minimize(() => lossOf(batch) as Scalar, true);
        if (scalar === null) throw new Error('TensorFlow.js gave no loss');
        return scalar;
      });
      const [value] = loss.dataSync();
      loss.dispose();
      return value;
    },
    release: () => {
      for (const each of Object.values(p)) each.dispose();
      mask.dispose();
      optimizer.dispose();
    },
  };
}
