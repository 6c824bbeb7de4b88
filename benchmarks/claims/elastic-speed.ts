/**
 * softlane's figures for the speed of elastic distances, as ratios: of rates to those of the aeon toolkit, of a gradient to
 * its value, of a matrix to the search that spares it, of one thread to two.
 *
 * aeon's rates were measured on one core of another machine, an AMD EPYC of family 26, with numba 0.56. This machine may be
 * slower or faster; its fused multiply-add rate is shown beside. The other ratios are of contenders sampled in turn.
 */
import {
  distance,
  lbKeogh,
  nearest,
  pairwise,
  softPairwise,
  type SeriesSet,
} from '../../lib/elastic/index.js';
import { availableIsas, info } from '../../lib/index.js';
import type { CaseSpec } from '../elastic/cases.js';
import { walks } from '../elastic/inputs.js';
import { methodOf, type CaseDtype, type MethodName } from '../elastic/methods.js';
import { leastOf } from '../elastic/searches.js';
import { planOf } from '../elastic.js';
import { ceilingLines, measureCeilings } from '../harness/ceilings.js';
import { machineLines, describeMachine } from '../harness/machine.js';
import { measure, type Contender } from '../harness/measure.js';
import type { ResultRow } from '../harness/results.js';
import { runCases } from '../harness/run.js';
import { formatDigits, formatTime } from '../harness/sizes.js';
import type { Claim } from './claim.js';
import { dataSet } from './elastic-data.js';

type Show = (line: string) => void;

/** Million cells per second of aeon, matrices of float64 series of length 128, one core. */
export const AEON: Partial<Record<MethodName, number>> = {
  dtw: 268,
  msm: 215,
  adtw: 218,
  'soft-dtw': 31,
  'soft-msm': 20,
};

/** How many times faster softlane means to be. */
const GOALS: Record<CaseDtype, { hard: number; soft: number }> = {
  f32: { hard: 5, soft: 8 },
  f64: { hard: 3, soft: 4 },
};
const DTYPES: readonly CaseDtype[] = ['f32', 'f64'];
const NAMES: Record<CaseDtype, string> = { f32: 'float32', f64: 'float64' };
const COMPARED = Object.keys(AEON) as MethodName[];
const SOFT = COMPARED.filter((metric) => methodOf(metric).soft);

const LENGTH = 128;
const shared = { length: LENGTH, threads: 1 } as const;
const matrixSpec = (metric: MethodName, dtype: CaseDtype): CaseSpec => {
  return { ...shared, task: 'pairwise', metric, dtype, count: methodOf(metric).soft ? 64 : 160 };
};
const gradientSpec = (metric: MethodName, dtype: CaseDtype): CaseSpec => {
  return { ...shared, task: 'gradient', metric, dtype, count: 64 };
};

/** Data sets in which every test series looks for its neighbour. */
const DATA_SETS = ['ItalyPowerDemand', 'GunPoint', 'BasicMotions', 'ArrowHead', 'PickupGestureWiimoteZ'];
const WINDOW = 0.1;
/** How many times faster than the matrix a search means to be. */
const SEARCH_GOAL = 10;

/**
 * Measures all of it, about a minute.
 *
 * @param show receives the machine, its ceilings and what is measured beside the claims
 * @param signal ends the measuring; what is missing then counts as not measured
 * @throws Error where an answer is wrong
 */
export async function speedClaims(show: Show, signal: AbortSignal): Promise<Claim[]> {
  const rows = signal.aborted ? [] : await measureCases(show, signal);
  const claims = [...rateClaims(rows), ...gradientClaims(rows)];
  for (const name of DATA_SETS) claims.push(...(await searchClaims(name, show, signal)));
  return [...claims, ...(await threadClaims(show, signal))];
}

/** Matrices and gradients on the best instruction set, each answer checked before it is timed. */
async function measureCases(show: Show, signal: AbortSignal): Promise<ResultRow[]> {
  const isas = availableIsas();
  const ceilings = measureCeilings(isas);
  for (const line of [...machineLines(describeMachine()), ...ceilingLines(ceilings)]) show(line);
  const specs = DTYPES.flatMap((dtype) => [
    ...COMPARED.map((metric) => matrixSpec(metric, dtype)),
    ...SOFT.map((metric) => gradientSpec(metric, dtype)),
  ]);
  const { cases } = await runCases(planOf(specs, [isas[0]]), {
    question: 'elastic',
    ceilings,
    signal,
    filter: /^(softlane|value|gradient) /,
  });
  const failures = cases.flatMap((one) => one.failures.map((failure) => `${one.label}: ${failure}`));
  if (failures.length > 0) throw new Error(failures.join('; '));
  show('measured matrices and gradients of elastic distances');
  return cases.flatMap((one) => one.rows.map((row) => row.result));
}

