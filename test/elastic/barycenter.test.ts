import { alignmentSums } from '../../lib/elastic/align.js';
import { AVERAGED_METRICS, barycenter, barycenterAsync } from '../../lib/elastic/barycenter.js';
import type { BarycenterOptions } from '../../lib/elastic/barycenter.js';
import { pairwise } from '../../lib/elastic/pairwise.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { shapesSet } from '../helpers/shapes.js';

const { set } = shapesSet({ count: 9, length: 20 });
const twoChannels = shapesSet({ count: 6, length: 14, channels: 2 }).set;
const ragged = shapesSet({ count: 7, length: 20, ragged: true }).set;

/** sum_k w_k d(x_k, z). */
function costOf(X: SeriesSet, z: Float64Array, options: BarycenterOptions = {}, weights?: ArrayLike<number>) {
  const { metric, window, c } = options;
  const center = new SeriesSet(z, { channels: X.channels, lengths: z.length / X.channels });
  const distances = pairwise(X, center, { metric, window, c });
  return distances.reduce((sum, d, k) => sum + (weights?.[k] ?? 1) * d, 0);
}

const meanOf = (X: SeriesSet) => barycenter(X, { metric: 'euclidean' }).barycenter;

describe('barycenter', () => {
  it.each(['squared', 'euclidean'] as const)('under %s is the mean', (metric) => {
    const found = barycenter(set, { metric });
    expect(found).toMatchObject({ iterations: 0, converged: true });
    expectClose(
      found.barycenter,
      Array.from({ length: 20 }, (_, i) => {
        let sum = 0;
        for (let k = 0; k < set.count; k++) sum += set.series(k)[i];
        return sum / set.count;
      }),
      () => 1e-14,
    );
    expectClose([found.objective], [costOf(set, found.barycenter, { metric })], (_, v) => 1e-12 * v);
  });

  it.each(AVERAGED_METRICS.filter((each) => each !== 'squared' && each !== 'euclidean'))(
    'under %s costs no more than the mean, and its objective is the cost',
    (metric) => {
      for (const X of [set, twoChannels]) {
        const found = barycenter(X, { metric });
        expect(found.objective).toBeLessThanOrEqual(costOf(X, meanOf(X), { metric }));
        expectClose([found.objective], [costOf(X, found.barycenter, { metric })], (_, v) => 1e-10 * (1 + v));
        expect(found.barycenter).toHaveLength(X.data.length / X.count);
      }
    },
  );

  it('gets below the mean for series that are shifted against each other', () => {
    const humps = set.subset([0, 3, 6]);
    for (const metric of ['dtw', 'adtw'] as const) {
      const found = barycenter(humps, { metric });
      expect(found.objective).toBeLessThan(0.95 * costOf(humps, meanOf(humps), { metric }));
      expect(found.converged).toBe(true);
    }
  });

  it('makes one update as it is defined: each point the mean of what is matched to it', () => {
    const start = Float64Array.from(set.series(4));
    const { sums, counts } = alignmentSums(start, set, { metric: 'dtw' });
    const expected = start.map((_, j) => sums[j] / counts[j]);
    const found = barycenter(set, { init: start, maxIter: 1 });
    expectSameBits(found.barycenter, expected);
    expect(found).toMatchObject({ iterations: 1, converged: false });
  });

  it('never returns a centre that costs more than an earlier one', () => {
    // MSM's update is a mean where its cost wants a median: the cost may rise, and then the earlier centre is kept.
    for (const maxIter of [1, 2, 3, 5, 8]) {
      const before = barycenter(set, { metric: 'msm', c: 0.1, maxIter });
      const after = barycenter(set, { metric: 'msm', c: 0.1, maxIter: maxIter + 1 });
      expect(after.objective).toBeLessThanOrEqual(before.objective);
    }
  });

  it.each(['petitjean', 'subgradient'] as const)(
    'tells the objective of the start and of each iteration of %s',
    async (method) => {
      const options = { metric: 'dtw', method, maxIter: 4, tol: 0 } as const;
      const seen: number[] = [];
      const onIteration = (iteration: number, objective: number): void => {
        expect(iteration).toBe(seen.length);
        seen.push(objective);
      };
      const found = barycenter(set, { ...options, onIteration });
      expect(found).toEqual(barycenter(set, options));
      expect(seen).toHaveLength(found.iterations + 1);
      expectClose([seen[0]], [costOf(set, meanOf(set))], (_, v) => 1e-12 * v);
      // The best so far is what a call that ends there finds.
      for (const maxIter of [1, 2, 3, 4].slice(0, found.iterations))
        expect(Math.min(...seen.slice(0, maxIter + 1))).toBe(
          barycenter(set, { ...options, maxIter }).objective,
        );
      const blocking = seen.splice(0);
      await barycenterAsync(set, { ...options, onIteration });
      expect(seen).toEqual(blocking);
    },
  );

  it('tells the objective of what is found at once, and ends with what its listener throws', async () => {
    for (const [X, metric] of [
      [set, 'squared'],
      [set.subset([2]), 'msm'],
    ] as const) {
      const seen: number[][] = [];
      const found = barycenter(X, { metric, onIteration: (...each) => void seen.push(each) });
      expect(seen).toEqual([[0, found.objective]]);
    }
    const stop = new Error('enough');
    const onIteration = (): never => {
      throw stop;
    };
    await expect(barycenterAsync(set, { onIteration })).rejects.toBe(stop);
    expectThrown(() => barycenter(set, { onIteration: 1 as never }), 'type', 'onIteration');
  });

  it('returns one member as it is', () => {
    for (const metric of ['dtw', 'msm', 'twe'] as const) {
      const found = barycenter(set.subset([5]), { metric });
      expect([...found.barycenter]).toEqual([...set.series(5)]);
      expect(found).toMatchObject({ objective: 0, iterations: 0, converged: true });
    }
  });

  it('counts a member of weight 2 twice, and one of weight 0 not at all', () => {
    for (const method of ['petitjean', 'subgradient'] as const) {
      const twice = set.subset([0, 0, 3, 4]);
      const weighted = set.subset([0, 1, 3, 4]);
      const init = Float64Array.from(set.series(6));
      const a = barycenter(twice, { init, method: 'petitjean' });
      const b = barycenter(weighted, { init, method: 'petitjean', weights: [2, 0, 1, 1] });
      expectClose(b.barycenter, a.barycenter, () => 1e-12);
      expect(b.objective).toBeCloseTo(a.objective, 10);
      const without = barycenter(set.subset([0, 3, 4]), { init, method });
      expect(without.objective).toBeGreaterThan(0);
    }
    const mean = barycenter(set, { metric: 'euclidean', weights: [1, 3, 0, 0, 0, 0, 0, 0, 0] });
    expectClose(
      mean.barycenter,
      set.series(0).map((v, i) => (v + 3 * set.series(1)[i]) / 4),
      () => 1e-15,
    );
  });

  it('starts where it is told to', () => {
    const none = { maxIter: 1, tol: 1e9 };
    const distances = pairwise(set, null, { metric: 'dtw' });
    const sums = Array.from({ length: set.count }, (_, i) =>
      distances.subarray(i * set.count, (i + 1) * set.count).reduce((s, d) => s + d, 0),
    );
    const medoid = sums.indexOf(Math.min(...sums));
    const fromMedoid = barycenter(set, { ...none, init: 'medoid' });
    expectSameBits(fromMedoid.barycenter, barycenter(set, { ...none, init: set.series(medoid) }).barycenter);
    expectSameBits(
      barycenter(set, none).barycenter,
      barycenter(set, { ...none, init: meanOf(set) }).barycenter,
    );
    const drawn = [...Array(30).keys()].map((seed) =>
      barycenter(set, { ...none, init: 'random', seed }).objective.toFixed(9),
    );
    const members = [...Array(set.count).keys()].map((k) =>
      barycenter(set, { ...none, init: set.series(k) }).objective.toFixed(9),
    );
    expect(new Set(drawn).size).toBeGreaterThan(3);
    for (const each of drawn) expect(members).toContain(each);
    expect(barycenter(set, { ...none, init: 'random', seed: 7 })).toEqual(
      barycenter(set, { ...none, init: 'random', seed: 7 }),
    );
  });

  it('draws a random start by weight', () => {
    const weights = set.lengths.length === 9 ? [0, 0, 0, 1, 0, 0, 0, 0, 0] : [];
    const only = barycenter(set, { init: 'random', weights, maxIter: 1 });
    expectClose(only.barycenter, set.series(3), () => 1e-12);
  });

  it('averages series of unequal lengths: mean length by default, that of the start otherwise', () => {
    for (const metric of ['dtw', 'msm', 'wdtw'] as const) {
      const mean = Math.round([...ragged.lengths].reduce((s, n) => s + n, 0) / ragged.count);
      expect(barycenter(ragged, { metric }).barycenter).toHaveLength(mean);
      expect(barycenter(ragged, { metric, init: new Float64Array(11) }).barycenter).toHaveLength(11);
      const medoid = barycenter(ragged, { metric, init: 'medoid' }).barycenter.length;
      expect([...ragged.lengths]).toContain(medoid);
    }
  });

  it('takes float32 series and computes in float64', () => {
    const single = set.toFloat32();
    expectSameBits(barycenter(single).barycenter, barycenter(single.toFloat64()).barycenter);
  });

  it('takes an array of series with channels', () => {
    const list = Array.from({ length: twoChannels.count }, (_, k) => twoChannels.series(k));
    expect(barycenter(list, { channels: 2 })).toEqual(barycenter(twoChannels));
  });

  it('gives the same bits for any number of threads', () => {
    expect(barycenter(set, { metric: 'msm', threads: 2 })).toEqual(barycenter(set, { metric: 'msm' }));
  });

  it('changes neither the start nor the members', () => {
    const start = Float64Array.from(set.series(2));
    const before = [start.slice(), set.data.slice()];
    barycenter(set, { init: start, method: 'subgradient', maxIter: 2 });
    expect([start, set.data]).toEqual(before);
  });
});

