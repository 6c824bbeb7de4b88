import { KMedoids, type KMedoidsOptions } from '../../lib/elastic/kmedoids.js';
import { kMedoids, kMedoidsAsync, type KMedoidsMatrixOptions } from '../../lib/elastic/pam.js';
import { pairwise } from '../../lib/elastic/pairwise.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { Philox } from '../../lib/random.js';
import { expectClose } from '../helpers/compare.js';
import { withLearned } from '../helpers/models.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { shapesSet } from '../helpers/shapes.js';

/** A random matrix of distances, not symmetric, with a diagonal of zeros. */
function randomMatrix(n: number, seed: number): Float64Array {
  const D = new Philox(seed).uniform(new Float64Array(n * n), 0.1, 4);
  for (let i = 0; i < n; i++) D[i * n + i] = 0;
  return D;
}

/** Distances of points in the plane around `groups` centres. */
function planeMatrix(n: number, groups: number, seed: number): Float64Array {
  const noise = new Philox(seed).normal(new Float64Array(2 * n));
  const at = (i: number) => [10 * (i % groups) + noise[2 * i], noise[2 * i + 1]];
  const D = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) D[i * n + j] = Math.hypot(at(i)[0] - at(j)[0], at(i)[1] - at(j)[1]);
  return D;
}

/** Sum of the distances to the nearest of some medoids. */
function costOf(D: Float64Array, n: number, medoids: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Math.min(...Array.from(medoids, (m) => D[i * n + m]));
  return sum;
}

/** PAM's swap phase as it is written: every exchange is tried and the best one made, while it gains. */
function plainSwaps(D: Float64Array, n: number, start: ArrayLike<number>): number[] {
  const medoids = Array.from(start);
  for (;;) {
    let best = { cost: costOf(D, n, medoids) - 1e-12, medoid: -1, candidate: -1 };
    for (let c = 0; c < n; c++) {
      if (medoids.includes(c)) continue;
      for (let m = 0; m < medoids.length; m++) {
        const cost = costOf(D, n, medoids.with(m, c));
        if (cost < best.cost) best = { cost, medoid: m, candidate: c };
      }
    }
    if (best.medoid < 0) return medoids.sort((a, b) => a - b);
    medoids[best.medoid] = best.candidate;
  }
}

const combinations = (n: number, k: number, from = 0): number[][] =>
  k === 0
    ? [[]]
    : Array.from({ length: n - from }, (_, i) => from + i).flatMap((first) =>
        combinations(n, k - 1, first + 1).map((rest) => [first, ...rest]),
      );

describe('kMedoids by pam', () => {
  it('makes the swaps that trying every exchange makes', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const n = 15 + seed;
      const k = 1 + (seed % 5);
      const D = randomMatrix(n, seed);
      const init = Array.from({ length: k }, (_, i) => 2 * i);
      const found = kMedoids(D, n, { k, init });
      expect([...found.medoids]).toEqual(plainSwaps(D, n, init));
      expectClose([found.inertia], [costOf(D, n, found.medoids)], (_, v) => 1e-13 * v);
      expect(found.converged).toBe(true);
    }
  });

  it('finds the best of all choices where groups are clear', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const n = 14;
      const D = planeMatrix(n, 3, seed);
      const best = Math.min(...combinations(n, 3).map((each) => costOf(D, n, each)));
      const found = kMedoids(D, n, { k: 3 });
      expectClose([found.inertia], [best], (_, v) => 1e-12 * v);
      // Groups are i mod 3, and each is one cluster.
      found.labels.forEach((label, i) => expect(label).toBe(found.labels[i % 3]));
    }
  });

  it('builds greedily before it swaps', () => {
    // One swap at most: what is left is the start by BUILD.
    const D = randomMatrix(20, 4);
    const sums = Array.from({ length: 20 }, (_, c) => costOf(D, 20, [c]));
    expect([...kMedoids(D, 20, { k: 1 }).medoids]).toEqual([sums.indexOf(Math.min(...sums))]);
    const { iterations } = kMedoids(planeMatrix(30, 3, 1), 30, { k: 3 });
    expect(iterations).toBeLessThanOrEqual(2);
  });

  it('says when it ran out of swaps', () => {
    const D = randomMatrix(30, 2);
    const init = [0, 1, 2, 3];
    const one = kMedoids(D, 30, { k: 4, init, maxIter: 1 });
    expect(one).toMatchObject({ iterations: 1, converged: false });
    expect(one.inertia).toBeLessThan(costOf(D, 30, init));
    expect(kMedoids(D, 30, { k: 4, init }).inertia).toBeLessThan(one.inertia);
  });
});

