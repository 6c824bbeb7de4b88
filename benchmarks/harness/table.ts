import { renderColumns } from '../../lib/report/columns.js';
import { histogram } from './histogram.js';
import type { TimedRow } from './question.js';
import { formatDigits, formatTime } from './sizes.js';

/**
 * The table of one case, a line per contender: median time, time per element, spread, rates, share of the ceiling that
 * binds, how many times slower than the fastest, the histogram of the samples, flags.
 */
export function renderCase(label: string, rows: readonly TimedRow[]): string {
  const fastest = Math.min(...rows.map((row) => row.result.medianNs));
  const head = [
    'contender',
    'isa',
    'median',
    'min',
    'ns/elem',
    'spread',
    'GB/s',
    'Gflop/s',
    'of ceiling',
    'x best',
    'samples',
    '',
  ];
  const lines = rows.map((row) => {
    const { contender, case: parameters, medianNs, spread, GBps, Gflops, ofCeiling, samples } = row.result;
    return [
      contender,
      row.peer ? '(own)' : String(parameters.isa ?? ''),
      formatTime(medianNs),
      formatTime(row.measurement.minNs),
      formatDigits(medianNs / row.work.elements),
      `${(spread * 100).toFixed(1)}%`,
      GBps === undefined ? '' : formatDigits(GBps),
      Gflops === undefined ? '' : formatDigits(Gflops),
      ofCeiling === undefined ? '' : `${(ofCeiling * 100).toFixed(0)}% ${row.binding}`,
      (medianNs / fastest).toFixed(2),
      `${histogram(row.measurement.samplesNs)} ${String(samples).padStart(3)}`,
      [...(row.note ? [row.note] : []), ...row.measurement.flags].join('; '),
    ];
  });
  return `${label}\n${renderColumns(head, lines, [0, 1, 10, 11])}`;
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
