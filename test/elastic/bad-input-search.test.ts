import { SubsequenceSearcher } from '../../lib/elastic/index.js';
import {
  expectEachRefused,
  expectEachRejected,
  set,
  shared,
  type Wrong,
  WRONG_BANDS,
  WRONG_PARAMETERS,
  x,
  y,
} from '../helpers/elastic-wrong.js';
import type { ErrorKind } from '../helpers/errors.js';
import { expectThrown } from '../helpers/refused.js';

it('nearest refuses wrong sets and numbers of neighbours', () => {
  expectEachRefused('nearest', [
    ['X is missing', 'type', 'X', undefined, set(), {}],
    ['queries are missing', 'type', 'queries', set(), undefined, {}],
    ['types differ', 'type', ['X', 'queries'], set(), set().toFloat32(), {}],
    ['channels differ', 'type', ['channels', 'X', 'queries'], set(2), set(1), {}],
    ...[0, -1, 1.5, NaN, 5].map((k): Wrong => [`k ${k}`, 'range', 'k', set(), set(), { k }]),
    ["k '1'", 'type', 'k', set(), set(), { k: '1' }],
    ['prune 1', 'type', 'prune', set(), set(), { prune: 1 }],
    ["exclude 'all'", 'range', 'exclude', set(), set(), { exclude: 'all' }],
    ['k of all with self left out', 'range', 'k', set(), set(), { k: 4, exclude: 'self' }],
    ...[...WRONG_BANDS, ...WRONG_PARAMETERS].map(([what, kind, blames, options]): Wrong => [
      what,
      kind,
      blames,
      set(),
      set(),
      options,
    ]),
  ]);
});

describe('bounds', () => {
  it('refuse wrong series and radii', () => {
    for (const name of ['lbKeogh', 'lbImproved']) {
      expectEachRefused(name, [
        ['x is a plain array', 'type', 'x', [1], y(), { radius: 1 }],
        ['y is missing', 'type', 'y', x(), undefined, { radius: 1 }],
        ['lengths differ', 'range', ['x', 'y'], x(), y().subarray(1), { radius: 1 }],
        ['x is empty', 'range', 'x', new Float64Array(0), new Float64Array(0), { radius: 1 }],
        ['channels do not divide', 'range', 'x', x(), y(), { radius: 1, channels: 4 }],
        ['types differ', 'type', ['x', 'y'], x(), Float32Array.from(y()), { radius: 1 }],
        ['y is NaN', 'range', 'y', x(), Float64Array.of(1, 2, 3, 4, 5, NaN), { radius: 1 }],
        ['radius -1', 'range', 'radius', x(), y(), { radius: -1 }],
        ['radius 0.5', 'range', 'radius', x(), y(), { radius: 0.5 }],
        ["radius '1'", 'type', 'radius', x(), y(), { radius: '1' }],
      ]);
    }
    expectEachRefused('lbKim', [
      ['x is missing', 'type', 'x', undefined, y()],
      ['x is empty', 'range', 'x', new Float64Array(0), new Float64Array(0)],
    ]);
    expectEachRefused('envelope', [
      ['y is missing', 'type', 'y', undefined, 1],
      ['y is empty', 'range', 'y', new Float64Array(0), 1],
      ['radius -1', 'range', 'radius', y(), -1],
      ['radius 0.5', 'range', 'radius', y(), 0.5],
      ["radius '1'", 'type', 'radius', y(), '1'],
    ]);
  });
});