describe('kMedoids by alternate', () => {
  it('ends where every medoid is the best of its cluster', () => {
    for (const init of ['build', 'kmeans++', 'random'] as const) {
      const n = 25;
      const D = planeMatrix(n, 4, 7);
      const { medoids, labels, inertia, converged } = kMedoids(D, n, {
        k: 4,
        method: 'alternate',
        init,
        seed: 3,
      });
      expect(converged).toBe(true);
      expectClose([inertia], [costOf(D, n, medoids)], (_, v) => 1e-13 * v);
      medoids.forEach((medoid, m) => {
        const members = [...labels.keys()].filter((i) => labels[i] === m);
        const total = (c: number) => members.reduce((sum, i) => sum + D[i * n + c], 0);
        for (const each of members) expect(total(medoid)).toBeLessThanOrEqual(total(each) + 1e-12);
      });
    }
  });

  it('is no better than pam from the same start', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const D = randomMatrix(24, seed);
      const init = [3, 7, 11];
      const alternate = kMedoids(D, 24, { k: 3, method: 'alternate', init });
      expect(kMedoids(D, 24, { k: 3, init: alternate.medoids }).inertia).toBeLessThanOrEqual(
        alternate.inertia,
      );
    }
  });
});

describe('kMedoids', () => {
  it.each(['pam', 'alternate'] as const)('by %s covers its edges: k = 1, k = n, equal series', (method) => {
    const D = randomMatrix(9, 1);
    expect(kMedoids(D, 9, { k: 9, method })).toMatchObject({ inertia: 0, converged: true });
    expect(kMedoids(D, 9, { k: 1, method }).labels).toEqual(new Int32Array(9));
    const zeros = kMedoids(new Float64Array(16), 4, { k: 3, method });
    expect(zeros.inertia).toBe(0);
    expect(new Set(zeros.medoids).size).toBe(3);
    // A medoid is of its own cluster though others are as near.
    zeros.medoids.forEach((medoid, m) => expect(zeros.labels[medoid]).toBe(m));
    expect(kMedoids(Float64Array.of(0), 1, { k: 1, method }).medoids).toEqual(Uint32Array.of(0));
  });

  it('is decided by its seed, and the promise form gives the same', async () => {
    const D = randomMatrix(40, 9);
    const options: KMedoidsMatrixOptions = { k: 5, method: 'alternate', init: 'random', seed: 5 };
    const seen: number[] = [];
    const found = kMedoids(D, 40, options);
    expect(kMedoids(D, 40, options)).toEqual(found);
    expect(await kMedoidsAsync(D, 40, { ...options, onProgress: (done) => void seen.push(done) })).toEqual(
      found,
    );
    expect(seen.at(-1)).toBe(1);
    const others = [...Array(6).keys()].map((seed) => kMedoids(D, 40, { ...options, seed }).medoids.join());
    expect(new Set(others).size).toBeGreaterThan(1);
  });

  it('stops on its signal', async () => {
    const n = 900;
    const controller = new AbortController();
    const stop = new Error('enough');
    setTimeout(() => controller.abort(stop), 1);
    await expect(kMedoidsAsync(randomMatrix(n, 1), n, { k: 30, signal: controller.signal })).rejects.toBe(
      stop,
    );
  });

  const D = randomMatrix(4, 1);
  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['a list', 'type', 'D', () => kMedoids([0] as never, 1, { k: 1 })],
    ['another size', 'range', 'D', () => kMedoids(D, 3, { k: 1 })],
    [
      'Infinity',
      'range',
      'D',
      () =>
        kMedoids(
          D.map((v, i) => (i === 6 ? Infinity : v)),
          4,
          { k: 1 },
        ),
    ],
    ['n = 0', 'range', 'n', () => kMedoids(D, 0, { k: 1 })],
    ['k above n', 'range', 'k', () => kMedoids(D, 4, { k: 5 })],
    ['no k', 'type', 'k', () => kMedoids(D, 4, {} as never)],
    ['an unknown method', 'range', 'method', () => kMedoids(D, 4, { k: 1, method: 'clara' as never })],
    ['an unknown init', 'range', 'init', () => kMedoids(D, 4, { k: 1, init: 'x' as never })],
    ['init of another kind', 'type', 'init', () => kMedoids(D, 4, { k: 1, init: 1 as never })],
    ['equal indices', 'range', 'init', () => kMedoids(D, 4, { k: 2, init: [1, 1] })],
    ['indices beyond', 'range', 'init', () => kMedoids(D, 4, { k: 1, init: [4] })],
    ['too few indices', 'range', 'init', () => kMedoids(D, 4, { k: 2, init: [1] })],
    ['maxIter 0', 'range', 'maxIter', () => kMedoids(D, 4, { k: 1, maxIter: 0 })],
    ['a seed of NaN', 'range', 'seed', () => kMedoids(D, 4, { k: 1, seed: NaN })],
  ])('refuses %s', (_, kind, name, call) => expectThrown(call, kind, name));
});

