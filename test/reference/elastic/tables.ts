/**
 * The tables of dynamic programming behind the elastic distances, whole and in plain float64, one recursion each.
 * Every table is returned with its border, as the recursion has it; `+Infinity` marks what cannot be reached.
 */
import type { Mask } from './bands.js';
import { channelsOf, euclidean, type Points, squared } from './points.js';

/** Rows of a table. */
export type Table = readonly Float64Array[];

/** A table of rows x cols filled with one value. */
export function filled(rows: number, cols: number, value: number): Float64Array[] {
  return Array.from({ length: rows }, () => new Float64Array(cols).fill(value));
}

/** A table without its border of one row and one column. */
export function withoutBorder(table: Table): Table {
  return table.slice(1).map((row) => row.subarray(1));
}

/** Element-wise sum. */
export function sumOfTables(tables: readonly Table[]): Table {
  return tables.reduce((a, b) => a.map((row, i) => row.map((value, j) => value + b[i][j])));
}

/** Element of a table, +Infinity outside. */
function at(table: Table, i: number, j: number): number {
  return i < 0 || j < 0 ? Infinity : table[i][j];
}

/**
 * DTW, and with it WDTW and ADTW: every cell pays its squared distance times a weight of |i - j|, and a step that is
 * not diagonal pays a penalty.
 */
export function dtwTable(
  x: Points,
  y: Points,
  mask: Mask,
  weight: (difference: number) => number = () => 1,
  penalty = 0,
): Table {
  const table = filled(x.length, y.length, Infinity);
  for (let i = 0; i < x.length; i += 1) {
    for (let j = 0; j < y.length; j += 1) {
      if (!mask[i][j]) continue;
      const best =
        i === 0 && j === 0
          ? 0
          : Math.min(at(table, i - 1, j - 1), at(table, i - 1, j) + penalty, at(table, i, j - 1) + penalty);
      table[i][j] = squared(x[i], y[j]) * weight(Math.abs(i - j)) + best;
    }
  }
  return table;
}

/** Logistic weight of WDTW for series of at most `longest` points, of maximum 1. */
export function logisticWeight(g: number, longest: number): (difference: number) => number {
  return (difference) => 1 / (1 + Math.exp(-g * (difference - longest / 2)));
}

/** ERP with a gap value per channel; the border is the running sum of gaps, or everywhere the total (aeon). */
export function erpTable(x: Points, y: Points, mask: Mask, gap: readonly number[], aeon = false): Table {
  const [gapX, gapY] = [x, y].map((points) => points.map((point) => euclidean(point, gap)));
  const table = filled(x.length + 1, y.length + 1, Infinity);
  const total = (gaps: readonly number[]): number => gaps.reduce((sum, value) => sum + value, 0);
  for (let i = 0; i <= x.length; i += 1) table[i][0] = total(aeon ? gapX : gapX.slice(0, i));
  for (let j = 0; j <= y.length; j += 1) table[0][j] = total(aeon ? gapY : gapY.slice(0, j));
  table[0][0] = 0;
  for (let i = 1; i <= x.length; i += 1) {
    for (let j = 1; j <= y.length; j += 1) {
      if (!mask[i - 1][j - 1]) continue;
      table[i][j] = Math.min(
        table[i - 1][j - 1] + euclidean(x[i - 1], y[j - 1]),
        table[i - 1][j] + gapX[i - 1],
        table[i][j - 1] + gapY[j - 1],
      );
    }
  }
  return table;
}

/** EDR: counts of edits, with the published border of counts or aeon's border of zeros within the band. */
export function edrTable(x: Points, y: Points, mask: Mask, epsilon: number, aeon = false): Table {
  const [n, m] = [x.length, y.length];
  const table = filled(n + 1, m + 1, Infinity);
  if (aeon) {
    for (let i = 1; i <= n; i += 1) if (mask[i - 1][0]) table[i][0] = 0;
    for (let j = 0; j < m; j += 1) if (mask[0][(j - 1 + m) % m]) table[0][j] = 0;
  } else {
    for (let i = 0; i <= n; i += 1) table[i][0] = i;
    for (let j = 0; j <= m; j += 1) table[0][j] = j;
  }
  for (let i = 1; i <= n; i += 1) {
    for (let j = 1; j <= m; j += 1) {
      if (!mask[i - 1][j - 1]) continue;
      const cost = euclidean(x[i - 1], y[j - 1]) < epsilon ? 0 : 1;
      table[i][j] = Math.min(table[i - 1][j - 1] + cost, table[i - 1][j] + 1, table[i][j - 1] + 1);
    }
  }
  return table;
}

