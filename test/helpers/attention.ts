import type { AttentionResult, DecodeAttentionOptions } from '../../lib/index.js';
import { type Attention, type AttentionOptions, type CacheType, widenCache } from '../reference/attention.js';
import { narrow } from '../reference/convert.js';
import { expectClose, type Tolerance } from './compare.js';
import { integers, normalRow, uniformRow } from './rows.js';

/** Keys or values as a cache stores them. */
export type Stored = Float32Array | Uint16Array | Int8Array;

/** Everything a call of attention needs, and the numbers that the stored keys and values are worth. */
export interface Problem {
  q: Float32Array;
  keys: Stored;
  values: Stored;
  keyScales?: Float32Array;
  valueScales?: Float32Array;
  wideKeys: Float64Array;
  wideValues: Float64Array;
  shape: AttentionOptions;
  /** The options of the call. */
  options: DecodeAttentionOptions;
}

/** Shape of a problem; everything beside the heads has a default. */
export interface ProblemOptions extends Partial<AttentionOptions> {
  kvType?: CacheType;
  stream?: number;
  /** Deviation of queries and keys; scores have deviation spread^2. */
  spread?: number;
}

/** Normal numbers as a cache of a type stores them, with int8 scales that make the deviation about one. */
function stored(
  count: number,
  headDim: number,
  type: CacheType,
  spread: number,
  stream: number,
): { data: Stored; scales?: Float32Array } {
  if (type === 'int8') {
    const data = Int8Array.from(integers(count, 255, stream), (value) => value - 127);
    return { data, scales: uniformRow(count / headDim, 0.01 * spread, 0.02 * spread, stream + 1) };
  }
  const normal = normalRow(count, spread, stream);
  return { data: type === 'f32' ? normal : narrow(normal, type) };
}

/** A random problem, the same one for the same options. */
export function problemOf(o: ProblemOptions): Problem {
  const { kvType = 'f32', stream = 0, spread = 1, ...rest } = o;
  const lengths = rest.lengths ?? [rest.maxLength ?? 33];
  const shape: AttentionOptions = {
    batch: lengths.length,
    queryHeads: 1,
    kvHeads: 1,
    headDim: 16,
    maxLength: Math.max(...Array.from(lengths)),
    ...rest,
    alibiSlopes: rest.alibiSlopes && Float32Array.from(rest.alibiSlopes),
    sinks: rest.sinks && Float32Array.from(rest.sinks),
    lengths: Int32Array.from(lengths),
  };
  const { batch, queryTokens = 1, queryHeads, kvHeads, headDim, maxLength } = shape;
  const count = batch * maxLength * kvHeads * headDim;
  const q = normalRow(batch * queryTokens * queryHeads * headDim, spread, 5000 + 4 * stream);
  const keys = stored(count, headDim, kvType, spread, 6000 + 4 * stream);
  const values = stored(count, headDim, kvType, 1, 8000 + 4 * stream);
  return {
    q,
    keys: keys.data,
    values: values.data,
    keyScales: keys.scales,
    valueScales: values.scales,
    wideKeys: widenCache(keys.data, kvType, headDim, keys.scales),
    wideValues: widenCache(values.data, kvType, headDim, values.scales),
    shape,
    options: {
      ...(shape as DecodeAttentionOptions),
      kvType,
      keyScales: keys.scales,
      valueScales: values.scales,
    },
  };
}

/** What float32 attention promises where scores are ordinary. */
const OUT = 2e-6;
const LSE = 2e-6;

/** Errors grow with the scores: a score of size s rounds by about 6e-8 s, and sums of products round a few times. */
function scoreSize({ largest, smallest }: Attention, row: number): number {
  return Number.isFinite(largest[row]) ? Math.max(Math.abs(largest[row]), Math.abs(smallest[row])) : 0;
}

/** Fails unless a result is as near to the reference as float32 attention promises. */
export function expectAttention(
  actual: Pick<AttentionResult, 'out' | 'logSumExp'>,
  expected: Attention,
  headDim: number,
  label: string,
): void {
  const extra = (row: number): number => 1 + Math.max(0, scoreSize(expected, row) - 8) / 4;
  const out: Tolerance = (i) => OUT * extra(Math.floor(i / headDim)) * Math.max(1, expected.absOut[i]);
  expectClose(actual.out, expected.out, out, `out, ${label}`);
  const lse: Tolerance = (row) => LSE * extra(row);
  expectClose(actual.logSumExp, expected.logSumExp, lse, `lse, ${label}`);
}