describe("barycenter by 'subgradient'", () => {
  it('lowers the cost, epoch by epoch at best, and returns the best', () => {
    const humps = set.subset([0, 3, 6]);
    const start = costOf(humps, meanOf(humps), { metric: 'dtw' });
    let last = Infinity;
    for (const maxIter of [1, 4, 12]) {
      const found = barycenter(humps, { method: 'subgradient', maxIter, seed: 3 });
      expectClose([found.objective], [costOf(humps, found.barycenter, { metric: 'dtw' })], () => 1e-9);
      expect(found.objective).toBeLessThanOrEqual(Math.min(start, last));
      last = found.objective;
    }
    expect(last).toBeLessThan(0.9 * start);
  });

  it('makes the step that is written down', () => {
    // Two members of which one has no weight: the first epoch is one step of size 0.05 or, second in order, of the mean.
    const X = set.subset([0, 1]);
    const init = Float64Array.from(set.series(2));
    const { sums, counts } = alignmentSums(init, set.subset([0]), { metric: 'dtw' });
    const stepped = (eta: number) => init.map((v, i) => v - 2 * eta * (counts[i] * v - sums[i]));
    const found = barycenter(X, { method: 'subgradient', init, weights: [1, 0], maxIter: 1 });
    const gap = (eta: number) => Math.max(...stepped(eta).map((v, i) => Math.abs(v - found.barycenter[i])));
    expect(Math.min(gap(0.05), gap((0.05 + 0.005) / 2))).toBeLessThan(1e-12);
  });

  it('is decided by its seed', () => {
    const options = { method: 'subgradient', maxIter: 3 } as const;
    expect(barycenter(set, { ...options, seed: 5 })).toEqual(barycenter(set, { ...options, seed: 5 }));
    expect(barycenter(set, { ...options, seed: 5 })).not.toEqual(barycenter(set, { ...options, seed: 6 }));
  });
});

