/** The fixtures of flat GEMM, decode attention and what surrounds them in a decode step. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** An array of the fixtures: numbers in row-major order. */
export interface Shaped {
  shape: number[];
  data: number[];
}

/** Where the fixtures lie. */
export const FLASH_FIXTURES = join(__dirname, '..', 'fixtures', 'flash-decoding-plus-plus');

/** Parses a JSON file, turning spelled numbers into numbers. */
export function spelledJson<T>(path: string): T {
  const spelled = new Set(['NaN', 'Infinity', '-Infinity']);
  return JSON.parse(readFileSync(path, 'utf8'), (_, value: unknown) =>
    typeof value === 'string' && spelled.has(value) ? Number(value) : value,
  ) as T;
}

/** The cases of a file that is a list of them. */
export const flashFixture = <T>(name: string): T => spelledJson<T>(join(FLASH_FIXTURES, `${name}.json`));

/** attention.json. */
export interface AttentionCase {
  name: string;
  batch: number;
  queryHeads: number;
  kvHeads: number;
  headDim: number;
  kvLengths: number[];
  scale: number;
  scoreRange: [number, number];
  q: Shaped;
  k: Shaped;
  v: Shaped;
  out: Shaped;
  logSumExp: Shaped;
  splits: { count: number; out: Shaped; logSumExp: Shaped };
}

/** attention-options.json. */
export interface AttentionOptionsCase {
  batch: number;
  queryHeads: number;
  kvHeads: number;
  headDim: number;
  maxLength: number;
  lengths: number[];
  scale: number;
  window: number | null;
  softCap: number | null;
  kvType: 'f32' | 'bf16' | 'f16';
  q: Shaped;
  k?: Shaped;
  v?: Shaped;
  kBits?: Shaped;
  vBits?: Shaped;
  out: Shaped;
  logSumExp: Shaped;
}

/** paged-attention.json. */
export interface PagedCase {
  batch: number;
  queryHeads: number;
  kvHeads: number;
  headDim: number;
  pageSize: number;
  lengths: number[];
  pageTable: number[][];
  indptr: number[];
  indices: number[];
  lastPageLength: number[];
  q: Shaped;
  pages: Shaped;
  out: Shaped;
  logSumExp: Shaped;
}

/** unified-softmax.json. */
export interface UnifiedCase {
  name: string;
  phi: number;
  a: number;
  b: number;
  scores: Shaped;
  v: Shaped;
  out: Shaped;
  logSumExp: Shaped;
  weights: Shaped;
  elementRuleFallback: number[];
  rowRuleFallback: number[];
  rowMaxMinusPhi: number[];
}

/** flat-gemm.json. */
export interface GemmCase {
  m: number;
  n: number;
  k: number;
  weightType: 'f32' | 'bf16' | 'f16';
  a: Shaped;
  w?: Shaped;
  wBits?: Shaped;
  c: Shaped;
  absSum: Shaped;
}

/** rope.json. */
export interface RopeCase {
  position: number;
  theta: number;
  headDim: number;
  x: number[];
  out: number[];
}

/** rope-scaling.json. */
export interface RopeScalingFixture {
  headDim: number;
  theta: number;
  ropeScaling: {
    rope_type: 'llama3';
    factor: number;
    low_freq_factor: number;
    high_freq_factor: number;
    original_max_position_embeddings: number;
  };
  x: number[];
  inverseFrequencies: number[];
  scaledInverseFrequencies: number[];
  cases: { position: number; scaling: 'none' | 'llama3'; half: number[]; interleaved: number[] }[];
}

/** sampling.json and sampling-ties.json. */
export interface SamplingCase {
  logits: number[];
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  probabilities: number[];
  uniforms: number[];
  draws: number[];
}
