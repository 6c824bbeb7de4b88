/** Softmax-free attention (SOFT) with 49 landmarks, forward and backward, beside the exact Gaussian kernel. */
import {
  gaussianAttention,
  newtonPseudoInverse,
  softAttention,
  softAttentionBackward,
  type Isa,
} from '../../../lib/index.js';
import { normal } from '../../harness/numbers.js';
import type { CaseContender } from '../../harness/question.js';
import type { AttentionKind, KindSpec } from './kind.js';
import {
  addRow,
  hasSoftmax,
  HEAD_DIM,
  headArrays,
  kindWork,
  ownContender,
  softmaxContender,
} from './shared.js';

/** Landmarks of the paper at every resolution. */
const LANDMARKS = 49;
const ITERATIONS = 20;

/** exp(-|a_i - b_j|^2 / 2) of rows, in float64, `scale` times the first ones. */
function gaussian(
  a: Float32Array,
  i: number,
  scale: number,
  b: Float32Array,
  j: number,
  other: number,
): number {
  let sum = 0;
  for (let l = 0; l < HEAD_DIM; l++) sum += (scale * a[i * HEAD_DIM + l] - other * b[j * HEAD_DIM + l]) ** 2;
  return Math.exp(-sum / 2);
}

export const soft: AttentionKind = {
  name: 'soft',
  names: (spec) => ['soft', 'soft backward', ...(hasSoftmax(spec) ? ['gaussian', 'softmax'] : [])],
  contenders: (spec, isas, wanted) =>
    isas.flatMap((isa) => [
      ...softContenders(spec, isa).filter(({ name }) => wanted(name, isa)),
      ...(hasSoftmax(spec) && wanted('gaussian', isa) ? [exact(spec, isa)] : []),
      ...(hasSoftmax(spec) && wanted('softmax', isa) ? [softmaxContender(spec, isa)] : []),
    ]),
};

function softContenders(spec: KindSpec, isa: Isa): CaseContender[] {
  const { length: n, threads } = spec;
  const { q, v } = headArrays(n, HEAD_DIM, 41);
  const landmarks = normal(LANDMARKS * HEAD_DIM, 44);
  const out = new Float32Array(n * HEAD_DIM);
  const shape = { n, m: LANDMARKS, d: HEAD_DIM, dv: HEAD_DIM, iterations: ITERATIONS, threads };
  const input = { q, landmarks, v };
  const scale = HEAD_DIM ** -0.25;
  // The kernel to the landmarks and its two products with values; the inverse.
  const product = 2 * n * LANDMARKS * HEAD_DIM;
  const inverse = ITERATIONS * 4 * LANDMARKS ** 3;
  const forward = kindWork(n, q.length + v.length, out.length, 3 * product + inverse);
  const back = kindWork(n, q.length + v.length + out.length, q.length + v.length, 8 * product);
  let weights: Float64Array | undefined;
  const row = (t: number, y: Float64Array): void => {
    weights ??= landmarkValues(q, landmarks, v, n, scale);
    for (let j = 0; j < LANDMARKS; j++) {
      const share = gaussian(q, t, scale, landmarks, j, 1);
      for (let l = 0; l < HEAD_DIM; l++) y[l] += share * weights[j * HEAD_DIM + l];
    }
  };
  const { saved } = softAttention(input, shape);
  return [
    ownContender(spec, isa, 'soft', forward, out, () => softAttention(input, { ...shape, out }), row),
    {
      ...ownContender(spec, isa, 'soft backward', back, out, () => undefined, row),
      run: () => softAttentionBackward(saved, v, { threads }),
      check: () => checkValues(softAttentionBackward(saved, v, { threads }).dv, input, v, shape),
    },
  ];
}

/** pinv(A) (K1^T V), [LANDMARKS, HEAD_DIM]. */
function landmarkValues(
  q: Float32Array,
  landmarks: Float32Array,
  v: Float32Array,
  n: number,
  scale: number,
): Float64Array {
  const among = Float64Array.from({ length: LANDMARKS ** 2 }, (_, i) =>
    gaussian(landmarks, Math.floor(i / LANDMARKS), 1, landmarks, i % LANDMARKS, 1),
  );
  const { inverse } = newtonPseudoInverse(among, { m: LANDMARKS, iterations: ITERATIONS });
  const seen = new Float64Array(LANDMARKS * HEAD_DIM);
  for (let j = 0; j < LANDMARKS; j++) {
    const sums = new Float64Array(HEAD_DIM);
    addRow(sums, v, n, (i) => gaussian(q, i, scale, landmarks, j, 1));
    seen.set(sums, j * HEAD_DIM);
  }
  return Float64Array.from({ length: LANDMARKS * HEAD_DIM }, (_, at) => {
    const [row, column] = [Math.floor(at / HEAD_DIM), at % HEAD_DIM];
    let sum = 0;
    for (let j = 0; j < LANDMARKS; j++) sum += inverse[row * LANDMARKS + j] * seen[j * HEAD_DIM + column];
    return sum;
  });
}

/** The output is linear in v with a symmetric matrix: dv of a gradient is what the forward call makes of it as values. */
function checkValues(
  dv: Float32Array,
  input: { q: Float32Array; landmarks: Float32Array; v: Float32Array },
  gradient: Float32Array,
  shape: Parameters<typeof softAttention>[1],
): { worst: number; detail: string } {
  const { out } = softAttention({ ...input, v: gradient }, { ...shape, out: undefined });
  let [worst, largest] = [0, 0];
  out.forEach((value, i) => {
    worst = Math.max(worst, Math.abs(value - dv[i]));
    largest = Math.max(largest, Math.abs(value));
  });
  return { worst: worst / largest / 1e-3, detail: `dv off by ${(worst / largest).toExponential(1)}` };
}

function exact(spec: KindSpec, isa: Isa): CaseContender {
  const { length: n, threads } = spec;
  const { q, v } = headArrays(n, HEAD_DIM, 41);
  const out = new Float32Array(n * HEAD_DIM);
  const scale = HEAD_DIM ** -0.25;
  const work = kindWork(n, q.length + v.length, out.length, 4 * n * n * HEAD_DIM);
  const row = (t: number, y: Float64Array): void => {
    addRow(y, v, n, (i) => gaussian(q, t, scale, q, i, scale));
  };
  const run = () => out.set(gaussianAttention({ q, v }, { n, d: HEAD_DIM, dv: HEAD_DIM, threads }));
  return ownContender(spec, isa, 'gaussian', work, out, run, row);
}