/** The row of a case; undefined where it was not measured. */
function rowOf(
  rows: readonly ResultRow[],
  contender: string,
  { task, metric, dtype }: CaseSpec,
): ResultRow | undefined {
  return rows.find(
    (row) =>
      row.contender === contender &&
      row.case.task === task &&
      row.case.metric === metric &&
      row.case.dtype === dtype,
  );
}

/** Undefined where there are vector units, else why none of the rates is expected. */
const needsVectors = (): string | undefined =>
  availableIsas()[0] === 'scalar' ? 'no AVX2 on this machine' : undefined;

/** Rates of matrices beside aeon's. */
export function rateClaims(rows: readonly ResultRow[]): Claim[] {
  return DTYPES.flatMap((dtype) =>
    COMPARED.map((metric): Claim => {
      const { title, soft } = methodOf(metric);
      const aeon = AEON[metric] ?? NaN;
      const goal = GOALS[dtype][soft ? 'soft' : 'hard'];
      const rate = rowOf(rows, 'softlane', matrixSpec(metric, dtype))?.Mcells;
      return {
        source: 'softlane',
        text: `${title}, matrix of series of ${LENGTH}, ${NAMES[dtype]}: cells per second / aeon's ${aeon} million`,
        stated: `>= ${goal} x`,
        measured: rate === undefined ? undefined : rate / aeon,
        unit: 'x',
        atLeast: goal,
        notExpected: needsVectors(),
      };
    }),
  );
}

/** What a gradient costs. */
export function gradientClaims(rows: readonly ResultRow[]): Claim[] {
  return DTYPES.flatMap((dtype) =>
    SOFT.map((metric): Claim => {
      const [value, gradient] = ['value', 'gradient'].map((name) =>
        rowOf(rows, name, gradientSpec(metric, dtype)),
      );
      return {
        source: 'softlane',
        text: `${methodOf(metric).title}, 64 pairs of series of ${LENGTH}, ${NAMES[dtype]}: value with gradient / value`,
        stated: '<= 4 x',
        measured: value && gradient ? gradient.medianNs / value.medianNs : undefined,
        unit: 'x',
        atMost: 4,
      };
    }),
  );
}

/** Medians of contenders that are sampled in turn, by name; undefined where the signal ended the measuring. */
async function medians(
  contenders: readonly Contender[],
  signal: AbortSignal,
): Promise<Map<string, number> | undefined> {
  const measured = await measure(contenders, { signal });
  if (signal.aborted) return undefined;
  return new Map(measured.map(({ name, medianNs }) => [name, medianNs]));
}

/** The nearest training series of every test series: by `nearest`, and by way of all distances. */
async function searchClaims(name: string, show: Show, signal: AbortSignal): Promise<Claim[]> {
  const found = signal.aborted ? undefined : await searchTimes(name, signal);
  if (found) {
    const { times, nearestNs } = found;
    const others = times.map(([what, ns]) => `${what} ${formatTime(ns)} (${formatDigits(ns / nearestNs)} x)`);
    show(
      `${name}, 1 nearest neighbour, DTW, window ${WINDOW}: ${formatTime(nearestNs)}; ${others.join(', ')}`,
    );
  }
  return [
    {
      source: 'softlane',
      text: `${name}, 1 nearest neighbour, DTW, window ${WINDOW}: matrix on the same band / search`,
      stated: `>= ${SEARCH_GOAL} x`,
      measured: found && found.times[0][1] / found.nearestNs,
      unit: 'x',
      atLeast: SEARCH_GOAL,
      notExpected: found && (needsVectors() ?? boundsAllow(found.left)),
    },
    {
      source: 'softlane',
      text: `${name}, 1 nearest neighbour, DTW, window ${WINDOW}: neighbours that are not those of the matrix`,
      stated: '0',
      measured: found?.differences,
      unit: '',
      atMost: 0,
    },
  ];
}

