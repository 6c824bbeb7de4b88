/** Cases that once went wrong: many shapes in one call, wide searches, precision of bounds, aborts in every loop. */
import {
  SeriesSet,
  SubsequenceSearcher,
  distance,
  distanceAsync,
  nearest,
  pairwise,
  softDistanceGrad,
  softDtw,
  softLossBatch,
  softPairwise,
  subsequenceSearch,
} from '../../lib/elastic/index.js';
import type { Metric, MetricOptions } from '../../lib/elastic/index.js';
import { Philox } from '../../lib/random.js';
import { onEveryIsa } from '../helpers/isa.js';
import { availableIsas, isa, setIsa } from '../../lib/index.js';

function series(length: number, stream: number): Float64Array {
  const x = new Float64Array(length);
  new Philox(77, stream).uniform(x, -1, 1);
  return x;
}

onEveryIsa(() => {
  test.each([{}, { window: 0.2 }, { windowAbs: 3 }])('a batch of 150 shapes with band %p', (band) => {
    const X = Array.from({ length: 150 }, (_, k) => series(20 + k, k));
    const Y = Array.from({ length: 150 }, (_, k) => series(25 + k, 1000 + k));
    const { values, dX } = softLossBatch(X, Y, { grad: true, gamma: 0.5, ...band });
    const offset = X.slice(0, 140).reduce((sum, x) => sum + x.length, 0);
    const { value, dx } = softDistanceGrad(X[140], Y[140], { gamma: 0.5, ...band });
    expect(values[140]).toBe(value);
    // Lanes and anti-diagonals add a gradient up in different orders.
    expect(dx.every((g, i) => Math.abs((dX?.[offset + i] ?? NaN) - g) < 1e-12)).toBe(true);
  });
});

test.each(['squared', 'euclidean', 'sbd', 'dtw', 'msm', 'twe'] as Metric[])(
  '%s has the same bits on every instruction set',
  (metric) => {
    const X = Array.from({ length: 9 }, (_, k) => series(61, k));
    const before = isa();
    const results = availableIsas().map((name) => {
      setIsa(name);
      return pairwise(X, null, { metric });
    });
    setIsa(before);
    for (const result of results) expect(result).toEqual(results[0]);
  },
);

test('float32 sums that lose digits do not change the neighbours', () => {
  const n = 512;
  const decoy = new Float32Array(n);
  decoy[0] = 4096 * (1 + 5e-6);
  const nearer = new Float32Array(n).fill(Math.sqrt(0.9));
  nearer[0] = 4096;
  const set = [...Array.from({ length: 40 }, () => decoy), nearer];
  for (const options of [{ windowAbs: 0 }, { metric: 'adtw', windowAbs: 3 }] as MetricOptions[]) {
    const query = [new Float32Array(n)];
    const pruned = nearest(set, query, options);
    const { index, distance } = nearest(set, query, { ...options, prune: false });
    expect([pruned.index, pruned.distance]).toEqual([index, distance]);
  }
});

test('hundreds of matches, whole and in pieces', () => {
  const stream = series(6000, 5);
  const query = series(20, 6);
  const options = { k: 120, windowAbs: 2, exclusion: 7 };
  const whole = subsequenceSearch(query, stream, options);
  expect(whole.position).toHaveLength(120);
  const sorted = whole.position.slice().sort();
  expect(sorted.every((p, i) => i === 0 || p - sorted[i - 1] >= 7)).toBe(true);
  const searcher = new SubsequenceSearcher(query, options);
  for (let i = 0; i < stream.length; i += 777) searcher.push(stream.subarray(i, i + 777));
  expect(searcher.matches()).toEqual(whole);
});

test.each([
  ['a cutoff', 100_000, { cutoff: 1e9 }],
  ['shape-based distance', 150_000, { metric: 'sbd' }],
  ['a wide band', 150_000, { window: 0.5 }],
  ['channels one by one', 100_000, { metric: 'msm', channels: 2 }],
] as [string, number, object][])('an abort reaches into a pair with %s', async (_, length, options) => {
  const x = series(length, 7);
  const controller = new AbortController();
  const pending = distanceAsync(x, x.slice(), { ...options, signal: controller.signal });
  setTimeout(() => controller.abort(), 5);
  await expect(pending).rejects.toMatchObject({ name: 'AbortError' });
});

test('gamma and data that no arithmetic holds are refused', () => {
  const x = Float64Array.of(1, 2, 3);
  for (const gamma of [1e-310, 1e31])
    expect(() => softDtw(x, x, { gamma })).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
  const huge = Float64Array.of(1e200, 0);
  expect(() => softDistanceGrad(huge, Float64Array.of(0, 1e200), { loss: 'msm' })).toThrow(/finite/);
});

test('a block of a divergence is that of the whole', () => {
  const X = Array.from({ length: 12 }, (_, k) => series(15, k));
  const whole = softPairwise(X, null, { gamma: 0.3, divergence: true });
  const block = softPairwise(X, null, { gamma: 0.3, divergence: true, rows: [2, 5], cols: [4, 12] });
  const expected = [2, 3, 4].flatMap((i) => Array.from(whole.subarray(i * 12 + 4, i * 12 + 12)));
  expect(Array.from(block)).toEqual(expected);
});

test('options of nobody, and of the other family, are refused by name', () => {
  const x = Float64Array.of(1, 2);
  const wrong = [
    () => distance(x, x, { windw: 0.1 } as MetricOptions),
    () => distance(x, x, { loss: 'msm' } as MetricOptions),
    () => softDtw(x, x, { metric: 'msm' } as object),
  ];
  const names = ['windw', 'loss', 'metric'];
  wrong.forEach((call, i) => {
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
    expect(call).toThrow(`"${names[i]}"`);
  });
});

test('a structured clone of a set is a set', () => {
  const set = new SeriesSet(Float64Array.of(1, 2, 3, 4, 5), { lengths: [2, 3] });
  expect(pairwise(structuredClone(set), null)).toEqual(pairwise(set, null));
});
