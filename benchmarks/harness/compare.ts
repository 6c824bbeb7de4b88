/** Comparison of a run with a saved one of the same machine. */
import { renderColumns } from '../../lib/report/columns.js';
import { BenchError } from './errors.js';
import { fingerprint } from './machine.js';
import type { ResultRow, StoredResults } from './results.js';
import { formatTime } from './sizes.js';

/** A row that both runs have. */
export interface Comparison {
  before: ResultRow;
  after: ResultRow;
  /** New time divided by old time. */
  ratio: number;
  /** The medians differ by more than the wider of the two interquartile ranges. */
  exceedsSpread: boolean;
}

/**
 * Refuses to compare runs of different machines.
 *
 * @param path how to name the old run
 * @throws BenchError that lists every difference: processor model, cores, instruction sets, Node major version
 */
export function assertSameMachine(
  before: Pick<StoredResults, 'machine' | 'ceilings'>,
  after: Pick<StoredResults, 'machine' | 'ceilings'>,
  path: string,
): void {
  const old = fingerprint(before);
  const differences = Object.entries(fingerprint(after))
    .filter(([name, value]) => old[name] !== value)
    .map(([name, value]) => `${name} was "${old[name]}" and is "${value}"`);
  if (differences.length > 0) {
    throw new BenchError(
      `${path} was measured on another machine, times cannot be compared: ${differences.join('; ')}`,
    );
  }
}

/** Pairs rows of the same question, contender and case; rows that only one run has are left out. */
export function compareRows(before: readonly ResultRow[], after: readonly ResultRow[]): Comparison[] {
  const old = new Map(before.map((row) => [keyOf(row), row]));
  return after.flatMap((row) => {
    const match = old.get(keyOf(row));
    if (!match) return [];
    const noise = Math.max(match.spread * match.medianNs, row.spread * row.medianNs);
    return [
      {
        before: match,
        after: row,
        ratio: row.medianNs / match.medianNs,
        exceedsSpread: Math.abs(row.medianNs - match.medianNs) > noise,
      },
    ];
  });
}

/** The comparison as a table, with a last line that counts what became faster and slower. */
export function renderComparison(path: string, comparisons: readonly Comparison[]): string {
  if (comparisons.length === 0) return `against ${path}: no case in common`;
  const verdict = ({ ratio, exceedsSpread }: Comparison) => {
    if (!exceedsSpread) return 'within the spread';
    return ratio < 1 ? 'faster' : 'slower';
  };
  const lines = comparisons.map((one) => [
    one.after.contender,
    Object.entries(one.after.case)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    formatTime(one.before.medianNs),
    formatTime(one.after.medianNs),
    one.ratio.toFixed(3),
    verdict(one),
  ]);
  const count = (word: string) => lines.filter((line) => line[5] === word).length;
  return (
    `against ${path} (ratio: new time / old time)\n` +
    `${renderColumns(['contender', 'case', 'old', 'new', 'ratio', ''], lines, [0, 1, 5])}\n` +
    `${count('faster')} faster, ${count('slower')} slower, ${count('within the spread')} within the spread`
  );
}

function keyOf({ question, contender, case: parameters }: ResultRow): string {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([question, contender, sorted]);
}
