import { SoftKMeans, type SoftKMeansOptions } from '../../lib/elastic/soft-kmeans.js';
import { softBarycenter } from '../../lib/elastic/soft-barycenter.js';
import { softPairwise } from '../../lib/elastic/soft.js';
import { expectClose } from '../helpers/compare.js';
import { expectThrown } from '../helpers/refused.js';
import { shapesSet } from '../helpers/shapes.js';

const { set, labels } = shapesSet({ count: 15, length: 18 });
const msm: SoftKMeansOptions = { k: 3, loss: 'msm', gamma: 0.1, seed: 1, restarts: 6 };
const fitted = (changes: Partial<SoftKMeansOptions> = {}) => new SoftKMeans({ ...msm, ...changes }).fit(set);

describe('SoftKMeans', () => {
  it.each(['msm', 'dtw', 'twe'] as const)('finds kinds of shape by soft %s', (loss) => {
    const model = fitted({ loss });
    expect(model.score(set, labels)).toBeGreaterThan(0.7);
    const losses = softPairwise(set, model.centers, { loss, gamma: 0.1 });
    const least = Array.from({ length: 15 }, (_, i) => Math.min(...losses.subarray(3 * i, 3 * i + 3)));
    expectClose([model.inertia], [least.reduce((s, v) => s + v, 0)], (_, v) => 1e-11 * (1 + Math.abs(v)));
    expect([...model.predict(set)]).toEqual([...model.labels]);
  });

  it('works with divergences, whose inertia is near 0 for equal series', () => {
    const same = set.subset([0, 0, 1, 1]);
    const model = new SoftKMeans({ ...msm, k: 2, divergence: true }).fit(same);
    expect(model.inertia).toBeCloseTo(0, 8);
    expect(model.score(same, [0, 0, 1, 1])).toBe(1);
  });

  it('has centres that are the soft barycentres of their series', () => {
    const init = set.subset([0, 1, 2]);
    const model = fitted({ init, maxIter: 1 });
    const losses = softPairwise(set, init, { loss: 'msm', gamma: 0.1 });
    const first = [...Array(15).keys()].filter((i) => {
      const row = losses.subarray(3 * i, 3 * i + 3);
      return row.indexOf(Math.min(...row)) === 0;
    });
    const average = softBarycenter(set.subset(first), { loss: 'msm', gamma: 0.1, init: init.series(0) });
    expectClose(model.centers.series(0), average.barycenter, () => 1e-9);
  });

  it('is decided by its seed, whatever the threads and the form, and survives JSON', async () => {
    const model = fitted();
    const promised = await new SoftKMeans({ ...msm, threads: 2 }).fitAsync(set);
    expect(promised.centers.data).toEqual(model.centers.data);
    expect(promised.inertia).toBe(model.inertia);
    const again = SoftKMeans.fromJSON(JSON.parse(JSON.stringify(model)));
    expect(again.predict(set)).toEqual(model.labels);
    expect(again.inertia).toBe(model.inertia);
  });

  const make = (changes: object) => new SoftKMeans({ ...msm, ...changes });
  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['a hard metric', 'range', 'metric', () => make({ metric: 'dtw' })],
    ['an unknown loss', 'range', 'loss', () => make({ loss: 'sbd' }).fit(set)],
    ['gamma 0', 'range', 'gamma', () => make({ gamma: 0 }).fit(set)],
    ['k = 1.5', 'range', 'k', () => make({ k: 1.5 })],
    ['broken averaging', 'range', 'tol', () => make({ averaging: { tol: -1 } })],
    ['JSON of another model', 'range', 'json.model', () => SoftKMeans.fromJSON({ model: 'KMeans' })],
  ])('refuses %s', (_, kind, name, call) => expectThrown(call, kind, name));
});
