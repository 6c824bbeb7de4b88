/**
 * Alignment paths, walked back from the last cell of a table.
 */
import type { Table } from './tables.js';

/** Pairs (i, j) in ascending order. */
export type Path = readonly (readonly [number, number])[];

/** Walks from the last cell to (0, 0) by steps back that `choose` names. */
function walk(table: Table, choose: (i: number, j: number) => 'diagonal' | 'up' | 'left'): Path {
  let [i, j] = [table.length - 1, table[0].length - 1];
  const path: [number, number][] = [[i, j]];
  while (i > 0 || j > 0) {
    const step = i === 0 ? 'left' : j === 0 ? 'up' : choose(i, j);
    if (step !== 'left') i -= 1;
    if (step !== 'up') j -= 1;
    path.push([i, j]);
  }
  return path.reverse();
}

/** The path of least costs: of equal ones the diagonal before up before left. */
export function walkLeast(table: Table): Path {
  return walk(table, (i, j) => {
    const [diagonal, up, left] = [table[i - 1][j - 1], table[i - 1][j], table[i][j - 1]];
    const least = Math.min(diagonal, up, left);
    return diagonal === least ? 'diagonal' : up === least ? 'up' : 'left';
  });
}

/** The path of shapeDTW: diagonal where strictly best, else left where strictly better than up, else up. */
export function walkShape(table: Table): Path {
  return walk(table, (i, j) => {
    const [diagonal, left, up] = [table[i - 1][j - 1], table[i][j - 1], table[i - 1][j]];
    if (diagonal < left && diagonal < up) return 'diagonal';
    return left < up ? 'left' : 'up';
  });
}

/**
 * The matches of LCSS: cells that `matches`, met on the way from the last cell.
 * @param table n x m lengths of common subsequences; what lies before it is 0
 */
export function walkMatches(table: Table, matches: (i: number, j: number) => boolean): Path {
  let [i, j] = [table.length - 1, table[0].length - 1];
  const path: [number, number][] = [];
  while (i >= 0 && j >= 0) {
    const [up, left] = [i > 0 ? table[i - 1][j] : 0, j > 0 ? table[i][j - 1] : 0];
    if (matches(i, j)) {
      path.push([i, j]);
      i -= 1;
      j -= 1;
    } else if (up > left) i -= 1;
    else j -= 1;
  }
  return path.reverse();
}