describe('KMedoids', () => {
  const { set, labels } = shapesSet({ count: 18, length: 20 });
  const options: KMedoidsOptions = { k: 3, metric: 'msm' };

  it.each(['msm', 'dtw', 'sbd', 'lcss', 'shapeDtw', 'edr'] as const)(
    'under %s is kMedoids on the matrix of distances',
    (metric) => {
      const model = new KMedoids({ k: 3, metric }).fit(set);
      const expected = kMedoids(pairwise(set, null, { metric }), set.count, { k: 3 });
      expect(model.medoids).toEqual(expected.medoids);
      expect(model.labels).toEqual(expected.labels);
      expect(model.inertia).toBe(expected.inertia);
      model.medoids.forEach((medoid, m) => expect(model.centers.series(m)).toEqual(set.series(medoid)));
    },
  );

  it('tells the kinds of shape apart, in new series too', async () => {
    const model = await new KMedoids(options).fitAsync(set);
    expect(model.score(set, labels)).toBeGreaterThan(0.8);
    const fresh = shapesSet({ count: 12, length: 20, seed: 9 });
    expect(await model.scoreAsync(fresh.set, fresh.labels)).toBeGreaterThan(0.7);
    expect(model.predict(fresh.set.toFloat32())).toEqual(model.predict(fresh.set));
  });

  it('survives JSON', () => {
    const model = new KMedoids(options).fit(set);
    const again = KMedoids.fromJSON(JSON.parse(JSON.stringify(model)));
    expect(again.toJSON()).toEqual(model.toJSON());
    expect(again.predict(set)).toEqual(model.predict(set));
    expect(again.medoids).toEqual(model.medoids);
  });

  it('refuses JSON that does not fit together', () => {
    const model = new KMedoids(options).fit(set);
    const read = (changes: object) => () => KMedoids.fromJSON(withLearned(model, changes));
    const [a, b, c] = model.medoids;
    expectThrown(read({ medoids: { uint32: [a, b] } }), 'range', 'json.fitted.medoids');
    expectThrown(read({ medoids: { uint32: [a, b, 18] } }), 'range', 'json.fitted.medoids');
    expectThrown(read({ medoids: { uint32: [a, c, b] } }), 'range', 'json.fitted.labels');
    expectThrown(read({ medoids: { uint32: [a, b, -1] } }), 'range', 'json.fitted.medoids.uint32');
    expectThrown(read({ labels: { int32: [0, 1, 3] } }), 'range', 'json.fitted.labels');
    const json = { ...model.toJSON(), options: { ...options, k: 4 } };
    expectThrown(() => KMedoids.fromJSON(json), 'range', 'json.fitted.centers');
  });

  it('reports progress up to 1', async () => {
    const seen: number[] = [];
    await new KMedoids(options).fitAsync(set, { onProgress: (done) => void seen.push(done) });
    expect(seen.at(-1)).toBe(1);
  });

  it('refuses what it cannot do, by name', async () => {
    expectThrown(() => new KMedoids({ ...options, loss: 'msm' } as never), 'range', 'loss');
    expectThrown(() => new KMedoids({ ...options, k: 0 }), 'range', 'k');
    expectThrown(() => new KMedoids({ ...options, metric: 'x' as never }).fit(set), 'range', 'metric');
    const two = new SeriesSet(new Float64Array(8), { channels: 2, lengths: 4 });
    expectThrown(() => new KMedoids(options).fit(set).predict(two), 'type', 'channels');
    await expectRejected(async () => new KMedoids({ ...options, k: 19 }).fitAsync(set), 'range', 'k');
  });
});
