/** Tables over a whole run of the elastic question, and what its plot shows. */
import type { PlotDesign } from '../harness/plot.js';
import type { ResultRow } from '../harness/results.js';
import { renderMatrix } from '../harness/table.js';
import { NPM_PACKAGES } from '../peers/elastic-npm.js';
import { METHODS, type MethodName } from './methods.js';

/** Contenders that choose their instructions themselves, and compute in float64 whatever they are given. */
export const PEERS: readonly string[] = ['javascript', ...NPM_PACKAGES];

const isPeer = ({ contender }: ResultRow): boolean => PEERS.includes(contender);
const titleOf = ({ case: { metric } }: ResultRow): string =>
  Object.hasOwn(METHODS, metric) ? METHODS[metric as MethodName].title : String(metric);
const matricesOf = (rows: readonly ResultRow[]): ResultRow[] =>
  rows.filter((row) => row.case.task === 'pairwise');

function lineOf(row: ResultRow): string {
  const { isa, dtype, threads } = row.case;
  if (isPeer(row)) return row.contender;
  return `${isa} ${dtype}${threads === 1 ? '' : `, ${threads} threads`}`;
}

/**
 * The matrices by length. A peer has one point at each length, its last: it computes the same whatever the element type.
 * What was measured at one length alone is left out, unless all was.
 */
function drawnRows(rows: readonly ResultRow[]): ResultRow[] {
  const lines = new Map<string, Map<number, ResultRow>>();
  for (const row of matricesOf(rows)) {
    const key = `${row.case.metric} ${lineOf(row)}`;
    const line = lines.get(key) ?? new Map<number, ResultRow>();
    lines.set(key, line.set(Number(row.case.length), row));
  }
  const all = [...lines.values()];
  const long = all.filter((line) => line.size > 1);
  return (long.length > 0 ? long : all).flatMap((line) =>
    [...line].sort(([a], [b]) => a - b).map(([, row]) => row),
  );
}

/** A panel per metric, a line per instruction set, element type and thread count; peers have one line each. */
export const plot: PlotDesign = {
  rows: drawnRows,
  size: { title: 'length of series', of: (row) => Number(row.case.length) },
  values: {
    Mcells: { title: 'million cells per second', of: (row) => row.Mcells },
    ns: { title: 'ns per cell', of: (row) => row.Mcells && 1e3 / row.Mcells },
  },
  line: lineOf,
  panels: (row) => [titleOf(row)],
};

/**
 * Rates of the matrices by metric and length, how many times faster than plain JavaScript they are, and what gradients
 * cost and pruning saves.
 */
export function summarise(rows: readonly ResultRow[]): string[] {
  return [...rateTables(matricesOf(rows)), ...ratioTable(rows)];
}

function rateTables(matrices: readonly ResultRow[]): string[] {
  const own = matrices.filter((row) => !isPeer(row));
  const groups = new Map<string, ResultRow[]>();
  for (const row of own) {
    const { isa, dtype, threads } = row.case;
    const key = `${isa} ${dtype}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups].flatMap(([name, group]) => {
    const byLength = [...group].sort((a, b) => Number(a.case.length) - Number(b.case.length));
    const cells = byLength.map((row) => cellOf(row, `${row.case.length}`, row.Mcells));
    const ratios = byLength.flatMap((row) => {
      const peer = matrices.find(
        (other) =>
          other.contender === 'javascript' &&
          other.case.metric === row.case.metric &&
          other.case.length === row.case.length &&
          other.case.dtype === row.case.dtype,
      );
      return peer
        ? [cellOf(row, `${row.case.length}: x javascript`, (row.Mcells ?? NaN) / (peer.Mcells ?? NaN))]
        : [];
    });
    return [renderMatrix(`million cells per second, pairwise, ${name}`, [...cells, ...ratios], false)];
  });
}

const cellOf = (row: ResultRow, column: string, value: number | undefined) => ({
  line: titleOf(row),
  column,
  value: value ?? NaN,
});

/** Ratios within a case: the time of one contender over that of another. */
const RATIOS: readonly { over: string; under: string; text: string }[] = [
  { over: 'gradient', under: 'value', text: 'value with gradient / value' },
  { over: 'pairwise', under: 'nearest', text: 'matrix / nearest' },
  { over: 'nearest-unpruned', under: 'nearest', text: 'unpruned / nearest' },
];

function ratioTable(rows: readonly ResultRow[]): string[] {
  const cells = RATIOS.flatMap(({ over, under, text }) =>
    rows
      .filter((row) => row.contender === under)
      .flatMap((row) => {
        const other = rows.find((one) => one.contender === over && sameCase(one, row));
        const { isa, dtype, threads } = row.case;
        const line = `${titleOf(row)} ${isa} ${dtype}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
        return other ? [{ line, column: text, value: other.medianNs / row.medianNs }] : [];
      }),
  );
  return cells.length > 0 ? [renderMatrix('ratios of times', cells, false)] : [];
}

function sameCase({ case: a }: ResultRow, { case: b }: ResultRow): boolean {
  return Object.entries(a).every(([name, value]) => b[name] === value);
}
