/** Tables over a whole run of the gemm question, and what its plot shows. */
import type { PlotDesign } from '../harness/plot.js';
import type { ResultRow } from '../harness/results.js';
import { formatCount } from '../harness/sizes.js';
import { renderMatrix } from '../harness/table.js';

const shapeOf = ({ case: { n, k } }: ResultRow): string =>
  `[${formatCount(Number(n))}, ${formatCount(Number(k))}]`;

const threadsOf = ({ case: { threads } }: ResultRow): string =>
  `${threads} ${threads === 1 ? 'thread' : 'threads'}`;

/** A panel per weight shape, instruction set and number of threads; a line per contender over the rows m. */
export const plot: PlotDesign = {
  rows: (rows) => [...rows].sort((a, b) => Number(a.case.m) - Number(b.case.m)),
  size: { title: 'rows of activations (m)', of: (row) => Number(row.case.m) },
  values: {
    ms: { title: 'milliseconds', of: (row) => row.medianNs / 1e6 },
    GBps: { title: 'GB/s of weights', of: (row) => row.GBps },
    ofCeiling: { title: 'share of the ceiling', of: (row) => row.ofCeiling },
  },
  line: ({ contender }) => contender,
  panels: (row) => [`${shapeOf(row)} ${row.case.isa}, ${threadsOf(row)}`],
};

/** Groups rows under a heading, in order of first appearance. */
function grouped(rows: readonly ResultRow[], headingOf: (row: ResultRow) => string) {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) groups.set(headingOf(row), [...(groups.get(headingOf(row)) ?? []), row]);
  return [...groups];
}

/** Times by rows m, and shares of max(weight bytes / read ceiling, operations / fused multiply-add ceiling), by shape. */
export function summarise(rows: readonly ResultRow[]): string[] {
  const groups = grouped(rows, (row) => `${shapeOf(row)}, ${row.case.isa}, ${threadsOf(row)}`);
  return groups.flatMap(([name, group]) => {
    const cells = (value: (row: ResultRow) => number | undefined) =>
      group.flatMap((row) => {
        const found = value(row);
        return found === undefined ? [] : [{ line: row.contender, column: `m=${row.case.m}`, value: found }];
      });
    return [
      renderMatrix(
        `milliseconds, weights ${name}`,
        cells((row) => row.medianNs / 1e6),
        false,
      ),
      renderMatrix(
        `time / max(bytes / read, operations / fma), weights ${name}`,
        cells(({ ofCeiling }) => ofCeiling && 1 / ofCeiling),
        false,
      ),
    ];
  });
}