describe('barycenterAsync', () => {
  it('gives the same bits as the blocking form, and reports progress up to 1', async () => {
    const seen: number[] = [];
    const options = { metric: 'msm', onProgress: (done: number) => void seen.push(done) } as const;
    expect(await barycenterAsync(set, options)).toEqual(barycenter(set, { metric: 'msm' }));
    expect(seen.at(-1)).toBe(1);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('lets the event loop turn between its steps', async () => {
    let turns = 0;
    const count = (): void => {
      turns++;
      immediate = setImmediate(count);
    };
    let immediate = setImmediate(count);
    await barycenterAsync(set, { method: 'subgradient', maxIter: 20, tol: 0 });
    clearImmediate(immediate);
    expect(turns).toBeGreaterThan(0);
  });

  it('stops on its signal', async () => {
    const stop = new Error('enough');
    const controller = new AbortController();
    const run = barycenterAsync(set, {
      maxIter: 1000,
      tol: 0,
      method: 'subgradient',
      signal: controller.signal,
    });
    setImmediate(() => controller.abort(stop));
    await expect(run).rejects.toBe(stop);
    await expect(barycenterAsync(set, { signal: AbortSignal.abort(stop) })).rejects.toBe(stop);
  });

  it('rejects with what onProgress throws', async () => {
    const failure = new Error('no more');
    const onProgress = (): never => {
      throw failure;
    };
    await expect(barycenterAsync(set, { onProgress })).rejects.toBe(failure);
  });

  it('rejects bad arguments', async () => {
    await expectRejected(async () => barycenterAsync(3 as never), 'type', 'X');
    await expectRejected(async () => barycenterAsync(set, { signal: 1 as never }), 'type', 'signal');
    await expectRejected(async () => barycenterAsync(set, { onProgress: 1 as never }), 'type', 'onProgress');
    await expectRejected(async () => barycenterAsync(set, { tol: NaN }), 'range', 'tol');
  });
});

describe('barycenter refuses', () => {
  const distant = (value: number) => new Float64Array(5).fill(value);
  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['what is no set', 'type', 'X', () => barycenter('x' as never)],
    ['sbd, which has no path', 'range', 'metric', () => barycenter(set, { metric: 'sbd' as never })],
    ['an unknown metric', 'range', 'metric', () => barycenter(set, { metric: 'softDtw' as never })],
    ['a soft loss', 'range', 'loss', () => barycenter(set, { loss: 'msm' } as never)],
    ['gamma', 'range', 'gamma', () => barycenter(set, { gamma: 1 } as never)],
    ['the root', 'range', 'root', () => barycenter(set, { root: true } as never)],
    ['an unknown method', 'range', 'method', () => barycenter(set, { method: 'ssg' as never })],
    [
      'a subgradient of MSM',
      'range',
      'metric',
      () => barycenter(set, { method: 'subgradient', metric: 'msm' }),
    ],
    ['an unknown init', 'range', 'init', () => barycenter(set, { init: 'first' as never })],
    ['a start of another kind', 'type', 'init', () => barycenter(set, { init: [1, 2] as never })],
    ['an empty start', 'range', 'init', () => barycenter(set, { init: new Float64Array(0) })],
    ['a start with NaN', 'range', 'init', () => barycenter(set, { init: Float64Array.of(NaN) })],
    ['half a start', 'range', 'init', () => barycenter(twoChannels, { init: new Float64Array(3) })],
    ['too few weights', 'range', 'weights', () => barycenter(set, { weights: [1] })],
    ['negative weights', 'range', 'weights', () => barycenter(set.subset([0, 1]), { weights: [1, -1] })],
    [
      'infinite weights',
      'range',
      'weights',
      () => barycenter(set.subset([0, 1]), { weights: [1, Infinity] }),
    ],
    ['no weights at all', 'range', 'weights', () => barycenter(set.subset([0, 1]), { weights: [0, 0] })],
    ['weights of another kind', 'type', 'weights', () => barycenter(set, { weights: 1 as never })],
    ['maxIter 0', 'range', 'maxIter', () => barycenter(set, { maxIter: 0 })],
    ['a negative tol', 'range', 'tol', () => barycenter(set, { tol: -1 })],
    ['a seed below 0', 'range', 'seed', () => barycenter(set, { seed: -1 })],
    ['a seed of another kind', 'type', 'seed', () => barycenter(set, { seed: 'a' as never })],
    ['firstStep 0', 'range', 'firstStep', () => barycenter(set, { firstStep: 0 })],
    ['a step that grows', 'range', 'lastStep', () => barycenter(set, { lastStep: 1 })],
    ['unequal lengths for the mean', 'range', 'X', () => barycenter(ragged, { metric: 'euclidean' })],
    ['distances that overflow', 'range', 'X', () => barycenter([distant(1e200), distant(-1e200)])],
  ])('%s', (_, kind, name, call) => expectThrown(call, kind, name));
});
