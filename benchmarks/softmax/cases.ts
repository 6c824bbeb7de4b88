/** The list of cases: the sweep over sizes first, then the shapes that people have. */
import type { Shape } from '../harness/sizes.js';
import { formatCount } from '../harness/sizes.js';
import type { CaseDtype, Distribution } from './inputs.js';
import type { Operation } from './model.js';

/** One case before anything is allocated for it. */
export interface CaseSpec extends Shape {
  operation: Operation;
  dtype: CaseDtype;
  distribution: Distribution;
  threads: number;
  /** Add the loop that calls softmax once per row. */
  perRowCalls?: boolean;
  /** Leave out what takes seconds a call and is answered by another case: peers, the scalar instruction set. */
  lean?: boolean;
}

/** 2^10 to 2^26 elements. */
const SWEEP = Array.from({ length: 17 }, (_, i) => 2 ** (10 + i));
/** Sizes of the default sweep at which the peers, whose curves are smooth there, are left out for the sake of time. */
const LEAN_SIZES = [2 ** 23, 2 ** 25];
const QUICK_SWEEP = [2 ** 10, 2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24];
const LARGE = 2 ** 26;

/** Batches of rows: a classifier, a language model's vocabulary, attention scores, many short rows. */
const SHAPES: Shape[] = [
  { rows: 64, cols: 1000 },
  { rows: 1, cols: 32000 },
  { rows: 4096, cols: 4096 },
  { rows: 2 ** 20, cols: 10 },
  { rows: 2 ** 16, cols: 64 },
];
const QUICK_SHAPES: Shape[] = [
  { rows: 64, cols: 1000 },
  { rows: 1, cols: 32000 },
];
/** Rows up to this length are short enough for the cost of a call to matter. */
const SHORT_ROW = 64;

/** What decides the list. */
export interface CaseChoice {
  /** Default one thread. */
  threads?: readonly number[];
  sizes?: readonly number[];
  shapes?: readonly Shape[];
  distribution?: Distribution;
  quick?: boolean;
}

/**
 * The cases in the order in which they run. With `sizes` or `shapes` given only those; else the default sweep and
 * shapes, the paper's distribution, 16-bit elements and sums alone at the largest size, and float64.
 */
export function listCases({
  threads = [1],
  sizes,
  shapes,
  distribution = 'uniform-10',
  quick,
}: CaseChoice): CaseSpec[] {
  const plain = { operation: 'softmax', dtype: 'f32', distribution } as const;
  const chosen = sizes !== undefined || shapes !== undefined;
  const sweep = sizes ?? (chosen ? [] : quick ? QUICK_SWEEP : SWEEP);
  const matrices = shapes ?? (chosen ? [] : quick ? QUICK_SHAPES : SHAPES);
  return threads.flatMap((count): CaseSpec[] => {
    const specs: CaseSpec[] = sweep.map((cols) => {
      return { ...plain, rows: 1, cols, threads: count, lean: !chosen && LEAN_SIZES.includes(cols) };
    });
    for (const shape of matrices) {
      const perRowCalls = shape.rows > 1 && shape.cols <= SHORT_ROW && count === 1;
      specs.push({ ...plain, ...shape, threads: count, perRowCalls });
    }
    if (chosen || quick) return specs;
    const large = { ...plain, rows: 1, cols: LARGE, threads: count, lean: true };
    if (distribution !== 'uniform-1000') specs.push({ ...large, distribution: 'uniform-1000' });
    specs.push(
      { ...large, dtype: 'bf16' },
      { ...large, operation: 'logSumExp' },
      { ...large, operation: 'crossEntropy' },
      { ...large, cols: 2 ** 16, dtype: 'f64', lean: false },
      { ...large, cols: 2 ** 24, dtype: 'f64' },
    );
    return specs;
  });
}

/** The heading of a case: `softmax [64, 1000] f32 uniform-10, 1 thread`. */
export function labelOf({ operation, rows, cols, dtype, distribution, threads }: CaseSpec): string {
  const shape = `[${formatCount(rows)}, ${formatCount(cols)}]`;
  return `${operation} ${shape} ${dtype} ${distribution}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
}
