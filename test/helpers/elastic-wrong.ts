import * as elastic from '../../lib/elastic/index.js';
import { detach, type ErrorKind, resizable } from './errors.js';
import { expectRejected, expectThrown } from './refused.js';

/** The functions as callers without types see them. */
export const untyped = elastic as unknown as Record<string, (...args: readonly unknown[]) => unknown>;

/** A wrong call: what is wrong, the kind of error, the argument to blame (any of several), the arguments. */
export type Wrong = readonly [what: string, kind: ErrorKind, name: string | string[], ...args: unknown[]];

/** A good series of six points. */
export const x = (): Float64Array => Float64Array.of(1, 2, 3, 4, 5, 6);
/** Another. */
export const y = (): Float64Array => Float64Array.of(2, 2, 4, 4, 6, 6);
/** One on memory that other threads may write to. */
export const shared = (): Float64Array => new Float64Array(new SharedArrayBuffer(48));
/** A good set of 24 values: four series of one channel, or fewer points of more. */
export const set = (channels = 1): elastic.SeriesSet =>
  new elastic.SeriesSet(
    Float64Array.from({ length: 24 }, (_, i) => i % 5),
    { channels, lengths: 6 / channels },
  );

/** Fails unless the function refuses every one of the calls, and blames one of the names; tells all that it does not. */
export function expectEachRefused(name: string, wrong: readonly Wrong[]): void {
  const missed: string[] = [];
  for (const [what, kind, blames, ...args] of wrong) {
    const failures: string[] = [];
    const names = [blames].flat();
    for (const blamed of names) {
      try {
        expectThrown(() => untyped[name](...args), kind, blamed);
      } catch (error) {
        failures.push((error as Error).message);
      }
    }
    if (failures.length === names.length) missed.push(`${name}, ${what}: ${failures.join('; ')}`);
  }
  if (missed.length > 0) throw new Error(missed.join('\n'));
}

/** The same of a promise form, which must reject. */
export async function expectEachRejected(name: string, wrong: readonly Wrong[]): Promise<void> {
  const missed: string[] = [];
  for (const [what, kind, blames, ...args] of wrong) {
    const failures: string[] = [];
    const names = [blames].flat();
    for (const blamed of names) {
      await expectRejected(() => untyped[name](...args) as Promise<unknown>, kind, blamed).catch(
        (error: unknown) => failures.push((error as Error).message),
      );
    }
    if (failures.length === names.length) missed.push(`${name}, ${what}: ${failures.join('; ')}`);
  }
  if (missed.length > 0) throw new Error(missed.join('\n'));
}

/** What is wrong with any of two series, and with what says how to read them. */
export function wrongSeries(options: object = {}): Wrong[] {
  return [
    ['x is a plain array', 'type', 'x', [1, 2, 3], y(), options],
    ['x is missing', 'type', 'x', undefined, y(), options],
    ['y is missing', 'type', 'y', x(), undefined, options],
    ['y is of integers', 'type', 'y', x(), new Int32Array(6), options],
    ['x is on shared memory', 'type', 'x', shared(), y(), options],
    ['y is on shared memory', 'type', 'y', x(), shared(), options],
    ['x is resizable', 'range', 'x', new Float64Array(resizable(48)), y(), options],
    ['y is detached', 'range', 'y', x(), detach(y()), options],
    ['x is empty', 'range', 'x', new Float64Array(0), y(), options],
    ['y is empty', 'range', 'y', x(), new Float64Array(0), options],
    ['classes differ', 'type', ['x', 'y'], x(), Float32Array.from(y()), options],
    ['x holds NaN', 'range', 'x', Float64Array.of(1, NaN, 2, 3, 4, 5), y(), options],
    ['y holds Infinity', 'range', 'y', x(), Float64Array.of(1, 2, -Infinity, 3, 4, 5), options],
    ['channels do not divide x', 'range', 'x', x().subarray(0, 5), y(), { ...options, channels: 2 }],
    ['channels do not divide y', 'range', 'y', x(), y().subarray(0, 5), { ...options, channels: 2 }],
    ...[0, -1, 1.5, NaN].map((channels): Wrong => [
      `channels ${channels}`,
      'range',
      'channels',
      x(),
      y(),
      { ...options, channels },
    ]),
    ["channels '2'", 'type', 'channels', x(), y(), { ...options, channels: '2' }],
    ['options are a number', 'type', 'options', x(), y(), 5],
  ];
}

