/**
 * Bands as masks: `mask[i][j]` says whether cell (i, j) of an n x m table may be used.
 */
import { roundToEven } from '../extended.js';

/** Options of a band; at most one of the windows. */
export interface Band {
  /** Half width of a Sakoe-Chiba band as a fraction of the shorter series, in [0, 1]. */
  window?: number;
  /** Radius of a Sakoe-Chiba band in time points. */
  windowAbs?: number;
  /** Slope of an Itakura parallelogram in (0, 1]; takes precedence. */
  itakuraMaxSlope?: number;
}

/** One row of booleans per row of the table. */
export type Mask = readonly (readonly boolean[])[];

function maskOf(n: number, m: number, inside: (i: number, j: number) => boolean): boolean[][] {
  return Array.from({ length: n }, (_, i) => Array.from({ length: m }, (_, j) => inside(i, j)));
}

/** Sakoe-Chiba band of a fractional window, as aeon builds it: one column at a time along m + 1 samples. */
export function sakoeChiba(n: number, m: number, window: number): Mask {
  if (n > m) {
    const transposed = sakoeChiba(m, n, window);
    return maskOf(n, m, (i, j) => transposed[j][i]);
  }
  const mask = maskOf(n, m, () => false);
  const radius = Math.floor(window * n);
  const samples = m + 1;
  for (let s = 0; s < samples; s += 1) {
    const row = Math.floor((s / samples) * n);
    const column = Math.floor((s / samples) * m);
    for (let i = Math.max(0, row - radius); i <= Math.min(n, row + radius + 1) - 1; i += 1) {
      mask[i][column] = true;
    }
  }
  return mask;
}

/** |i - j| <= r, where r is at least the difference of the lengths. */
export function absoluteWindow(n: number, m: number, radius: number): Mask {
  const reach = Math.max(radius, Math.abs(n - m));
  return maskOf(n, m, (i, j) => Math.abs(i - j) <= reach);
}

/** The nearest hundredth, ties to the even one. */
function round2(value: number): number {
  return roundToEven(value * 100) / 100;
}

/** Itakura parallelogram, as aeon builds it. */
export function itakura(n: number, m: number, slope: number): Mask {
  const steep = Math.floor(slope * (Math.min(n, m) / 100) * 100);
  if (steep === 0 || n < 3) throw new RangeError('no parallelogram of this slope');
  const high = Math.max((steep * (m - 1)) / (n - 2), 1);
  const low = Math.min(((1 / steep) * (m - 2)) / (n - 1), 1);
  const rows = Array.from({ length: n }, (_, i) => i);
  const lower = rows.map((i) => Math.ceil(Math.max(round2(low * i), round2(high * (i - n + 1) + m - 1))));
  let upper = rows.map((i) => Math.floor(Math.min(round2(high * i + 1), round2(low * (i - n + 1) + m))));
  if (high === 1) {
    upper = rows.map((i) => (m <= n ? lower[i] + 1 : i < n - 1 ? lower[i + 1] : upper[i]));
  }
  const clipped = (bound: number): number => Math.min(Math.max(bound, 0), m);
  return maskOf(n, m, (i, j) => j >= clipped(lower[i]) && j < clipped(upper[i]));
}

/** The band that some options ask for. */
export function maskFor(n: number, m: number, { window, windowAbs, itakuraMaxSlope }: Band): Mask {
  if (itakuraMaxSlope !== undefined) return itakura(n, m, itakuraMaxSlope);
  if (windowAbs !== undefined) return absoluteWindow(n, m, windowAbs);
  return sakoeChiba(n, m, window ?? 1);
}

/** Largest |i - j| inside a mask: the radius with which lower bounds stay valid. */
export function radiusOf(mask: Mask): number {
  let radius = 0;
  mask.forEach((row, i) =>
    row.forEach((inside, j) => {
      if (inside) radius = Math.max(radius, Math.abs(i - j));
    }),
  );
  return radius;
}
