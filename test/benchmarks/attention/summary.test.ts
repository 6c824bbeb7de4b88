import { plot, summarise } from '../../../benchmarks/attention/summary.js';
import { plotPoints } from '../../../benchmarks/harness/plot.js';
import type { ResultRow } from '../../../benchmarks/harness/results.js';

const row = (contender: string, length: number, group: number, medianNs: number): ResultRow => ({
  question: 'attention',
  contender,
  case: { length, group, kvHeads: 8, headDim: 128, dtype: 'f32', isa: 'avx2', threads: 1 },
  medianNs,
  spread: 0,
  samples: 15,
  GBps: 30,
  ofCeiling: 0.85,
});
const rows = [
  row('online', 32768, 1, 7e6),
  row('online', 1024, 1, 2e5),
  row('pair', 1024, 1, 2.2e5),
  row('online', 1024, 4, 3e5),
];

describe('summarise', () => {
  it('has times and shares of the ceiling by context for each group size', () => {
    const tables = summarise(rows);
    expect(tables).toHaveLength(4);
    expect(tables[0]).toMatch(
      /^milliseconds by context, group 1, f32, avx2, 1 thread\n +32 Ki +1 Ki\nonline +7\.00 +0\.200\npair +- +0\.220$/,
    );
    expect(tables[1]).toMatch(
      /^percent of max\(bytes \/ read, operations \/ fma\), group 1.*\n.*\nonline +85\.0 +85\.0/,
    );
    expect(tables[2]).toContain('group 4');
  });
});

describe('the plot', () => {
  it('has a panel per group, a line per contender, ascending in the context', () => {
    const points = plotPoints(rows, plot, 'ms');
    expect(points.filter(({ panel }) => panel.startsWith('group 1')).map(({ size }) => size)).toEqual([
      1024, 1024, 32768,
    ]);
    expect(new Set(points.map(({ panel }) => panel)).size).toBe(2);
    expect(plotPoints(rows, plot, 'GBps').every(({ value }) => value === 30)).toBe(true);
  });
});
