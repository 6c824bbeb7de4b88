/** Tables of text. */
import Table from 'cli-table3';

const EDGES = ['top', 'bottom', 'left', 'right', 'mid'];
const JOINTS = ['top-mid', 'top-left', 'top-right', 'bottom-mid', 'bottom-left', 'bottom-right'];
const CROSSINGS = ['left-mid', 'mid-mid', 'right-mid'];
const NO_BORDERS = {
  ...Object.fromEntries([...EDGES, ...JOINTS, ...CROSSINGS].map((name) => [name, ''])),
  middle: ' ',
};

/**
 * Columns of text under a heading, two blanks apart, without borders or colours, so that it can be piped and pasted.
 * Columns are right-aligned but for those of `left`.
 */
export function renderColumns(head: string[], rows: string[][], left: readonly number[] = [0]): string {
  const table = new Table({
    head,
    chars: NO_BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
    colAligns: head.map((_, i) => (left.includes(i) ? 'left' : 'right')),
  });
  table.push(...rows);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
