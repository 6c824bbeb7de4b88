/** What is read off a tree of clusters as `linkage` gives it: flat clusters, and the order of its leaves. */
import * as check from '../check.js';

/** Where to cut: into k clusters, or at a height. */
export type Cut = { k: number; height?: undefined } | { height: number; k?: undefined };

/** A tree, checked; the number of its leaves. */
function leavesOf(Z: unknown): { tree: Float64Array; n: number } {
  if (!check.isA(Z, Float64Array)) throw check.typeError('Z', 'a Float64Array', Z);
  if (Z.length % 4 !== 0) throw check.rangeError('Z', '(n - 1) x 4 elements', Z);
  const n = Z.length / 4 + 1;
  const isMade = new Uint8Array(2 * n - 1).fill(1, 0, n);
  for (let row = 0; row + 1 < n; row++) {
    for (const child of Z.subarray(4 * row, 4 * row + 2)) {
      // Each cluster is merged once, after it was made.
      if (isMade[child] !== 1)
        throw check.rangeError('Z', 'a tree of merges', `cluster ${child} in row ${row}`);
      isMade[child] = 2;
    }
    isMade[n + row] = 1;
    if (Number.isNaN(Z[4 * row + 2])) throw check.rangeError('Z', 'a tree with heights', `NaN in row ${row}`);
  }
  return { tree: Z, n };
}

/**
 * Flat clusters of a tree.
 *
 * @param Z (n - 1) x 4, as `linkage` gives it
 * @param cut `k`: that many clusters, from 1 to n; `height`: every merge up to and including this distance is made
 * @returns the cluster of each series, numbered from 0 in the order of their first series
 * @throws TypeError, RangeError for what is no tree, and for a cut with both or neither of k and height
 */
export function cutTree(Z: Float64Array, cut: Cut): Int32Array {
  const { tree, n } = leavesOf(Z);
  const { k, height } = check.options<{ k?: number; height?: number }>(cut);
  if ((k === undefined) === (height === undefined))
    throw check.typeError('cut', 'an object with either k or height', k === undefined ? 'neither' : 'both');
  let merges = 0;
  if (k !== undefined) {
    if (check.positiveInteger('k', k) > n) throw check.rangeError('k', `at most the ${n} series`, k);
    merges = n - k;
  } else {
    if (typeof height !== 'number') throw check.typeError('height', 'a number', height);
    if (Number.isNaN(height)) throw check.rangeError('height', 'a number', height);
    while (merges < n - 1 && tree[4 * merges + 2] <= height) merges++;
  }
  // From the top down: a cluster passes its number on to its children.
  const clusters = Int32Array.from({ length: n + merges }, (_, i) => i);
  for (let row = merges - 1; row >= 0; row--) {
    clusters[tree[4 * row]] = clusters[tree[4 * row + 1]] = clusters[n + row];
  }
  const names = new Map<number, number>();
  return clusters.slice(0, n).map((each) => {
    const name = names.get(each) ?? names.size;
    names.set(each, name);
    return name;
  });
}

/**
 * The order of the series in which a drawing of the tree has no crossings: of each merge the first cluster, then the
 * second.
 * @throws as cutTree
 */
export function leafOrder(Z: Float64Array): Uint32Array {
  const { tree, n } = leavesOf(Z);
  const order = new Uint32Array(n);
  const open = [2 * n - 2];
  let at = 0;
  while (at < n) {
    const cluster = open.pop() as number;
    if (cluster < n) order[at++] = cluster;
    else open.push(tree[4 * (cluster - n) + 1], tree[4 * (cluster - n)]);
  }
  return order;
}
