/**
 * Elastic distances as weighted steps between cells: what a step costs, and how its cost changes with the series. The
 * soft form of a distance replaces the minimum over the steps into a cell by a soft minimum, and is otherwise this.
 */
import type { Mask } from './bands.js';
import type { Points } from './points.js';

/** Slopes of a cost with respect to one point of x or of y. */
export interface Slope {
  of: 'x' | 'y';
  at: number;
  channel: number;
  value: number;
}

/** A step into a cell from an earlier one. */
export interface Step {
  kind: 'diagonal' | 'up' | 'left';
  cost: number;
  slopes: Slope[];
}

/**
 * A table of cells and the steps into each, as the recursion of a distance has them.
 */
export interface Steps {
  rows: number;
  cols: number;
  /** 1 where the table has a border, whose cells belong to no pair of points. */
  border: 0 | 1;
  /** Whether a cell can be entered at all. */
  isOpen(i: number, j: number): boolean;
  /** Cost of cell (0, 0), and its slopes. */
  start: { cost: number; slopes: Slope[] };
  /** Steps into a cell other than (0, 0). */
  into(i: number, j: number): Step[];
}

/** A cost and its slopes. */
type Priced = Omit<Step, 'kind'>;

const FREE: Priced = { cost: 0, slopes: [] };

/** cost + a constant. */
function plus(priced: Priced, constant: number): Priced {
  return { cost: priced.cost + constant, slopes: priced.slopes };
}

/** The sum of two costs. */
function both(a: Priced, b: Priced): Priced {
  return { cost: a.cost + b.cost, slopes: [...a.slopes, ...b.slopes] };
}

/** A point of a series: of x or y at a time, or a constant. */
interface Place {
  of: 'x' | 'y' | 'constant';
  at: number;
  point: readonly number[];
}

/** The slopes of a function of a - b from its slopes per channel. */
function slopesOf(a: Place, b: Place, slope: readonly number[]): Slope[] {
  const towards = (place: Place, sign: number): Slope[] =>
    place.of === 'constant'
      ? []
      : slope.map((value, channel) => ({
          of: place.of as 'x' | 'y',
          at: place.at,
          channel,
          value: sign * value,
        }));
  return [...towards(a, 1), ...towards(b, -1)];
}

/** weight * sq(a, b). */
function squaredCost(a: Place, b: Place, weight = 1): Priced {
  const difference = a.point.map((value, c) => value - b.point[c]);
  return {
    cost: weight * difference.reduce((sum, d) => sum + d * d, 0),
    slopes: slopesOf(
      a,
      b,
      difference.map((d) => 2 * weight * d),
    ),
  };
}

/** eu(a, b), of slope 0 where a = b. */
function euclideanCost(a: Place, b: Place): Priced {
  const difference = a.point.map((value, c) => value - b.point[c]);
  const cost = Math.sqrt(difference.reduce((sum, d) => sum + d * d, 0));
  return {
    cost,
    slopes: slopesOf(
      a,
      b,
      difference.map((d) => (cost === 0 ? 0 : d / cost)),
    ),
  };
}

const placeX = (x: Points, at: number): Place => ({ of: 'x', at, point: x[at] });
const placeY = (y: Points, at: number): Place => ({ of: 'y', at, point: y[at] });
const constant = (point: readonly number[]): Place => ({ of: 'constant', at: 0, point });

/** DTW, WDTW and ADTW: each cell pays its weighted squared distance, a step aside a penalty. */
export function dtwSteps(
  x: Points,
  y: Points,
  mask: Mask,
  weight: (difference: number) => number = () => 1,
  penalty = 0,
): Steps {
  const cell = (i: number, j: number): Priced =>
    squaredCost(placeX(x, i), placeY(y, j), weight(Math.abs(i - j)));
  return {
    rows: x.length,
    cols: y.length,
    border: 0,
    isOpen: (i, j) => mask[i][j],
    start: cell(0, 0),
    into: (i, j) => [
      { kind: 'diagonal', ...cell(i, j) },
      { kind: 'up', ...plus(cell(i, j), penalty) },
      { kind: 'left', ...plus(cell(i, j), penalty) },
    ],
  };
}

/** ERP: the border is open whatever the band. */
export function erpSteps(x: Points, y: Points, mask: Mask, gap: readonly number[]): Steps {
  return {
    rows: x.length + 1,
    cols: y.length + 1,
    border: 1,
    isOpen: (i, j) => i === 0 || j === 0 || mask[i - 1][j - 1],
    start: FREE,
    into: (i, j) => [
      ...(i > 0 && j > 0
        ? [{ kind: 'diagonal' as const, ...euclideanCost(placeX(x, i - 1), placeY(y, j - 1)) }]
        : []),
      ...(i > 0 ? [{ kind: 'up' as const, ...euclideanCost(placeX(x, i - 1), constant(gap)) }] : []),
      ...(j > 0 ? [{ kind: 'left' as const, ...euclideanCost(placeY(y, j - 1), constant(gap)) }] : []),
    ],
  };
}

