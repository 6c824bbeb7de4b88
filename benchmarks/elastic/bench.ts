/** What the contenders of an open case share: series, parameters, counted work, references. */
import type { SeriesSet } from '../../lib/elastic/index.js';
import { distance, softDistance } from '../../lib/elastic/index.js';
import type { Isa } from '../../lib/index.js';
import type { Check, Work } from '../harness/question.js';
import type { CaseParameters } from '../harness/results.js';
import { cellsOfPair, pairsOf, type CaseSpec } from './cases.js';
import { methodOf, type CaseDtype } from './methods.js';

/** The case as result rows name it. */
export function parametersOf(spec: CaseSpec, isa: Isa): CaseParameters {
  const { task, metric, length, count, dtype, threads, window, queries, stream } = spec;
  return {
    metric,
    length,
    count,
    dtype,
    isa,
    threads,
    task,
    ...(window !== undefined && { window }),
    ...(queries !== undefined && { queries }),
    ...(stream !== undefined && { stream }),
  };
}

/**
 * The work of a case: the cells of all its pairs, whoever is spared them.
 *
 * @param counted false where cells are left out, so that operations cannot be counted
 */
export function workOf(spec: CaseSpec, { counted = true, gradient = false } = {}): Work {
  const { operations, gradientOperations } = methodOf(spec.metric);
  const cells = pairsOf(spec) * cellsOfPair(spec);
  const perCell = (gradient ? gradientOperations : operations)?.[spec.dtype] ?? 0;
  return { elements: cells, unit: 'cell', bytes: 0, flops: counted ? cells * perCell : 0 };
}

/** Largest error of a value v, as a share of |v| + length: a soft loss may be near 0 where its terms are not. */
export const ALLOWANCE: Record<CaseDtype, number> = { f32: 2e-5, f64: 1e-11 };

/** A pair of series by their positions, and the value that it must have. */
export interface Reference {
  i: number;
  j: number;
  value: number;
}

/** Cells of a pair beyond which plain JavaScript takes more than a second: about 10 and 100 ns a cell. */
const JAVASCRIPT_CELLS = { hard: 1.2e8, soft: 1e7 };
const CHECKED_PAIRS = 6;

/** Pairs that are looked at: the first, the last and some between; of large tables one. */
export function checkedPairs(count: number, length: number): [number, number][] {
  const pairs: [number, number][] = [];
  for (let i = 0; i < count; i++) for (let j = i + 1; j < count; j++) pairs.push([i, j]);
  const wanted = Math.min(length > 4096 ? 1 : CHECKED_PAIRS, pairs.length);
  return Array.from(
    { length: wanted },
    (_, k) => pairs[Math.round((k * (pairs.length - 1)) / Math.max(1, wanted - 1))],
  );
}

/** The values of pairs of a set in plain JavaScript or, where that takes too long, in softlane's own float64. */
export function referencesOf(
  spec: CaseSpec,
  set: SeriesSet,
  pairs: readonly [number, number][],
): Reference[] {
  const method = methodOf(spec.metric);
  const most = method.soft ? JAVASCRIPT_CELLS.soft : JAVASCRIPT_CELLS.hard;
  const value = spec.length ** 2 <= most ? javascriptValue : ownValue;
  return pairs.map(([i, j]) => ({ i, j, value: value(spec, set, i, j) }));
}

function javascriptValue({ metric, length }: CaseSpec, set: SeriesSet, i: number, j: number): number {
  const [x, y] = [i, j].map((k) => Float64Array.from(set.series(k)));
  return methodOf(metric).javascript(x, y, new Float64Array(length + 1));
}

/** softlane's value of one pair in float64: another implementation than plain JavaScript, which is held to it. */
export function ownValue({ metric }: CaseSpec, set: SeriesSet, i: number, j: number): number {
  const [x, y] = [i, j].map((k) => Float64Array.from(set.series(k)));
  const { options, soft } = methodOf(metric);
  return soft ? softDistance(x, y, options) : distance(x, y, options);
}

/** Compares values with references; `at` finds the answer of a pair. */
export function checkValues(
  references: readonly Reference[],
  at: (reference: Reference, k: number) => number,
  { length, dtype }: CaseSpec,
): Check {
  let worst = 0;
  references.forEach((reference, k) => {
    const scale = Math.abs(reference.value) + length;
    // Math.max hands NaN on, and NaN counts as wrong.
    worst = Math.max(worst, Math.abs(at(reference, k) - reference.value) / scale);
  });
  return { worst: worst / ALLOWANCE[dtype], detail: `error ${worst.toExponential(1)}` };
}
