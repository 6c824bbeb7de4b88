/** Prefix linear attention: the first half of the tokens is read without regard to order. */
import { prefixLinearAttention, prefixLinearAttentionBackward, type Isa } from '../../../lib/index.js';
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
  rowDot,
  softmaxContender,
  TAYLOR_DIM,
  TAYLOR_FEATURES,
} from './shared.js';

const CHUNK = 64;

export const prefix: AttentionKind = {
  name: 'pla',
  names: (spec) => ['prefix', 'prefix backward', ...(hasSoftmax(spec) ? ['softmax'] : [])],
  contenders: (spec, isas, wanted) =>
    isas.flatMap((isa) => [
      ...prefixContenders(spec, isa).filter(({ name }) => wanted(name, isa)),
      ...(hasSoftmax(spec) && wanted('softmax', isa) ? [softmaxContender(spec, isa)] : []),
    ]),
};

function prefixContenders(spec: KindSpec, isa: Isa): CaseContender[] {
  const { length, threads } = spec;
  const encoderLength = Math.floor(length / 2);
  const { q, k, v } = headArrays(length, TAYLOR_DIM, 21);
  const { k: kEnc, v: vEnc } = headArrays(encoderLength, TAYLOR_DIM, 25);
  const out = new Float32Array(length * HEAD_DIM);
  const shape = { length, encoderLength, featureDim: TAYLOR_DIM, valueDim: HEAD_DIM, threads };
  const row = (t: number, y: Float64Array): void => {
    const weight = (keys: Float32Array) => (i: number) => {
      const s = rowDot(q, t, keys, i, TAYLOR_DIM) / Math.sqrt(TAYLOR_DIM);
      return 1 + s + (s * s) / 2;
    };
    const sum = addRow(y, vEnc, encoderLength, weight(kEnc)) + addRow(y, v, t + 1, weight(k));
    y.forEach((value, j) => (y[j] = value / sum));
  };
  const product = 2 * TAYLOR_FEATURES * HEAD_DIM;
  const tile = CHUNK * (TAYLOR_DIM + HEAD_DIM);
  const read = q.length + k.length + v.length + kEnc.length + vEnc.length;
  const work = kindWork(length, read, out.length, length * (2 * product + tile) + encoderLength * product);
  const back = kindWork(
    length,
    2 * read + out.length,
    read,
    length * (6 * product + 3 * tile) + encoderLength * 3 * product,
  );
  const gout = normal(out.length, 29);
  const inputs = { q, k, v, kEnc, vEnc };
  const forward = ownContender(
    spec,
    isa,
    'prefix',
    work,
    out,
    () => prefixLinearAttention(inputs, { ...shape, out }),
    row,
  );
  return [
    forward,
    {
      ...forward,
      name: 'prefix backward',
      work: back,
      run: () => prefixLinearAttentionBackward({ ...inputs, gout }, shape),
      check: () => checkSums(inputs, shape),
    },
  ];
}

type Inputs = Record<'q' | 'k' | 'v' | 'kEnc' | 'vEnc', Float32Array>;

/** Weights of a row sum to 1: the gradients of all values, for gradients of 1, sum to the number of rows. */
function checkSums(inputs: Inputs, shape: Parameters<typeof prefixLinearAttentionBackward>[1]) {
  const gout = new Float32Array(shape.length * HEAD_DIM).fill(1);
  const { dv, dvEnc } = prefixLinearAttentionBackward({ ...inputs, gout }, shape);
  let sum = 0;
  for (const each of [dv, dvEnc]) for (const value of each) sum += value;
  const error = Math.abs(sum / gout.length - 1);
  return { worst: error / 1e-4, detail: `gradients of values off by ${error.toExponential(1)}` };
}