/** TWE: the border beyond (0, 0) is closed; before each series stands a point 0. */
export function tweSteps(x: Points, y: Points, mask: Mask, nu: number, lambda: number): Steps {
  const zero = constant(x[0].map(() => 0));
  const a = (i: number): Place => (i === 0 ? zero : placeX(x, i - 1));
  const b = (j: number): Place => (j === 0 ? zero : placeY(y, j - 1));
  return {
    rows: x.length + 1,
    cols: y.length + 1,
    border: 1,
    isOpen: (i, j) => (i === 0 && j === 0) || (i > 0 && j > 0 && mask[i - 1][j - 1]),
    start: FREE,
    into: (i, j) => [
      {
        kind: 'diagonal',
        ...plus(both(euclideanCost(a(i), b(j)), euclideanCost(a(i - 1), b(j - 1))), 2 * nu * Math.abs(i - j)),
      },
      { kind: 'up', ...plus(euclideanCost(a(i - 1), a(i)), nu + lambda) },
      { kind: 'left', ...plus(euclideanCost(b(j - 1), b(j)), nu + lambda) },
    ],
  };
}

/** Parameters of Soft-MSM's transition. */
export interface Transition {
  gamma: number;
  c: number;
  /** What smooths the gate: a constant, or in proportion to the fourth power of the differences. */
  gate: 'absolute' | 'relative';
}

const EPSILON = 1e-9;

/** T(v; p, o) and its derivatives in v, p and o. */
export function transition(
  v: number,
  p: number,
  o: number,
  { gamma, c, gate }: Transition,
): { cost: number; dv: number; dp: number; do: number } {
  const [a, b] = [v - p, v - o];
  const u = a * b;
  const size = a * a + b * b;
  const floor = gate === 'absolute' ? EPSILON : EPSILON * size * size + 1e-300;
  const q = u * u + floor;
  const outside = (1 + u / Math.sqrt(q)) / 2; // 1 - g(u)

  // The soft minimum of a^2 and b^2, and the weight of a^2 in it.
  const least = Math.min(a * a, b * b);
  const [ea, eb] = [Math.exp(-(a * a - least) / gamma), Math.exp(-(b * b - least) / gamma)];
  const soft = least - gamma * Math.log(ea + eb);
  const [pa, pb] = [ea / (ea + eb), eb / (ea + eb)];

  // Of u / sqrt(q) in u at constant floor, and in the floor.
  const root3 = q * Math.sqrt(q);
  const inU = root3 === 0 ? 0 : floor / root3 / 2;
  const inFloor = root3 === 0 ? 0 : -u / root3 / 4;
  const floorSlope = gate === 'absolute' ? 0 : EPSILON * 2 * size;
  const da = (inU * b + inFloor * floorSlope * 2 * a) * soft + outside * pa * 2 * a;
  const db = (inU * a + inFloor * floorSlope * 2 * b) * soft + outside * pb * 2 * b;
  return { cost: c + outside * soft, dv: da + db, dp: -da, do: -db };
}

/** Soft-MSM of univariate series: squared matches and gated transitions; (0, 0) is open whatever the band. */
export function msmSteps(x: Points, y: Points, mask: Mask, parameters: Transition): Steps {
  const match = (i: number, j: number): Priced => squaredCost(placeX(x, i), placeY(y, j));
  const moveX = (i: number, j: number): Priced => {
    const t = transition(x[i][0], x[i - 1][0], y[j][0], parameters);
    return {
      cost: t.cost,
      slopes: [
        { of: 'x', at: i, channel: 0, value: t.dv },
        { of: 'x', at: i - 1, channel: 0, value: t.dp },
        { of: 'y', at: j, channel: 0, value: t.do },
      ],
    };
  };
  const moveY = (i: number, j: number): Priced => {
    const t = transition(y[j][0], y[j - 1][0], x[i][0], parameters);
    return {
      cost: t.cost,
      slopes: [
        { of: 'y', at: j, channel: 0, value: t.dv },
        { of: 'y', at: j - 1, channel: 0, value: t.dp },
        { of: 'x', at: i, channel: 0, value: t.do },
      ],
    };
  };
  return {
    rows: x.length,
    cols: y.length,
    border: 0,
    isOpen: (i, j) => (i === 0 && j === 0) || mask[i][j],
    start: match(0, 0),
    into: (i, j) => [
      ...(i > 0 && j > 0 ? [{ kind: 'diagonal' as const, ...match(i, j) }] : []),
      ...(i > 0 ? [{ kind: 'up' as const, ...moveX(i, j) }] : []),
      ...(j > 0 ? [{ kind: 'left' as const, ...moveY(i, j) }] : []),
    ],
  };
}
