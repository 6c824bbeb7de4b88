/** The vote of nearest neighbours. */

/**
 * The class that most of the neighbours of each query have; of equally many, that of the nearest neighbour among them. The
 * rule of KNeighborsTimeSeriesClassifier with uniform weights.
 *
 * @param index queries x k indices of neighbours, the nearest first
 * @param labels class of each neighbour
 */
export function vote(index: Uint32Array, k: number, labels: readonly string[]): string[] {
  return Array.from({ length: index.length / k }, (_, q) => {
    const names = Array.from(index.subarray(q * k, (q + 1) * k), (i) => labels[i]);
    const votes = new Map<string, number>();
    for (const name of names) votes.set(name, (votes.get(name) ?? 0) + 1);
    const most = Math.max(...votes.values());
    return names.find((name) => votes.get(name) === most) as string;
  });
}
