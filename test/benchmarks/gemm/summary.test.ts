import { plot, summarise } from '../../../benchmarks/gemm/summary.js';
import { plotPoints } from '../../../benchmarks/harness/plot.js';
import type { ResultRow } from '../../../benchmarks/harness/results.js';

const row = (contender: string, m: number, medianNs: number, change: ResultRow['case'] = {}): ResultRow => ({
  question: 'gemm',
  contender,
  case: { m, n: 4096, k: 4096, dtype: 'f32', isa: 'avx2', threads: 1, ...change },
  medianNs,
  spread: 0,
  samples: 15,
  GBps: 30,
  ofCeiling: 0.8,
});
const rows = [
  row('packed f32', 4, 2e6),
  row('packed f32', 1, 1.7e6),
  row('javascript', 1, 17e6),
  row('packed f32', 1, 5e6, { n: 11008, threads: 2 }),
];

describe('summarise', () => {
  it('has times and multiples of the ceiling by shape and rows', () => {
    const tables = summarise(rows);
    expect(tables).toHaveLength(4);
    expect(tables[0]).toMatch(/^milliseconds, weights \[4 Ki, 4 Ki\], avx2, 1 thread\n +m=4 +m=1\n/);
    expect(tables[0]).toMatch(/^javascript +- +17\.0$/m);
    expect(tables[1]).toMatch(/^time \/ max\(bytes \/ read, operations \/ fma\), weights \[4 Ki, 4 Ki\]/);
    expect(tables[1]).toMatch(/^packed f32 +1\.25 +1\.25$/m);
    expect(tables[2]).toContain('[11008, 4 Ki], avx2, 2 threads');
  });
});

describe('the plot', () => {
  it('has a panel per shape, a line per contender, ascending in m', () => {
    const points = plotPoints(rows, plot, 'ms');
    expect(
      points.filter(({ contender, panel }) => contender === 'packed f32' && /1 thread$/.test(panel)),
    ).toEqual(
      [
        [1, 1.7],
        [4, 2],
      ].map(([size, value]) => ({
        size,
        value,
        contender: 'packed f32',
        panel: '[4 Ki, 4 Ki] avx2, 1 thread',
      })),
    );
    expect(plotPoints(rows, plot, 'GBps').every(({ value }) => value === 30)).toBe(true);
    expect(Object.keys(plot.values)).toEqual(['ms', 'GBps', 'ofCeiling']);
  });
});
