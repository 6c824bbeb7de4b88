/** Tables over a whole run of the attention question, and what its plot shows. */
import type { PlotDesign } from '../harness/plot.js';
import type { ResultRow } from '../harness/results.js';
import { formatCount } from '../harness/sizes.js';
import { renderMatrix } from '../harness/table.js';
import { isOfKind, kindGroup, summariseKinds } from './kinds/summary.js';

const caseOf = ({ case: { group, dtype, isa, threads } }: ResultRow): string =>
  `group ${group}, ${dtype}, ${isa}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;

/** A panel per group size, type, instruction set and number of threads; a line per contender over the context. */
export const plot: PlotDesign = {
  rows: (rows) => [...rows].sort((a, b) => Number(a.case.length) - Number(b.case.length)),
  size: { title: 'tokens', of: (row) => Number(row.case.length) },
  values: {
    GBps: { title: 'GB/s', of: (row) => row.GBps },
    ms: { title: 'milliseconds', of: (row) => row.medianNs / 1e6 },
    ofCeiling: { title: 'share of the ceiling', of: (row) => row.ofCeiling },
  },
  line: ({ contender }) => contender,
  panels: (row) => [isOfKind(row) ? kindGroup(row) : caseOf(row)],
};

/** Times and shares of the ceiling by context, for each group size and type. */
export function summarise(rows: readonly ResultRow[]): string[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows)
    if (!isOfKind(row)) groups.set(caseOf(row), [...(groups.get(caseOf(row)) ?? []), row]);
  const cached = [...groups].flatMap(([name, group]) => {
    const cells = (value: (row: ResultRow) => number | undefined) =>
      group.flatMap((row) => {
        const found = value(row);
        const column = formatCount(Number(row.case.length));
        return found === undefined ? [] : [{ line: row.contender, column, value: found }];
      });
    return [
      renderMatrix(
        `milliseconds by context, ${name}`,
        cells((row) => row.medianNs / 1e6),
        false,
      ),
      renderMatrix(
        `percent of max(bytes / read, operations / fma), ${name}`,
        cells(({ ofCeiling }) => ofCeiling && 100 * ofCeiling),
        false,
      ),
    ];
  });
  return [...cached, ...summariseKinds(rows)];
}
