import { barycenter } from '../../lib/elastic/barycenter.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { softBarycenter, softBarycenterAsync } from '../../lib/elastic/soft-barycenter.js';
import { softLossBatch, softPairwise } from '../../lib/elastic/soft.js';
import type { SoftLoss, SoftOptions } from '../../lib/elastic/soft.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { shapesSet } from '../helpers/shapes.js';

const { set } = shapesSet({ count: 6, length: 16 });
const twoChannels = shapesSet({ count: 4, length: 10, channels: 2 }).set;
const ragged = shapesSet({ count: 5, length: 16, ragged: true }).set;
const LOSSES: SoftLoss[] = ['dtw', 'wdtw', 'adtw', 'erp', 'twe', 'msm'];
/** The others hold absolute differences, whose kinks an average may end in with a gradient that is not 0. */
const SMOOTH: SoftLoss[] = ['dtw', 'wdtw', 'adtw', 'msm'];

function setOf(z: Float64Array, channels: number): SeriesSet {
  return new SeriesSet(z, { channels, lengths: z.length / channels });
}

/** sum_k s(z, x_k) and its largest slope. */
function objectiveAt(X: SeriesSet, z: Float64Array, loss: SoftOptions) {
  const { values, dX } = softLossBatch(setOf(z, X.channels), X, { ...loss, grad: true });
  return {
    value: values.reduce((sum, each) => sum + each, 0),
    slope: Math.max(...(dX ?? []).map(Math.abs)),
  };
}

const meanOf = (X: SeriesSet) => barycenter(X, { metric: 'euclidean' }).barycenter;

