import { Command } from 'commander';
import {
  addInputOptions,
  addMetricOptions,
  addSoftOptions,
  inWords,
  metricOf,
  softOf,
  type SoftFlags,
} from '../../lib/cli/elastic/options.js';
import type { SoftLoss } from '../../lib/elastic/soft.js';

/** The flags that a command line gives. */
function parse(...args: string[]): SoftFlags & { soft?: SoftLoss } {
  const command = new Command('test').exitOverride().configureOutput({ outputError: () => {} });
  addMetricOptions(command);
  addSoftOptions(command, 'soft');
  addInputOptions(command);
  return command.parse(args, { from: 'user' }).opts();
}

describe('options of a metric', () => {
  it.each([
    [[], { metric: 'dtw' }],
    [['--metric', 'msm', '--c', '0.5', '--no-independent'], { metric: 'msm', c: 0.5, independent: false }],
    [['--itakura', '0.5', '--independent'], { metric: 'dtw', itakuraMaxSlope: 0.5, independent: true }],
    [
      ['--metric', 'erp', '--g', '1,2', '--window-abs', '3'],
      { metric: 'erp', g: Float64Array.of(1, 2), windowAbs: 3 },
    ],
    [['--metric', 'wdtw', '--g', '0.1', '--window', '0.2'], { metric: 'wdtw', g: 0.1, window: 0.2 }],
    [['--metric', 'adtw', '--penalty', '0'], { metric: 'adtw', warpPenalty: 0 }],
    [['--metric', 'twe', '--nu', '0.1', '--lambda', '2'], { metric: 'twe', nu: 0.1, lambda: 2 }],
    [['--metric', 'edr', '--epsilon', '0.3'], { metric: 'edr', epsilon: 0.3 }],
    [['--metric', 'shapeDtw', '--reach', '4'], { metric: 'shapeDtw', reach: 4 }],
  ])('%j', (args, expected) => {
    expect(metricOf(parse(...args))).toEqual(expected);
  });

  it('have another default where the method has one', () => {
    expect(metricOf(parse('--c', '2'), 'msm')).toEqual({ metric: 'msm', c: 2 });
    expect(metricOf(parse('--metric', 'twe'), 'msm')).toEqual({ metric: 'twe' });
  });

  it.each([
    [['--c', '1'], '--c is for msm, not for the metric dtw'],
    [['--metric', 'msm', '--g', '1'], '--g is for wdtw, wddtw, erp, not for the metric msm'],
    [['--metric', 'euclidean', '--window', '0.1'], 'not for the metric euclidean'],
    [['--metric', 'sbd', '--window-abs', '1'], '--window-abs is for dtw, '],
    [['--metric', 'wdtw', '--g', '1,2'], '--g is one number for wdtw, received 2'],
    [['--itakura', '2'], '--itakura must be above 0 and at most 1, received 2'],
    [['--gamma', '1'], '--gamma has no effect with a metric: it is for soft losses'],
    [['--divergence'], '--divergence has no effect with a metric'],
  ])('refuse %j', (args, problem) => {
    expect(() => metricOf(parse(...args))).toThrow(expect.objectContaining({ exitCode: 2 }));
    expect(() => metricOf(parse(...args))).toThrow(problem);
  });

  it.each([
    [['--window', '0.1', '--window-abs', '3'], "cannot be used with option '--window <share>'"],
    [['--itakura', '0.5', '--window', '0.1'], "cannot be used with option '--window <share>'"],
    [['--soft', 'dtw', '--epsilon', '1'], "cannot be used with option '--epsilon <distance>'"],
    [['--soft', 'dtw', '--independent'], "cannot be used with option '--independent'"],
    [['--soft', 'lcss'], 'Allowed choices are dtw, wdtw, adtw, erp, twe, msm.'],
    [['--metric', 'frechet'], 'Allowed choices are squared, euclidean, dtw,'],
  ])('and others refuse %j', (args, problem) => {
    expect(() => parse(...args)).toThrow(problem);
  });
});

describe('options of a soft loss', () => {
  it.each([
    [['--gamma', '0.1', '--divergence'], 'dtw', { loss: 'dtw', gamma: 0.1, divergence: true }],
    [
      ['--c', '0.5', '--gate', 'relative', '--window', '0.1'],
      'msm',
      { loss: 'msm', c: 0.5, gate: 'relative', window: 0.1 },
    ],
    [['--penalty', '2'], 'adtw', { loss: 'adtw', warpPenalty: 2 }],
  ] as const)('%j of %s', (args, loss, expected) => {
    expect(softOf(parse(...args), loss)).toEqual(expected);
  });

  it.each([
    [['--c', '0.5'], 'dtw', '--c is for msm, not for the soft loss dtw'],
    [['--g', '0.5'], 'twe', '--g is for wdtw, erp, not for the soft loss twe'],
    [['--gate', 'relative'], 'dtw', '--gate is for msm, not for the soft loss dtw'],
  ] as const)('%j of %s are refused', (args, loss, problem) => {
    expect(() => softOf(parse(...args), loss)).toThrow(problem);
  });
});

it('says in words what was asked for', () => {
  expect(inWords(metricOf(parse('--metric', 'erp', '--g', '1,2')))).toBe('erp, g 1 2');
  expect(inWords(metricOf(parse('--metric', 'msm', '--no-independent')))).toBe('msm, not independent');
  expect(inWords(softOf(parse('--gamma', '0.1', '--divergence'), 'twe'))).toBe(
    'soft twe, gamma 0.1, divergence',
  );
});
