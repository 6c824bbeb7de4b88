/**
 * Products, attention, the steps of a decoder and a whole forward pass on fixed inputs, for `verify`.
 */
import { attentionFingerprints } from '../kernels/attention-fingerprint.js';
import { f32ToBf16, f32ToF16 } from '../kernels/convert.js';
import { gemm } from '../kernels/gemm.js';
import type { Activation } from '../kernels/gemm.js';
import { sampleBatch, sampleProbabilities } from '../kernels/sampling.js';
import { applyRope, layerNorm, rmsNorm, swiglu } from '../kernels/transformer.js';
import {
  embed,
  PackedWeights,
  packWeightRows,
  packWeights,
  quantizeWeights,
  WEIGHT_TYPES,
} from '../kernels/weights.js';
import type { WeightArray, WeightType } from '../kernels/weights.js';
import { blocking } from '../native.js';
import { Philox } from '../random.js';
import { PAGE_TOKENS, pageBytes, prepareForward } from './forward.js';
import type { ForwardBatch, LlamaShape, LlamaWeights } from './forward.js';

/** A kernel's name, and its results with so many threads. */
export type LlmKernel = [name: string, run: (threads: number) => ArrayBufferView[]];

const SEED = 2_311_01282;

/** Normal numbers, the same ones for the same stream. */
export function drawn(count: number, stream: number, deviation = 1): Float32Array {
  const x = new Philox(SEED, stream).normal(new Float32Array(count));
  for (let i = 0; i < count; i++) x[i] *= deviation;
  return x;
}

/** Random rows, converted to a type and packed. */
function converted(
  type: WeightType,
  n: number,
  k: number,
  stream: number,
  deviation: number,
  threads?: number,
): PackedWeights {
  const target = PackedWeights.allocate({ n, k, type });
  packWeightRows(target, drawn(n * k, stream, deviation), { row: 0, rows: n, threads });
  return target;
}

/** Shapes that take every path: one row, odd sizes, more than one block of k, enough for several threads. */
const SHAPES: readonly (readonly [m: number, n: number, k: number])[] = [
  [1, 1, 1],
  [1, 1050, 530],
  [3, 70, 300],
  [9, 33, 257],
  [70, 45, 600],
];
const ACTIVATIONS: readonly Activation[] = ['none', 'silu', 'gelu', 'gelu-tanh', 'relu'];

interface Stored {
  w: WeightArray;
  scales?: Float32Array;
}

function stored(type: WeightType, n: number, k: number, stream: number): Stored {
  const w = drawn(n * k, stream, 0.5);
  if (type === 'f32') return { w };
  if (type === 'bf16') return { w: f32ToBf16(w) };
  if (type === 'f16') return { w: f32ToF16(w) };
  const { data, scales } = quantizeWeights(w, { n, k });
  return { w: data, scales };
}

function products(): LlmKernel[] {
  const list: LlmKernel[] = [];
  for (const type of WEIGHT_TYPES) {
    list.push([
      `gemm packed ${type}`,
      (threads) =>
        SHAPES.flatMap(([m, n, k], i) => {
          const { w, scales } = stored(type, n, k, 10 + i);
          const packed = packWeights(w, { n, k, type, scales, threads });
          const a = drawn(m * k, 20 + i);
          const common = { bias: drawn(n, 30 + i), residual: drawn(m * n, 40 + i), threads };
          const activation = ACTIVATIONS[i % ACTIVATIONS.length];
          return (['gemv', 'flat', 'blocked'] as const).flatMap((kernel) => [
            gemm(a, packed, { m, kernel, threads }),
            gemm(a, packed, { m, kernel, activation, prefetch: false, ...common }),
          ]);
        }),
    ]);
    list.push([
      `gemm rows ${type}`,
      (threads) =>
        SHAPES.flatMap(([m, n, k], i) => {
          const { w, scales } = stored(type, n, k, 10 + i);
          const a = drawn(m * k, 20 + i);
          return (['gemv', 'flat', 'blocked'] as const).map((kernel) =>
            gemm(a, w, { m, n, k, type, scales, kernel, threads }),
          );
        }),
    ]);
    list.push([
      `packWeights ${type}`,
      (threads) => {
        const packed = converted(type, 45, 300, 5, 1, threads);
        const gathered = embed(packed, Int32Array.of(44, 0, 17));
        return [packed.data, packed.scales, gathered];
      },
    ]);
  }
  return list;
}

