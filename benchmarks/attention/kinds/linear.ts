/** Causal linear attention by chunks: forward, backward, and what plain JavaScript makes of it. */
import {
  createLinearState,
  linearAttention,
  linearAttentionBackward,
  linearAttentionStep,
  type Isa,
} from '../../../lib/index.js';
import { normal } from '../../harness/numbers.js';
import type { CaseContender } from '../../harness/question.js';
import { linearAttentionJavaScript } from '../../peers/linear-javascript.js';
import type { AttentionKind, KindSpec } from './kind.js';
import {
  addRow,
  checkRows,
  hasSoftmax,
  HEAD_DIM,
  headArrays,
  JAVASCRIPT_LONGEST,
  kindParameters,
  kindWork,
  ownContender,
  rowDot,
  softmaxContender,
  TAYLOR_DIM,
  TAYLOR_FEATURES,
} from './shared.js';

/** Tokens of a chunk, of which half of the pairs count. */
const CHUNK = 64;
const MAPS = [
  { name: 'elu', map: 'elu', dim: HEAD_DIM, features: HEAD_DIM },
  { name: 'taylor', map: 'taylor', dim: TAYLOR_DIM, features: TAYLOR_FEATURES },
] as const;

const feature = (x: number): number => (x > 0 ? x + 1 : Math.exp(x));

/** The weight of query t and key i of a map, in float64. */
function weightOf(
  { map, dim }: (typeof MAPS)[number],
  q: Float32Array,
  k: Float32Array,
  t: number,
  i: number,
): number {
  if (map === 'taylor') {
    const s = rowDot(q, t, k, i, dim) / Math.sqrt(dim);
    return 1 + s + (s * s) / 2;
  }
  let sum = 0;
  for (let j = 0; j < dim; j++) sum += feature(q[t * dim + j]) * feature(k[i * dim + j]);
  return sum;
}

export const linear: AttentionKind = {
  name: 'linear',
  names: (spec) => [
    ...MAPS.flatMap(({ name }) => [name, `${name} backward`, `${name} step`]),
    ...(hasSoftmax(spec) ? ['softmax'] : []),
    ...(spec.length <= JAVASCRIPT_LONGEST ? ['javascript'] : []),
  ],
  contenders: (spec, isas, wanted) => [
    ...isas.flatMap((isa) => [
      ...MAPS.flatMap((one) => mapContenders(spec, isa, one).filter(({ name }) => wanted(name, isa))),
      ...(hasSoftmax(spec) && wanted('softmax', isa) ? [softmaxContender(spec, isa)] : []),
    ]),
    ...(spec.length <= JAVASCRIPT_LONGEST && wanted('javascript', isas[0])
      ? [javaScript(spec, isas[0])]
      : []),
  ],
};

function mapContenders(spec: KindSpec, isa: Isa, one: (typeof MAPS)[number]): CaseContender[] {
  const { length, threads } = spec;
  const { name, map, dim, features } = one;
  const { q, k, v } = headArrays(length, dim, 11);
  const out = new Float32Array(length * HEAD_DIM);
  const options = { length, headDim: dim, valueDim: HEAD_DIM, map, threads };
  const product = 2 * features * HEAD_DIM;
  const tile = CHUNK * (dim + HEAD_DIM);
  const row = (t: number, y: Float64Array): void => {
    const sum = addRow(y, v, t + 1, (i) => weightOf(one, q, k, t, i));
    y.forEach((value, j) => (y[j] = value / sum));
  };
  const read = q.length + k.length + v.length;
  const forward = kindWork(length, read, out.length, length * (2 * product + tile));
  // Six products with a state, and the tiles' five with the forward's one again.
  const back = kindWork(length, 2 * read + out.length, read, length * (6 * product + 3 * tile));
  const gout = normal(out.length, 17);
  const state = createLinearState({ headDim: dim, valueDim: HEAD_DIM, map });
  const token = { q: q.subarray(0, dim), k: k.subarray(0, dim), v: v.subarray(0, HEAD_DIM) };
  const y = new Float32Array(HEAD_DIM);
  const stepped = kindWork(1, state.kv.length, state.kv.length, 2 * product);
  return [
    ownContender(spec, isa, name, forward, out, () => linearAttention({ q, k, v }, { ...options, out }), row),
    {
      ...ownContender(spec, isa, `${name} backward`, back, out, () => undefined, row),
      run: () => linearAttentionBackward({ q, k, v, gout }, options),
      check: () => checkGradient({ q, k, v, gout }, options),
    },
    {
      ...ownContender(spec, isa, `${name} step`, stepped, y, () => undefined, row),
      run: () => linearAttentionStep(state, token, { out: y, threads }),
      check: () => {
        // The first token gives its value, whatever its key.
        state.kv.fill(0);
        state.k.fill(0);
        linearAttentionStep(state, token, { out: y });
        return checkRows(y, 1, (_, expected) => expected.set(token.v));
      },
    },
  ];
}

/** Along a direction the gradient is what central differences of the output give. */
function checkGradient(
  inputs: { q: Float32Array; k: Float32Array; v: Float32Array; gout: Float32Array },
  given: Parameters<typeof linearAttention>[1],
): { worst: number; detail: string } {
  const length = Math.min(given.length, 96);
  const cut = (x: Float32Array): Float64Array =>
    Float64Array.from(x.subarray(0, (x.length / given.length) * length));
  const options = { ...given, length };
  const [q, k, v, gout] = [inputs.q, inputs.k, inputs.v, inputs.gout].map(cut);
  const loss = (step: number): number => {
    const { out } = linearAttention({ q: q.map((x, i) => x + step * Math.sin(i)), k, v }, options);
    return out.reduce((sum, y, i) => sum + y * gout[i], 0);
  };
  const slope = (loss(1e-6) - loss(-1e-6)) / 2e-6;
  const single = (x: Float64Array): Float32Array => Float32Array.from(x);
  const arrays = { q: single(q), k: single(k), v: single(v), gout: single(gout) };
  const { dq } = linearAttentionBackward(arrays, options);
  const along = dq.reduce((sum, d, i) => sum + d * Math.sin(i), 0);
  const error = Math.abs(along - slope) / Math.max(1, Math.abs(slope));
  return { worst: error / 1e-3, detail: `slope off by ${error.toExponential(1)}` };
}

function javaScript(spec: KindSpec, isa: Isa): CaseContender {
  const { length } = spec;
  const { q, k, v } = headArrays(length, HEAD_DIM, 11);
  const out = new Float32Array(length * HEAD_DIM);
  const run = (): void =>
    linearAttentionJavaScript(q, k, v, { length, dim: HEAD_DIM, valueDim: HEAD_DIM }, out);
  const row = (t: number, y: Float64Array): void => {
    const sum = addRow(y, v, t + 1, (i) => weightOf(MAPS[0], q, k, t, i));
    y.forEach((value, j) => (y[j] = value / sum));
  };
  const work = kindWork(length, 3 * out.length, out.length, length * 4 * HEAD_DIM * HEAD_DIM);
  const check = () => {
    out.fill(NaN);
    run();
    return checkRows(out, length, row);
  };
  return { name: 'javascript', peer: true, parameters: kindParameters(spec, isa), work, run, check };
}
