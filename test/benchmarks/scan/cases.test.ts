import { labelOf, listCases, updatesOf } from '../../../benchmarks/scan/cases.js';

describe('the cases of scans', () => {
  it('are those of the stated figures, on one thread and two', () => {
    const labels = listCases({}).map(labelOf);
    expect(labels).toEqual([
      'scan 2 Ki channels x 16, 4 Ki steps, 1 thread',
      'scan 2 Ki channels x 16, 4 Ki steps, 2 threads',
      'scan 64 channels x 16, 64 Ki steps, 1 thread',
      'scan 64 channels x 16, 64 Ki steps, 2 threads',
      'step 2 Ki channels x 16, 1 thread',
      'step 64 rows of 2 Ki channels x 16, 1 thread',
      'ssd 2 Ki channels x 128, 2 Ki steps, 1 thread',
    ]);
  });

  it('are those that are asked for', () => {
    const asked = listCases({ sizes: [100], shapes: [{ rows: 7, cols: 30 }], threads: [1, 3] });
    expect(asked.map(({ task, dim, length, threads }) => [task, dim, length, threads])).toEqual([
      ['scan', 2048, 100, 1],
      ['scan', 2048, 100, 3],
      ['scan', 7, 30, 1],
      ['scan', 7, 30, 3],
    ]);
  });

  it('are small for a quick run', () => {
    const work = (quick: boolean) => listCases({ quick }).reduce((sum, spec) => sum + updatesOf(spec), 0);
    expect(work(true)).toBeLessThan(work(false) / 5);
  });
});
