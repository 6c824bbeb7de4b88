/** The list of cases: matrices at four lengths first, then what else people ask of elastic distances. */
import type { Shape } from '../harness/sizes.js';
import { METHODS, type CaseDtype, type MethodName } from './methods.js';

/** What is called: the package's functions, `gradient` for softLossBatch and `subsequence` for subsequenceSearch. */
export type Task = 'pairwise' | 'distance' | 'gradient' | 'nearest' | 'subsequence';

/** One case before anything is allocated for it. */
export interface CaseSpec {
  task: Task;
  metric: MethodName;
  /** Time points of each series, or of the query. */
  length: number;
  /** Series of the set; pairs of a gradient; candidates of a search. */
  count: number;
  dtype: CaseDtype;
  threads: number;
  /** Sakoe-Chiba band as a share of the length. */
  window?: number;
  /** Queries of a search. */
  queries?: number;
  /** Time points of the stream of a subsequence search. */
  stream?: number;
}

const LENGTHS = [128, 512, 2048];
/** Here a table has 10^8 cells: soft losses in float64 would take seconds a call. */
const LONGEST = 10_000;
const MAIN: readonly MethodName[] = ['dtw', 'msm', 'twe', 'soft-dtw', 'soft-msm'];
/** Measured at the shortest length: their loops are those of DTW, with a few operations more. */
const OTHERS: readonly MethodName[] = ['adtw', 'wdtw', 'erp'];
const DTYPES: readonly CaseDtype[] = ['f32', 'f64'];

/** Cells of a matrix, so that a call takes some tens of milliseconds. */
const CELLS = { hard: 1.3e8, soft: 2e7 };
/** Most lanes of a vector: a matrix of a multiple of them leaves the fewest idle. */
const LANES = 16;

/** What decides the list. */
export interface CaseChoice {
  /** Default: one thread for all cases, and every core for some matrices at the shortest length. */
  threads?: readonly number[];
  /** Lengths of series of which matrices are measured, in place of all cases. */
  sizes?: readonly number[];
  /** Sets of `rows` series of length `cols`, likewise. */
  shapes?: readonly Shape[];
  quick?: boolean;
}

/** How many series of a length make a matrix of some tens of milliseconds. */
export function countFor(length: number, soft: boolean): number {
  const count = Math.sqrt((2 * (soft ? CELLS.soft : CELLS.hard)) / length ** 2);
  if (count >= 1.5 * LANES) return Math.min(1024, LANES * Math.round(count / LANES));
  return Math.max(soft ? 2 : 3, Math.round(count));
}

/**
 * The cases in the order in which they run. With `sizes` or `shapes` given only matrices of those.
 *
 * @param cores of this machine
 */
export function listCases({ threads, sizes, shapes, quick }: CaseChoice, cores: number): CaseSpec[] {
  const specs =
    sizes !== undefined || shapes !== undefined
      ? [
          ...(sizes ?? []).flatMap((length) => matrices(MAIN, DTYPES, length)),
          ...(shapes ?? []).flatMap(({ rows, cols }) => matrices(MAIN, DTYPES, cols, rows)),
        ]
      : quick
        ? quickCases()
        : allCases();
  if (threads) return threads.flatMap((count) => specs.map((spec) => ({ ...spec, threads: count })));
  const several: readonly MethodName[] = quick ? ['dtw'] : ['dtw', 'soft-dtw', 'soft-msm'];
  const parallel = specs.filter(
    ({ task, length, dtype, metric }) =>
      task === 'pairwise' && length === LENGTHS[0] && dtype === 'f32' && several.includes(metric),
  );
  return cores > 1 ? [...specs, ...parallel.map((spec) => ({ ...spec, threads: cores }))] : specs;
}

