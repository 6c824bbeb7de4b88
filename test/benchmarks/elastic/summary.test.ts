import { plot, summarise } from '../../../benchmarks/elastic/summary.js';
import { plotPoints } from '../../../benchmarks/harness/plot.js';
import type { ResultRow } from '../../../benchmarks/harness/results.js';

function row(contender: string, Mcells: number, change: ResultRow['case'] = {}): ResultRow {
  const parameters = {
    metric: 'dtw',
    length: 128,
    count: 128,
    dtype: 'f32',
    isa: 'avx2',
    threads: 1,
    task: 'pairwise',
    ...change,
  };
  return {
    question: 'elastic',
    contender,
    case: parameters,
    medianNs: 1e9 / Mcells,
    spread: 0.01,
    samples: 15,
    Mcells,
  };
}

const rows = [
  row('softlane', 4000, { length: 512, count: 32 }),
  row('softlane', 5000),
  row('softlane', 500, { isa: 'scalar' }),
  row('javascript', 200),
  row('softlane', 900, { metric: 'soft-msm' }),
  row('softlane', 9000, { threads: 2 }),
  row('value', 300, { task: 'gradient', metric: 'soft-msm' }),
  row('gradient', 100, { task: 'gradient', metric: 'soft-msm' }),
  row('nearest', 8000, { task: 'nearest' }),
  row('pairwise', 1000, { task: 'nearest' }),
  row('nearest-unpruned', 2000, { task: 'nearest' }),
];

describe('summarise', () => {
  const tables = summarise(rows);

  it('has a table of rates for each instruction set, type and number of threads', () => {
    expect(tables.map((table) => table.split('\n')[0])).toEqual([
      'million cells per second, pairwise, avx2 f32, 1 thread',
      'million cells per second, pairwise, scalar f32, 1 thread',
      'million cells per second, pairwise, avx2 f32, 2 threads',
      'ratios of times',
    ]);
    const [, head, dtw, softMsm] = tables[0].split('\n');
    expect(head.trim().split(/ {2,}/)).toEqual(['128', '512', '128: x javascript']);
    expect(dtw.split(/ {2,}/)).toEqual(['DTW', '5000', '4000', '25.0']);
    expect(softMsm.split(/ {2,}/)).toEqual(['Soft-MSM', '900', '-', '-']);
  });

  it('tells what gradients cost and what pruning saves', () => {
    const lines = tables[3].split('\n').slice(2);
    expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
      ['Soft-MSM avx2 f32, 1 thread', '3.00', '-', '-'],
      ['DTW avx2 f32, 1 thread', '-', '8.00', '4.00'],
    ]);
  });

  it('says nothing where nothing was measured', () => {
    expect(summarise([])).toEqual([]);
  });
});

describe('plot', () => {
  const softMsm = { metric: 'soft-msm' };
  const swept = [
    ...rows,
    row('softlane', 800, { ...softMsm, length: 512 }),
    row('javascript', 210, { dtype: 'f64' }),
    row('javascript', 220, { length: 512, dtype: 'f64' }),
  ];

  it('has a panel per metric, a line per instruction set and type, and lengths in order', () => {
    const points = plotPoints(swept, plot, 'Mcells');
    expect(new Set(points.map(({ panel }) => panel))).toEqual(new Set(['DTW', 'Soft-MSM']));
    const main = points.filter(({ panel, contender }) => panel === 'DTW' && contender === 'avx2 f32');
    expect(main.map(({ size, value }) => [size, value])).toEqual([
      [128, 5000],
      [512, 4000],
    ]);
    expect(plotPoints(swept, plot, 'ns')[0].value).toBeCloseTo(0.2, 12);
    expect(Object.keys(plot.values)[0]).toBe('Mcells');
  });

  it('has one point of a peer at each length, and no line of a single point beside longer ones', () => {
    const points = plotPoints(swept, plot, 'Mcells');
    const peer = points.filter(({ contender }) => contender === 'javascript');
    expect(peer.map(({ size, value }) => [size, value])).toEqual([
      [128, 210],
      [512, 220],
    ]);
    expect(new Set(points.map(({ contender }) => contender))).toEqual(new Set(['avx2 f32', 'javascript']));
  });

  it('shows single points where there is nothing else', () => {
    const single = rows.filter((one) => one.case.length === 128);
    const lines = new Set(plotPoints(single, plot, 'Mcells').map(({ contender }) => contender));
    expect(lines).toEqual(new Set(['avx2 f32', 'scalar f32', 'javascript', 'avx2 f32, 2 threads']));
  });
});
