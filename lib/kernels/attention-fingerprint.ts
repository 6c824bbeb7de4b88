/** Attention on fixed inputs, for `verify`. */
import { mergeAttention, unifiedSoftmax } from './attention-parts.js';
import { appendPaged, decodeAttention, pagedDecodeAttention } from './attention.js';
import type { AttentionResult } from './attention.js';
import { f32ToBf16, f32ToF16 } from './convert.js';
import { WEIGHT_TYPES } from './weights.js';
import type { WeightArray, WeightType } from './weights.js';

const FORMS = ['online', 'unified', 'pair'] as const;
type Form = (typeof FORMS)[number];

/** Normal numbers, the same ones for the same stream. */
type Drawn = (count: number, stream: number, deviation?: number) => Float32Array;

const parts = ({ out, logSumExp }: { out: Float32Array; logSumExp: Float32Array }): Float32Array[] => [
  out,
  logSumExp,
];

function cacheOf(drawn: Drawn, type: WeightType, count: number, stream: number): WeightArray {
  const x = drawn(count, stream);
  if (type === 'f32') return x;
  if (type === 'bf16') return f32ToBf16(x);
  if (type === 'f16') return f32ToF16(x);
  return Int8Array.from(x, (value) => Math.max(-127, Math.min(127, Math.round(40 * value))));
}

/** Contiguous caches: grouped heads, several lengths, an odd head; then everything that changes scores at once. */
function contiguous(drawn: Drawn, type: WeightType, softmax: Form, threads: number): AttentionResult[] {
  const shape = { batch: 2, queryHeads: 6, kvHeads: 2, headDim: 35, maxLength: 1500 };
  const count = shape.batch * shape.maxLength * shape.kvHeads;
  const [keys, values] = [300, 301].map((stream) => cacheOf(drawn, type, count * shape.headDim, stream));
  const scales =
    type === 'int8'
      ? { keyScales: new Float32Array(count).fill(0.025), valueScales: new Float32Array(count).fill(0.03) }
      : {};
  const q = drawn(shape.batch * 3 * shape.queryHeads * shape.headDim, 302);
  const common = {
    ...shape,
    ...scales,
    ...{ lengths: Int32Array.of(1500, 77), kvType: type, queryTokens: 3, phi: 1, threads },
  };
  const seen = {
    ...{ layout: 'HND' as const, window: 300, sinkTokens: 4, softCap: 5 },
    ...{ alibiSlopes: drawn(6, 303, 0.01), sinks: drawn(6, 304) },
  };
  return [
    decodeAttention(q, keys, values, { ...common, softmax }),
    decodeAttention(q, keys, values, { ...common, softmax, splits: 5, ...seen }),
  ];
}

function paged(drawn: Drawn, type: WeightType, threads: number): ArrayBufferView[] {
  const shape = { batch: 2, kvHeads: 2, headDim: 24, pageSize: 10 };
  const pageRows = 2 * shape.kvHeads * shape.pageSize;
  const empty = { f32: Float32Array, bf16: Uint16Array, f16: Uint16Array, int8: Int8Array }[type];
  const pages = new empty(7 * pageRows * shape.headDim);
  const scales = type === 'int8' ? new Float32Array(7 * pageRows) : undefined;
  const pageTable = Int32Array.of(6, 0, 3, 2, 5, -1);
  const lengths = Int32Array.of(30, 17);
  const [first, second] = lengths;
  const tokens = first + second;
  const [k, v] = [310, 311].map((stream) => drawn(tokens * shape.kvHeads * shape.headDim, stream));
  const sequences = Int32Array.from({ length: tokens }, (_, i) => (i < first ? 0 : 1));
  const positions = Int32Array.from({ length: tokens }, (_, i) => (i < first ? i : i - first));
  const common = { ...shape, pageTable, lengths, kvType: type, scales };
  appendPaged(k, v, pages, { ...common, positions, sequences });
  const q = drawn(2 * 8 * shape.headDim, 312);
  const results = FORMS.flatMap((softmax) =>
    parts(pagedDecodeAttention(q, pages, { ...common, queryHeads: 8, softmax, threads })),
  );
  return [pages, ...(scales ? [scales] : []), ...results];
}

/** A kernel's name, and its results with so many threads: for each storage type and form, then the parts. */
export function attentionFingerprints(
  drawn: Drawn,
): [name: string, run: (threads: number) => ArrayBufferView[]][] {
  return [
    ...WEIGHT_TYPES.flatMap((type): [string, (threads: number) => ArrayBufferView[]][] => [
      ...FORMS.map((softmax): [string, (threads: number) => ArrayBufferView[]] => [
        `attention ${softmax} ${type}`,
        (threads) => contiguous(drawn, type, softmax, threads).flatMap(parts),
      ]),
      [`attention paged ${type}`, (threads) => paged(drawn, type, threads)],
    ]),
    [
      'mergeAttention',
      () =>
        parts(mergeAttention(drawn(3 * 7 * 20, 320), drawn(3 * 7, 321), { count: 3, rows: 7, headDim: 20 })),
    ],
    [
      'unifiedSoftmax',
      () => {
        const { weights, logSumExp, fallback } = unifiedSoftmax(drawn(9 * 400, 322, 30), {
          ...{ rows: 9, cols: 400, phi: 20 },
        });
        return [weights, logSumExp, fallback];
      },
    ],
  ];
}
