import { renderCase, renderMatrix } from '../../../benchmarks/harness/table.js';
import { sampleRow, timedRow } from './sample.js';

describe('renderCase', () => {
  const fast = timedRow(sampleRow('blocked', 2000));
  const slow = timedRow(sampleRow('two-pass', 5000), { note: 'a remark', binding: 'memory' });
  const text = renderCase('softmax [1, 4 Ki] f32', [fast, slow]);
  const [label, head, first, second] = text.split('\n');

  it('has the label, a head and a line per contender', () => {
    expect(label).toBe('softmax [1, 4 Ki] f32');
    expect(head).toMatch(
      /^contender +isa +median +min +ns\/elem +spread +GB\/s +Gflop\/s +of ceiling +x best +samples/,
    );
    expect(text.split('\n')).toHaveLength(4);
  });

  it('shows times, rates, the share of the binding ceiling and the ratio to the fastest', () => {
    expect(first).toMatch(
      /^blocked +avx2 +2\.00 us +1\.80 us +0\.488 +2\.0% +20\.5 +31\.0 +40% fma +1\.00 .*█.* 15$/,
    );
    expect(second).toMatch(/^two-pass +avx2 +5\.00 us .* 40% memory +2\.50 .* a remark$/);
  });

  it('shows cells per second where cells are counted, and no column that says nothing', () => {
    const cells = { elements: 1e6, unit: 'cell', bytes: 0, flops: 0 } as const;
    const rates = { GBps: undefined, Gflops: undefined, ofCeiling: undefined, Mcells: 500 };
    const row = timedRow(sampleRow('softlane', 2e6, {}, rates), { work: cells });
    const [, cellHead, line] = renderCase('pairwise dtw', [row]).split('\n');
    expect(cellHead).toMatch(/^contender +isa +median +min +Mcells\/s +spread +x best +samples$/);
    expect(line).toMatch(/^softlane +avx2 +2\.00 ms +1\.80 ms +500 +2\.0% +1\.00 .* 15$/);
  });

  it('shows tokens per second where tokens are counted, and neither that nor times of outputs of a product', () => {
    const rates = { GBps: undefined, Gflops: undefined, ofCeiling: undefined };
    const head = (unit: 'token' | 'product', tokensPerSecond?: number): string => {
      const work = { elements: 4, unit, bytes: 0, flops: 0 };
      const row = timedRow(sampleRow('softlane', 2e6, {}, { ...rates, tokensPerSecond }), { work });
      return renderCase('decode', [row]).split('\n')[1];
    };
    expect(head('token', 2000)).toMatch(/^contender +isa +median +min +tokens\/s +spread +x best +samples$/);
    expect(head('product')).toMatch(/^contender +isa +median +min +spread +x best +samples$/);
  });

  it('shows flags, and that a peer has its own instructions', () => {
    const row = timedRow(sampleRow('javascript', 100), { peer: true });
    row.measurement.flags = ['below timer resolution', 'few samples'];
    expect(renderCase('x', [row])).toMatch(/javascript +\(own\) .* below timer resolution; few samples$/);
  });
});

describe('renderMatrix', () => {
  const cells = [
    { line: '1 Ki', column: 'a', value: 2 },
    { line: '1 Ki', column: 'b', value: 1 },
    { line: '2 Ki', column: 'a', value: 3 },
  ];

  it('marks the smallest of a line and leaves a dash where there is nothing', () => {
    const [heading, head, first, second] = renderMatrix('times', cells).split('\n');
    expect(heading).toBe('times');
    expect(head.trim().split(/ +/)).toEqual(['a', 'b']);
    expect(first.split(/ {2,}/)).toEqual(['1 Ki', '2.00', '*1.00']);
    expect(second.split(/ {2,}/)).toEqual(['2 Ki', '*3.00', '-']);
  });

  it('marks nothing where small is not good', () => {
    expect(renderMatrix('ratios', cells, false)).not.toContain('*');
  });
});
