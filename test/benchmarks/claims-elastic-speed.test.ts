import { verdictOf } from '../../benchmarks/claims/claim.js';
import {
  AEON,
  boundsAllow,
  gradientClaims,
  leftByBounds,
  rateClaims,
  speedClaims,
} from '../../benchmarks/claims/elastic-speed.js';
import type { ResultRow } from '../../benchmarks/harness/results.js';
import { SeriesSet } from '../../lib/elastic/index.js';
import { availableIsas } from '../../lib/index.js';

const row = (contender: string, change: ResultRow['case'], rest: Partial<ResultRow>): ResultRow => ({
  question: 'elastic',
  contender,
  case: {
    metric: 'dtw',
    length: 128,
    count: 160,
    dtype: 'f32',
    isa: 'avx2',
    threads: 1,
    task: 'pairwise',
    ...change,
  },
  medianNs: 1e6,
  spread: 0,
  samples: 15,
  ...rest,
});
const hasVectors = availableIsas()[0] !== 'scalar';

describe('the claims about speed', () => {
  it('are all listed, once each, and not measured where the run was stopped before', async () => {
    const claims = await speedClaims(() => undefined, AbortSignal.abort());
    // Rates of five metrics and gradients of two in two types; time and neighbours of five data sets; two of threads.
    expect(claims).toHaveLength(5 * 2 + 2 * 2 + 5 * 2 + 2);
    expect(new Set(claims.map(({ text }) => text)).size).toBe(claims.length);
    for (const { atLeast, atMost, measured } of claims) {
      expect(atLeast ?? atMost).toBeDefined();
      expect(measured).toBeUndefined();
    }
  });
});

describe('rateClaims', () => {
  it('compares each rate with the one of the other toolkit', () => {
    const rows = [
      row('softlane', {}, { Mcells: 5 * AEON.dtw! }),
      row('softlane', { dtype: 'f64' }, { Mcells: 2.9 * AEON.dtw! }),
      row('softlane', { metric: 'soft-msm' }, { Mcells: 7.9 * AEON['soft-msm']! }),
      row('javascript', { metric: 'msm' }, { Mcells: 1e6 }),
    ];
    const claims = rateClaims(rows);
    const measured = claims.filter((claim) => claim.measured !== undefined);
    expect(measured.map((claim) => [claim.text.split(',')[0], claim.stated, claim.measured])).toEqual([
      ['DTW', '>= 5 x', 5],
      ['Soft-MSM', '>= 8 x', expect.closeTo(7.9, 9)],
      ['DTW', '>= 3 x', expect.closeTo(2.9, 9)],
    ]);
    if (hasVectors) expect(measured.map(verdictOf)).toEqual(['pass', 'miss', 'miss']);
  });
});

describe('gradientClaims', () => {
  it('is the ratio of two contenders of a case', () => {
    const at = { task: 'gradient', metric: 'soft-dtw', count: 64 };
    const claims = gradientClaims([
      row('value', at, { medianNs: 2 }),
      row('gradient', at, { medianNs: 9 }),
      row('value', { ...at, metric: 'soft-msm' }, { medianNs: 2 }),
    ]);
    expect(claims.map((claim) => claim.measured)).toEqual([4.5, undefined, undefined, undefined]);
    expect(verdictOf(claims[0])).toBe('miss');
  });
});

describe('boundsAllow', () => {
  it('expects the goal where bounds could reach it', () => {
    expect(boundsAllow(0.1)).toBeUndefined();
    expect(boundsAllow(0.25)).toBe(
      'LB_Keogh both ways leaves 25.0 % of the pairs where the nearest distance is known: 4.00 x at most',
    );
    expect(boundsAllow(undefined)).toBe('lengths differ: there are no lower bounds');
  });
});

describe('leftByBounds', () => {
  const flat = (...values: number[]) =>
    SeriesSet.from(values.map((value) => new Float64Array(20).fill(value)));

  it('counts the pairs that are not ruled out: of constant series the bound is the distance', () => {
    const left = leftByBounds(flat(0, 1, 2, 3), flat(0, 3), Float64Array.of(0, 0));
    expect(left).toBe(2 / 8);
    expect(leftByBounds(flat(0, 1, 2, 3), flat(0, 3), Float64Array.of(20, 0))).toBe(3 / 8);
  });

  it('knows no bounds of unequal lengths', () => {
    const ragged = SeriesSet.from([new Float64Array(20), new Float64Array(21)]);
    expect(leftByBounds(ragged, ragged, Float64Array.of(0, 0))).toBeUndefined();
  });
});
