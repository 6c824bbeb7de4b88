/**
 * Why a kernel runs the way it does: what `auto` stands for.
 */
import * as check from './check.js';
import { DTYPES } from './kernels/arguments.js';
import type { Dtype } from './kernels/arguments.js';
import { chooseKernel, dataflowFor } from './kernels/dataflow.js';
import type { Dataflow, DataflowShape, GemmKernel } from './kernels/dataflow.js';
import { chosenAlgorithm } from './kernels/softmax.js';
import type { SoftmaxAlgorithm } from './kernels/softmax.js';
import { WEIGHT_TYPES } from './kernels/weights.js';
import { availableIsas, isa } from './machine.js';
import type { Isa } from './machine.js';
import { thresholdsPath, tuningPath } from './tuning.js';

/** A softmax call to be explained. */
export interface SoftmaxCase {
  /** Elements in a row. */
  cols: number;
  /** Default 'f32'. */
  dtype?: Dtype;
  /** Default: dtype. */
  outDtype?: Dtype;
  /** Default: the instruction set in use. */
  isa?: Isa;
  /** The choice depends on neither. */
  rows?: number;
  threads?: number;
}

/** What `auto` does in a case. */
export interface Explanation {
  algorithm: SoftmaxAlgorithm;
  isa: Isa;
  reason: string;
}

/** A product of activations and weights to be explained: m rows times a weight matrix [n, k]. */
export interface GemmCase extends DataflowShape {
  /** Rows of the activations. */
  m: number;
}

/** What `kernel: 'auto'` does in a case of `gemm`. */
export interface GemmExplanation {
  kernel: GemmKernel;
  isa: Isa;
  /** The flat product begins at this number of rows, */
  m1: number;
  /** the blocked one at this. */
  m2: number;
  reason: string;
}

/**
 * Says which algorithm `auto` stands for in a call, and why.
 * @throws TypeError or RangeError for an unknown operation, type or instruction set, and for sizes below 1
 */
export function explain(operation: 'softmax', call: SoftmaxCase): Explanation;
export function explain(operation: 'gemm', call: GemmCase): GemmExplanation;
export function explain(
  operation: 'softmax' | 'gemm',
  call: SoftmaxCase | GemmCase,
): Explanation | GemmExplanation {
  check.oneOf('operation', operation, ['softmax', 'gemm']);
  if (typeof call !== 'object' || call === null) {
    const wanted = operation === 'softmax' ? 'an object with cols' : 'an object with m, n and k';
    throw check.typeError('call', wanted, call);
  }
  return operation === 'softmax' ? explainSoftmax(call as SoftmaxCase) : explainGemm(call as GemmCase);
}

function explainSoftmax(call: SoftmaxCase): Explanation {
  const cols = check.positiveInteger('cols', call.cols);
  const dtype = check.oneOf('dtype', call.dtype ?? 'f32', DTYPES);
  const outDtype = check.oneOf('outDtype', call.outDtype ?? dtype, DTYPES);
  const wanted = check.oneOf('isa', call.isa ?? isa(), availableIsas());
  const algorithm = chosenAlgorithm(cols, dtype, outDtype, wanted);
  const source = thresholdsPath() === null ? 'built-in default' : `calibration in ${thresholdsPath()}`;
  const size = `a row of ${cols} ${dtype} elements`;
  const reason =
    algorithm === 'two-pass'
      ? `${size} and its result exceed the caches: memory traffic binds, and two passes move the least (${source})`
      : `${size}: the exponential binds rather than memory, and the blocked form computes it once (${source})`;
  return { algorithm, isa: wanted, reason };
}

/** What speaks for each kernel. */
const BLOCKED = 'arithmetic binds, and blocks of rows and columns are reused in the caches';
const MERITS: Record<'packed' | 'unpacked', Record<GemmKernel, string>> = {
  packed: {
    gemv: 'registers suffice for two panels of the weights at a time',
    flat: 'the weights are read once for all rows, one panel after another',
    blocked: BLOCKED,
  },
  unpacked: {
    gemv: 'dot products with the rows of the weights cost less than turning these into panels',
    flat: 'it pays to turn the weights into panels, read once for all rows',
    blocked: BLOCKED,
  },
};

function explainGemm(call: GemmCase): GemmExplanation {
  const m = check.positiveInteger('m', call.m);
  const shape = {
    n: check.positiveInteger('n', call.n),
    k: check.positiveInteger('k', call.k),
    type: check.oneOf('type', call.type ?? 'f32', WEIGHT_TYPES),
    packed: check.boolean('packed', call.packed ?? true),
    isa: check.oneOf('isa', call.isa ?? isa(), availableIsas()),
    threads: check.positiveInteger('threads', call.threads ?? 1),
  };
  const flow = dataflowFor(shape);
  const kernel = chooseKernel(m, shape);
  const { m1, m2 } = flow;
  const { n, k, type, packed } = shape;
  const layout = packed ? 'packed' : 'unpacked';
  const weights = `${layout} ${type} weights [${n}, ${k}]`;
  const ranges: Record<GemmKernel, string> = {
    gemv: `below ${m1} rows`,
    flat: m1 === 1 ? `below ${m2} rows` : `from ${m1} to ${m2 - 1} rows`,
    blocked: `from ${m2} rows`,
  };
  const rows = `${m} ${m === 1 ? 'row' : 'rows'}`;
  return {
    kernel,
    isa: shape.isa,
    m1,
    m2,
    reason: `${rows} times ${weights}: ${ranges[kernel]} ${MERITS[layout][kernel]} (${sourceOf(flow)})`,
  };
}

function sourceOf({ source, like }: Dataflow): string {
  if (source === 'built-in' || !like) return 'built-in default';
  const kept = tuningPath();
  const where = kept === null ? 'a table of this process' : `calibration in ${kept}`;
  const threads = `${like.threads} ${like.threads === 1 ? 'thread' : 'threads'}`;
  return source === 'measured' ? where : `nearest shape [${like.n}, ${like.k}], ${threads}, of ${where}`;
}
