import { verdictOf } from '../../benchmarks/claims/claim.js';
import { measureScanClaims, scanClaims } from '../../benchmarks/claims/scan.js';
import type { ResultRow } from '../../benchmarks/harness/results.js';

const ceilings = {
  readGBps: 39,
  readLargeGBps: 46,
  copyGBps: 38,
  streamCopyGBps: 44,
  fmaGflops: { avx512: 250 },
};

const row = (contender: string, ms: number, change: Record<string, string | number> = {}): ResultRow => ({
  question: 'scan',
  contender,
  case: { task: 'scan', batch: 1, dim: 2048, state: 16, length: 4096, isa: 'avx512', threads: 1, ...change },
  medianNs: ms * 1e6,
  spread: 0,
  samples: 15,
});

const split = { dim: 64, length: 65_536 };
const step = { task: 'step', batch: 64, length: 1 };
const ssd = { task: 'ssd', state: 128, length: 2048 };
const good = [
  ...[row('direct', 17), row('powers', 11), row('no-exp', 10), row('gated direct', 21), row('gated', 15)],
  ...[
    row('backward direct', 45),
    row('backward', 30),
    row('javascript', 1300),
    row('javascript gated', 1500),
  ],
  ...[row('direct', 9, { threads: 2 }), row('powers', 6, { threads: 2 })],
  ...[row('direct', 12, split), row('direct', 7, { ...split, threads: 2 })],
  ...[
    row('step', 0.6, step),
    row('javascript', 50, step),
    row('recurrent', 60, ssd),
    row('chunked', 20, ssd),
  ],
];

describe('the claims about scans', () => {
  it('hold where every form is fast enough', () => {
    const claims = scanClaims(good, ceilings, 'avx512');
    expect(claims.map((claim) => [claim.text, verdictOf(claim)])).toEqual(
      claims.map(({ text }) => [text, 'pass']),
    );
    expect(new Set(claims.map(({ text }) => text)).size).toBe(claims.length);
  });

  it.each([
    ['sixteen exponentials a step, one core', row('direct', 18.5)],
    ['loop without exponentials', row('powers', 12.6)],
    ['one thread / two, shared powers', row('powers', 6.2, { threads: 2 })],
    ['in chunks of time', row('direct', 11, { ...split, threads: 2 })],
    ['gradient / forward, sixteen exponentials', row('backward direct', 52)],
    ['gradient / forward, shared powers', row('backward', 34)],
    ['step by step / by chunks', row('recurrent', 39, ssd)],
    ['softplus, gate', row('gated direct', 26)],
    ['share of the copy ceiling', row('step', 0.9, step)],
  ])('miss where %s is not', (text, slow) => {
    const rows = [slow, ...good];
    const missed = scanClaims(rows, ceilings, 'avx512').filter((claim) => verdictOf(claim) === 'miss');
    expect(missed.map((claim) => claim.text.includes(text))).toContain(true);
  });

  it('expect the stated milliseconds of a machine like the stated one alone', () => {
    const slow = { ...ceilings, fmaGflops: { avx512: 120, avx2: 120 } };
    for (const [isa, rates] of [
      ['avx512', slow],
      ['avx2', slow],
    ] as const) {
      const verdicts = scanClaims([row('direct', 30, { isa })], rates, isa).map(verdictOf);
      expect(verdicts.filter((verdict) => verdict === 'not expected here')).toHaveLength(2);
      expect(verdicts[0]).toBe('not expected here');
    }
  });

  it('are not measured where the run was stopped before', async () => {
    const { claims, failures } = await measureScanClaims(() => undefined, AbortSignal.abort());
    expect(failures).toEqual([]);
    for (const claim of claims) expect(['not measured', 'not expected here']).toContain(verdictOf(claim));
  });
});
