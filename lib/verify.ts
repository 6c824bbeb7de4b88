/**
 * One hash for each kernel and instruction set, over fixed inputs: results that are the same bits for any number of
 * threads show as equal hashes.
 */
import { createHash } from 'node:crypto';
import * as check from './check.js';
import type { Floats } from './check.js';
import { elasticKernels } from './elastic/fingerprint.js';
import type { Dtype } from './kernels/arguments.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './kernels/convert.js';
import { addExtended, extendedExp, mergeLogSumExp } from './kernels/extended.js';
import * as losses from './kernels/losses.js';
import { sequenceKernels } from './kernels/sequence-fingerprint.js';
import { ALGORITHMS, logSoftmax, softmax } from './kernels/softmax.js';
import { llmKernels } from './llm/fingerprint.js';
import { availableIsas, isa as currentIsa, setIsa, setThreads, threads as poolThreads } from './machine.js';
import type { Isa } from './machine.js';
import { Philox } from './random.js';

/** A line of `verify`. */
export interface Fingerprint {
  /** The function, with its algorithm and storage type where it has them. */
  kernel: string;
  isa: Isa;
  /** The first 16 hexadecimal digits of the SHA-256 of all results. */
  hash: string;
}

/** Options of `verify`. */
export interface VerifyOptions {
  /** Instruction sets; default those available. */
  isas?: Isa[];
  /** Threads that each call may use (the pool is as large for the time of the check); default 1. */
  threads?: number;
}

/** Shapes that take every path: transposed, one block, several blocks with a tail, several pieces. */
const SHAPES: readonly (readonly [rows: number, cols: number])[] = [
  [37, 10],
  [19, 131],
  [3, 4099],
  [1, 300_007],
];

interface Input {
  rows: number;
  cols: number;
  f32: Float32Array;
  f64: Float64Array;
  bf16: Uint16Array;
  f16: Uint16Array;
  upstream: Float32Array;
  targets: Int32Array;
}

function inputs(): Input[] {
  return SHAPES.map(([rows, cols], stream) => {
    const length = rows * cols;
    const f32 = new Float32Array(length);
    new Philox(20_010_4438, 2 * stream).uniform(f32, -10, 10);
    const upstream = new Float32Array(length);
    new Philox(20_010_4438, 2 * stream + 1).uniform(upstream, -1, 1);
    const targets = Int32Array.from({ length: rows }, (_, row) => (row * 7919) % cols);
    return {
      rows,
      cols,
      f32,
      f64: Float64Array.from(f32),
      bf16: f32ToBf16(f32),
      f16: f32ToF16(f32),
      upstream,
      targets,
    };
  });
}

type Kernel = [name: string, run: (x: Input, threads: number) => ArrayBufferView[]];

const stored = (x: Input, dtype: Dtype): Floats => x[dtype];

