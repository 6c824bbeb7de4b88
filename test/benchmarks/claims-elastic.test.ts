import { renderClaims, verdictOf } from '../../benchmarks/claims/claim.js';
import { centroidClaims, CENTROIDS } from '../../benchmarks/claims/elastic-centroids.js';
import { dataSet, errorsOf, unlessStopped } from '../../benchmarks/claims/elastic-data.js';
import { neighborClaims, NEIGHBORS } from '../../benchmarks/claims/elastic-neighbors.js';
import { measureElasticClaims } from '../../benchmarks/claims/elastic.js';
import { centroidFixture } from '../helpers/centroid-fixtures.js';
import { accuracyFixture } from '../helpers/elastic-fixtures.js';

const quiet = () => undefined;

/** How the fixtures call what the tables call by a longer name. */
const NEIGHBOR_KEYS: Record<string, string> = {
  euclidean: 'euclidean',
  DTW: 'dtw',
  'DTW, window 0.1': 'dtw_w0.1',
  'MSM, c 1': 'msm_c1',
  TWE: 'twe',
  'ADTW, penalty 1': 'adtw',
  'Soft-MSM, gamma 1': 'soft_msm_g1',
  'soft-DTW, gamma 1': 'soft_dtw_g1',
  'soft-DTW, gamma 0.1': 'soft_dtw_g0.1',
};
const CENTROID_KEYS: Record<string, string> = {
  mean: 'mean_euclidean',
  DBA: 'dba_dtw',
  MBA: 'mba_msm_c1',
  'soft-DTW, gamma 0.01': 'soft_dtw_g0.01',
  'soft-DTW, gamma 1': 'soft_dtw_g1',
  'Soft-MSM, gamma 0.1': 'soft_msm_g0.1',
  'Soft-MSM, gamma 1': 'soft_msm_g1',
};

describe('the claims about elastic distances', () => {
  it.each(Object.keys(NEIGHBORS))('state all error counts of the fixture of %s', (name) => {
    const { nn1 } = accuracyFixture(name);
    const stated = Object.entries(NEIGHBORS[name]).map(([method, errors]) => [NEIGHBOR_KEYS[method], errors]);
    expect(Object.fromEntries(stated)).toEqual(
      Object.fromEntries(Object.entries(nn1).map(([key, { errors }]) => [key, errors])),
    );
  });

  it.each(Object.keys(CENTROIDS))('state all averages of the fixture of %s', (name) => {
    const { results } = centroidFixture(name);
    const stated = Object.entries(CENTROIDS[name]).map(([method, { errors, objectives, msmLoss }]) => [
      CENTROID_KEYS[method],
      { errors, objectives, msmLoss },
    ]);
    const expected = Object.entries(results).map(([key, each]) => [
      key,
      {
        errors: each.errors,
        objectives: each.objective_per_class[0] === null ? undefined : each.objective_per_class,
        msmLoss: each.total_hard_msm_c1_to_centroid,
      },
    ]);
    expect(Object.fromEntries(stated)).toEqual(Object.fromEntries(expected));
  });

  it('are all listed, once each, and not measured where the run was stopped before', async () => {
    const { claims, failures } = await measureElasticClaims(quiet, AbortSignal.abort());
    expect(failures).toEqual([]);
    expect(new Set(claims.map(({ text }) => text)).size).toBe(claims.length);
    expect(new Set(claims.map(verdictOf))).toEqual(new Set(['not measured']));
    // 26 of speed; 38 and 21 error counts, 5 claims about pruning, 2 of the paper; 18 objectives and 21 losses.
    expect(claims).toHaveLength(26 + 38 + 5 + 21 + 18 + 21 + 2);
    for (const { atLeast, atMost } of claims) expect(atLeast ?? atMost).toBeDefined();
  });

  it('keep what was measured before the run was stopped', async () => {
    for (const part of [neighborClaims, centroidClaims]) {
      const controller = new AbortController();
      const claims = await part(() => controller.abort(), controller.signal);
      const italy = claims.filter(({ text }) => text.startsWith('ItalyPowerDemand'));
      expect(new Set(italy.map(verdictOf))).toEqual(new Set(['pass']));
      const others = claims.filter((claim) => !italy.includes(claim));
      expect(new Set(others.map(verdictOf))).toEqual(new Set(['not measured']));
    }
  });

  it('show counts in full and sums with one decimal', () => {
    const claim = { source: 'aeon', text: 'errors', stated: '284', unit: '', atMost: 300 };
    const text = renderClaims([
      { ...claim, measured: 284 },
      { ...claim, measured: 2576.83 },
    ]);
    expect(text).toMatch(/284 +284$/m);
    expect(text).toMatch(/284 +2576\.8$/m);
  });
});

describe('dataSet', () => {
  it('reads both halves', async () => {
    const { train, test } = await dataSet('ItalyPowerDemand');
    expect([train.set.count, test.set.count, train.set.length]).toEqual([67, 1029, 24]);
    expect(errorsOf(train.labels, train.labels)).toBe(0);
    expect(errorsOf(['1', '2'], ['1', '1'])).toBe(1);
  });

  it('says where it looked for what is not there', async () => {
    await expect(dataSet('Nothing')).rejects.toThrow(/Nothing_TRAIN\.ts could not be read/);
  });
});

describe('unlessStopped', () => {
  it('passes on results and errors, and nothing after an abort', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const fail = async (): Promise<number> => Promise.reject(new Error('no'));
    expect(await unlessStopped(signal, async () => Promise.resolve(3))).toBe(3);
    await expect(unlessStopped(signal, fail)).rejects.toThrow('no');
    controller.abort();
    expect(await unlessStopped(signal, async () => Promise.resolve(3))).toBeUndefined();
    expect(await unlessStopped(signal, fail)).toBeUndefined();
  });
});
