/** What the kinds of attention share: arrays, checks of some rows, softmax attention to be held against. */
import { prefillAttention, setIsa, type Isa } from '../../../lib/index.js';
import { normal } from '../../harness/numbers.js';
import type { CaseContender, Check, Work } from '../../harness/question.js';
import type { KindSpec } from './kind.js';

/** Numbers of a value of one head, and of a query and key of softmax attention and of linear attention's feature maps. */
export const HEAD_DIM = 64;
/** Numbers of a query and key before the Taylor features, as in Based and JRT-RNN: 153 features. */
export const TAYLOR_DIM = 16;
/** C(16 + 2, 2) */
export const TAYLOR_FEATURES = 153;

/** Above this many bytes arrays come from memory. */
const CACHED = 2 ** 25;
/** Longest sequence that softmax attention is timed on. */
const SOFTMAX_LONGEST = 2 ** 14;
/** Longest sequence that plain JavaScript is timed on: some tenths of a second. */
export const JAVASCRIPT_LONGEST = 2 ** 14;
/** What an answer is allowed, as a share of the largest value. */
const ALLOWANCE = 1e-4;

/** Whether softmax attention takes part. */
export const hasSoftmax = ({ length }: KindSpec): boolean => length <= SOFTMAX_LONGEST;

/** Queries, keys and values of one head: [length, dim], [length, dim], [length, HEAD_DIM]. */
export const headArrays = (length: number, dim: number, stream: number) => ({
  q: normal(length * dim, stream),
  k: normal(length * dim, stream + 1),
  v: normal(length * HEAD_DIM, stream + 2),
});

/** The case as result rows name it. */
export const kindParameters = ({ kind, length, threads }: KindSpec, isa: Isa) => ({
  kind,
  length,
  isa,
  threads,
});

/**
 * Work of a call: arrays are read once, results written once, operations as given.
 *
 * @param read numbers that are read
 * @param written numbers that are written
 */
export function kindWork(length: number, read: number, written: number, flops: number): Work {
  const bytes = 4 * (read + written);
  const memory = { readBytes: 4 * read, copyBytes: 4 * written };
  return { elements: length, unit: 'token', bytes, flops, ...(bytes > CACHED && { memory }) };
}

/** Compares some rows of an answer with what `row` says of them in float64. */
export function checkRows(
  out: Float32Array,
  length: number,
  row: (t: number, y: Float64Array) => void,
): Check {
  const y = new Float64Array(HEAD_DIM);
  let [worst, largest] = [0, 0];
  for (const t of [0, Math.floor(length / 3), length - 1]) {
    row(t, y.fill(0));
    y.forEach((value, j) => {
      largest = Math.max(largest, Math.abs(value));
      // Math.max hands NaN on, and NaN counts as wrong.
      worst = Math.max(worst, Math.abs(out[t * HEAD_DIM + j] - value));
    });
  }
  const error = worst / largest;
  return { worst: error / ALLOWANCE, detail: `error ${error.toExponential(1)} of the largest value` };
}

/** The row t of causal attention whose weights are `weight(t, i)`, and of the keys and values before them, in float64. */
export function addRow(
  y: Float64Array,
  v: Float32Array,
  count: number,
  weight: (i: number) => number,
): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const w = weight(i);
    sum += w;
    for (let j = 0; j < HEAD_DIM; j++) y[j] += w * v[i * HEAD_DIM + j];
  }
  return sum;
}

/** The inner product of rows of q and k, in float64. */
export function rowDot(q: Float32Array, t: number, k: Float32Array, i: number, dim: number): number {
  let sum = 0;
  for (let j = 0; j < dim; j++) sum += q[t * dim + j] * k[i * dim + j];
  return sum;
}

/** A contender of softlane on an instruction set. */
export function ownContender(
  spec: KindSpec,
  isa: Isa,
  name: string,
  work: Work,
  out: Float32Array,
  run: () => unknown,
  row: (t: number, y: Float64Array) => void,
): CaseContender {
  return {
    name,
    parameters: kindParameters(spec, isa),
    work,
    before: () => setIsa(isa),
    run,
    check: () => {
      out.fill(NaN);
      run();
      return checkRows(out, spec.length, row);
    },
  };
}

/** Causal softmax attention of the same length, with heads of HEAD_DIM. */
export function softmaxContender(spec: KindSpec, isa: Isa): CaseContender {
  const { length, threads } = spec;
  const { q, k, v } = headArrays(length, HEAD_DIM, 31);
  const out = new Float32Array(length * HEAD_DIM);
  const shape = { batch: 1, queryHeads: 1, kvHeads: 1, headDim: HEAD_DIM, length, threads, out };
  const work = kindWork(length, 3 * out.length, out.length, 2 * length * (length + 1) * HEAD_DIM);
  const row = (t: number, y: Float64Array): void => {
    const sum = addRow(y, v, t + 1, (i) => Math.exp(rowDot(q, t, k, i, HEAD_DIM) / Math.sqrt(HEAD_DIM)));
    y.forEach((value, j) => (y[j] = value / sum));
  };
  return ownContender(spec, isa, 'softmax', work, out, () => prefillAttention(q, k, v, shape), row);
}
