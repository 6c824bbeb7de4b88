/**
 * The distances and losses that are measured, and a count of the work of one cell of each table. The count is read off
 * native/elastic/cell.h and softmin.h: an addition, product, minimum, maximum, absolute value, comparison, selection,
 * quotient or root is one operation, a fused multiply-add two, a change of sign none; x - y is counted once where a
 * recursion uses it twice. It is not measured. Hard forms have no operation that could be fused: about half of the fused
 * multiply-add ceiling is the most that they can have.
 */
import type { MetricOptions, SoftLoss, SoftOptions } from '../../lib/elastic/index.js';
import * as javascript from '../peers/elastic-javascript.js';

/** Element types that the benchmark has cases for. */
export type CaseDtype = 'f32' | 'f64';

/** A count for each element type: polynomials are longer in float64. */
type Count = Readonly<Record<CaseDtype, number>>;

/** One distance or loss. */
export interface Method {
  /** As people write it. */
  title: string;
  /** Options of `pairwise` and `distance`, or those of `softPairwise` and `softDistance`. */
  options: MetricOptions | SoftOptions;
  /** A loss with a soft minimum: its matrix has a diagonal that must be computed. */
  soft: boolean;
  /** Operations of a cell. */
  operations: Count;
  /** Operations of a cell on the way there and back, for a value with gradients. */
  gradientOperations?: Count;
  /** The same in plain JavaScript; `row` holds at least one number more than `y`. */
  javascript: (x: Float64Array, y: Float64Array, row: Float64Array) => number;
}

/** Counts of a cell that is the same in both types. */
const same = (count: number): Count => ({ f32: count, f64: count });
const sum = (...counts: Count[]): Count => ({
  f32: counts.reduce((total, { f32 }) => total + f32, 0),
  f64: counts.reduce((total, { f64 }) => total + f64, 0),
});

/** exp((least - v) / gamma): scaled difference, clamp, split of the exponent, polynomial of degree 5 or 11, power of 2. */
const TERM: Count = { f32: 2 + 1 + 2 + 2 + 2 * 5 + 1, f64: 2 + 1 + 2 + 4 + 2 * 11 + 1 };
/** log(1 + q): q + 2, quotient, square, polynomial of degree 5 or 12, two more steps. */
const LOG1P: Count = { f32: 3 + 2 * 5 + 3, f64: 3 + 2 * 12 + 3 };
/** Sorting three, two terms and their sum, the logarithm, two steps. */
const SOFT_MIN = sum(same(5), TERM, TERM, same(1), LOG1P, same(2));
const SOFT_MIN_OF_TWO = sum(same(2), TERM, LOG1P, same(2));
/** What keeping the three shares adds. */
const SHARES = same(11);
/** Occupancies of a cell from its successors. */
const OCCUPANCY = same(5);

const SOFT_DTW = sum(same(3), SOFT_MIN);
/** Two differences and their squares, the gate, its product with the soft minimum, c. */
const TRANSITION = sum(same(3 + 10 + 2), SOFT_MIN_OF_TWO);
const SOFT_MSM = sum(same(5), TRANSITION, TRANSITION, SOFT_MIN);
/** Slopes of a transition in both differences. */
const SLOPE = sum(same(2 + 10 + 21), SOFT_MIN_OF_TWO, same(5));

/** By the names that a case has for them. */
export const METHODS = {
  dtw: {
    title: 'DTW',
    options: { metric: 'dtw' },
    soft: false,
    operations: same(5),
    javascript: (x, y, row) => javascript.dtw(x, y, row),
  },
  adtw: {
    title: 'ADTW',
    options: { metric: 'adtw' },
    soft: false,
    operations: same(7),
    javascript: javascript.adtw,
  },
  wdtw: {
    title: 'WDTW',
    options: { metric: 'wdtw' },
    soft: false,
    operations: same(6),
    javascript: javascript.wdtw,
  },
  erp: {
    title: 'ERP',
    options: { metric: 'erp' },
    soft: false,
    operations: same(7),
    javascript: javascript.erp,
  },
  msm: {
    title: 'MSM',
    options: { metric: 'msm' },
    soft: false,
    operations: same(21),
    javascript: javascript.msm,
  },
  twe: {
    title: 'TWE',
    options: { metric: 'twe' },
    soft: false,
    operations: same(11),
    javascript: javascript.twe,
  },
  'soft-dtw': {
    title: 'soft-DTW',
    options: { loss: 'dtw' },
    soft: true,
    operations: SOFT_DTW,
    gradientOperations: sum(SOFT_DTW, SHARES, OCCUPANCY, same(9)),
    javascript: javascript.softDtw,
  },
  'soft-msm': {
    title: 'Soft-MSM',
    options: { loss: 'msm' },
    soft: true,
    operations: SOFT_MSM,
    gradientOperations: sum(SOFT_MSM, SHARES, OCCUPANCY, SLOPE, SLOPE, same(18)),
    javascript: javascript.softMsm,
  },
} as const satisfies Record<string, Method & { options: { metric?: string; loss?: SoftLoss } }>;

/** Names of the methods. */
export type MethodName = keyof typeof METHODS;

/** Names of all methods, in the order of tables. */
export const METHOD_NAMES = Object.keys(METHODS) as MethodName[];

/** The method of a name. */
export const methodOf = (name: MethodName): Method => METHODS[name];
