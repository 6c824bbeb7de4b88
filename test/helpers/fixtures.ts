import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A number as the fixtures spell it: JSON has no NaN and no infinities. */
export type Spelled = number | 'NaN' | 'Infinity' | '-Infinity';

/** Parses `test/fixtures/softmax-two-pass/<name>.json`, turning spelled numbers into numbers. */
export function fixture<T>(name: string): T {
  const path = join(__dirname, '..', 'fixtures', 'softmax-two-pass', `${name}.json`);
  const spelled = new Set(['NaN', 'Infinity', '-Infinity']);
  return JSON.parse(readFileSync(path, 'utf8'), (_, value: unknown) =>
    typeof value === 'string' && spelled.has(value) ? Number(value) : value,
  ) as T;
}

/** One row with its references (vectors.json, temperature.json, special.json). */
export interface RowCase {
  name: string;
  temperature?: number;
  x: number[];
  softmax: number[];
  logSoftmax: number[];
  logSumExp: number;
  softmaxNanPolicy?: number[];
  logSoftmaxNanPolicy?: number[];
  target?: number;
  crossEntropy?: number;
  crossEntropyGradient?: number[];
}

/** rows.json: a row-major matrix with the references of each row. */
export interface MatrixCase {
  rows: number;
  cols: number;
  x: number[];
  softmax: number[];
  logSumExp: number[];
}

/** gradients.json, kind 'crossEntropy'. */
export interface LossCase {
  kind: 'crossEntropy';
  name: string;
  rows: number;
  cols: number;
  temperature: number;
  labelSmoothing: number;
  ignoreIndex: number;
  targets: number[];
  x: number[];
  loss: number[];
  mean: number;
  sum: number;
  counted: number;
  grad: number[];
  gradMean: number[];
}

/** gradients.json, kind 'backward'. */
export interface BackwardCase {
  kind: 'backward';
  name: string;
  rows: number;
  cols: number;
  temperature: number;
  x: number[];
  upstream: number[];
  upstreamRow: number[];
  softmax: number[];
  logSoftmax: number[];
  gradSoftmax: number[];
  gradLogSoftmax: number[];
  gradLogSumExp: number[];
}

/** softmax16.json: 16-bit inputs and the 16-bit result as bits. */
export interface HalfCase {
  name: string;
  dtype: 'bf16' | 'f16';
  xBits: number[];
  softmax: number[];
  logSumExp: number;
  outBits: number[];
}

/** convert16.json: six arrays of bit patterns. */
export interface ConvertCase {
  f32: number[];
  bf16: number[];
  f16: number[];
  from16: number[];
  f16ToF32: number[];
  bf16ToF32: number[];
}

/** extended.json. */
export interface ExtendedCase {
  ext: { x: number; exponent: number; mantissa: number }[];
  add: {
    a: { mantissa: number; exponent: number };
    b: { mantissa: number; exponent: number };
    mantissa: number;
    exponent: number;
    log: number;
  }[];
}

/** The rows of a fixture file that holds `{ cases: [...] }`. */
export function rowCases(name: 'vectors' | 'temperature' | 'special'): RowCase[] {
  return fixture<{ cases: RowCase[] }>(name).cases;
}

/** The loss cases of gradients.json. */
export function lossCases(): LossCase[] {
  const { cases } = fixture<{ cases: (LossCase | BackwardCase)[] }>('gradients');
  return cases.filter((c): c is LossCase => c.kind === 'crossEntropy');
}

/** The backward cases of gradients.json. */
export function backwardCases(): BackwardCase[] {
  const { cases } = fixture<{ cases: (LossCase | BackwardCase)[] }>('gradients');
  return cases.filter((c): c is BackwardCase => c.kind === 'backward');
}
