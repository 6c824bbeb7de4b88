import { barycenter } from '../../lib/elastic/barycenter.js';
import { TimeSeriesKMeans, type TimeSeriesKMeansOptions } from '../../lib/elastic/kmeans.js';
import { pairwise } from '../../lib/elastic/pairwise.js';
import { SeriesSet } from '../../lib/elastic/series.js';
import { expectClose } from '../helpers/compare.js';
import { withLearned } from '../helpers/models.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';
import { shapesSet } from '../helpers/shapes.js';

const { set, labels } = shapesSet({ count: 24, length: 20 });
const dtw: TimeSeriesKMeansOptions = { k: 3, metric: 'dtw', seed: 1, restarts: 3 };

function fitted(changes: Partial<TimeSeriesKMeansOptions> = {}): TimeSeriesKMeans {
  return new TimeSeriesKMeans({ ...dtw, ...changes }).fit(set);
}

describe('TimeSeriesKMeans', () => {
  it.each(['dtw', 'msm', 'twe', 'erp', 'adtw'] as const)(
    'finds kinds of shape that %s can tell',
    (metric) => {
      const model = fitted({ metric });
      expect(model.score(set, labels)).toBeGreaterThan(0.8);
      expect(model.converged).toBe(true);
      expect(model.centers.count).toBe(3);
    },
  );

  it('has the labels, distances and inertia that its centres give', () => {
    for (const metric of ['dtw', 'msm', 'euclidean'] as const) {
      const model = fitted({ metric });
      const matrix = pairwise(set, model.centers, { metric });
      const least = Array.from({ length: set.count }, (_, i) =>
        Math.min(...matrix.subarray(3 * i, 3 * i + 3)),
      );
      expectClose([model.inertia], [least.reduce((s, d) => s + d, 0)], (_, v) => 1e-12 * v);
      expect([...model.predict(set)]).toEqual([...model.labels]);
      model.labels.forEach((label, i) => expect(matrix[3 * i + label]).toBe(least[i]));
    }
  });

  it('under euclidean is k-means: centres are means of their series', () => {
    const model = fitted({ metric: 'euclidean' });
    for (let c = 0; c < 3; c++) {
      const members = [...model.labels.keys()].filter((i) => model.labels[i] === c);
      const mean = barycenter(set.subset(members), { metric: 'euclidean' }).barycenter;
      expectClose(model.centers.series(c), mean, () => 1e-12);
    }
  });

  it('with one cluster finds the barycentre', () => {
    const init = set.subset([4]);
    const model = fitted({ k: 1, init, maxIter: 1 });
    const average = barycenter(set, { init: init.series(0) });
    expectClose(model.centers.series(0), average.barycenter, () => 1e-12);
    expectClose([model.inertia], [average.objective], (_, v) => 1e-12 * v);
  });

  it('with as many clusters as series has inertia 0', () => {
    for (const init of ['kmeans++', 'random'] as const) {
      const model = fitted({ k: 24, init, restarts: 1 });
      expect(model.inertia).toBe(0);
      expect(new Set(model.labels).size).toBe(24);
    }
  });

  it('has no worse inertia with more restarts', () => {
    for (const seed of [1, 2, 3]) {
      const once = fitted({ seed, restarts: 1, k: 5 });
      expect(fitted({ seed, restarts: 4, k: 5 }).inertia).toBeLessThanOrEqual(once.inertia);
    }
  });

  it('takes centres to start from', () => {
    const init = set.subset([0, 1, 2]);
    const model = fitted({ init, maxIter: 1 });
    const first = pairwise(set, init, { metric: 'dtw' });
    const labelsOfInit = Array.from({ length: set.count }, (_, i) => {
      const row = [...first.subarray(3 * i, 3 * i + 3)];
      return row.indexOf(Math.min(...row));
    });
    const members = [...labelsOfInit.keys()].filter((i) => labelsOfInit[i] === 1);
    const average = barycenter(set.subset(members), { init: init.series(1) });
    expectClose(model.centers.series(1), average.barycenter, () => 1e-12);
    // What is given as an array of series is a set too.
    const list = [0, 1, 2].map((i) => set.series(i));
    expect(fitted({ init: list }).inertia).toBe(fitted({ init }).inertia);
  });

  it('gives an empty cluster the series farthest from its centre', () => {
    // The third centre is far from everything.
    const far = new Float64Array(20).fill(1e3);
    const init = SeriesSet.from([set.series(0), set.series(1), far]);
    const model = fitted({ init });
    expect(new Set(model.labels).size).toBe(3);
    expect(model.inertia).toBeLessThan(fitted({ k: 2, init: set.subset([0, 1]) }).inertia);
  });

  it('comes to an end where there are more clusters than different series', () => {
    const same = set.subset([0, 0, 0, 3, 3]);
    const model = new TimeSeriesKMeans({ k: 4, seed: 2 }).fit(same);
    expect(model.converged).toBe(true);
    expect(model.inertia).toBeCloseTo(0, 10);
  });

  it('is decided by its seed, whatever the threads and the form', async () => {
    const model = fitted({ restarts: 1 });
    expect(fitted({ restarts: 1 }).toJSON()).toEqual(model.toJSON());
    const threaded = fitted({ restarts: 1, threads: 2 });
    const promised = await new TimeSeriesKMeans({ ...dtw, restarts: 1 }).fitAsync(set);
    for (const other of [threaded, promised]) {
      expect(other.centers.data).toEqual(model.centers.data);
      expect(other.labels).toEqual(model.labels);
      expect(other.inertia).toBe(model.inertia);
    }
    const seeds = [...Array(8).keys()].map((seed) => fitted({ seed, restarts: 1, k: 5 }).inertia);
    expect(new Set(seeds).size).toBeGreaterThan(1);
  });

  it('takes several channels, unequal lengths and float32', () => {
    const wide = shapesSet({ count: 12, length: 16, channels: 2 });
    const model = new TimeSeriesKMeans({ ...dtw, metric: 'msm' }).fit(wide.set);
    expect(model.score(wide.set, wide.labels)).toBeGreaterThan(0.7);
    const ragged = shapesSet({ count: 15, length: 20, ragged: true });
    expect(new TimeSeriesKMeans(dtw).fit(ragged.set).score(ragged.set, ragged.labels)).toBeGreaterThan(0.8);
    const single = new TimeSeriesKMeans(dtw).fit(set.toFloat32());
    expect(single.centers.data.constructor.name).toBe('Float32Array');
    expect(single.labels).toEqual(fitted().labels);
    // A model of float32 centres takes float64 series, and series given as arrays of channels.
    expect([...single.predict(set)]).toEqual([...single.labels]);
    const rows = Array.from({ length: 12 }, (_, i) => wide.set.series(i));
    expect([...model.predict(rows)]).toEqual([...model.labels]);
  });

  it('hands averaging options on', () => {
    const model = fitted({ averaging: { method: 'subgradient', maxIter: 3 }, restarts: 1 });
    expect(model.inertia).not.toBe(fitted({ restarts: 1 }).inertia);
    expect(() => fitted({ averaging: { maxIter: 0 } })).toThrow(RangeError);
  });

  it('survives JSON', () => {
    const model = fitted();
    const again = TimeSeriesKMeans.fromJSON(JSON.parse(JSON.stringify(model)));
    expect(again.toJSON()).toEqual(model.toJSON());
    expect(again.predict(set)).toEqual(model.predict(set));
    expect([again.iterations, again.converged]).toEqual([model.iterations, model.converged]);
    const blank = TimeSeriesKMeans.fromJSON(JSON.parse(JSON.stringify(new TimeSeriesKMeans(dtw))));
    expect(blank.options).toEqual(dtw);
    expect(() => blank.labels).toThrow(/fit/);
  });

  it('asks for fit first', async () => {
    const model = new TimeSeriesKMeans(dtw);
    expect(() => model.predict(set)).toThrow(/call fit before/);
    expect(() => model.centers).toThrow(/call fit before/);
    await expect(model.predictAsync(set)).rejects.toThrow(/call fit before/);
  });

  it('reports progress and stops on its signal', async () => {
    const seen: number[] = [];
    await new TimeSeriesKMeans(dtw).fitAsync(set, { onProgress: (done) => void seen.push(done) });
    expect(seen.at(-1)).toBe(1);
    const stop = new Error('enough');
    const controller = new AbortController();
    const model = new TimeSeriesKMeans({ ...dtw, restarts: 10_000 });
    setTimeout(() => controller.abort(stop), 5);
    await expect(model.fitAsync(set, { signal: controller.signal })).rejects.toBe(stop);
    expect(() => model.labels).toThrow(/call fit before/);
    expect(await fitted().scoreAsync(set, labels)).toBe(fitted().score(set, labels));
  });
});