function kernels(): Kernel[] {
  const list: Kernel[] = [];
  const dtypes: Dtype[] = ['f32', 'f64', 'bf16', 'f16'];
  const algorithms = ALGORITHMS.filter((each) => each !== 'auto'); // auto is a choice among these, and may be calibrated
  for (const dtype of dtypes) {
    for (const algorithm of algorithms) {
      for (const [name, kernel] of [
        ['softmax', softmax],
        ['logSoftmax', logSoftmax],
      ] as const) {
        list.push([
          `${name} ${algorithm} ${dtype}`,
          (x, threads) =>
            [1, 0.7].map((temperature) =>
              kernel(stored(x, dtype), { rows: x.rows, dtype, algorithm, temperature, threads }),
            ),
        ]);
      }
      list.push([
        `logSumExp ${algorithm} ${dtype}`,
        (x, threads) => [losses.logSumExp(stored(x, dtype), { rows: x.rows, dtype, algorithm, threads })],
      ]);
    }
    list.push([
      `entropy ${dtype}`,
      (x, threads) => [losses.entropy(stored(x, dtype), { rows: x.rows, dtype, threads })],
    ]);
  }
  for (const algorithm of algorithms) {
    list.push([
      `crossEntropy ${algorithm} f32`,
      (x, threads) => {
        const gradient = new Float32Array(x.f32.length);
        const options = { rows: x.rows, algorithm, labelSmoothing: 0.1, gradient, threads };
        return [losses.crossEntropy(x.f32, x.targets, options), gradient];
      },
    ]);
  }
  const backward = (x: Input, threads: number) => ({ rows: x.rows, threads });
  list.push(
    [
      'softmaxBackward f32',
      (x, t) => [
        losses.softmaxBackward(
          softmax(x.f32, { rows: x.rows, algorithm: 'two-pass' }),
          x.upstream,
          backward(x, t),
        ),
      ],
    ],
    [
      'logSoftmaxBackward f32',
      (x, t) => [
        losses.logSoftmaxBackward(
          logSoftmax(x.f32, { rows: x.rows, algorithm: 'two-pass' }),
          x.upstream,
          backward(x, t),
        ),
      ],
    ],
    [
      'softmaxBackward f64',
      (x, t) => [
        losses.softmaxBackward(
          softmax(x.f64, { rows: x.rows, algorithm: 'two-pass' }),
          x.f64,
          backward(x, t),
        ),
      ],
    ],
    [
      'logSumExpBackward f32',
      (x, t) => [
        losses.logSumExpBackward(x.f32, new Float64Array(x.rows).fill(0.7), {
          ...backward(x, t),
          algorithm: 'two-pass',
        }),
      ],
    ],
    [
      'crossEntropy two-pass f64',
      (x, threads) => [
        losses.crossEntropy(x.f64, x.targets, { rows: x.rows, algorithm: 'two-pass', threads }),
      ],
    ],
    [
      'softmax two-pass bf16 to f32',
      (x, threads) => [
        softmax(x.bf16, { rows: x.rows, dtype: 'bf16', outDtype: 'f32', algorithm: 'two-pass', threads }),
      ],
    ],
    ['extendedExp', (x) => Object.values(extendedExp(x.f32)) as Float32Array[]],
    [
      'addExtended',
      (x) => Object.values(addExtended(extendedExp(x.f32), extendedExp(x.upstream))) as Float32Array[],
    ],
    ['mergeLogSumExp', (x) => [mergeLogSumExp(x.f64, Float64Array.from(x.upstream))]],
    [
      'convert',
      (x, threads) => [
        f32ToBf16(x.f32, { threads }),
        f32ToF16(x.f32, { threads }),
        bf16ToF32(x.f16),
        f16ToF32(x.f16),
      ],
    ],
  );
  return list;
}

/**
 * Runs every kernel on fixed inputs in every instruction set and hashes the results. The hashes of one instruction set
 * are equal for any number of threads, and between versions unless the changelog says that bits changed; between machines
 * as far as their C libraries give the same log and exp.
 * Takes some seconds (scalar the most), and switches the instruction set of the whole process for as long.
 * @throws TypeError or RangeError for an unknown instruction set or thread count
 */
export function verify(options: VerifyOptions = {}): Fingerprint[] {
  const isas = options.isas ?? availableIsas();
  const threads = check.positiveInteger('threads', options.threads ?? 1);
  const before = { isa: currentIsa(), threads: poolThreads() };
  const data = inputs();
  const lines: Fingerprint[] = [];
  try {
    setThreads(Math.max(threads, before.threads));
    for (const isa of isas) {
      setIsa(isa);
      for (const [kernel, run] of kernels()) {
        const hash = createHash('sha256');
        for (const input of data) for (const part of run(input, threads)) hash.update(part as Uint8Array);
        lines.push({ kernel, isa, hash: hash.digest('hex').slice(0, 16) });
      }
      for (const [kernel, run] of [...elasticKernels(), ...llmKernels(), ...sequenceKernels()]) {
        const hash = createHash('sha256');
        for (const part of run(threads)) hash.update(part as Uint8Array);
        lines.push({ kernel, isa, hash: hash.digest('hex').slice(0, 16) });
      }
    }
  } finally {
    setIsa(before.isa);
    setThreads(before.threads);
  }
  return lines;
}