function steps(): LlmKernel[] {
  const lengths = [1, 7, 64, 513, 9001];
  const each = (run: (x: Float32Array, n: number, i: number) => ArrayBufferView[]): ArrayBufferView[] =>
    lengths.flatMap((n, i) => run(drawn(3 * n, 50 + i), n, i));
  return [
    [
      'rmsNorm',
      (threads) =>
        each((x, n, i) => {
          const residual = drawn(3 * n, 60 + i);
          return [rmsNorm(x, drawn(n, 70 + i), { rows: 3, residual, threads }), residual];
        }),
    ],
    [
      'layerNorm',
      (threads) =>
        each((x, n, i) => [layerNorm(x, drawn(n, 70 + i), drawn(n, 80 + i), { rows: 3, threads })]),
    ],
    ['swiglu', (threads) => each((x, n, i) => [swiglu(x, drawn(3 * n, 60 + i), { threads })])],
    [
      'applyRope',
      (threads) =>
        ([2, 10, 64, 130] as const).flatMap((headDim, i) =>
          (['half', 'interleaved'] as const).map((style) =>
            applyRope(drawn(3 * 2 * headDim, 90 + i), Int32Array.of(0, 1, 100_000), {
              headDim,
              style,
              threads,
            }),
          ),
        ),
    ],
    [
      'sample',
      (threads) => {
        const [rows, vocab] = [6, 1009];
        const logits = drawn(rows * vocab, 100, 3);
        const options = Array.from({ length: rows }, (_, i) => ({
          ...{ temperature: 0.4 + 0.2 * i, topK: 50 * (i % 3), topP: 1 - 0.05 * i, minP: 0.01 * (i % 2) },
          ...{ repetitionPenalty: 1 + 0.1 * i, seen: Int32Array.of(1, 2, 3, 1000) },
          ...{ logitBias: new Map([[7, 1.5]]), seed: 5, index: i },
        }));
        const tokens = sampleBatch(logits, options, { threads });
        return [
          Float64Array.from(
            tokens.flatMap(({ token, probability, logProbability }) => [token, probability, logProbability]),
          ),
          sampleProbabilities(logits.subarray(0, vocab), { temperature: 0.8, topK: 40, topP: 0.9 }),
        ];
      },
    ],
  ];
}

const SHAPE: LlamaShape = {
  hidden: 40,
  layers: 2,
  queryHeads: 6,
  kvHeads: 2,
  headDim: 10,
  intermediate: 70,
  vocab: 130,
  eps: 1e-5,
  window: 0,
  inverseFrequencies: Float64Array.from({ length: 5 }, (_, i) => 10_000 ** (-i / 5)),
};

function randomModel(type: WeightType): LlamaWeights {
  const { hidden, queryHeads, kvHeads, headDim, intermediate, vocab } = SHAPE;
  let stream = 200;
  const matrix = (n: number, k: number): PackedWeights => converted(type, n, k, ++stream, 1 / Math.sqrt(k));
  const norm = (): Float32Array => drawn(hidden, ++stream, 0.1).map((x) => 1 + x);
  const qkv = (queryHeads + 2 * kvHeads) * headDim;
  const layers = Array.from({ length: SHAPE.layers }, () => ({
    inputNorm: norm(),
    qkv: matrix(qkv, hidden),
    qkvBias: drawn(qkv, ++stream, 0.1),
    output: matrix(hidden, queryHeads * headDim),
    postNorm: norm(),
    gateUp: matrix(2 * intermediate, hidden),
    down: matrix(hidden, intermediate),
  }));
  return { layers, finalNorm: norm(), head: matrix(vocab, hidden), embedding: matrix(vocab, hidden) };
}

/** A prompt, beside a shorter one that goes on; then one step of both. */
function forwardPasses(type: WeightType, threads: number): Float32Array[] {
  const weights = randomModel(type);
  const slabs = [new Uint8Array(6 * pageBytes(SHAPE, type))];
  const pageTable = Int32Array.of(3, 0, 5, 1, 4, 2);
  const passes = (
    [
      [2 * PAGE_TOKENS + 5, 4, 0, 0],
      [1, 1, 2 * PAGE_TOKENS + 5, 4],
    ] as const
  ).map(([first, second, at, from]): ForwardBatch => {
    const m = first + second;
    return {
      tokens: Int32Array.from({ length: m }, (_, i) => ((at + i) * 37) % SHAPE.vocab),
      sequences: Int32Array.from({ length: m }, (_, i) => (i < first ? 0 : 1)),
      positions: Int32Array.from({ length: m }, (_, i) => (i < first ? at + i : from + i - first)),
      pageTable,
      maxPages: 3,
      logitRows: Int32Array.of(0, m - 1),
    };
  });
  return (['online', 'unified', 'pair'] as const).flatMap((softmax) =>
    passes.map(
      (batch) => blocking(prepareForward(SHAPE, weights, slabs, type, batch, { threads, softmax })).logits,
    ),
  );
}

/** All of them. */
export function llmKernels(): LlmKernel[] {
  const forward = WEIGHT_TYPES.map((type): LlmKernel => [
    `llama forward ${type}`,
    (threads) => forwardPasses(type, threads),
  ]);
  return [...products(), ...attentionFingerprints(drawn), ...steps(), ...forward];
}
