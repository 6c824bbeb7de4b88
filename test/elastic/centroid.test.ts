import { barycenter } from '../../lib/elastic/barycenter.js';
import { NearestCentroidClassifier, type NearestCentroidOptions } from '../../lib/elastic/centroid.js';
import { pairwise } from '../../lib/elastic/pairwise.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { softBarycenter } from '../../lib/elastic/soft-barycenter.js';
import { centroidFixture } from '../helpers/centroid-fixtures.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { withLearned } from '../helpers/models.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { shapesSet } from '../helpers/shapes.js';
import { ucr } from '../helpers/ucr.js';

const { set, labels } = shapesSet({ count: 18, length: 18 });
const fresh = shapesSet({ count: 12, length: 18, seed: 5 });
const soft = { loss: 'msm', gamma: 0.1, maxIter: 100, tol: 1e-3 } as const;

describe('NearestCentroidClassifier on ItalyPowerDemand', () => {
  const [train, test] = [ucr('ItalyPowerDemand', 'TRAIN'), ucr('ItalyPowerDemand', 'TEST')];
  const { classes, results } = centroidFixture('ItalyPowerDemand');
  const fit = (options: NearestCentroidOptions) =>
    new NearestCentroidClassifier(options).fit(train.series, train.labels);
  const errorsOf = (model: NearestCentroidClassifier) =>
    test.labels.length - Math.round(model.score(test.series, test.labels) * test.labels.length);
  /** Hard MSM distances of the training series to the centroids of their classes. */
  const msmLoss = (model: NearestCentroidClassifier) => {
    const matrix = pairwise(SeriesSet.from(train.series), model.centroids, { metric: 'msm' });
    return train.labels.reduce((sum, label, i) => sum + matrix[2 * i + classes.indexOf(label)], 0);
  };

  it.each<[string, NearestCentroidOptions]>([
    ['mean_euclidean', { metric: 'euclidean' }],
    ['dba_dtw', { metric: 'dtw' }],
    ['mba_msm_c1', { metric: 'msm', c: 1 }],
  ])('gives errors, objectives and MSM loss of %s exactly', (name, options) => {
    const model = fit(options);
    const expected = results[name];
    expect(model.classes).toEqual(classes);
    expect(errorsOf(model)).toBe(expected.errors);
    if (expected.objective_per_class[0] !== null)
      expectClose(model.objectives, expected.objective_per_class as number[], (_, v) => 1e-6 * v);
    expectClose([msmLoss(model)], [expected.total_hard_msm_c1_to_centroid], (_, v) => 1e-6 * v);
  });

  it.each<[string, NearestCentroidOptions]>([
    ['soft_dtw_g1', { ...soft, loss: 'dtw', gamma: 1 }],
    ['soft_dtw_g0.01', { ...soft, loss: 'dtw', gamma: 0.01 }],
    ['soft_msm_g0.1', soft],
    ['soft_msm_g1', { ...soft, gamma: 1 }],
  ])('is within the tolerances of %s', (name, options) => {
    const model = fit(options);
    const expected = results[name];
    expect(Math.abs(errorsOf(model) - expected.errors)).toBeLessThanOrEqual(0.02 * test.labels.length);
    expected.objective_per_class.forEach((each, c) => {
      const stated = each as number;
      expect(model.objectives[c]).toBeLessThanOrEqual(stated + 0.01 * Math.abs(stated));
    });
  });

  it('has a lower MSM loss with Soft-MSM than with MBA, and fewer errors than with means', () => {
    const model = fit(soft);
    expect(msmLoss(model)).toBeLessThan(msmLoss(fit({ metric: 'msm' })));
    expect(errorsOf(model)).toBeLessThan(errorsOf(fit({ metric: 'euclidean' })));
  });
});

