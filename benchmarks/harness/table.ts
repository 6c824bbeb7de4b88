import { renderColumns } from '../../lib/report/columns.js';
import { histogram } from './histogram.js';
import type { TimedRow } from './question.js';
import { formatDigits, formatTime } from './sizes.js';

/** A column of the table of a case; a column that has nothing to say about any contender is left out. */
interface Column {
  head: string;
  left?: boolean;
  text: (row: TimedRow, fastestNs: number) => string;
}

const orBlank = (value: number | undefined): string => (value === undefined ? '' : formatDigits(value));

const COLUMNS: readonly Column[] = [
  { head: 'contender', left: true, text: ({ result }) => result.contender },
  {
    head: 'isa',
    left: true,
    text: ({ peer, result }) => (peer ? '(own)' : String(result.case.isa ?? '')),
  },
  { head: 'median', text: ({ result }) => formatTime(result.medianNs) },
  { head: 'min', text: ({ measurement }) => formatTime(measurement.minNs) },
  {
    head: 'ns/elem',
    text: ({ result, work: { unit = 'element', elements } }) =>
      orBlank(unit === 'element' ? result.medianNs / elements : undefined),
  },
  { head: 'tokens/s', text: ({ result }) => orBlank(result.tokensPerSecond) },
  { head: 'Mcells/s', text: ({ result }) => orBlank(result.Mcells) },
  { head: 'spread', text: ({ result }) => `${(result.spread * 100).toFixed(1)}%` },
  { head: 'GB/s', text: ({ result }) => orBlank(result.GBps) },
  { head: 'Gflop/s', text: ({ result }) => orBlank(result.Gflops) },
  {
    head: 'of ceiling',
    text: ({ result: { ofCeiling }, binding }) =>
      ofCeiling === undefined ? '' : `${(ofCeiling * 100).toFixed(0)}% ${binding}`,
  },
  { head: 'x best', text: ({ result }, fastestNs) => (result.medianNs / fastestNs).toFixed(2) },
  {
    head: 'samples',
    left: true,
    text: ({ result, measurement }) =>
      `${histogram(measurement.samplesNs)} ${String(result.samples).padStart(3)}`,
  },
  {
    head: '',
    left: true,
    text: ({ note, measurement }) => [...(note ? [note] : []), ...measurement.flags].join('; '),
  },
];

/**
 * The table of one case, a line per contender: median time, time per element or cells per second, spread, rates, share
 * of the ceiling that binds, how many times slower than the fastest, the histogram of the samples, flags.
 */
export function renderCase(label: string, rows: readonly TimedRow[]): string {
  const fastestNs = Math.min(...rows.map((row) => row.result.medianNs));
  const columns = COLUMNS.map((column) => ({
    ...column,
    lines: rows.map((row) => column.text(row, fastestNs)),
  })).filter(({ lines }) => lines.some((text) => text !== ''));
  const left = columns.flatMap((column, i) => (column.left ? [i] : []));
  const lines = rows.map((_, i) => columns.map((column) => column.lines[i]));
  return `${label}\n${renderColumns(
    columns.map(({ head }) => head),
    lines,
    left,
  )}`;
}

/**
 * A table of numbers with a line per value of `line` and a column per value of `column`, in order of first appearance;
 * the smallest number of a line is marked with `*` unless told otherwise, a missing one is a dash.
 */
export function renderMatrix(
  heading: string,
  cells: readonly { line: string; column: string; value: number }[],
  markSmallest = true,
): string {
  const columns = [...new Set(cells.map((cell) => cell.column))];
  const lines = [...new Set(cells.map((cell) => cell.line))];
  const rows = lines.map((line) => {
    const values = columns.map((column) => cells.find((c) => c.line === line && c.column === column)?.value);
    const smallest = Math.min(...values.filter((value) => value !== undefined));
    return [
      line,
      ...values.map((value) =>
        value === undefined ? '-' : `${markSmallest && value === smallest ? '*' : ''}${formatDigits(value)}`,
      ),
    ];
  });
  return `${heading}\n${renderColumns(['', ...columns], rows)}`;
}