function matrices(
  metrics: readonly MethodName[],
  dtypes: readonly CaseDtype[],
  length: number,
  count?: number,
): CaseSpec[] {
  return metrics.flatMap((metric) =>
    dtypes.map((dtype) => ({
      task: 'pairwise' as const,
      metric,
      length,
      count: count ?? countFor(length, METHODS[metric].soft),
      dtype,
      threads: 1,
    })),
  );
}

function allCases(): CaseSpec[] {
  const single = { threads: 1, count: 2, length: LONGEST } as const;
  return [
    ...matrices(MAIN, DTYPES, LENGTHS[0]),
    ...matrices(OTHERS, DTYPES, LENGTHS[0]),
    ...LENGTHS.slice(1).flatMap((length) => matrices(MAIN, DTYPES, length)),
    ...gradients(DTYPES),
    ...searches(),
    ...DTYPES.map((dtype): CaseSpec => ({ ...single, task: 'distance', metric: 'dtw', dtype })),
    { ...single, task: 'distance', metric: 'msm', dtype: 'f32' },
    ...matrices(['dtw', 'msm', 'twe'], DTYPES, LONGEST),
    ...matrices(['soft-dtw', 'soft-msm'], ['f32'], LONGEST),
  ];
}

function quickCases(): CaseSpec[] {
  return [
    ...matrices(MAIN, ['f32'], LENGTHS[0]),
    ...matrices(['dtw', 'soft-dtw'], ['f64'], LENGTHS[0]),
    ...matrices(['dtw', 'msm'], ['f32'], LENGTHS[1]),
    ...gradients(['f32']),
    ...searches(),
  ];
}

function gradients(dtypes: readonly CaseDtype[]): CaseSpec[] {
  return (['soft-dtw', 'soft-msm'] as const).flatMap((metric) =>
    dtypes.map((dtype) => ({
      task: 'gradient' as const,
      metric,
      length: 128,
      count: 64,
      dtype,
      threads: 1,
    })),
  );
}

function searches(): CaseSpec[] {
  const shared = { metric: 'dtw', threads: 1 } as const;
  return [
    { ...shared, task: 'nearest', length: 256, count: 400, dtype: 'f32', window: 0.1, queries: 50 },
    { ...shared, task: 'nearest', length: 256, count: 400, dtype: 'f64', window: 0.1, queries: 50 },
    { ...shared, task: 'subsequence', length: 128, count: 1, dtype: 'f64', window: 0.05, stream: 200_000 },
  ];
}

/** Cells of the table of a pair that lie within the band. */
export function cellsOfPair({ length: n, window }: Pick<CaseSpec, 'length' | 'window'>): number {
  if (window === undefined) return n * n;
  const radius = Math.min(n - 1, Math.floor(window * n));
  return n * (2 * radius + 1) - radius * (radius + 1);
}

/** Pairs of a case: what it takes to compare everything that is asked about with everything it is asked of. */
export function pairsOf({ task, metric, count, queries = 1, stream = 0, length }: CaseSpec): number {
  switch (task) {
    case 'pairwise':
      return METHODS[metric].soft ? (count * (count + 1)) / 2 : (count * (count - 1)) / 2;
    case 'distance':
      return 1;
    case 'gradient':
      return count;
    case 'nearest':
      return queries * count;
    case 'subsequence':
      return stream - length + 1;
  }
}

/** The heading of a case: `pairwise dtw, 128 series of 128, f32, 1 thread`. */
export function labelOf(spec: CaseSpec): string {
  const { task, metric, length, count, dtype, threads, window, queries, stream } = spec;
  const band = window === undefined ? '' : ` window ${window}`;
  const what: Record<Task, string> = {
    pairwise: `${count} series of ${length}`,
    distance: `two series of ${length}`,
    gradient: `${count} pairs of ${length}`,
    nearest: `${queries} queries in ${count} series of ${length}`,
    subsequence: `a query of ${length} in a stream of ${stream}`,
  };
  return `${task} ${metric}${band}, ${what[task]}, ${dtype}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
}
