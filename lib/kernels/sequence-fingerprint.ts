/** Products, scans, and the relatives of attention in linear time on fixed inputs, for `verify`. */
import { Philox } from '../random.js';
import { causalConv1d, causalConv1dBackward } from './causal-conv.js';
import { deltaRuleRecurrence } from './delta-rule.js';
import { linearAttention, linearAttentionBackward } from './linear-attention.js';
import { ltiScan } from './lti.js';
import { matmul } from './matmul.js';
import { newtonPseudoInverse } from './newton.js';
import { prefixLinearAttention } from './prefix-attention.js';
import { recurrentAttention } from './recurrent-attention.js';
import { linearRecurrence } from './recurrence.js';
import { selectiveScanBackward } from './selective-scan-backward.js';
import { selectiveScan } from './selective-scan.js';
import { softAttention, softAttentionBackward } from './soft-attention.js';
import { ssdScan, ssdScanBackward } from './ssd.js';
import { selectiveStateUpdate } from './state-update.js';

type Reals = Float32Array | Float64Array;
type Drawn = (count: number, stream: number) => Reals;
type Kernel = [name: string, run: (threads: number) => ArrayBufferView[]];

const arrays = (result: object): ArrayBufferView[] =>
  Object.values(result).filter((each) => ArrayBuffer.isView(each));

/** Numbers in [-1, 1) of one type, the same ones for the same stream. */
function drawnAs(type: 'f32' | 'f64'): Drawn {
  return (count, stream) => {
    const out = type === 'f64' ? new Float64Array(count) : new Float32Array(count);
    new Philox(23_120_0752, stream).uniform(out, -1, 1);
    return out;
  };
}

/** Two layouts, groups, an odd number of channels and states; long and narrow, where time is cut; shared powers. */
function scans(drawn: Drawn, threads: number): ArrayBufferView[] {
  return (
    [
      { batch: 2, dim: 70, length: 131, state: 9, groups: 2, layout: 'channels-first' },
      { batch: 1, dim: 3, length: 2100, state: 16, groups: 1, layout: 'time-first' },
    ] as const
  ).flatMap((shape, i) => {
    const { batch, dim, length, state, groups } = shape;
    const rows = batch * dim * length;
    const weights = batch * groups * state * length;
    const A = drawn(dim * state, 10 * i);
    A.forEach((value, j) => (A[j] = i === 1 ? -(1 + (j % state)) : -2 - value));
    const input = {
      ...{ u: drawn(rows, 10 * i + 1), delta: drawn(rows, 10 * i + 2), A },
      ...{ B: drawn(weights, 10 * i + 3), C: drawn(weights, 10 * i + 4), D: drawn(dim, 10 * i + 5) },
      ...{ z: drawn(rows, 10 * i + 6), deltaBias: drawn(dim, 10 * i + 7) },
    };
    const options = { ...shape, deltaSoftplus: true, threads };
    const forward = selectiveScan(input, { ...options, returnLastState: true });
    return [...arrays(forward), ...arrays(selectiveScanBackward(input, forward.out, options))];
  });
}

function mamba2(drawn: Drawn, threads: number): ArrayBufferView[] {
  const shape = { batch: 1, length: 150, heads: 4, headDim: 9, state: 11, groups: 2 };
  const input = {
    ...{ x: drawn(150 * 36, 30), dt: drawn(150 * 4, 31), A: drawn(4, 32).map((value) => -1.5 - value) },
    ...{ B: drawn(150 * 22, 33), C: drawn(150 * 22, 34), D: drawn(4, 35) },
  };
  const options = { ...shape, dtSoftplus: true, threads };
  const { out } = ssdScan(input, options);
  return [out, ...arrays(ssdScanBackward(input, out, options))];
}

