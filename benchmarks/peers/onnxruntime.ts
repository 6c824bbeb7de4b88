/** onnxruntime-node as a contender: a development dependency here, an optional one for whoever runs the benchmark. */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { messageOf } from '../harness/errors.js';
import { attentionModel, matMulModel, softmaxModel } from './onnx-model.js';

/** The loaded package. */
export type OnnxRuntime = typeof import('onnxruntime-node');

/** A model ready to run on arrays of the caller, which it reads and writes in place. */
export interface OnnxRun {
  /** Runs the model for the i-th time slot; which arrays that reads and writes is said where it is made. */
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
 * Options of every session: idle threads are kept from spinning, as they would take the cores from the contender that is
 * sampled next.
 */
function optionsFor(threads: number): InferenceSession.SessionOptions {
  return {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
}

/**
 * Creates a session of `threads` threads for softmax of `rows` rows of `cols` elements. Input and outputs are tensors
 * over the given arrays, so that no call copies or allocates elements; this is the fastest way its JavaScript interface
 * offers.
 *
 * @param x rows * cols elements
 * @param outs preallocated outputs of the same type and length; `run(i)` writes the i-th
 */
export async function onnxSoftmax(
  runtime: OnnxRuntime,
  x: Float32Array | Float64Array,
  rows: number,
  cols: number,
  outs: readonly (Float32Array | Float64Array)[],
  threads: number,
): Promise<OnnxRun> {
  const dtype = x instanceof Float32Array ? 'float32' : 'float64';
  const session = await runtime.InferenceSession.create(
    softmaxModel([rows, cols], dtype),
    optionsFor(threads),
  );
  const tensor = (data: Float32Array | Float64Array): Tensor => new runtime.Tensor(dtype, data, [rows, cols]);
  const feeds = { x: tensor(x) };
  const fetches = outs.map((out) => ({ y: tensor(out) }));
  return { run: (i) => session.run(feeds, fetches[i]), release: () => session.release() };
}

/**
 * Creates sessions for a [m, k] times constant weights, one for each of `copies`: each has its own copy of the weights,
 * packed when it is made, so that a call whose turn comes seldom finds them in no cache. `run(i)` runs the i-th session.
 *
 * @param w [k, n], row-major: the transpose of what a linear layer stores
 * @param out m * n elements, written by every run
 */
export async function onnxMatMul(
  runtime: OnnxRuntime,
  a: Float32Array,
  w: Float32Array,
  shape: { m: number; n: number; k: number },
  out: Float32Array,
  { threads, copies }: { threads: number; copies: number },
): Promise<OnnxRun> {
  const { m, n, k } = shape;
  const sessions: InferenceSession[] = [];
  const model = matMulModel(w, shape);
  for (let i = 0; i < copies; i++) {
    sessions.push(await runtime.InferenceSession.create(model, optionsFor(threads)));
  }
  const feeds = { x: new runtime.Tensor('float32', a, [m, k]) };
  const fetches = { y: new runtime.Tensor('float32', out, [m, n]) };
  return {
    run: (i) => sessions[i].run(feeds, fetches),
    release: async () => {
      for (const session of sessions) await session.release();
    },
  };
}

/** Queries against a cache of keys and values, all of them inputs of the model. */
export interface OnnxAttentionCase {
  /** [kvHeads, group, headDim] */
  q: Float32Array;
  /** Caches that runs take turns with, each [kvHeads, length, headDim]. */
  caches: readonly { keys: Float32Array; values: Float32Array }[];
  /** Like q. */
  out: Float32Array;
  kvHeads: number;
  group: number;
  headDim: number;
  length: number;
  threads: number;
}

/** Creates a session for attention of one query token; `run(i)` reads the i-th cache and writes `out`. */
export async function onnxAttention(runtime: OnnxRuntime, given: OnnxAttentionCase): Promise<OnnxRun> {
  const { kvHeads, group, headDim, length } = given;
  const session = await runtime.InferenceSession.create(attentionModel(given), optionsFor(given.threads));
  const tensor = (data: Float32Array, rows: number): Tensor =>
    new runtime.Tensor('float32', data, [kvHeads, rows, headDim]);
  const q = tensor(given.q, group);
  const feeds = given.caches.map(({ keys, values }) => {
    return { q, keys: tensor(keys, length), values: tensor(values, length) };
  });
  const fetches = { y: tensor(given.out, group) };
  return { run: (i) => session.run(feeds[i], fetches), release: () => session.release() };
}
