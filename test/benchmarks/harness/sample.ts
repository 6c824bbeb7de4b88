import type { TimedRow } from '../../../benchmarks/harness/question.js';
import type { ResultRow, Results } from '../../../benchmarks/harness/results.js';

/** A row of the softmax question, with the given fields replaced. */
export function sampleRow(
  contender: string,
  medianNs: number,
  parameters: ResultRow['case'] = {},
  rest: Partial<ResultRow> = {},
): ResultRow {
  return {
    question: 'softmax',
    contender,
    case: {
      rows: 1,
      cols: 4096,
      dtype: 'f32',
      isa: 'avx2',
      threads: 1,
      operation: 'softmax',
      distribution: 'uniform-10',
      ...parameters,
    },
    medianNs,
    spread: 0.02,
    samples: 15,
    GBps: 20.5,
    Gflops: 31,
    ofCeiling: 0.4,
    ...rest,
  };
}

/** A small result file. */
export function sampleResults(): Results {
  return {
    machine: {
      cpu: 'Example CPU 1',
      isa: 'avx2',
      threads: 2,
      node: 'v20.19.0',
      caches: { l1d: 32768, l2: 1048576, l3: 33554432 },
    },
    ceilings: {
      readGBps: 30,
      readLargeGBps: 36,
      copyGBps: 28,
      streamCopyGBps: 35,
      fmaGflops: { avx2: 100, scalar: 7 },
    },
    rows: [sampleRow('two-pass', 1000), sampleRow('blocked', 800), sampleRow('javascript', 50_000)],
  };
}

/** A row as a table takes it, with samples around the median. */
export function timedRow(result: ResultRow, rest: Partial<TimedRow> = {}): TimedRow {
  const { medianNs, contender, spread } = result;
  return {
    result,
    measurement: {
      name: contender,
      samplesNs: [0.9, 1, 1, 1.1].map((factor) => factor * medianNs),
      medianNs,
      minNs: 0.9 * medianNs,
      spread,
      batch: 10,
      flags: [],
    },
    work: { elements: 4096, bytes: 4096 * 12, flops: 4096 * 36 },
    binding: 'fma',
    ...rest,
  };
}
