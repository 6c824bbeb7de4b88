import { KNeighborsTimeSeriesClassifier, type KNeighborsOptions } from '../../lib/elastic/neighbors.js';
import { nearest } from '../../lib/elastic/nearest.js';
import { pairwise } from '../../lib/elastic/pairwise.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { softPairwise } from '../../lib/elastic/soft.js';
import { expectClose } from '../helpers/compare.js';
import { accuracyFixture } from '../helpers/elastic-fixtures.js';
import { withLearned } from '../helpers/models.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { shapesSet } from '../helpers/shapes.js';
import { ucr } from '../helpers/ucr.js';

const { set, labels } = shapesSet({ count: 21, length: 18 });
const fresh = shapesSet({ count: 12, length: 18, seed: 4 });

/** One point a series: under 'squared' the distance is the square of the gap. */
const points = (...values: number[]) => new SeriesSet(Float64Array.from(values), { lengths: 1 });
const on = (options: KNeighborsOptions, at: number[], y: (string | number)[]) =>
  new KNeighborsTimeSeriesClassifier({ metric: 'squared', ...options } as KNeighborsOptions).fit(
    points(...at),
    y,
  );

describe('KNeighborsTimeSeriesClassifier', () => {
  it('gives each series of the training set its own class', () => {
    for (const metric of ['dtw', 'msm', 'twe', 'euclidean'] as const) {
      const model = new KNeighborsTimeSeriesClassifier({ metric }).fit(set, labels);
      expect(model.predict(set)).toEqual(labels);
      expect(model.score(fresh.set, fresh.labels)).toBeGreaterThan(0.8);
    }
  });

  it('is one nearest neighbour under DTW without options', () => {
    const model = new KNeighborsTimeSeriesClassifier().fit(set, labels);
    const matrix = pairwise(fresh.set, set);
    const expected = Array.from({ length: 12 }, (_, q) => {
      const row = [...matrix.subarray(21 * q, 21 * q + 21)];
      return labels[row.indexOf(Math.min(...row))];
    });
    expect(model.predict(fresh.set)).toEqual(expected);
  });

  it.each(['ItalyPowerDemand', 'GunPoint'])('makes the errors of the fixture on %s', (name) => {
    const [train, test] = [ucr(name, 'TRAIN'), ucr(name, 'TEST')];
    const { nn1 } = accuracyFixture(name);
    const errors = (options: KNeighborsOptions) => {
      const model = new KNeighborsTimeSeriesClassifier(options).fit(train.series, train.labels);
      return test.labels.length - Math.round(model.score(test.series, test.labels) * test.labels.length);
    };
    for (const prune of [true, false]) {
      expect(errors({ metric: 'dtw', window: 0.1, prune })).toBe(nn1['dtw_w0.1'].errors);
      expect(errors({ metric: 'msm', prune })).toBe(nn1.msm_c1.errors);
    }
    expect(errors({ metric: 'euclidean' })).toBe(nn1.euclidean.errors);
    if (name === 'ItalyPowerDemand')
      expect(Math.abs(errors({ loss: 'msm' }) - nn1.soft_msm_g1.errors)).toBeLessThanOrEqual(1);
  });

  it('lets k neighbours vote', () => {
    // From 0: b at 1, a at 2 and 3, b at 10.
    const [at, y] = [
      [1, 2, 3, 10],
      ['b', 'a', 'a', 'b'],
    ];
    expect(on({ k: 1 }, at, y).predict(points(0))).toEqual(['b']);
    expect(on({ k: 3 }, at, y).predict(points(0))).toEqual(['a']);
    expectClose(on({ k: 3 }, at, y).predictProba(points(0, 9)), [2 / 3, 1 / 3, 2 / 3, 1 / 3], () => 1e-15);
  });

  it('gives ties to the class of the nearest among the winners', () => {
    expect(on({ k: 2 }, [1, 2], ['b', 'a']).predict(points(0))).toEqual(['b']);
    expect(on({ k: 4 }, [3, 2, 1, 4], ['a', 'b', 'a', 'b']).predict(points(0, 2.4))).toEqual(['a', 'b']);
    // c is nearest of all, but it has one vote.
    expect(on({ k: 5 }, [1, 2, 3, 4, 5], ['c', 'b', 'a', 'a', 'b']).predict(points(0))).toEqual(['b']);
  });

  it('gives equal distances to the smaller index', () => {
    expect(on({ k: 1 }, [1, -1], ['z', 'a']).predict(points(0))).toEqual(['z']);
    expect(on({ k: 2 }, [-1, 1, 1], ['z', 'a', 'a']).predictProba(points(0))).toEqual(
      Float64Array.of(0.5, 0.5),
    );
  });

  it('weighs votes by distance', () => {
    const at = [1, 2, 2];
    const y = ['near', 'far', 'far'];
    // 1 / 1 against 2 / 4.
    expect(on({ k: 3, weights: 'distance' }, at, y).predict(points(0))).toEqual(['near']);
    expect(on({ k: 3 }, at, y).predict(points(0))).toEqual(['far']);
    expectClose(
      on({ k: 3, weights: 'distance' }, at, y).predictProba(points(0)),
      [1 / 3, 2 / 3],
      () => 1e-15,
    );
    // Neighbours at distance 0 alone decide.
    expect([
      ...on({ k: 3, weights: 'distance' }, [0, 0, 1], ['a', 'b', 'c']).predictProba(points(0)),
    ]).toEqual([0.5, 0.5, 0]);
  });

  it('takes soft losses', () => {
    const options = { loss: 'msm', gamma: 0.1, k: 3 } as const;
    const model = new KNeighborsTimeSeriesClassifier(options).fit(set, labels);
    const losses = softPairwise(fresh.set, set, { loss: 'msm', gamma: 0.1 });
    const shares = model.predictProba(fresh.set);
    for (let q = 0; q < 12; q++) {
      const order = [...Array(21).keys()].sort((a, b) => losses[21 * q + a] - losses[21 * q + b]).slice(0, 3);
      const expected = [0, 1, 2].map((c) => order.filter((i) => labels[i] === c).length / 3);
      expectClose(shares.subarray(3 * q, 3 * q + 3), expected, () => 1e-15);
    }
    expect(model.score(fresh.set, fresh.labels)).toBeGreaterThan(0.8);
  });

  it('sorts its classes: numbers by value, strings by code units', () => {
    expect(on({}, [1, 2, 3, 4], [10, 9, 'b', 'B']).classes).toEqual([9, 10, 'B', 'b']);
    expect(on({}, [1, 2], [10, 9]).predict(points(1, 2))).toEqual([10, 9]);
  });

  it('takes several channels, unequal lengths, float32 queries', () => {
    const ragged = shapesSet({ count: 15, length: 18, ragged: true, channels: 2 });
    const model = new KNeighborsTimeSeriesClassifier({ metric: 'msm' }).fit(ragged.set, ragged.labels);
    const rows = Array.from({ length: 15 }, (_, i) => ragged.set.series(i));
    expect(model.predict(rows)).toEqual(ragged.labels);
    expect(model.predict(ragged.set.toFloat32())).toEqual(ragged.labels);
  });

  it('gives the same in its promise form, for any threads, and after JSON', async () => {
    const options: KNeighborsOptions = { k: 3, metric: 'msm', weights: 'distance' };
    const model = new KNeighborsTimeSeriesClassifier(options).fit(set, labels);
    const seen: number[] = [];
    const promised = await new KNeighborsTimeSeriesClassifier({ ...options, threads: 2 }).fitAsync(
      set,
      labels,
    );
    expect(await promised.predictAsync(fresh.set, { onProgress: (done) => void seen.push(done) })).toEqual(
      model.predict(fresh.set),
    );
    expect(seen.at(-1)).toBe(1);
    expect(await promised.predictProbaAsync(fresh.set)).toEqual(model.predictProba(fresh.set));
    expect(await promised.scoreAsync(fresh.set, fresh.labels)).toBe(model.score(fresh.set, fresh.labels));
    const again = KNeighborsTimeSeriesClassifier.fromJSON(JSON.parse(JSON.stringify(model)));
    expect(again.toJSON()).toEqual(model.toJSON());
    expect(again.predictProba(fresh.set)).toEqual(model.predictProba(fresh.set));
    const gap: KNeighborsOptions = { metric: 'erp', g: Float64Array.of(0.5) };
    const erp = new KNeighborsTimeSeriesClassifier(gap).fit(set.toFloat32(), labels);
    const erpAgain = KNeighborsTimeSeriesClassifier.fromJSON(JSON.parse(JSON.stringify(erp)));
    expect(erpAgain.options).toEqual(gap);
    expect(erpAgain.predict(fresh.set)).toEqual(erp.predict(fresh.set));
  });

  it('stops on its signal and asks for fit first', async () => {
    const stop = new Error('enough');
    const model = new KNeighborsTimeSeriesClassifier();
    expect(() => model.predict(set)).toThrow(/call fit before/);
    expect(() => model.predictProba(set)).toThrow(/call fit before/);
    model.fit(set, labels);
    await expect(model.predictAsync(set, { signal: AbortSignal.abort(stop) })).rejects.toBe(stop);
  });

  it('says how many distances the latest prediction did not compute to the end', async () => {
    const model = new KNeighborsTimeSeriesClassifier({ metric: 'dtw', window: 0.1 }).fit(set, labels);
    expect(model.pruned).toBe(0);
    model.predict(fresh.set);
    const { pruned } = nearest(set, fresh.set, { metric: 'dtw', window: 0.1 });
    expect(pruned).toBeGreaterThan(0);
    expect(model.pruned).toBe(pruned);
    await model.predictProbaAsync(fresh.set.subset([0]));
    expect(model.pruned).toBe(nearest(set, fresh.set.subset([0]), { metric: 'dtw', window: 0.1 }).pruned);
    const all = new KNeighborsTimeSeriesClassifier({ metric: 'dtw', prune: false }).fit(set, labels);
    all.score(fresh.set, fresh.labels);
    expect(all.pruned).toBe(0);
  });

  const make = (options: object) => new KNeighborsTimeSeriesClassifier(options);
  const read = (changes: object, options: KNeighborsOptions = {}) =>
    KNeighborsTimeSeriesClassifier.fromJSON(withLearned(make(options).fit(set, labels), changes));
  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['k = 0', 'range', 'k', () => make({ k: 0 })],
    ['k above the series', 'range', 'k', () => make({ k: 22 }).fit(set, labels)],
    ['unknown weights', 'range', 'weights', () => make({ weights: 'inverse' })],
    [
      'weights by distance for a soft loss',
      'range',
      'weights',
      () => make({ weights: 'distance', loss: 'dtw' }),
    ],
    ['a metric and a loss', 'range', 'metric', () => make({ metric: 'dtw', loss: 'dtw' })],
    ['gamma without a loss', 'range', 'gamma', () => make({ gamma: 1 })],
    ['an unknown metric', 'range', 'metric', () => make({ metric: 'x' }).fit(set, labels).predict(set)],
    ['too few labels', 'range', 'y', () => make({}).fit(set, [1])],
    ['labels that are none', 'type', 'y', () => make({}).fit(set, 'abc')],
    ['a label that is none', 'type', 'y[0]', () => make({}).fit(points(1), [{} as never])],
    ['what is no set', 'type', 'X', () => make({}).fit({} as never, [])],
    ['JSON with a class left out', 'range', 'json.fitted.codes', () => read({ classes: [0, 1] })],
    ['JSON with a class twice', 'range', 'json.fitted.classes', () => read({ classes: [0, 1, 1] })],
    ['JSON with a label left out', 'range', 'json.fitted.codes', () => read({ codes: { int32: [0] } })],
    [
      'JSON with fewer series than k',
      'range',
      'json.fitted.set',
      () =>
        read(
          {
            set: { set: { channels: 1, lengths: [1], data: { float64: [1] } } },
            codes: { int32: [0] },
          },
          { k: 2 },
        ),
    ],
    [
      'JSON of another model',
      'range',
      'json.model',
      () => KNeighborsTimeSeriesClassifier.fromJSON({ model: 'x' }),
    ],
  ])('refuses %s', (_, kind, name, call) => expectThrown(call, kind, name));

  it('rejects bad input in its promise form', async () => {
    await expectRejected(async () => make({}).fitAsync(set, [1]), 'range', 'y');
  });
});
