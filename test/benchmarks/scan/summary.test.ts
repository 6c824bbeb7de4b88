import type { ResultRow } from '../../../benchmarks/harness/results.js';
import { plotPoints } from '../../../benchmarks/harness/plot.js';
import { plot, summarise } from '../../../benchmarks/scan/summary.js';

const row = (contender: string, ms: number, length = 4096): ResultRow => ({
  question: 'scan',
  contender,
  case: { task: 'scan', batch: 1, dim: 2048, state: 16, length, isa: 'avx512', threads: 1 },
  medianNs: ms * 1e6,
  spread: 0,
  samples: 15,
  GBps: 1,
});

describe('the summary of scans', () => {
  it('holds every form against the loop without exponentials and plain JavaScript', () => {
    const [table] = summarise([row('powers', 11), row('no-exp', 10), row('javascript', 1100)]);
    expect(table).toMatch(/^scan, batch 1, 2 Ki x 16 x 4 Ki, avx512, 1 thread\n/);
    expect(table).toMatch(/powers +11\.0 +0\.0820 +1\.00 +1\.10 +100(\n|$)/m);
  });

  it('has a table for each case', () => {
    expect(summarise([row('powers', 11), row('powers', 5, 2048)])).toHaveLength(2);
  });

  it('draws nanoseconds a state update over the length', () => {
    const points = plotPoints([row('powers', 11), row('powers', 6, 2048)], plot, 'ns');
    expect(points.map(({ size, value }) => [size, Number(value.toFixed(3))])).toEqual([
      [2048, 0.089],
      [4096, 0.082],
    ]);
  });
});
