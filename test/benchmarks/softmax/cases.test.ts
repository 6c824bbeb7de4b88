import { labelOf, listCases } from '../../../benchmarks/softmax/cases.js';

describe('listCases', () => {
  it('sweeps 2^10 to 2^26, then takes the shapes and the large special cases', () => {
    const cases = listCases({ threads: [1] });
    const sweep = cases.slice(0, 17);
    expect(sweep.map((one) => Math.log2(one.cols))).toEqual(Array.from({ length: 17 }, (_, i) => 10 + i));
    expect(sweep.every((one) => one.rows === 1 && one.dtype === 'f32')).toBe(true);
    // Peers take part at both ends of the sweep and nearly everywhere between.
    expect(sweep.filter((one) => one.lean).map((one) => one.cols)).toEqual([2 ** 23, 2 ** 25]);
    const labels = cases.map(labelOf);
    for (const label of [
      'softmax [64, 1000] f32 uniform-10, 1 thread',
      'softmax [1, 32000] f32 uniform-10, 1 thread',
      'softmax [4 Ki, 4 Ki] f32 uniform-10, 1 thread',
      'softmax [1 Mi, 10] f32 uniform-10, 1 thread',
      'softmax [64 Ki, 64] f32 uniform-10, 1 thread',
      'softmax [1, 64 Mi] bf16 uniform-10, 1 thread',
      'logSumExp [1, 64 Mi] f32 uniform-10, 1 thread',
      'crossEntropy [1, 64 Mi] f32 uniform-10, 1 thread',
      'softmax [1, 64 Mi] f32 uniform-1000, 1 thread',
    ]) {
      expect(labels).toContain(label);
    }
    expect(new Set(labels).size).toBe(labels.length);
  });

  it('adds the loop over rows to short rows only', () => {
    const looped = listCases({ threads: [1] }).filter((one) => one.perRowCalls);
    expect(looped.map(({ rows, cols }) => [rows, cols])).toEqual([
      [2 ** 20, 10],
      [2 ** 16, 64],
    ]);
  });

  it('takes only what is asked for by size or shape', () => {
    expect(listCases({ threads: [1], sizes: [100] }).map(labelOf)).toEqual([
      'softmax [1, 100] f32 uniform-10, 1 thread',
    ]);
    expect(listCases({ threads: [1], shapes: [{ rows: 3, cols: 5 }] }).map(labelOf)).toEqual([
      'softmax [3, 5] f32 uniform-10, 1 thread',
    ]);
  });

  it('repeats everything per thread count', () => {
    const cases = listCases({ threads: [1, 2], sizes: [100, 200], distribution: 'normal-4' });
    expect(cases.map(({ cols, threads }) => [cols, threads])).toEqual([
      [100, 1],
      [200, 1],
      [100, 2],
      [200, 2],
    ]);
    expect(labelOf(cases[3])).toBe('softmax [1, 200] f32 normal-4, 2 threads');
  });

  it('keeps a quick run small', () => {
    const quick = listCases({ threads: [1], quick: true });
    expect(Math.max(...quick.map(({ rows, cols }) => rows * cols))).toBeLessThanOrEqual(2 ** 24);
    expect(quick.length).toBeLessThan(15);
  });
});
