import { verdictOf } from '../../benchmarks/claims/claim.js';
import { measureTrainClaims, profileLines, trainClaims } from '../../benchmarks/claims/train.js';
import type { ResultRow } from '../../benchmarks/harness/results.js';
import { SIZES } from '../../benchmarks/train/model.js';
import { availableIsas } from '../../lib/index.js';

const row = (contender: string, ms: number): ResultRow => ({
  question: 'train',
  contender,
  case: { ...SIZES, isa: 'avx512', threads: 1 },
  medianNs: ms * 1e6,
  spread: 0,
  samples: 15,
  ofCeiling: 21.5 / ms,
});

const good = [row('tape', 31), row('products', 24), row('tfjs wasm', 1100), row('tfjs cpu', 10_000)];

describe('the claims about training', () => {
  it('hold where the step is fast enough', () => {
    expect(trainClaims(good).map(verdictOf)).toEqual(['pass', 'pass', 'pass']);
  });

  it.each([
    ['matrix products', row('tape', 33)],
    ['cpu backend', row('tfjs cpu', 600)],
    ['wasm backend', row('tfjs wasm', 30)],
  ])('%s: a slow row misses', (text, slow) => {
    const rows = good.map((each) => (each.contender === slow.contender ? slow : each));
    const missed = trainClaims(rows).filter((claim) => verdictOf(claim) === 'miss');
    expect(missed.map((claim) => claim.text)).toEqual([expect.stringContaining(text)]);
  });

  it('are not measured without rows', () => {
    expect(trainClaims([]).map(verdictOf)).toEqual(['not measured', 'not measured', 'not measured']);
  });

  it('come with the shares of ops, which sum up to the whole', () => {
    const sizes = { ...SIZES, width: 16, hidden: 32, batch: 2, length: 16 };
    const [, table] = profileLines(availableIsas()[0], sizes, 2);
    for (const op of ['linear', 'linear backward', 'packedAttention', 'gelu backward', 'crossEntropy'])
      expect(table).toMatch(new RegExp(`^ *${op} +\\d+ `, 'm'));
    const shares = [...table.matchAll(/([\d.]+) %/g)].map(([, share]) => Number(share));
    expect(shares.reduce((sum, each) => sum + each, 0)).toBeCloseTo(100, -1);
  });

  it('are not measured once interrupted', async () => {
    const lines: string[] = [];
    const { claims, failures } = await measureTrainClaims(
      (line) => void lines.push(line),
      AbortSignal.abort(),
    );
    expect(failures).toEqual([]);
    expect(claims.map(verdictOf)).toEqual(['not measured', 'not measured', 'not measured']);
    expect(lines.join('\n')).toContain('fused multiply-add');
  }, 60_000);
});
