/** Tables over a whole run of the scan question, and what its plot shows. */
import type { PlotDesign } from '../harness/plot.js';
import type { ResultRow } from '../harness/results.js';
import { formatCount } from '../harness/sizes.js';
import { renderMatrix } from '../harness/table.js';

const number = (row: ResultRow, name: string): number => Number(row.case[name]);

const caseOf = (row: ResultRow): string => {
  const threads = number(row, 'threads');
  const sizes = ['dim', 'state', 'length'].map((name) => formatCount(number(row, name))).join(' x ');
  return `${row.case.task}, batch ${row.case.batch}, ${sizes}, ${row.case.isa}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
};

/** State updates of a row. */
const updates = (row: ResultRow): number =>
  ['batch', 'dim', 'state', 'length'].reduce((product, name) => product * number(row, name), 1);

/** A panel per task, channels, instruction set and number of threads; a line per contender over the length. */
export const plot: PlotDesign = {
  rows: (rows) => [...rows].sort((a, b) => number(a, 'length') - number(b, 'length')),
  size: { title: 'steps', of: (row) => number(row, 'length') },
  values: {
    ns: { title: 'nanoseconds per state update', of: (row) => row.medianNs / updates(row) },
    ms: { title: 'milliseconds', of: (row) => row.medianNs / 1e6 },
    GBps: { title: 'GB/s', of: (row) => row.GBps },
  },
  line: ({ contender }) => contender,
  panels: (row) => [
    `${row.case.task}, ${formatCount(number(row, 'dim'))} channels, ${row.case.isa}, threads ${row.case.threads}`,
  ],
};

/** Time, time per state update, and how many times that of the loop without exponentials, and of plain JavaScript. */
export function summarise(rows: readonly ResultRow[]): string[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) groups.set(caseOf(row), [...(groups.get(caseOf(row)) ?? []), row]);
  return [...groups].map(([name, group]) => {
    const timeOf = (contender: string): number | undefined =>
      group.find((row) => row.contender === contender)?.medianNs;
    const [bare, plain] = [timeOf('no-exp'), timeOf('javascript')];
    const cells = group.flatMap((row) => {
      const values = {
        ms: row.medianNs / 1e6,
        'ns a state update': row.medianNs / updates(row),
        'GB/s': row.GBps,
        'x no-exp': bare && row.medianNs / bare,
        'javascript x': plain && plain / row.medianNs,
      };
      return Object.entries(values).flatMap(([column, value]) =>
        value === undefined ? [] : [{ line: row.contender, column, value }],
      );
    });
    return renderMatrix(name, cells, false);
  });
}
