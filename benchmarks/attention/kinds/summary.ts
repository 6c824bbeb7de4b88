/** Tables over the kinds of attention of a run, and what their plot shows. */
import type { ResultRow } from '../../harness/results.js';
import { formatCount } from '../../harness/sizes.js';
import { renderMatrix } from '../../harness/table.js';

/** Whether a row is of a kind, and not of a query token against a cache. */
export const isOfKind = (row: ResultRow): boolean => row.case.kind !== undefined;

/** The group of a row: `linear, avx512, 1 thread`. */
export const kindGroup = ({ case: { kind, isa, threads } }: ResultRow): string =>
  `${kind}, ${isa}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;

const columnOf = (row: ResultRow): string => formatCount(Number(row.case.length));

/** Times by length, how many times faster than softmax attention, and the growth of time from length to length. */
export function summariseKinds(rows: readonly ResultRow[]): string[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows.filter(isOfKind))
    groups.set(kindGroup(row), [...(groups.get(kindGroup(row)) ?? []), row]);
  return [...groups].flatMap(([name, group]) => {
    const times = group.map((row) => ({
      line: row.contender,
      column: columnOf(row),
      value: row.medianNs / 1e6,
    }));
    const softmax = new Map(
      group.filter(({ contender }) => contender === 'softmax').map((row) => [columnOf(row), row.medianNs]),
    );
    const faster = group.flatMap((row) => {
      const against = softmax.get(columnOf(row));
      if (against === undefined || row.contender === 'softmax' || row.contender.endsWith('step')) return [];
      return [{ line: row.contender, column: columnOf(row), value: against / row.medianNs }];
    });
    const perToken = group
      .filter(({ contender }) => !contender.endsWith('step'))
      .map((row) => ({
        line: row.contender,
        column: columnOf(row),
        value: row.medianNs / Number(row.case.length),
      }));
    return [
      renderMatrix(`milliseconds by length, ${name}`, times, false),
      renderMatrix(`nanoseconds a token by length, ${name}`, perToken, false),
      ...(faster.length > 0
        ? [renderMatrix(`times as fast as softmax attention, ${name}`, faster, false)]
        : []),
    ];
  });
}
