/**
 * Soft elastic losses with exact gradients in plain float64: the steps of a distance under a soft minimum. The
 * gradient weighs the slopes of each step by the share of all paths that take it, worked out from the last cell back.
 */
import { type Band, type Mask, maskFor } from './bands.js';
import { channelOf, channelsOf, type Points, pointsOf } from './points.js';
import { dtwSteps, erpSteps, msmSteps, type Slope, type Steps, tweSteps } from './soft-steps.js';
import { filled, logisticWeight, sumOfTables, type Table } from './tables.js';

/** Names of the losses. */
export const SOFT_LOSSES = ['dtw', 'wdtw', 'adtw', 'erp', 'twe', 'msm'] as const;

/** Name of a loss; 'msm' is Soft-MSM. */
export type SoftLoss = (typeof SOFT_LOSSES)[number];

/** Options of a loss; the defaults are those of the package. */
export interface SoftOptions extends Band {
  channels?: number;
  loss?: SoftLoss;
  gamma?: number;
  c?: number;
  g?: number | ArrayLike<number>;
  warpPenalty?: number;
  nu?: number;
  lambda?: number;
  gate?: 'absolute' | 'relative';
  divergence?: boolean;
}

/** Value and gradients; the gradients are laid out as the series. */
export interface SoftResult {
  value: number;
  dx: Float64Array;
  dy: Float64Array;
  /** n x m: the share of paths that enter (i, j) diagonally. Sum over channels where channels are independent. */
  alignment: Table;
  /** n x m: the share of paths that visit cell (i, j). */
  occupancy: Table;
  /** Soft costs of the cells, n x m. */
  costs: Table;
}

/** Soft minimum: -gamma log sum exp(-v / gamma), the minimum at gamma = 0; +Infinity entries do not count. */
export function softMin(values: readonly number[], gamma: number): number {
  const least = Math.min(...values);
  if (least === Infinity || gamma === 0) return least;
  return least - gamma * Math.log(values.reduce((sum, v) => sum + Math.exp(-(v - least) / gamma), 0));
}

/** What the steps into one cell come to. */
interface Arrival {
  from: [number, number];
  total: number;
  slopes: Slope[];
  isMatch: boolean;
}

function arrivals(steps: Steps, costs: Table, i: number, j: number): Arrival[] {
  return steps.into(i, j).flatMap(({ kind, cost, slopes }) => {
    const from: [number, number] = [kind === 'left' ? i : i - 1, kind === 'up' ? j : j - 1];
    const before = from[0] < 0 || from[1] < 0 ? Infinity : costs[from[0]][from[1]];
    if (before === Infinity) return [];
    return [{ from, total: before + cost, slopes, isMatch: kind === 'diagonal' }];
  });
}

/** The table of soft costs. */
function forward(steps: Steps, gamma: number): Float64Array[] {
  const costs = filled(steps.rows, steps.cols, Infinity);
  for (let i = 0; i < steps.rows; i += 1) {
    for (let j = 0; j < steps.cols; j += 1) {
      if (!steps.isOpen(i, j)) continue;
      if (i === 0 && j === 0) costs[0][0] = steps.start.cost;
      else {
        const totals = arrivals(steps, costs, i, j).map(({ total }) => total);
        if (totals.length > 0) costs[i][j] = softMin(totals, gamma);
      }
    }
  }
  return costs;
}

