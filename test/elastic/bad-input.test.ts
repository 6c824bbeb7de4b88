import * as elastic from '../../lib/elastic/index.js';
import {
  expectEachRefused,
  expectEachRejected,
  set,
  shared,
  type Wrong,
  WRONG_BANDS,
  WRONG_PARAMETERS,
  wrongSeries,
  x,
  y,
} from '../helpers/elastic-wrong.js';
import { resizable } from '../helpers/errors.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';

describe('two series', () => {
  it.each(['distance', 'costMatrix', 'alignmentPath'])('%s refuses wrong series and options', (name) => {
    expectEachRefused(name, wrongSeries());
    for (const [what, kind, blames, options] of [...WRONG_BANDS, ...WRONG_PARAMETERS]) {
      const { metric } = options as { metric?: string };
      if (name !== 'distance' && metric === 'sbd') continue;
      expectEachRefused(name, [[what, kind, blames, x(), y(), options]]);
    }
  });

  it('lengths that a metric is not defined for are refused', () => {
    const short = Float64Array.of(1, 2);
    for (const metric of ['squared', 'euclidean']) {
      expectEachRefused('distance', [[metric, 'range', ['x', 'y'], x(), short, { metric }]]);
    }
    for (const metric of ['ddtw', 'wddtw']) {
      expectEachRefused('distance', [
        [`${metric} of a short x`, 'range', ['x', 'metric'], short, y(), { metric }],
        [`${metric} of a short y`, 'range', ['y', 'metric'], x(), short, { metric }],
      ]);
    }
    expectEachRefused('distance', [
      ['a parallelogram of two points', 'range', 'itakuraMaxSlope', short, short, { itakuraMaxSlope: 1 }],
      [
        'a parallelogram of two derivatives',
        'range',
        'itakuraMaxSlope',
        x().subarray(0, 4),
        y().subarray(0, 4),
        { metric: 'ddtw', itakuraMaxSlope: 1 },
      ],
    ]);
  });

  it('a cutoff is a number that is not NaN', () => {
    expectEachRefused('distance', [
      ['cutoff NaN', 'range', 'cutoff', x(), y(), { cutoff: NaN }],
      ["cutoff '1'", 'type', 'cutoff', x(), y(), { cutoff: '1' }],
    ]);
  });

  it('a cost matrix beyond 2^31 bytes is refused before it is allocated', () => {
    const long = new Float64Array(17_000);
    const before = process.memoryUsage().arrayBuffers;
    for (const name of ['costMatrix', 'alignmentPath']) {
      if (name === 'alignmentPath') continue;
      expectEachRefused(name, [['two long series', 'range', ['x', 'y'], long, long, {}]]);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
    // A plain distance needs two rows only.
    expect(elastic.distance(long, long, { windowAbs: 1 })).toBe(0);
  });
});

describe('sets', () => {
  it('a set says what is wrong with its data, and in which series', () => {
    const data = (): Float64Array => new Float64Array(12);
    const bad = data();
    bad[7] = NaN;
    const make = (...args: readonly unknown[]): unknown =>
      new (elastic.SeriesSet as unknown as new (...args: readonly unknown[]) => unknown)(...args);
    const wrong: Wrong[] = [
      ['no data', 'type', 'data', undefined, { lengths: 3 }],
      ['integers', 'type', 'data', new Int32Array(12), { lengths: 3 }],
      ['shared memory', 'type', 'data', shared(), { lengths: 3 }],
      ['lengths that do not add up', 'range', 'lengths', data(), { lengths: [3, 4] }],
      ['a length that does not divide', 'range', ['data', 'lengths'], data(), { lengths: 5 }],
      ['an empty series', 'range', 'lengths[1]', data(), { lengths: [6, 0, 6] }],
      ['no lengths', 'type', 'lengths', data(), {}],
      ['channels 0', 'range', 'channels', data(), { lengths: 3, channels: 0 }],
      ['NaN in series 2', 'range', 'series 2', bad, { lengths: 3 }],
    ];
    for (const [what, kind, blames, ...args] of wrong) {
      const names = [blames].flat();
      const isRefused = names.some((name) => {
        try {
          expectThrown(() => make(...args), kind, name);
          return true;
        } catch {
          return false;
        }
      });
      expect([what, isRefused]).toEqual([what, true]);
    }
    expectThrown(() => set().series(4), 'range', 'i');
    expectThrown(() => elastic.SeriesSet.from([]), 'range', 'series');
    expectThrown(() => elastic.SeriesSet.from([x(), new Float64Array(0)]), 'range', 'series 1');
    expectThrown(() => elastic.SeriesSet.from([x(), new Float32Array(2)]), 'type', 'series 1');
    expectThrown(() => elastic.SeriesSet.from([x(), Float64Array.of(0, Infinity)]), 'range', 'series 1');
  });

  const pairwiseWrong = (): Wrong[] => [
    ['X is missing', 'type', 'X', undefined, null, {}],
    ['X is one series', 'type', 'X', x(), null, {}],
    ['X is empty', 'range', ['X', 'series'], [], null, {}],
    ['Y is a number', 'type', 'Y', set(), 5, {}],
    ['a series of X is NaN', 'range', 'series 1', [x(), Float64Array.of(NaN)], null, {}],
    ['a series of Y is infinite', 'range', 'series 0', set(), [Float64Array.of(Infinity)], {}],
    ['types differ', 'type', ['X', 'Y'], set(), set().toFloat32(), {}],
    ['channels differ', 'type', ['channels', 'X', 'Y'], set(2), set(1), {}],
    ['channels of the options differ', 'type', 'channels', set(2), null, { channels: 1 }],
    ['options are an array', 'type', 'options', set(), null, new Float64Array(2)],
    ...[0, 1.5, -1, NaN].map((threads): Wrong => [
      `threads ${threads}`,
      'range',
      'threads',
      set(),
      null,
      { threads },
    ]),
  ];

  it('pairwise refuses wrong sets, options and blocks, and writes nothing', async () => {
    const out = new Float64Array(16).fill(-1);
    const wrong: Wrong[] = [
      ...pairwiseWrong(),
      ...[...WRONG_BANDS, ...WRONG_PARAMETERS].map(([what, kind, blames, options]): Wrong => [
        what,
        kind,
        blames,
        set(),
        null,
        { ...options, out },
      ]),
      ['out is float32', 'type', 'out', set(), null, { out: new Float32Array(16) }],
      ['out is short', 'range', 'out', set(), null, { out: new Float64Array(15) }],
      ['out is resizable', 'range', 'out', set(), null, { out: new Float64Array(resizable(128)) }],
      ...[
        [0, 5],
        [-1, 2],
        [3, 2],
        [0.5, 2],
        [NaN, 2],
      ].flatMap((range): Wrong[] => [
        [`rows ${range.join()}`, 'range', ['rows', 'rows[0]', 'rows[1]'], set(), null, { rows: range, out }],
        [`cols ${range.join()}`, 'range', ['cols', 'cols[0]', 'cols[1]'], set(), null, { cols: range, out }],
      ]),
      ['rows is a number', 'type', 'rows', set(), null, { rows: 2 }],
      [
        'lengths differ for squared',
        'range',
        ['X', 'Y', 'metric', 'series 1'],
        [x(), x().subarray(0, 3)],
        null,
        { metric: 'squared', out: new Float64Array(4) },
      ],
      [
        'a series is too short for its derivative',
        'range',
        ['X', 'Y', 'metric', 'series 1'],
        [x(), x().subarray(0, 2)],
        null,
        { metric: 'ddtw' },
      ],
    ];
    expectEachRefused('pairwise', wrong);
    expect(out.every((value) => value === -1)).toBe(true);
    await expectEachRejected('pairwiseAsync', wrong);
    expect(out.every((value) => value === -1)).toBe(true);
    await expectRejected(
      () => elastic.pairwiseAsync(set(), null, { signal: {} as AbortSignal }),
      'type',
      'signal',
    );
    await expectRejected(
      () => elastic.pairwiseAsync(set(), null, { onProgress: 5 as unknown as () => void }),
      'type',
      'onProgress',
    );
  });
});
