/** onnxruntime-node as a contender: a development dependency here, an optional one for whoever runs the benchmark. */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { messageOf } from '../harness/errors.js';
import { softmaxModel } from './onnx-model.js';

/** The loaded package. */
export type OnnxRuntime = typeof import('onnxruntime-node');

/** A session for softmax of one shape, reading `x` in place. */
export interface OnnxSoftmax {
  /** Runs the model; the answer is in `outs[i]`. */
  run: (i: number) => Promise<unknown>;
  release: () => Promise<void>;
}

/**
 * Loads the package.
 *
 * @returns the package, or one line that says why it is left out
 */
export async function loadOnnxRuntime(): Promise<OnnxRuntime | string> {
  try {
    const loaded = (await import('onnxruntime-node')) as OnnxRuntime & { default?: OnnxRuntime };
    return loaded.InferenceSession ? loaded : loaded.default!;
  } catch (error) {
    return `onnxruntime-node is left out, it cannot be loaded: ${messageOf(error)}`;
  }
}

/**
 * Creates a session of `threads` threads for softmax of `rows` rows of `cols` elements. Input and outputs are tensors
 * over the given arrays, so that no call copies or allocates elements; this is the fastest way its JavaScript interface
 * offers. Idle threads are kept from spinning, as they would take the cores from the contender that is sampled next.
 *
 * @param x rows * cols elements
 * @param outs preallocated outputs of the same type and length
 */
export async function onnxSoftmax(
  runtime: OnnxRuntime,
  x: Float32Array | Float64Array,
  rows: number,
  cols: number,
  outs: readonly (Float32Array | Float64Array)[],
  threads: number,
): Promise<OnnxSoftmax> {
  const dtype = x instanceof Float32Array ? 'float32' : 'float64';
  const session: InferenceSession = await runtime.InferenceSession.create(softmaxModel([rows, cols], dtype), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  const tensor = (data: Float32Array | Float64Array): Tensor => new runtime.Tensor(dtype, data, [rows, cols]);
  const feeds = { x: tensor(x) };
  const fetches = outs.map((out) => ({ y: tensor(out) }));
  return { run: (i) => session.run(feeds, fetches[i]), release: () => session.release() };
}
