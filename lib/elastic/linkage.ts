/**
 * Hierarchical clustering of a matrix of distances by the nearest-neighbour chain: Müllner, "Modern hierarchical,
 * agglomerative clustering algorithms" (arXiv 1109.2378), figure 3. Time and memory grow with n^2.
 */
import * as check from '../check.js';
import type { AsyncOptions } from '../native.js';
import { breath, progress, runLater, runNow } from './task.js';
import type { Task } from './task.js';

/**
 * How the distance of two clusters follows from those of their members: 'single' the smallest, 'complete' the largest,
 * 'average' the mean over all pairs (UPGMA), 'weighted' the mean over the two clusters that were merged into one (WPGMA,
 * McQuitty).
 */
export type LinkageMethod = 'single' | 'complete' | 'average' | 'weighted';

/** Options of linkage. */
export interface LinkageOptions {
  /** Default 'average'. */
  method?: LinkageMethod;
}

const METHODS = ['single', 'complete', 'average', 'weighted'] as const satisfies readonly LinkageMethod[];
/** Known elsewhere, but they need coordinates: on distances that are not Euclidean their heights mean nothing. */
const EUCLIDEAN_METHODS = ['ward', 'centroid', 'median'];

function methodOf(method: unknown): LinkageMethod {
  if (EUCLIDEAN_METHODS.includes(method as string))
    throw check.rangeError(
      'method',
      `one of ${METHODS.map((each) => `'${each}'`).join(', ')}: '${String(method)}' is defined for Euclidean distances only, which elastic ones are not`,
      method,
    );
  return check.oneOf('method', method ?? 'average', METHODS);
}

/** Where the pair (i, j), i < j, stands in the condensed upper triangle. */
const pairIndex = (n: number, i: number, j: number): number => i * n - (i * (i + 1)) / 2 + (j - i - 1);

/** A copy of the upper triangle of a symmetric matrix, which may itself be given as one. */
function* triangleOf(D: unknown, n: number): Task<Float64Array> {
  if (!check.isA(D, Float64Array)) throw check.typeError('D', 'a Float64Array', D);
  const pairs = (n * (n - 1)) / 2;
  const isSquare = D.length === n * n;
  if (!isSquare && D.length !== pairs)
    throw check.rangeError('D', `${n} x ${n} elements, or the ${pairs} of the upper triangle`, D);
  const triangle = isSquare ? new Float64Array(pairs) : D.slice();
  let at = 0;
  for (let i = 0; i < n; i++) {
    yield* breath();
    for (let j = i + 1; j < n; j++, at++) {
      if (isSquare) {
        triangle[at] = D[i * n + j];
        if (D[j * n + i] !== triangle[at] && !Number.isNaN(triangle[at]))
          throw check.rangeError(
            'D',
            'symmetric',
            `${triangle[at]} from ${i} to ${j} and ${D[j * n + i]} from ${j} to ${i}`,
          );
      }
      if (Number.isNaN(triangle[at]) || triangle[at] === -Infinity)
        throw check.rangeError(
          'D',
          'numbers above -Infinity',
          `${triangle[at]} between series ${i} and ${j}`,
        );
    }
  }
  return triangle;
}

interface Merge {
  a: number;
  b: number;
  height: number;
}

/** Linkage as a task. */
function* linkageTask(D: unknown, n: unknown, given?: LinkageOptions): Task<Float64Array> {
  const { method: name } = check.options(given);
  const method = methodOf(name);
  const count = check.positiveInteger('n', n);
  const distances = yield* triangleOf(D, count);
  const merges = yield* chain(distances, count, method);
  // The chain finds the merges out of order. Equal heights keep the order in which they were found.
  merges.sort((p, q) => (p.height === q.height ? 0 : p.height - q.height));
  return numbered(merges, count);
}