/** Value and gradients of the steps of two series of so many channels. */
function evaluate(x: Points, y: Points, steps: Steps, gamma: number): SoftResult {
  const { rows, cols, border } = steps;
  const channels = channelsOf(x);
  const costs = forward(steps, gamma);
  const value = costs[rows - 1][cols - 1];
  const result: SoftResult = {
    value,
    dx: new Float64Array(channels * x.length),
    dy: new Float64Array(channels * y.length),
    alignment: filled(x.length, y.length, 0),
    occupancy: filled(x.length, y.length, 0),
    costs: costs.slice(border).map((row) => row.subarray(border)),
  };
  if (value === Infinity || gamma === 0) return result;

  const visits = filled(rows, cols, 0);
  visits[rows - 1][cols - 1] = 1;
  const spread = (slopes: Slope[], share: number): void => {
    for (const { of, at, channel, value: slope } of slopes) {
      if (of === 'x') result.dx[channel * x.length + at] += share * slope;
      else result.dy[channel * y.length + at] += share * slope;
    }
  };
  const noteMatch = (i: number, j: number, share: number): void => {
    if (i >= border && j >= border) result.alignment[i - border][j - border] += share;
  };
  for (let i = rows - 1; i >= 0; i -= 1) {
    for (let j = cols - 1; j >= 0; j -= 1) {
      const visit = visits[i][j];
      if (visit === 0) continue;
      if (i >= border && j >= border) result.occupancy[i - border][j - border] = visit;
      if (i === 0 && j === 0) {
        spread(steps.start.slopes, visit);
        noteMatch(0, 0, visit);
        continue;
      }
      for (const { from, total, slopes, isMatch } of arrivals(steps, costs, i, j)) {
        const share = visit * Math.exp(-(total - costs[i][j]) / gamma);
        visits[from[0]][from[1]] += share;
        spread(slopes, share);
        if (isMatch) noteMatch(i, j, share);
      }
    }
  }
  return result;
}

/** Soft-MSM of several channels: the sum over independent channels. */
function summedOverChannels(x: Points, y: Points, each: (x: Points, y: Points) => SoftResult): SoftResult {
  const results = x[0].map((_, c) => each(channelOf(x, c), channelOf(y, c)));
  const joined = (parts: Float64Array[]): Float64Array =>
    Float64Array.from(parts.flatMap((part) => Array.from(part)));
  return {
    value: results.reduce((sum, { value }) => sum + value, 0),
    dx: joined(results.map(({ dx }) => dx)),
    dy: joined(results.map(({ dy }) => dy)),
    alignment: sumOfTables(results.map(({ alignment }) => alignment)),
    occupancy: sumOfTables(results.map(({ occupancy }) => occupancy)),
    costs: sumOfTables(results.map(({ costs }) => costs)),
  };
}

/** The loss without its self terms. */
function plainLoss(x: Points, y: Points, o: SoftOptions): SoftResult {
  const { loss = 'dtw', gamma = 1, c = 1, gate = 'absolute' } = o;
  const mask: Mask = maskFor(x.length, y.length, o);
  switch (loss) {
    case 'dtw':
      return evaluate(x, y, dtwSteps(x, y, mask), gamma);
    case 'wdtw': {
      const slope = typeof o.g === 'number' ? o.g : 0.05;
      const weight = logisticWeight(slope, Math.max(x.length, y.length));
      return evaluate(x, y, dtwSteps(x, y, mask, weight), gamma);
    }
    case 'adtw':
      return evaluate(
        x,
        y,
        dtwSteps(x, y, mask, () => 1, o.warpPenalty ?? 1),
        gamma,
      );
    case 'erp': {
      const gap =
        typeof o.g === 'object' ? Array.from(o.g) : x[0].map(() => (typeof o.g === 'number' ? o.g : 0));
      return evaluate(x, y, erpSteps(x, y, mask, gap), gamma);
    }
    case 'twe':
      return evaluate(x, y, tweSteps(x, y, mask, o.nu ?? 0.001, o.lambda ?? 1), gamma);
    case 'msm':
      return summedOverChannels(x, y, (a, b) =>
        evaluate(a, b, msmSteps(a, b, mask, { gamma, c, gate }), gamma),
      );
  }
}

/** Value and gradients; with `divergence` half of each self term is taken off, tables are those of (x, y). */
export function softLossGrad(x: ArrayLike<number>, y: ArrayLike<number>, o: SoftOptions = {}): SoftResult {
  const [a, b] = [pointsOf(x, o.channels), pointsOf(y, o.channels)];
  const result = plainLoss(a, b, o);
  if (!o.divergence) return result;
  const [selfX, selfY] = [plainLoss(a, a, o), plainLoss(b, b, o)];
  return {
    ...result,
    value: result.value - selfX.value / 2 - selfY.value / 2,
    dx: result.dx.map((d, i) => d - (selfX.dx[i] + selfX.dy[i]) / 2),
    dy: result.dy.map((d, i) => d - (selfY.dx[i] + selfY.dy[i]) / 2),
  };
}

/** The value alone. */
export function softLoss(x: ArrayLike<number>, y: ArrayLike<number>, o: SoftOptions = {}): number {
  return softLossGrad(x, y, o).value;
}
