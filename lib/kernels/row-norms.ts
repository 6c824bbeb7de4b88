/**
 * Norms of the rows of an attention's numerators, each row first times a factor (a gate, one over a length), and the way
 * back. Loops over rows x columns, in float64.
 */
import type { Reals } from './arguments.js';

/** 'none', x / max(|x|, eps), x / sqrt(mean x^2 + eps), or (x - mean) / sqrt(var + eps). */
export type RowNorm = 'none' | 'l2' | 'rms' | 'layer';

/** What is done with the rows. */
export interface RowNormJob {
  norm: RowNorm;
  eps: number;
  /** Columns. */
  columns: number;
  /** Of each row. */
  factors?: Float64Array;
  /** [columns], or [heads, columns]; after the norm. */
  gamma?: Reals;
  beta?: Reals;
  /** Rows of one head, and heads: which row of gamma and beta is whose. */
  length: number;
  heads: number;
}

/** Where a row's gamma and beta start. */
function affineAt({ columns, length, heads }: RowNormJob, affine: Reals | undefined, row: number): number {
  return affine === undefined || affine.length === columns ? 0 : (Math.floor(row / length) % heads) * columns;
}

/** Center and scale of a row: y = (factor x - center) scale. */
function momentsOf({ norm, eps, columns, factors }: RowNormJob, x: Reals, row: number) {
  const factor = factors ? factors[row] : 1;
  const from = row * columns;
  if (norm === 'none') return { factor, center: 0, scale: 1, clamped: false };
  let sum = 0;
  for (let j = 0; norm === 'layer' && j < columns; j++) sum += factor * x[from + j];
  const center = sum / columns;
  let squares = 0;
  for (let j = 0; j < columns; j++) squares += (factor * x[from + j] - center) ** 2;
  if (norm !== 'l2') return { factor, center, scale: 1 / Math.sqrt(squares / columns + eps), clamped: false };
  const length = Math.sqrt(squares);
  return { factor, center, scale: 1 / Math.max(length, eps), clamped: length <= eps };
}

/** y = norm(factor x) gamma + beta; y may be x. */
export function normRows(job: RowNormJob, x: Reals, y: Reals): void {
  const { columns, gamma, beta } = job;
  for (let row = 0; row * columns < x.length; row++) {
    const { factor, center, scale } = momentsOf(job, x, row);
    const [atGamma, atBeta] = [affineAt(job, gamma, row), affineAt(job, beta, row)];
    for (let j = 0; j < columns; j++) {
      const at = row * columns + j;
      let value = (factor * x[at] - center) * scale;
      if (gamma) value *= gamma[atGamma + j];
      y[at] = beta ? value + beta[atBeta + j] : value;
    }
  }
}

/** Gradients of normRows. */
export interface RowNormGradients {
  /** Of x, in place of g's elements. */
  dx: Reals;
  dfactors?: Float64Array;
  dgamma?: Float64Array;
  dbeta?: Float64Array;
}

/** Gradients with respect to x, factors, gamma and beta, given that of y. */
export function normRowsBackward(job: RowNormJob, x: Reals, g: Reals): RowNormGradients {
  const { norm, columns, factors, gamma, beta } = job;
  const dx = g.slice() as Reals;
  const dfactors = factors && new Float64Array(factors.length);
  const [dgamma, dbeta] = [gamma, beta].map((each) => each && new Float64Array(each.length));
  for (let row = 0; row * columns < x.length; row++) {
    const { factor, center, scale, clamped } = momentsOf(job, x, row);
    const [atGamma, atBeta] = [affineAt(job, gamma, row), affineAt(job, beta, row)];
    const from = row * columns;
    let [sum, dot] = [0, 0];
    for (let j = 0; j < columns; j++) {
      const normed = (factor * x[from + j] - center) * scale;
      const upstream = g[from + j];
      if (dgamma) dgamma[atGamma + j] += upstream * normed;
      if (dbeta) dbeta[atBeta + j] += upstream;
      const inner = gamma ? upstream * gamma[atGamma + j] : upstream;
      sum += inner;
      dot += inner * normed;
    }
    // y = t scale(t): the scale's own gradient lies along y, the center's along 1.
    const along = norm === 'none' || clamped ? 0 : norm === 'l2' ? dot : dot / columns;
    const mean = norm === 'layer' ? sum / columns : 0;
    let outer = 0;
    for (let j = 0; j < columns; j++) {
      const normed = (factor * x[from + j] - center) * scale;
      const inner = gamma ? g[from + j] * gamma[atGamma + j] : g[from + j];
      const dt = scale * (inner - mean - normed * along);
      outer += dt * x[from + j];
      dx[from + j] = dt * factor;
    }
    if (dfactors) dfactors[row] = outer;
  }
  return { dx, dfactors, dgamma, dbeta };
}
