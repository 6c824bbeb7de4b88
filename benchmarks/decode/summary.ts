/** Tables over a whole run of the decode question, and what its plot shows. */
import type { PlotDesign } from '../harness/plot.js';
import type { ResultRow } from '../harness/results.js';
import { renderMatrix } from '../harness/table.js';

const isOwn = ({ tokensPerSecond }: ResultRow): boolean => tokensPerSecond !== undefined;

const caseOf = ({ case: { model, dtype, isa, threads } }: ResultRow): string =>
  `${model}, ${dtype}, ${isa}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;

/** A panel per model, type, instruction set and number of threads; a line per contender over the batch. */
export const plot: PlotDesign = {
  rows: (rows) => rows.filter(isOwn).sort((a, b) => Number(a.case.batch) - Number(b.case.batch)),
  size: { title: 'sequences in a batch', of: (row) => Number(row.case.batch) },
  values: {
    tokens: { title: 'tokens per second', of: (row) => row.tokensPerSecond },
    ofCeiling: { title: 'share of the ceiling', of: (row) => row.ofCeiling },
  },
  line: ({ contender }) => contender,
  panels: (row) => [caseOf(row)],
};

/** Tokens per second by batch, how many times those of one sequence they are, and the share of the read ceiling. */
export function summarise(rows: readonly ResultRow[]): string[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows.filter(isOwn)) groups.set(caseOf(row), [...(groups.get(caseOf(row)) ?? []), row]);
  return [...groups].map(([name, group]) => {
    const cells = group.flatMap((row) => {
      const line = `${row.contender}, batch ${row.case.batch}`;
      const single = group.find((one) => one.contender === row.contender && one.case.batch === 1);
      const values = {
        'tokens/s': row.tokensPerSecond,
        'x batch 1': single && row.tokensPerSecond! / single.tokensPerSecond!,
        'ms a step': row.medianNs / 1e6 / Number(row.case.tokens),
        'GB/s': row.GBps,
        '% of ceiling': row.ofCeiling && 100 * row.ofCeiling,
      };
      return Object.entries(values).flatMap(([column, value]) =>
        value === undefined ? [] : [{ line, column, value }],
      );
    });
    return renderMatrix(`decode, ${name}`, cells, false);
  });
}