/** LCSS: lengths of common subsequences. What the band excludes stays 0. */
export function lcssTable(x: Points, y: Points, mask: Mask, epsilon: number): Table {
  const table = filled(x.length + 1, y.length + 1, 0);
  for (let i = 1; i <= x.length; i += 1) {
    for (let j = 1; j <= y.length; j += 1) {
      if (!mask[i - 1][j - 1]) continue;
      table[i][j] =
        euclidean(x[i - 1], y[j - 1]) <= epsilon
          ? 1 + table[i - 1][j - 1]
          : Math.max(table[i][j - 1], table[i - 1][j]);
    }
  }
  return table;
}

/** TWE: both series begin with a point 0 that is put before them. */
export function tweTable(x: Points, y: Points, mask: Mask, nu: number, lambda: number): Table {
  const zero = new Array<number>(channelsOf(x)).fill(0);
  const [a, b] = [
    [zero, ...x],
    [zero, ...y],
  ];
  const table = filled(a.length, b.length, Infinity);
  table[0][0] = 0;
  for (let i = 1; i < a.length; i += 1) {
    for (let j = 1; j < b.length; j += 1) {
      if (!mask[i - 1][j - 1]) continue;
      table[i][j] = Math.min(
        table[i - 1][j] + euclidean(a[i - 1], a[i]) + nu + lambda,
        table[i][j - 1] + euclidean(b[j - 1], b[j]) + nu + lambda,
        table[i - 1][j - 1] +
          euclidean(a[i], b[j]) +
          euclidean(a[i - 1], b[j - 1]) +
          2 * nu * Math.abs(i - j),
      );
    }
  }
  return table;
}

/** The costs of MSM: of a match, and of moving to v from its predecessor p where the other series stands at o. */
interface MsmCosts {
  match: (a: readonly number[], b: readonly number[]) => number;
  move: (v: readonly number[], p: readonly number[], o: readonly number[]) => number;
}

/** Of one channel: absolute costs. */
function univariateCosts(c: number): MsmCosts {
  return {
    match: ([a], [b]) => Math.abs(a - b),
    move: ([v], [p], [o]) => {
      const between = (p <= v && v <= o) || (p >= v && v >= o);
      return between ? c : c + Math.min(Math.abs(v - p), Math.abs(v - o));
    },
  };
}

/** Of all channels at once: squared costs, "between" is the ball that has p and o as poles. */
function dependentCosts(c: number): MsmCosts {
  return {
    match: squared,
    move: (v, p, o) => {
      const middle = p.map((value, k) => (value + o[k]) / 2);
      const between = squared(middle, v) <= squared(p, o) / 4;
      return between ? c : c + Math.min(squared(p, v), squared(o, v));
    },
  };
}

/** MSM of all channels at once (dependent), or of series of one channel. Cell (0, 0) ignores the band. */
export function msmTable(x: Points, y: Points, mask: Mask, c: number, dependent: boolean): Table {
  const { match, move } = dependent ? dependentCosts(c) : univariateCosts(c);
  const table = filled(x.length, y.length, Infinity);
  for (let i = 0; i < x.length; i += 1) {
    for (let j = 0; j < y.length; j += 1) {
      if (i === 0 && j === 0) table[0][0] = match(x[0], y[0]);
      else if (mask[i][j]) {
        table[i][j] = Math.min(
          i > 0 && j > 0 ? table[i - 1][j - 1] + match(x[i], y[j]) : Infinity,
          i > 0 ? table[i - 1][j] + move(x[i], x[i - 1], y[j]) : Infinity,
          j > 0 ? table[i][j - 1] + move(y[j], y[j - 1], x[i]) : Infinity,
        );
      }
    }
  }
  return table;
}