describe('NearestCentroidClassifier', () => {
  it('has the barycentre of each class', () => {
    const model = new NearestCentroidClassifier({ metric: 'msm', maxIter: 4 }).fit(set, labels);
    const softly = new NearestCentroidClassifier({ ...soft, maxIter: 4 }).fit(set, labels);
    for (let c = 0; c < 3; c++) {
      const members = set.subset([...labels.keys()].filter((i) => labels[i] === c));
      const hard = barycenter(members, { metric: 'msm', maxIter: 4 });
      expectSameBits(model.centroids.series(c), hard.barycenter);
      expect(model.objectives[c]).toBe(hard.objective);
      const average = softBarycenter(members, { ...soft, maxIter: 4 });
      expectSameBits(softly.centroids.series(c), average.barycenter);
      expect(softly.objectives[c]).toBe(average.objective);
    }
  });

  it('tells new series apart', () => {
    for (const options of [
      { metric: 'dtw' },
      { metric: 'msm' },
      soft,
      { ...soft, divergence: true },
    ] as const) {
      const model = new NearestCentroidClassifier(options).fit(set, labels);
      expect(model.score(fresh.set, fresh.labels)).toBeGreaterThan(0.8);
    }
  });

  it('gives ties to the first class', () => {
    const same = SeriesSet.from([set.series(0), set.series(0)]);
    const model = new NearestCentroidClassifier().fit(same, ['z', 'b']);
    expect(model.predict(same)).toEqual(['b', 'b']);
  });

  it('takes several channels, unequal lengths and float32', () => {
    const ragged = shapesSet({ count: 15, length: 16, ragged: true, channels: 2 });
    const model = new NearestCentroidClassifier({ metric: 'dtw' }).fit(ragged.set, ragged.labels);
    expect(model.score(ragged.set, ragged.labels)).toBeGreaterThan(0.8);
    const rows = Array.from({ length: 15 }, (_, i) => ragged.set.series(i));
    expect(model.predict(rows)).toEqual(model.predict(ragged.set));
    const single = new NearestCentroidClassifier(soft).fit(set.toFloat32(), labels);
    expect(single.centroids.data.constructor.name).toBe('Float32Array');
    expect(single.predict(fresh.set)).toEqual(single.predict(fresh.set.toFloat32()));
  });

  it('gives the same in its promise form, for any threads, and after JSON', async () => {
    for (const options of [{ metric: 'msm' }, soft] as const) {
      const model = new NearestCentroidClassifier(options).fit(set, labels);
      const seen: number[] = [];
      const promised = await new NearestCentroidClassifier({ ...options, threads: 2 }).fitAsync(set, labels, {
        onProgress: (done) => void seen.push(done),
      });
      expect(seen.at(-1)).toBe(1);
      expect(promised.centroids.data).toEqual(model.centroids.data);
      expect(await promised.predictAsync(fresh.set)).toEqual(model.predict(fresh.set));
      const again = NearestCentroidClassifier.fromJSON(JSON.parse(JSON.stringify(model)));
      expect(again.toJSON()).toEqual(model.toJSON());
      expect(again.predict(fresh.set)).toEqual(model.predict(fresh.set));
      expect(again.objectives).toEqual(model.objectives);
    }
  });

  it('stops on its signal and asks for fit first', async () => {
    const stop = new Error('enough');
    const controller = new AbortController();
    const model = new NearestCentroidClassifier({ ...soft, maxIter: 1e6, tol: 0 });
    setImmediate(() => controller.abort(stop));
    await expect(model.fitAsync(set, labels, { signal: controller.signal })).rejects.toBe(stop);
    expect(() => model.centroids).toThrow(/call fit before/);
    expect(() => model.predict(set)).toThrow(/call fit before/);
  });

  const make = (options: object) => new NearestCentroidClassifier(options);
  const read = (changes: object) =>
    NearestCentroidClassifier.fromJSON(withLearned(make({}).fit(set, labels), changes));
  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['a metric and a loss', 'range', 'metric', () => make({ metric: 'dtw', loss: 'dtw' })],
    ['gamma without a loss', 'range', 'gamma', () => make({ gamma: 0.1 })],
    ['a metric without an average', 'range', 'metric', () => make({ metric: 'lcss' })],
    ['weights', 'range', 'weights', () => make({ weights: [1] })],
    ['onIteration', 'range', 'onIteration', () => make({ onIteration: () => {} })],
    ['JSON with a class left out', 'range', 'json.fitted.centroids', () => read({ classes: [0, 1] })],
    ['JSON with a class twice', 'range', 'json.fitted.classes', () => read({ classes: [0, 1, 0] })],
    ['JSON without classes', 'range', 'json.fitted.classes', () => read({ classes: [] })],
    [
      'JSON with an objective',
      'range',
      'json.fitted.objectives',
      () => read({ objectives: { float64: [1] } }),
    ],
    ['maxIter 0', 'range', 'maxIter', () => make({ ...soft, maxIter: 0 })],
    ['an unknown loss', 'range', 'loss', () => make({ loss: 'sbd' }).fit(set, labels)],
    ['too few labels', 'range', 'y', () => make({}).fit(set, [1])],
    ['what is no set', 'type', 'X', () => make({}).fit(1 as never, [1])],
    ['JSON of another model', 'range', 'json.model', () => NearestCentroidClassifier.fromJSON({ model: 1 })],
  ])('refuses %s', (_, kind, name, call) => expectThrown(call, kind, name));

  it('rejects bad input in its promise form', async () => {
    await expectRejected(async () => make({}).fitAsync(set, [1]), 'range', 'y');
  });
});