describe('softBarycenter', () => {
  it.each(LOSSES)('under %s is below the mean, and its objective is that of its series', (name) => {
    for (const X of [set, twoChannels]) {
      const loss = { loss: name, gamma: 0.5 };
      const found = softBarycenter(X, loss);
      expectClose(
        [found.objective],
        [objectiveAt(X, found.barycenter, loss).value],
        (_, v) => 1e-12 * Math.abs(v),
      );
      expect(found.objective).toBeLessThan(objectiveAt(X, meanOf(X), loss).value);
      expect(found.iterations).toBeGreaterThan(0);
    }
  });

  it.each(SMOOTH)('under %s is a stationary point, of the loss and of the divergence', (name) => {
    for (const divergence of [false, true]) {
      const loss = { loss: name, gamma: 0.5, divergence };
      const found = softBarycenter(set, { ...loss, maxIter: 400, tol: 1e-8 });
      expect(found.converged).toBe(true);
      const { slope } = objectiveAt(set, found.barycenter, loss);
      expect(slope).toBeLessThan(objectiveAt(set, meanOf(set), loss).slope / 30);
    }
  });

  it('comes to DBA as gamma goes to 0', () => {
    const humps = set.subset([0, 3]);
    const hard = barycenter(humps, { metric: 'dtw', tol: 0, maxIter: 200 });
    const soft = softBarycenter(humps, { gamma: 1e-4, maxIter: 400, tol: 1e-8 });
    expect(soft.objective).toBeLessThan(hard.objective + 1e-2);
  });

  it('tells the objective of the start and of each iteration', async () => {
    for (const divergence of [false, true]) {
      const options = { loss: 'msm', gamma: 0.5, divergence, maxIter: 6, tol: 0 } as const;
      const seen: number[] = [];
      const onIteration = (iteration: number, objective: number): void => {
        expect(iteration).toBe(seen.length);
        seen.push(objective);
      };
      const found = softBarycenter(set, { ...options, onIteration });
      expect(found).toEqual(softBarycenter(set, options));
      expect(seen).toHaveLength(found.iterations + 1);
      if (!divergence) expect(seen[0]).toBeCloseTo(objectiveAt(set, meanOf(set), options).value, 9);
      // Each is what a call that ends there finds.
      const objectives = [1, 2, 3, 4, 5, 6].map(
        (maxIter) => softBarycenter(set, { ...options, maxIter }).objective,
      );
      expect(seen.slice(1)).toEqual(objectives);
      const blocking = seen.splice(0);
      await softBarycenterAsync(set, { ...options, onIteration });
      expect(seen).toEqual(blocking);
    }
    const seen: number[][] = [];
    const { objective } = softBarycenter(set.subset([1]), { onIteration: (...each) => void seen.push(each) });
    expect(seen).toEqual([[0, objective]]);
    const stop = new Error('enough');
    const onIteration = (): never => {
      throw stop;
    };
    await expect(softBarycenterAsync(set, { onIteration })).rejects.toBe(stop);
    expectThrown(() => softBarycenter(set, { onIteration: 1 as never }), 'type', 'onIteration');
  });

  it('returns one member as it is, with its loss to itself', () => {
    const X = set.subset([2]);
    const found = softBarycenter(X, { loss: 'msm' });
    expect([...found.barycenter]).toEqual([...set.series(2)]);
    expect(found).toMatchObject({ iterations: 0, converged: true });
    expect(found.objective).toBeCloseTo(softPairwise(X, X, { loss: 'msm' })[0], 12);
    expect(softBarycenter(X, { loss: 'msm', divergence: true }).objective).toBeCloseTo(0, 12);
  });

  it('weighs its members', () => {
    const init = Float64Array.from(set.series(4));
    const twice = softBarycenter(set.subset([0, 0, 3]), { init, maxIter: 20 });
    const weighted = softBarycenter(set.subset([0, 1, 3]), { init, maxIter: 20, weights: [2, 0, 1] });
    expect(weighted.objective).toBeCloseTo(twice.objective, 8);
    expectClose(weighted.barycenter, twice.barycenter, () => 1e-6);
  });

  it('starts at the mean, a medoid, a member or what is given', () => {
    const one = { maxIter: 1 };
    expect(softBarycenter(set, one)).toEqual(softBarycenter(set, { ...one, init: meanOf(set) }));
    const losses = softPairwise(set, null);
    const sums = Array.from({ length: 6 }, (_, i) =>
      losses.subarray(6 * i, 6 * i + 6).reduce((s, v) => s + v, 0),
    );
    const medoid = set.series(sums.indexOf(Math.min(...sums)));
    expect(softBarycenter(set, { ...one, init: 'medoid' })).toEqual(
      softBarycenter(set, { ...one, init: medoid }),
    );
    const members = [...Array(6).keys()].map(
      (k) => softBarycenter(set, { ...one, init: set.series(k) }).objective,
    );
    expect(members).toContain(softBarycenter(set, { ...one, init: 'random', seed: 2 }).objective);
  });

  it('says when it has not converged, and does not throw', () => {
    expect(softBarycenter(set, { maxIter: 2, tol: 0 })).toMatchObject({ iterations: 2, converged: false });
  });

  it('averages unequal lengths and float32', () => {
    const found = softBarycenter(ragged, { loss: 'msm', gamma: 0.1 });
    expect(found.barycenter).toHaveLength(Math.round([...ragged.lengths].reduce((s, n) => s + n, 0) / 5));
    expect(softBarycenter(ragged, { init: new Float64Array(9) }).barycenter).toHaveLength(9);
    const single = set.toFloat32();
    expectSameBits(softBarycenter(single).barycenter, softBarycenter(single.toFloat64()).barycenter);
  });

  it('gives the same bits for any number of threads, blocking or not', async () => {
    const options = { loss: 'msm', gamma: 0.1 } as const;
    const seen: number[] = [];
    const found = softBarycenter(set, options);
    expect(softBarycenter(set, { ...options, threads: 2 })).toEqual(found);
    const onProgress = (done: number) => void seen.push(done);
    expect(await softBarycenterAsync(set, { ...options, onProgress })).toEqual(found);
    expect(seen.at(-1)).toBe(1);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('stops on its signal', async () => {
    const stop = new Error('enough');
    const controller = new AbortController();
    let iterations = 0;
    const onIteration = (): void => {
      if (++iterations === 3) controller.abort(stop);
    };
    const run = softBarycenterAsync(set, { maxIter: 1e6, tol: 0, signal: controller.signal, onIteration });
    await expect(run).rejects.toBe(stop);
    expect(iterations).toBe(3);
  });

  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['what is no set', 'type', 'X', () => softBarycenter(null as never)],
    ['a hard metric', 'range', 'metric', () => softBarycenter(set, { metric: 'msm' } as never)],
    ['a method', 'range', 'method', () => softBarycenter(set, { method: 'petitjean' } as never)],
    ['an unknown loss', 'range', 'loss', () => softBarycenter(set, { loss: 'lcss' as never })],
    ['gamma 0', 'range', 'gamma', () => softBarycenter(set, { gamma: 0 })],
    ['weights of 0', 'range', 'weights', () => softBarycenter(set, { weights: new Float64Array(6) })],
    ['too many weights', 'range', 'weights', () => softBarycenter(set, { weights: new Float64Array(7) })],
    [
      'a start with Infinity',
      'range',
      'init',
      () => softBarycenter(set, { init: Float64Array.of(Infinity) }),
    ],
    ['maxIter 1.5', 'range', 'maxIter', () => softBarycenter(set, { maxIter: 1.5 })],
    ['tol as text', 'type', 'tol', () => softBarycenter(set, { tol: '1' as never })],
    ['a broken seed', 'range', 'seed', () => softBarycenter(set, { seed: 0.5 })],
  ])('refuses %s', (_, kind, name, call) => expectThrown(call, kind, name));

  it('refuses losses that overflow, and rejects what it refuses', async () => {
    const distant = (value: number) => new Float64Array(5).fill(value);
    expect(() => softBarycenter([distant(1e200), distant(-1e200)])).toThrow(RangeError);
    await expectRejected(async () => softBarycenterAsync(set, { metric: 'dtw' } as never), 'range', 'metric');
  });
});
