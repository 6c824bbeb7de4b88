/**
 * TensorFlow.js with its WebAssembly backend as a contender: what a service without native code would take. A
 * development dependency here, an optional one for whoever runs the benchmark.
 */
import { messageOf } from '../harness/errors.js';

/** The name of the package, under which the contender is listed. */
export const TFJS = '@tensorflow/tfjs-backend-wasm';

/** TensorFlow.js with the backend chosen. */
export type Tfjs = typeof import('@tensorflow/tfjs-core');

/** Softmax of one matrix that lies in the WebAssembly memory. */
export interface TfjsSoftmax {
  /** Runs and gives the answer as a fresh array: the interface has no other way out. */
  run: () => Float32Array;
  release: () => void;
}

/**
 * Loads the packages and chooses the backend, which in Node has one thread.
 *
 * @returns TensorFlow.js, or one line that says why it is left out
 */
export async function loadTfjs(): Promise<Tfjs | string> {
  try {
    const tf = await import('@tensorflow/tfjs-core');
    await import('@tensorflow/tfjs-backend-wasm');
    if (!(await tf.setBackend('wasm'))) throw new Error('the backend did not start');
    return tf;
  } catch (error) {
    return `${TFJS} is left out, it cannot be loaded: ${messageOf(error)}`;
  }
}

/**
 * Puts a matrix into the WebAssembly memory, once; calls then read it there.
 *
 * @param x rows * cols elements
 */
export function tfjsSoftmax(tf: Tfjs, x: Float32Array, rows: number, cols: number): TfjsSoftmax {
  const input = tf.tensor2d(x, [rows, cols]);
  return {
    run: () => {
      const output = tf.softmax(input);
      try {
        return output.dataSync<'float32'>();
      } finally {
        output.dispose();
      }
    },
    release: () => input.dispose(),
  };
}