describe('subsequence search', () => {
  const options: [string, ErrorKind, string | string[], object][] = [
    ...WRONG_BANDS.filter(([, , , band]) => !('itakuraMaxSlope' in band)),
    ...[0, -1, 1.5, NaN].flatMap((value): [string, ErrorKind, string, object][] => [
      [`k ${value}`, 'range', 'k', { k: value }],
      [`exclusion ${value}`, 'range', 'exclusion', { exclusion: value }],
      [`threads ${value}`, 'range', 'threads', { threads: value }],
    ]),
    ["k '1'", 'type', 'k', { k: '1' }],
    ['zNormalize 1', 'type', 'zNormalize', { zNormalize: 1 }],
    ['root 1', 'type', 'root', { root: 1 }],
  ];

  it('refuses wrong queries, streams and options', async () => {
    const query = (): Float64Array => Float64Array.of(1, 2, 3);
    const wrong: Wrong[] = [
      ['the query is missing', 'type', 'query', undefined, x(), {}],
      ['the query is empty', 'range', 'query', new Float64Array(0), x(), {}],
      ['the query is NaN', 'range', 'query', Float64Array.of(1, NaN), x(), {}],
      ['the stream is missing', 'type', 'stream', query(), undefined, {}],
      ['the stream is a plain array', 'type', 'stream', query(), [1, 2, 3, 4], {}],
      ['the stream is on shared memory', 'type', 'stream', query(), shared(), {}],
      ['the stream is short', 'range', 'stream', query(), x().subarray(0, 2), {}],
      [
        'the stream is infinite',
        'range',
        ['stream', 'points'],
        query(),
        Float64Array.of(1, 2, Infinity, 3),
        {},
      ],
      ['options are a number', 'type', 'options', query(), x(), 5],
      ...options.map(([what, kind, blames, given]): Wrong => [what, kind, blames, query(), x(), given]),
    ];
    expectEachRefused('subsequenceSearch', wrong);
    await expectEachRejected('subsequenceSearchAsync', wrong);
  });

  it('a searcher refuses wrong points and takes nothing of them', () => {
    const searcher = new SubsequenceSearcher(Float64Array.of(1, 2));
    searcher.push(x());
    const before = [searcher.length, searcher.matches()];
    expectThrown(() => searcher.push([1, 2] as unknown as Float64Array), 'type', 'points');
    expectThrown(() => searcher.push(Float64Array.of(1, NaN)), 'range', 'points');
    expect([searcher.length, searcher.matches()]).toEqual(before);
    expectThrown(() => new SubsequenceSearcher(new Float64Array(0)), 'range', 'query');
  });
});

describe('alignment sums', () => {
  it('refuse wrong centres, sets, weights and metrics without a full path', async () => {
    const weights = (given: unknown): object => ({ weights: given });
    const wrong: Wrong[] = [
      ['the set is missing', 'type', 'X', x(), undefined, {}],
      ['the centre is missing', 'type', ['center', 'series 0'], undefined, set(), {}],
      ['the centre is empty', 'range', ['center', 'series 0'], new Float64Array(0), set(), {}],
      ['the centre is NaN', 'range', ['center', 'series 0'], Float64Array.of(NaN), set(), {}],
      ['types differ', 'type', ['center', 'X', 'Y'], new Float32Array(6), set(), {}],
      ['channels do not divide the centre', 'range', ['center', 'series 0'], new Float64Array(5), set(2), {}],
      ['weights are few', 'range', 'weights', x(), set(), weights(new Float64Array(3).fill(1))],
      ['weights are plain numbers', 'type', 'weights', x(), set(), weights([1, 1, 1, 1])],
      ['a weight is negative', 'range', 'weights', x(), set(), weights(Float64Array.of(1, -1, 1, 1))],
      ['all weights are 0', 'range', 'weights', x(), set(), weights(new Float64Array(4))],
      ...['sbd', 'lcss', 'edr', 'ddtw'].map((metric): Wrong => [
        metric,
        'range',
        'metric',
        x(),
        set(),
        { metric },
      ]),
      ['lengths differ', 'range', ['center', 'X', 'Y'], x().subarray(0, 5), set(), { metric: 'squared' }],
      ['threads 0', 'range', 'threads', x(), set(), { threads: 0 }],
      ...WRONG_BANDS.map(([what, kind, blames, band]): Wrong => [what, kind, blames, x(), set(), band]),
    ];
    expectEachRefused('alignmentSums', wrong);
    await expectEachRejected('alignmentSumsAsync', wrong);
  });
});