describe('TimeSeriesKMeans refuses', () => {
  const make = (changes: object) => new TimeSeriesKMeans({ ...dtw, ...changes });
  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['no options', 'type', 'k', () => new TimeSeriesKMeans(undefined as never)],
    ['k = 0', 'range', 'k', () => make({ k: 0 })],
    ['k above the series', 'range', 'k', () => make({ k: 25 }).fit(set)],
    ['a soft loss', 'range', 'loss', () => make({ loss: 'msm' })],
    ['sbd, which has no average', 'range', 'metric', () => make({ metric: 'sbd' })],
    ['an unknown init', 'range', 'init', () => make({ init: 'best' })],
    ['too few centres', 'range', 'init', () => make({ init: set.subset([0]) }).fit(set)],
    [
      'centres of other channels',
      'type',
      'init',
      () => make({ k: 1, init: new SeriesSet(new Float64Array(8), { channels: 2, lengths: 4 }) }).fit(set),
    ],
    ['no restarts', 'range', 'restarts', () => make({ restarts: 0 })],
    ['maxIter as text', 'type', 'maxIter', () => make({ maxIter: '3' })],
    ['a negative tol', 'range', 'tol', () => make({ tol: -1 })],
    ['a seed of -1', 'range', 'seed', () => make({ seed: -1 })],
    ['averaging of another kind', 'type', 'options', () => make({ averaging: 3 })],
    [
      'other channels in predict',
      'type',
      'channels',
      () => fitted().predict(new SeriesSet(new Float64Array(8), { channels: 2, lengths: 4 })),
    ],
    ['what is no set', 'type', 'X', () => make({}).fit(7 as never)],
    ['JSON that is none', 'type', 'json', () => TimeSeriesKMeans.fromJSON('text')],
    [
      'JSON of another model',
      'range',
      'json.model',
      () => TimeSeriesKMeans.fromJSON({ model: 'KMedoids', version: 1, options: {} }),
    ],
    [
      'JSON of another version',
      'range',
      'json.version',
      () => TimeSeriesKMeans.fromJSON({ ...fitted().toJSON(), version: 2 }),
    ],
    [
      'JSON without labels',
      'type',
      'json.fitted.labels',
      () =>
        TimeSeriesKMeans.fromJSON({
          ...fitted().toJSON(),
          fitted: { centers: { set: { channels: 1, lengths: [1], data: { float64: [1] } } } },
        }),
    ],
    [
      'JSON with other than k centres',
      'range',
      'json.fitted.centers',
      () => TimeSeriesKMeans.fromJSON({ ...fitted().toJSON(), options: { ...dtw, k: 4 } }),
    ],
    [
      'JSON with labels beyond k',
      'range',
      'json.fitted.labels',
      () => TimeSeriesKMeans.fromJSON(withLearned(fitted(), { labels: { int32: [0, 1, 3] } })),
    ],
    [
      'JSON with labels that are no integers',
      'range',
      'json.fitted.labels.int32',
      () => TimeSeriesKMeans.fromJSON(withLearned(fitted(), { labels: { int32: [0, 0.5] } })),
    ],
    [
      'JSON with broken numbers',
      'type',
      'json.fitted.labels.int32',
      () => TimeSeriesKMeans.fromJSON({ ...fitted().toJSON(), fitted: { labels: { int32: ['a'] } } }),
    ],
    [
      'JSON without options',
      'type',
      'json.options',
      () => TimeSeriesKMeans.fromJSON({ model: 'TimeSeriesKMeans', version: 1 }),
    ],
    [
      'JSON with a broken model',
      'type',
      'json.fitted',
      () => TimeSeriesKMeans.fromJSON({ ...fitted().toJSON(), fitted: 3 }),
    ],
  ])('%s', (_, kind, name, call) => expectThrown(call, kind, name));

  it('in its promise form too', async () => {
    await expectRejected(async () => make({ k: 25 }).fitAsync(set), 'range', 'k');
    await expectRejected(async () => make({}).fitAsync(set, { signal: 1 as never }), 'type', 'signal');
  });
});
