import { linkage, linkageAsync, type LinkageMethod } from '../../lib/elastic/linkage.js';
import { Philox } from '../../lib/random.js';
import fixture from '../fixtures/linkage.json';
import { expectClose } from '../helpers/compare.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { linkageByDefinition } from '../reference/linkage.js';

const METHODS: LinkageMethod[] = ['single', 'complete', 'average', 'weighted'];

/** The full matrix of an upper triangle. */
function square(n: number, triangle: ArrayLike<number>): Float64Array {
  const D = new Float64Array(n * n);
  let at = 0;
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) D[i * n + j] = D[j * n + i] = triangle[at++];
  return D;
}

/** A random symmetric matrix, with values on a grid where ties are wanted. */
function randomMatrix(n: number, seed: number, grid = 0): Float64Array {
  const triangle = new Philox(seed).uniform(new Float64Array((n * (n - 1)) / 2), 0.1, 5);
  return square(n, grid > 0 ? triangle.map((each) => Math.ceil(each * grid) / grid) : triangle);
}

/** The members of each merged cluster, ascending. */
function membersOf(Z: Float64Array, n: number): number[][] {
  const clusters: number[][] = Array.from({ length: n }, (_, i) => [i]);
  for (let row = 0; row < n - 1; row++)
    clusters.push([...clusters[Z[4 * row]], ...clusters[Z[4 * row + 1]]].sort((p, q) => p - q));
  return clusters.slice(n);
}

describe.each(METHODS)('linkage by %s', (method) => {
  it("is SciPy's matrix", () => {
    for (const { n, triangle, linkage: expected } of fixture.cases) {
      const found = linkage(square(n, triangle), n, { method });
      expectClose(found, expected[method], (_, v) => 1e-14 * Math.abs(v), `n = ${n}`);
      // The condensed triangle is another spelling of the same.
      expect(linkage(Float64Array.from(triangle), n, { method })).toEqual(found);
    }
  });

  it('merges what the definition merges', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const n = 4 + seed;
      const D = randomMatrix(n, seed);
      const Z = linkage(D, n, { method });
      const expected = linkageByDefinition(n, method, (i, j) => D[i * n + j]);
      expect(membersOf(Z, n)).toEqual(expected.map(({ members }) => members));
      expectClose(
        expected.map((_, row) => Z[4 * row + 2]),
        expected.map(({ height }) => height),
        (_, v) => 1e-13 * v,
      );
    }
  });

  it('gives a tree with ascending heights and right sizes, with ties and infinite distances too', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const n = 23;
      const D = randomMatrix(n, seed, 1);
      for (let i = 0; i < n; i++) {
        if (i % 5 !== seed % 5) continue;
        for (let j = 0; j < n; j++) if (j !== i) D[i * n + j] = D[j * n + i] = Infinity;
      }
      const Z = linkage(D, n, { method });
      const merged: number[] = [];
      for (let row = 0; row < n - 1; row++) {
        const [a, b, height, size] = Z.subarray(4 * row, 4 * row + 4);
        expect(a).toBeLessThan(b);
        expect(b).toBeLessThan(n + row);
        if (row > 0) expect(height).toBeGreaterThanOrEqual(Z[4 * row - 2]);
        expect(size).toBe(membersOf(Z, n)[row].length);
        merged.push(a, b);
      }
      expect(new Set(merged).size).toBe(2 * n - 2);
    }
  });

  it('gives the same bits in its promise form, and reports progress up to 1', async () => {
    const D = randomMatrix(40, 3);
    const seen: number[] = [];
    const found = await linkageAsync(D, 40, { method, onProgress: (done) => void seen.push(done) });
    expect(found).toEqual(linkage(D, 40, { method }));
    expect(seen.at(-1)).toBe(1);
  });
});

describe('linkage', () => {
  it('is by average without options, and does not change its matrix', () => {
    const D = randomMatrix(9, 1);
    const before = D.slice();
    expect(linkage(D, 9)).toEqual(linkage(D, 9, { method: 'average' }));
    expect(D).toEqual(before);
  });

  it('has single heights that are the edges of a minimum spanning tree', () => {
    const n = 30;
    const D = randomMatrix(n, 17);
    const reached = new Set([0]);
    const edges: number[] = [];
    while (reached.size < n) {
      let best = { d: Infinity, to: -1 };
      for (const i of reached)
        for (let j = 0; j < n; j++)
          if (!reached.has(j) && D[i * n + j] < best.d) best = { d: D[i * n + j], to: j };
      reached.add(best.to);
      edges.push(best.d);
    }
    const Z = linkage(D, n, { method: 'single' });
    expect(edges.sort((a, b) => a - b)).toEqual(edges.map((_, row) => Z[4 * row + 2]));
  });

  it('has no rows for one series', () => {
    expect(linkage(Float64Array.of(0), 1)).toHaveLength(0);
    expect(linkage(new Float64Array(0), 1)).toHaveLength(0);
  });

  it('takes distances below 0, as soft losses have', () => {
    expect([...linkage(Float64Array.of(-1, 4, 2), 3, { method: 'complete' })]).toEqual([
      0, 1, -1, 2, 2, 3, 4, 3,
    ]);
  });

  it('stops on its signal, and lets other events through', async () => {
    const n = 1500;
    const D = randomMatrix(n, 2);
    const stop = new Error('enough');
    const controller = new AbortController();
    setTimeout(() => controller.abort(stop), 1);
    await expect(linkageAsync(D, n, { signal: controller.signal })).rejects.toBe(stop);
  });

  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['a list', 'type', 'D', () => linkage([0] as never, 1)],
    ['n as text', 'type', 'n', () => linkage(new Float64Array(1), '1' as never)],
    ['n = 0', 'range', 'n', () => linkage(new Float64Array(0), 0)],
    ['another size', 'range', 'D', () => linkage(new Float64Array(5), 3)],
    ['an asymmetric matrix', 'range', 'D', () => linkage(Float64Array.of(0, 1, 2, 0), 2)],
    ['NaN', 'range', 'D', () => linkage(Float64Array.of(NaN), 2)],
    ['-Infinity', 'range', 'D', () => linkage(Float64Array.of(-Infinity), 2)],
    ['an unknown method', 'range', 'method', () => linkage(new Float64Array(1), 2, { method: 'x' as never })],
    ...['ward', 'centroid', 'median'].map((method): [string, 'range', string, () => unknown] => [
      method,
      'range',
      'method',
      () => linkage(new Float64Array(1), 2, { method: method as never }),
    ]),
  ])('refuses %s', (_, kind, name, call) => expectThrown(call, kind, name));

  it('says why there is no ward', () => {
    expect(() => linkage(new Float64Array(1), 2, { method: 'ward' as never })).toThrow(/Euclidean/);
  });

  it('rejects in its promise form', async () => {
    await expectRejected(async () => linkageAsync(new Float64Array(5), 3), 'range', 'D');
  });
});