/** Options that are wrong for whatever takes a band. */
export const WRONG_BANDS: readonly [string, ErrorKind, string | string[], object][] = [
  ...[-0.1, 1.1, NaN, Infinity].map((window): [string, ErrorKind, string, object] => [
    `window ${window}`,
    'range',
    'window',
    { window },
  ]),
  ["window '0.1'", 'type', 'window', { window: '0.1' }],
  ...[-1, 0.5, NaN, Infinity].map((windowAbs): [string, ErrorKind, string, object] => [
    `windowAbs ${windowAbs}`,
    'range',
    'windowAbs',
    { windowAbs },
  ]),
  ["windowAbs '1'", 'type', 'windowAbs', { windowAbs: '1' }],
  ['both windows', 'range', ['window', 'windowAbs'], { window: 0.5, windowAbs: 2 }],
  ...[-0.5, 0, 1.5, NaN].map((itakuraMaxSlope): [string, ErrorKind, string, object] => [
    `itakuraMaxSlope ${itakuraMaxSlope}`,
    'range',
    'itakuraMaxSlope',
    { itakuraMaxSlope },
  ]),
  ['a slope that rounds to 0', 'range', 'itakuraMaxSlope', { itakuraMaxSlope: 0.1 }],
];

/** Wrong parameters of metrics. */
export const WRONG_PARAMETERS: readonly [string, ErrorKind, string | string[], object][] = [
  ['an unknown metric', 'range', 'metric', { metric: 'manhattan' }],
  ['a metric of another type', 'range', 'metric', { metric: 3 }],
  ...[-1, NaN, -Infinity].flatMap((value): [string, ErrorKind, string, object][] => [
    [`warpPenalty ${value}`, 'range', 'warpPenalty', { metric: 'adtw', warpPenalty: value }],
    [`epsilon ${value} of edr`, 'range', 'epsilon', { metric: 'edr', epsilon: value }],
    [`epsilon ${value} of lcss`, 'range', 'epsilon', { metric: 'lcss', epsilon: value }],
    [`nu ${value}`, 'range', 'nu', { metric: 'twe', nu: value }],
    [`lambda ${value}`, 'range', 'lambda', { metric: 'twe', lambda: value }],
    [`c ${value}`, 'range', 'c', { metric: 'msm', c: value }],
    [`reach ${value}`, 'range', 'reach', { metric: 'shapeDtw', reach: value }],
  ]),
  ['independent lcss', 'range', 'independent', { metric: 'lcss', independent: true }],
  ['reach 1.5', 'range', 'reach', { metric: 'shapeDtw', reach: 1.5 }],
  ['g NaN of erp', 'range', 'g', { metric: 'erp', g: NaN }],
  ['g NaN of wdtw', 'range', 'g', { metric: 'wdtw', g: NaN }],
  ['g per channel of another number', 'range', 'g', { metric: 'erp', g: new Float64Array(2) }],
  ['g per channel with NaN', 'range', 'g', { metric: 'erp', g: Float64Array.of(NaN) }],
  ['g per channel of float32', 'type', 'g', { metric: 'erp', g: new Float32Array(1) }],
  ["g '1'", 'type', 'g', { metric: 'erp', g: '1' }],
  ["c '1'", 'type', 'c', { metric: 'msm', c: '1' }],
  ["compat 'tslearn'", 'range', 'compat', { metric: 'erp', compat: 'tslearn' }],
  ['independent 1', 'type', 'independent', { metric: 'msm', independent: 1 }],
  ['normalize 1', 'type', 'normalize', { metric: 'edr', normalize: 1 }],
  ['standardize 1', 'type', 'standardize', { metric: 'sbd', standardize: 1 }],
  ['root 1', 'type', 'root', { metric: 'dtw', root: 1 }],
];
