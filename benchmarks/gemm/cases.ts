/** The list of cases: the weight shapes of language models, each at a few numbers of rows. */
import { formatCount, type Shape } from '../harness/sizes.js';

/** One case before anything is allocated for it: [m, k] activations times a weight matrix [n, k]. */
export interface CaseSpec {
  /** Rows of the activations: sequences that are decoded together, or tokens of a prompt. */
  m: number;
  /** Rows of the weight matrix: outputs. */
  n: number;
  /** Columns of the weight matrix: inputs. */
  k: number;
  threads: number;
}

/** Weights, of which the sizes are asked for as `rows` (n) and `cols` (k). */
export type Weights = Pick<CaseSpec, 'n' | 'k'>;

const matrix = (n: number, k: number): Weights => ({ n, k });

/** Llama 2 7B: output projection, queries with keys and values, one half of the gated network, its way back. */
export const MAIN_SHAPES: readonly Weights[] = [
  matrix(4096, 4096),
  matrix(12288, 4096),
  matrix(11008, 4096),
  matrix(4096, 11008),
];
/** What the paper's evaluation adds (OPT 6.7B, ChatGLM2 6B), and Llama 3.2 1B with its vocabulary. */
const OTHER_SHAPES: readonly Weights[] = [
  matrix(4096, 12288),
  matrix(16384, 4096),
  matrix(4096, 16384),
  matrix(13696, 4096),
  matrix(4096, 13696),
  matrix(3072, 2048),
  matrix(2048, 2048),
  matrix(16384, 2048),
  matrix(2048, 8192),
  matrix(128256, 2048),
];
/** Every shape, in the order of tables. */
export const ALL_SHAPES: readonly Weights[] = [...MAIN_SHAPES, ...OTHER_SHAPES];

/** Rows of the activations. */
export const ROWS: readonly number[] = [1, 2, 4, 8, 16, 32, 64];
const QUICK_ROWS: readonly number[] = [1, 4, 8, 64];

/** What decides the list. */
export interface CaseChoice {
  /** Default one thread. */
  threads?: readonly number[];
  /** Numbers of rows m. */
  sizes?: readonly number[];
  /** Weight matrices, n by k. */
  shapes?: readonly Shape[];
  /** With a filter the list is of every shape: the filter says which. */
  filter?: RegExp;
  quick?: boolean;
}

/**
 * The cases in the order in which they run, all rows of a shape one after the other. Without options four shapes; those of
 * every model where `filter` is given.
 */
export function listCases({ threads = [1], sizes, shapes, filter, quick }: CaseChoice): CaseSpec[] {
  const rows = sizes ?? (quick ? QUICK_ROWS : ROWS);
  const defaults = filter ? ALL_SHAPES : quick ? MAIN_SHAPES.slice(0, 1) : MAIN_SHAPES;
  const weights = shapes?.map(({ rows: n, cols: k }) => ({ n, k })) ?? defaults;
  return threads.flatMap((count) =>
    weights.flatMap(({ n, k }) => rows.map((m) => ({ m, n, k, threads: count }))),
  );
}

/** The heading of a case: `gemm m=8, weights [4 Ki, 4 Ki], 1 thread`. */
export function labelOf({ m, n, k, threads }: CaseSpec): string {
  const count = `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  return `gemm m=${m}, weights [${formatCount(n)}, ${formatCount(k)}], ${count}`;
}