function recurrences(drawn: Drawn, threads: number): ArrayBufferView[] {
  const [length, width] = [67, 37];
  const [x, weight] = [drawn(length * width, 40), drawn(width * 4, 41)];
  const conv = {
    batch: 1,
    dim: width,
    length,
    width: 4,
    layout: 'time-first',
    activation: 'silu',
    threads,
  } as const;
  const { out } = causalConv1d({ x, weight }, conv);
  const state = drawn(2 * 5 * 7, 42);
  const step = {
    ...{ x: drawn(10, 43), dt: drawn(10, 44), A: drawn(35, 45).map((value) => -1 - value) },
    ...{ B: drawn(14, 46), C: drawn(14, 47) },
  };
  const y = selectiveStateUpdate(state, step, { batch: 2, dim: 5, state: 7, dtSoftplus: true });
  const lti = {
    ...{ u: drawn(3 * 700, 48), A: drawn(3 * 4, 49).map((value) => -1.5 - value) },
    ...{ B: drawn(12, 50), C: drawn(12, 51), delta: drawn(3, 52).map((value) => 0.1 + value * value) },
  };
  const shape = { batch: 1, dim: 3, length: 700, state: 4, discretization: 'zoh', threads } as const;
  return [
    linearRecurrence(x, drawn(length * width, 53), { length, width, threads }),
    ...arrays(
      deltaRuleRecurrence(
        {
          q: drawn(450, 54),
          k: drawn(450, 55),
          v: drawn(350, 56),
          beta: drawn(50, 57).map((value) => value * value),
        },
        { batch: 1, length: 50, heads: 1, keyDim: 9, valueDim: 7, threads },
      ),
    ),
    ...[out, ...arrays(causalConv1dBackward({ x, weight }, out, conv)), y, state],
    ...(['recurrence', 'convolution'] as const).map((method) => ltiScan(lti, { ...shape, method }).out),
  ];
}

function linear(drawn: Drawn, threads: number): ArrayBufferView[] {
  const shape = { batch: 1, heads: 2, length: 150, valueDim: 11, threads };
  const [q, k, v] = [drawn(300 * 7, 60), drawn(300 * 7, 61), drawn(300 * 11, 62)];
  return [
    ...(['elu', 'taylor'] as const).flatMap((map) => {
      const options = { ...shape, headDim: 7, map, normalize: true, algorithm: 'chunk' } as const;
      const { out } = linearAttention({ q, k, v }, options);
      return [out, ...arrays(linearAttentionBackward({ q, k, v, gout: out }, options))];
    }),
    prefixLinearAttention(
      { q, k, v, kEnc: k.subarray(0, 2 * 40 * 7), vEnc: v.subarray(0, 2 * 40 * 11) },
      { ...shape, featureDim: 7, encoderLength: 40 },
    ).out,
    recurrentAttention({ q, k, v }, { ...shape, headDim: 7, order: 3, normalization: 'l2' }).out,
  ];
}

function soft(drawn: Drawn, threads: number): ArrayBufferView[] {
  const shape = { batch: 1, heads: 2, n: 130, m: 17, d: 9, dv: 6, threads };
  const input = { q: drawn(260 * 9, 70), landmarks: drawn(34 * 9, 71), v: drawn(260 * 6, 72) };
  return [false, true].flatMap((normalize) => {
    const { out, saved } = softAttention(input, { ...shape, normalize });
    return [out, ...arrays(softAttentionBackward(saved, out))];
  });
}

function products(drawn: Drawn, threads: number): ArrayBufferView[] {
  const [m, n, k] = [37, 41, 300];
  const A = matmul(drawn(25 * 30, 82), drawn(25 * 30, 82), {
    m: 25,
    n: 25,
    k: 30,
    transposeB: true,
    alpha: 1 / 30,
  });
  return [
    ...[false, true].map((transposeB) =>
      matmul(drawn(m * k, 80), drawn(n * k, 81), { m, n, k, transposeB, threads }),
    ),
    newtonPseudoInverse(A, { m: 25, threads }).inverse,
  ];
}

/** A family's name, and its results with so many threads. */
export function sequenceKernels(): Kernel[] {
  const families = {
    ...{ selectiveScan: scans, ssdScan: mamba2, recurrences, linearAttention: linear },
    ...{ softAttention: soft, matmul: products },
  };
  return (['f32', 'f64'] as const).flatMap((type) =>
    Object.entries(families).map(([name, run]): Kernel => [
      `${name} ${type}`,
      (threads) => run(drawnAs(type), threads),
    ]),
  );
}
