/**
 * Errors of one nearest neighbour on the test halves of five data sets. What is stated was counted with the aeon
 * toolkit (June 2026) on the same files; hard distances must give the same counts, soft losses the same within one.
 */
import { nearestAsync } from '../../lib/elastic/nearest.js';
import { KNeighborsTimeSeriesClassifier, type KNeighborsOptions } from '../../lib/elastic/neighbors.js';
import type { Claim } from './claim.js';
import { dataSet, errorsOf, unlessStopped, type DataSet } from './elastic-data.js';

/** A distance by the name that it has in the table. */
const METHODS = {
  euclidean: { metric: 'euclidean' },
  DTW: { metric: 'dtw' },
  'DTW, window 0.1': { metric: 'dtw', window: 0.1 },
  'MSM, c 1': { metric: 'msm', c: 1 },
  TWE: { metric: 'twe' },
  'ADTW, penalty 1': { metric: 'adtw', warpPenalty: 1 },
  'Soft-MSM, gamma 1': { loss: 'msm', gamma: 1, c: 1 },
  'soft-DTW, gamma 1': { loss: 'dtw', gamma: 1 },
  'soft-DTW, gamma 0.1': { loss: 'dtw', gamma: 0.1 },
} as const satisfies Record<string, KNeighborsOptions>;

type Method = keyof typeof METHODS;

/** Errors by data set and method. */
export const NEIGHBORS: Record<string, Partial<Record<Method, number>>> = {
  ItalyPowerDemand: {
    euclidean: 46,
    DTW: 51,
    'DTW, window 0.1': 49,
    'MSM, c 1': 40,
    TWE: 38,
    'ADTW, penalty 1': 45,
    'Soft-MSM, gamma 1': 54,
    'soft-DTW, gamma 1': 55,
    'soft-DTW, gamma 0.1': 53,
  },
  GunPoint: {
    euclidean: 13,
    DTW: 14,
    'DTW, window 0.1': 9,
    'MSM, c 1': 5,
    TWE: 4,
    'ADTW, penalty 1': 13,
    'Soft-MSM, gamma 1': 14,
    'soft-DTW, gamma 1': 3,
    'soft-DTW, gamma 0.1': 3,
  },
  BasicMotions: {
    euclidean: 16,
    DTW: 1,
    'DTW, window 0.1': 1,
    'MSM, c 1': 2,
    TWE: 11,
    'ADTW, penalty 1': 1,
    'Soft-MSM, gamma 1': 0,
    'soft-DTW, gamma 1': 1,
    'soft-DTW, gamma 0.1': 1,
  },
  ArrowHead: {
    euclidean: 35,
    DTW: 52,
    'DTW, window 0.1': 49,
    'MSM, c 1': 36,
    TWE: 38,
    'ADTW, penalty 1': 33,
  },
  PickupGestureWiimoteZ: {
    DTW: 15,
    'DTW, window 0.1': 10,
    'MSM, c 1': 13,
    TWE: 13,
    'ADTW, penalty 1': 12,
  },
};

/** Soft losses round in another order than the reference, which may turn over one near tie. */
const SOFT_SLACK = 1;

/** Errors of one method, and how many neighbours pruning changes; a soft loss knows no bounds to prune by. */
async function count(data: DataSet, options: KNeighborsOptions, signal: AbortSignal) {
  const { train, test } = data;
  const model = new KNeighborsTimeSeriesClassifier(options);
  await model.fitAsync(train.set, train.labels, { signal });
  const errors = errorsOf(await model.predictAsync(test.set, { signal }), test.labels);
  if (options.loss !== undefined) return { errors, differences: 0 };
  const pruned = await nearestAsync(train.set, test.set, { ...options, signal });
  const whole = await nearestAsync(train.set, test.set, { ...options, prune: false, signal });
  const isOther = (index: number, i: number) =>
    index !== whole.index[i] || pruned.distance[i] !== whole.distance[i];
  return { errors, differences: pruned.index.filter(isOther).length };
}

/**
 * Counts the errors of every method, and what pruning changes: nothing.
 *
 * @param show receives a line for each data set
 * @param signal ends the counting; what is missing then counts as not measured
 */
export async function neighborClaims(show: (line: string) => void, signal: AbortSignal): Promise<Claim[]> {
  const claims: Claim[] = [];
  for (const [name, stated] of Object.entries(NEIGHBORS)) {
    const data = await dataSet(name);
    let differences: number | undefined = 0;
    for (const [method, errors] of Object.entries(stated) as [Method, number][]) {
      const options: KNeighborsOptions = METHODS[method];
      const slack = options.loss === undefined ? 0 : SOFT_SLACK;
      const found = await unlessStopped(signal, async () => count(data, options, signal));
      differences = found && differences !== undefined ? differences + found.differences : undefined;
      claims.push({
        source: 'aeon',
        text: `${name}, 1 nearest neighbour, ${method}: errors of ${data.test.set.count}`,
        stated: slack === 0 ? `${errors}` : `${errors} +- ${slack}`,
        measured: found?.errors,
        unit: '',
        atLeast: errors - slack,
        atMost: errors + slack,
      });
    }
    claims.push({
      source: 'softlane',
      text: `${name}, 1 nearest neighbour: neighbours and distances that pruning changes`,
      stated: '0',
      measured: differences,
      unit: '',
      atMost: 0,
    });
    show(`counted ${name}, 1 nearest neighbour`);
  }
  return claims;
}
