import * as elastic from '../../lib/elastic/index.js';
import {
  expectEachRefused,
  expectEachRejected,
  set,
  type Wrong,
  WRONG_BANDS,
  wrongSeries,
  x,
  y,
} from '../helpers/elastic-wrong.js';
import type { ErrorKind } from '../helpers/errors.js';

describe('soft losses', () => {
  /** Wrong parameters of a loss. */
  const parameters: readonly [string, ErrorKind, string | string[], object][] = [
    ...WRONG_BANDS,
    ...[-1, NaN, Infinity].map((gamma): [string, ErrorKind, string, object] => [
      `gamma ${gamma}`,
      'range',
      'gamma',
      { gamma },
    ]),
    ["gamma '1'", 'type', 'gamma', { gamma: '1' }],
    ['divergence 1', 'type', 'divergence', { divergence: 1 }],
  ];
  const ofLosses: typeof parameters = [
    ['an unknown loss', 'range', 'loss', { loss: 'lcss' }],
    ['c -1', 'range', 'c', { loss: 'msm', c: -1 }],
    ['c NaN', 'range', 'c', { loss: 'msm', c: NaN }],
    ["gate 'sigmoid'", 'range', 'gate', { loss: 'msm', gate: 'sigmoid' }],
    ['nu -1', 'range', 'nu', { loss: 'twe', nu: -1 }],
    ['lambda -1', 'range', 'lambda', { loss: 'twe', lambda: -1 }],
    ['warpPenalty -1', 'range', 'warpPenalty', { loss: 'adtw', warpPenalty: -1 }],
    ['g of another number of channels', 'range', 'g', { loss: 'erp', g: new Float64Array(3) }],
  ];

  it.each(['softDtw', 'softMsm', 'softDistance', 'softDtwGrad', 'softMsmGrad', 'softDistanceGrad'])(
    '%s refuses wrong series and options',
    (name) => {
      expectEachRefused(name, wrongSeries());
      const all = name.startsWith('softDistance') ? [...parameters, ...ofLosses] : parameters;
      expectEachRefused(
        name,
        all.map(([what, kind, blames, options]): Wrong => [what, kind, blames, x(), y(), options]),
      );
    },
  );

  it('gamma 0 is for the value of soft-DTW alone', () => {
    const zero: Wrong = ['gamma 0', 'range', 'gamma', x(), y(), { gamma: 0 }];
    for (const name of ['softMsm', 'softDtwGrad', 'softMsmGrad', 'softDistanceGrad'])
      expectEachRefused(name, [zero]);
    expectEachRefused('softLossBatch', [
      ['gamma 0', 'range', 'gamma', set(), set(), { gamma: 0, grad: true }],
    ]);
    expect(elastic.softDtw(x(), y(), { gamma: 0 })).toBe(elastic.distance(x(), y()));
  });

  it('batches and matrices refuse wrong sets, weights and options', async () => {
    const options = [...parameters, ...ofLosses].map(([what, kind, blames, given]): Wrong => [
      what,
      kind,
      blames,
      set(),
      set(),
      given,
    ]);
    const sets: Wrong[] = [
      ['X is missing', 'type', 'X', undefined, set(), {}],
      ['Y is a number', 'type', 'Y', set(), 3, {}],
      ['options are an array', 'type', 'options', set(), set(), new Float64Array(2)],
      ['types differ', 'type', ['X', 'Y'], set(), set().toFloat32(), {}],
      ['channels differ', 'type', ['channels', 'X', 'Y'], set(2), set(1), {}],
      ['threads 0', 'range', 'threads', set(), set(), { threads: 0 }],
    ];
    const weights = (given: unknown): object => ({ weights: given, grad: true });
    const batch: Wrong[] = [
      ['Y is missing', 'type', 'Y', set(), undefined, {}],
      ['Y is null', 'type', 'Y', set(), null, {}],
      ['counts differ', 'range', ['X', 'Y'], set(), set().subset([0, 1]), {}],
      ['weights are few', 'range', 'weights', set(), set(), weights(new Float64Array(3).fill(1))],
      ['weights are float32', 'type', 'weights', set(), set(), weights(new Float32Array(4).fill(1))],
      ['a weight is negative', 'range', 'weights', set(), set(), weights(Float64Array.of(1, -1, 1, 1))],
      ['a weight is NaN', 'range', 'weights', set(), set(), weights(Float64Array.of(1, NaN, 1, 1))],
      ['all weights are 0', 'range', 'weights', set(), set(), weights(new Float64Array(4))],
      ['grad 1', 'type', 'grad', set(), set(), { grad: 1 }],
    ];
    expectEachRefused('softPairwise', [...sets, ...options]);
    expectEachRefused('softLossBatch', [...sets, ...options, ...batch]);
    await expectEachRejected('softPairwiseAsync', [...sets, ...options]);
    await expectEachRejected('softLossBatchAsync', [...sets, ...options, ...batch]);
  });
});
