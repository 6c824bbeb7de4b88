import { plot, summarise } from '../../../benchmarks/decode/summary.js';
import { plotPoints } from '../../../benchmarks/harness/plot.js';
import type { ResultRow } from '../../../benchmarks/harness/results.js';

const row = (contender: string, batch: number, tokensPerSecond?: number): ResultRow => ({
  question: 'decode',
  contender,
  case: { model: 'stories15m', batch, tokens: 8, dtype: 'bf16', cache: 'bf16', isa: 'avx2', threads: 1 },
  medianNs: tokensPerSecond === undefined ? 1e6 : (8 * batch * 1e9) / tokensPerSecond,
  spread: 0,
  samples: 15,
  GBps: 30,
  ofCeiling: 0.8,
  ...(tokensPerSecond !== undefined && { tokensPerSecond }),
});
const rows = [row('engine', 4, 700), row('engine', 1, 200), row('streaming-read', 1)];

describe('summarise', () => {
  it('has rates, their multiples of one text, times of a step and shares of the ceiling', () => {
    const [table, ...more] = summarise(rows);
    expect(more).toEqual([]);
    expect(table).toMatch(
      /^decode, stories15m, bf16, avx2, 1 thread\n +tokens\/s +x batch 1 +ms a step +GB\/s +% of ceiling\n/,
    );
    expect(table).toMatch(/^engine, batch 4 +700 +3\.50 +5\.71 +30\.0 +80\.0$/m);
    expect(table).toMatch(/^engine, batch 1 +200 +1\.00 +5\.00 +30\.0 +80\.0$/m);
    expect(table).not.toContain('streaming-read');
  });
});

describe('the plot', () => {
  it('has tokens per second over the batch', () => {
    expect(plotPoints(rows, plot, 'tokens').map(({ size, value }) => [size, value])).toEqual([
      [1, 200],
      [4, 700],
    ]);
    expect(plotPoints(rows, plot, 'ofCeiling')).toHaveLength(2);
  });
});
