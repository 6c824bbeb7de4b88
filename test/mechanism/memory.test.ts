import { expectCleanEnding, runFixture } from '../helpers/child.js';

interface Report {
  early: number;
  late: number;
  scratchBytes: number;
  scratchPeakBytes: number;
  pendingCalls: number;
}

const nodeArgs = ['--expose-gc'];

describe('10,000 calls leave the resident memory where it was', () => {
  it.each([
    'into an output',
    'fresh outputs',
    'several results',
    'threads',
    'losses',
    'promises',
    'promises with fresh outputs',
    'promises with a signal',
    'refused calls',
    'refused promises',
  ])('%s', async (kind) => {
    const ending = await runFixture('memory', { args: [kind], nodeArgs });
    expectCleanEnding(ending);
    const report = JSON.parse(ending.stdout) as Report;
    // A leak of one 80 KB array per call would be 720 MiB; one of a kilobyte per call would be 9.
    expect(report.late - report.early).toBeLessThan(8);
    expect(report.pendingCalls).toBe(0);
    expect(report.scratchPeakBytes).toBeLessThan(64 * 2 ** 20);
    expect(report.scratchBytes).toBeLessThanOrEqual(report.scratchPeakBytes);
  });
});

it('the collector takes no array that a pending call uses', async () => {
  const ending = await runFixture('gc-pending', { nodeArgs });
  expectCleanEnding(ending);
  expect(JSON.parse(ending.stdout)).toEqual({ ok: true, pending: 0 });
});
