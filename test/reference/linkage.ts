/**
 * Hierarchical clustering as it is defined: the two nearest clusters are merged, distances between clusters are worked
 * out from those of their members, n times over. O(n^5), for small n.
 */

/** One merge: the members of both clusters, and their distance. */
export interface Merge {
  members: number[];
  height: number;
}

interface Cluster {
  members: number[];
  /** Of 'weighted': the clusters that it was made of. */
  parts?: [Cluster, Cluster];
}

type Distance = (i: number, j: number) => number;

function between(a: Cluster, b: Cluster, method: string, d: Distance): number {
  if (method === 'weighted') {
    if (a.parts) return (between(a.parts[0], b, method, d) + between(a.parts[1], b, method, d)) / 2;
    if (b.parts) return (between(a, b.parts[0], method, d) + between(a, b.parts[1], method, d)) / 2;
  }
  const all = a.members.flatMap((i) => b.members.map((j) => d(i, j)));
  if (method === 'single') return Math.min(...all);
  if (method === 'complete') return Math.max(...all);
  return all.reduce((sum, each) => sum + each, 0) / all.length;
}

/** The merges of n things in order of their heights. */
export function linkageByDefinition(n: number, method: string, d: Distance): Merge[] {
  let clusters: Cluster[] = Array.from({ length: n }, (_, i) => ({ members: [i] }));
  const merges: Merge[] = [];
  while (clusters.length > 1) {
    let best = { height: Infinity, pair: [clusters[0], clusters[1]] as [Cluster, Cluster] };
    clusters.forEach((a, i) =>
      clusters.slice(i + 1).forEach((b) => {
        const height = between(a, b, method, d);
        if (height < best.height) best = { height, pair: [a, b] };
      }),
    );
    const [a, b] = best.pair;
    const made: Cluster = { members: [...a.members, ...b.members].sort((p, q) => p - q), parts: [a, b] };
    clusters = [...clusters.filter((each) => each !== a && each !== b), made];
    merges.push({ members: made.members, height: best.height });
  }
  return merges;
}