/** All merges, each by one member of either cluster. `distances` is worn down on the way. */
function* chain(distances: Float64Array, n: number, method: LinkageMethod): Task<Merge[]> {
  const sizes = new Float64Array(n).fill(1);
  const merges: Merge[] = [];
  const path: number[] = [];
  let firstLive = 0;
  while (merges.length < n - 1) {
    yield* breath();
    if (path.length === 0) {
      while (sizes[firstLive] === 0) firstLive++;
      path.push(firstLive);
    }
    for (;;) {
      const top = path[path.length - 1];
      // The one before wins ties: else equal distances could send the chain in circles.
      let nearest = path.length > 1 ? path[path.length - 2] : -1;
      let least = nearest < 0 ? Infinity : distances[pairAt(n, top, nearest)];
      for (let i = 0; i < n; i++) {
        if (sizes[i] === 0 || i === top) continue;
        const d = distances[pairAt(n, top, i)];
        if (d < least || nearest < 0) {
          least = d;
          nearest = i;
        }
      }
      if (path.length > 1 && nearest === path[path.length - 2]) {
        path.length -= 2;
        const [a, b] = top < nearest ? [top, nearest] : [nearest, top];
        merges.push({ a, b, height: least });
        merge(distances, n, sizes, a, b, method);
        break;
      }
      path.push(nearest);
    }
    yield* progress(merges.length / (n - 1));
  }
  return merges;
}

function pairAt(n: number, i: number, j: number): number {
  return i < j ? pairIndex(n, i, j) : pairIndex(n, j, i);
}

/** Cluster b takes in cluster a: the update of Lance and Williams. */
function merge(
  distances: Float64Array,
  n: number,
  sizes: Float64Array,
  a: number,
  b: number,
  method: LinkageMethod,
): void {
  const [sizeA, sizeB] = [sizes[a], sizes[b]];
  sizes[a] = 0;
  sizes[b] = sizeA + sizeB;
  for (let i = 0; i < n; i++) {
    if (sizes[i] === 0 || i === b) continue;
    const at = pairAt(n, i, b);
    const fromA = distances[pairAt(n, i, a)];
    const fromB = distances[at];
    switch (method) {
      case 'single':
        distances[at] = Math.min(fromA, fromB);
        break;
      case 'complete':
        distances[at] = Math.max(fromA, fromB);
        break;
      case 'average':
        distances[at] = (sizeA * fromA + sizeB * fromB) / (sizeA + sizeB);
        break;
      case 'weighted':
        distances[at] = (fromA + fromB) / 2;
    }
  }
}

/** The merges with clusters by number: 0 to n - 1 the series, n + k what merge k made. */
function numbered(merges: readonly Merge[], n: number): Float64Array {
  const parents = Int32Array.from({ length: 2 * n - 1 }, (_, i) => i);
  const sizes = new Float64Array(2 * n - 1).fill(1);
  const Z = new Float64Array(4 * (n - 1));
  merges.forEach(({ a, b, height }, k) => {
    const [rootA, rootB] = [rootOf(parents, a), rootOf(parents, b)];
    const made = n + k;
    parents[rootA] = parents[rootB] = made;
    sizes[made] = sizes[rootA] + sizes[rootB];
    Z.set([Math.min(rootA, rootB), Math.max(rootA, rootB), height, sizes[made]], 4 * k);
  });
  return Z;
}

/** The cluster that holds i now; the way there is shortened. */
function rootOf(parents: Int32Array, i: number): number {
  let root = i;
  while (parents[root] !== root) root = parents[root];
  while (parents[i] !== root) [parents[i], i] = [root, parents[i]];
  return root;
}

/**
 * The tree of clusters of n things from their distances.
 *
 * @param D n x n symmetric matrix, as `pairwise` gives it, or its upper triangle of n (n - 1) / 2 elements, row by row; the
 *   diagonal is not looked at, +Infinity is allowed, soft losses may be negative
 * @returns (n - 1) x 4, row-major, as SciPy has it: the two clusters merged (a < b; 0 to n - 1 are the series, n + k is
 *   what row k made), their distance (ascending from row to row), the number of series in the new cluster
 * @throws TypeError for what is no Float64Array; RangeError for another size, for a matrix that is not symmetric, for NaN, and
 *   for 'ward', 'centroid' and 'median', which are defined for Euclidean distances only
 */
export const linkage = (D: Float64Array, n: number, options?: LinkageOptions): Float64Array =>
  runNow(linkageTask(D, n, options));

/** Promise form of linkage: on the JavaScript thread, with a pause every few milliseconds. */
export const linkageAsync = async (
  D: Float64Array,
  n: number,
  options?: LinkageOptions & AsyncOptions,
): Promise<Float64Array> => {
  const { signal, onProgress, ...o } = check.options(options);
  return runLater(linkageTask(D, n, o), { signal, onProgress });
};
