/** Tables over a whole run of the train question, and what its plot shows. */
import type { PlotDesign } from '../harness/plot.js';
import type { ResultRow } from '../harness/results.js';
import { renderMatrix } from '../harness/table.js';

const tokensOf = (row: ResultRow): number => Number(row.case.batch) * Number(row.case.length);

const caseOf = ({ case: { layers, width, batch, length } }: ResultRow): string =>
  `${layers} layers of ${width}, batch ${batch} x ${length}`;

/** A line per contender over the tokens of a batch. */
export const plot: PlotDesign = {
  rows: (rows) => [...rows].sort((a, b) => tokensOf(a) - tokensOf(b)),
  size: { title: 'tokens a step', of: tokensOf },
  values: {
    ms: { title: 'milliseconds a step', of: (row) => row.medianNs / 1e6 },
    ofCeiling: { title: 'share of the ceiling', of: (row) => row.ofCeiling },
  },
  line: ({ contender, case: { isa, threads } }) => `${contender}, ${isa}, threads ${threads}`,
  panels: (row) => [caseOf(row)],
};

/** Time of a step, beside what its products would take at the ceiling, and beside the tape's. */
export function summarise(rows: readonly ResultRow[]): string[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) groups.set(caseOf(row), [...(groups.get(caseOf(row)) ?? []), row]);
  return [...groups].map(([name, group]) => {
    const own = group.find(({ contender }) => contender === 'tape')?.medianNs;
    const cells = group.flatMap((row) => {
      const values = {
        'ms a step': row.medianNs / 1e6,
        'tokens/s': (tokensOf(row) / row.medianNs) * 1e9,
        'x products at the ceiling': row.ofCeiling && 1 / row.ofCeiling,
        'x tape': own && row.medianNs / own,
      };
      const line = `${row.contender}, ${row.case.isa}, threads ${row.case.threads}`;
      return Object.entries(values).flatMap(([column, value]) =>
        value === undefined ? [] : [{ line, column, value }],
      );
    });
    return renderMatrix(`train, ${name}`, cells, false);
  });
}