/**
 * Why the goal of a search is out of reach, if it is: a distance must be computed for every pair that no bound rules out.
 *
 * @param left share of the pairs that are left even where the nearest distance is known beforehand; undefined where
 *   there are no bounds
 */
export function boundsAllow(left: number | undefined): string | undefined {
  if (left === undefined) return 'lengths differ: there are no lower bounds';
  if (1 / left >= SEARCH_GOAL) return undefined;
  const share = formatDigits(100 * left);
  return `LB_Keogh both ways leaves ${share} % of the pairs where the nearest distance is known: ${formatDigits(1 / left)} x at most`;
}

/** The share of pairs that LB_Keogh of x and y and of y and x does not rule out, given each query's nearest distance. */
export function leftByBounds(
  candidates: SeriesSet,
  queries: SeriesSet,
  nearestDistance: Float64Array,
): number | undefined {
  const { channels, length } = candidates;
  if (length === null || queries.length !== length) return undefined;
  const options = { channels, radius: Math.floor(WINDOW * length) };
  let left = 0;
  for (let i = 0; i < queries.count; i++) {
    const x = queries.series(i);
    for (let j = 0; j < candidates.count; j++) {
      const y = candidates.series(j);
      const limit = nearestDistance[i];
      if (lbKeogh(x, y, options) <= limit && lbKeogh(y, x, options) <= limit) left++;
    }
  }
  return left / (queries.count * candidates.count);
}

async function searchTimes(name: string, signal: AbortSignal) {
  const { train, test } = await dataSet(name);
  const [candidates, queries] = [train.set, test.set];
  const options = { metric: 'dtw', window: WINDOW } as const;
  const { channels } = candidates;
  const out = new Float64Array(candidates.count * queries.count);
  const least = () => leastOf(out, queries.count, candidates.count);
  const banded = (): Uint32Array => {
    pairwise(queries, candidates, { ...options, out });
    return least();
  };
  const expected = banded();
  const found = nearest(candidates, queries, options);
  const differences = found.index.filter((k, i) => k !== expected[i]).length;
  const left = leftByBounds(candidates, queries, found.distance);
  const oneByOne = { ...options, channels };
  const contenders: Contender[] = [
    { name: 'nearest', run: () => nearest(candidates, queries, options) },
    { name: 'matrix on the same band', run: banded },
    {
      name: 'matrix without a band',
      run: () => {
        pairwise(queries, candidates, { metric: 'dtw', out });
        return least();
      },
    },
    {
      name: 'one pair at a time on the same band',
      run: () => {
        for (let i = 0; i < queries.count; i++) {
          const x = queries.series(i);
          for (let j = 0; j < candidates.count; j++) {
            out[i * candidates.count + j] = distance(x, candidates.series(j), oneByOne);
          }
        }
        return least();
      },
    },
  ];
  const ns = await medians(contenders, signal);
  if (!ns) return undefined;
  const [[, nearestNs], ...times] = [...ns];
  return { differences, left, nearestNs, times };
}

/** Matrices on two threads. */
async function threadClaims(show: Show, signal: AbortSignal): Promise<Claim[]> {
  const cores = info().usableCores;
  const claims: Claim[] = [];
  for (const [metric, count] of [
    ['dtw', 256],
    ['soft-msm', 96],
  ] as const) {
    const { title, soft, options } = methodOf(metric);
    let measured: number | undefined;
    if (!signal.aborted && cores > 1) {
      const set = walks('f32', count, LENGTH);
      const out = new Float64Array(count * count);
      const contenders = [1, 2].map((threads): Contender => {
        const withOut = { ...options, threads, out };
        const run = soft ? () => softPairwise(set, null, withOut) : () => pairwise(set, null, withOut);
        return { name: `${threads}`, run };
      });
      const ns = await medians(contenders, signal);
      measured = ns && (ns.get('1') ?? NaN) / (ns.get('2') ?? NaN);
      show(`measured ${title} on one and two threads`);
    }
    claims.push({
      source: 'softlane',
      text: `${title}, matrix of ${count} series of ${LENGTH}, float32: one thread / two threads`,
      stated: '>= 1.8 x',
      measured,
      unit: 'x',
      atLeast: 1.8,
      notExpected: cores > 1 ? undefined : 'one core',
    });
  }
  return claims;
}
