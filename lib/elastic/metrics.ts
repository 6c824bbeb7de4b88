/**
 * The elastic distances by name, their parameters, and the check that turns options into what the kernels take.
 */
import * as check from '../check.js';

/**
 * The distances, for series x of n and y of m time points; sq is the squared Euclidean distance of two points over all
 * channels, eu its root.
 *
 * - `'squared'`, `'euclidean'`: the sum of sq, and its root; equal lengths
 * - `'dtw'`: dynamic time warping on sq, no root (Sakoe & Chiba 1978)
 * - `'ddtw'`: DTW on derivatives (Keogh & Pazzani 2001)
 * - `'wdtw'`, `'wddtw'`: costs weighted by 1 / (1 + exp(-g (|i - j| - max(n, m) / 2))) (Jeong et al. 2011)
 * - `'adtw'`: DTW with `warpPenalty` on every step off the diagonal (Herrmann & Webb 2023)
 * - `'shapeDtw'`: the path of DTW on windows around each point, the cost of the points (Zhao & Itti 2018)
 * - `'erp'`: edit distance with real penalty against the gap value `g` (Chen & Ng 2004)
 * - `'edr'`: edit distance on real sequences with threshold `epsilon` (Chen et al. 2005)
 * - `'lcss'`: 1 - longest common subsequence / min(n, m), threshold `epsilon` (Vlachos et al. 2002)
 * - `'twe'`: time warp edit distance with stiffness `nu` and penalty `lambda` (Marteau 2009)
 * - `'msm'`: move-split-merge with cost `c`, on absolute differences (Stefan et al. 2013)
 * - `'sbd'`: shape-based distance, 1 - the largest normalised cross-correlation (Paparrizos & Gravano 2015)
 */
export type Metric =
  | 'squared'
  | 'euclidean'
  | 'dtw'
  | 'ddtw'
  | 'wdtw'
  | 'wddtw'
  | 'adtw'
  | 'shapeDtw'
  | 'erp'
  | 'edr'
  | 'lcss'
  | 'twe'
  | 'msm'
  | 'sbd';

/** The distances, in the order of the documentation. */
export const METRICS: readonly Metric[] = [
  'squared',
  'euclidean',
  'dtw',
  'ddtw',
  'wdtw',
  'wddtw',
  'adtw',
  'shapeDtw',
  'erp',
  'edr',
  'lcss',
  'twe',
  'msm',
  'sbd',
];

/** Where a path may go: at most one of the windows; Itakura's parallelogram overrides `window`. */
export interface Band {
  /** Sakoe-Chiba radius as a share of the length, in [0, 1], rounded as aeon does. Default: no band. */
  window?: number;
  /** Sakoe-Chiba radius in time points, an integer of at least 0; widened to |n - m|. Default: no band. */
  windowAbs?: number;
  /** Largest slope of Itakura's parallelogram, in (0, 1]. Default: no band. */
  itakuraMaxSlope?: number;
}

/** Options that say which distance. */
export interface MetricOptions extends Band {
  /** Channels of series given as arrays. Default 1. */
  channels?: number;
  /** Which distance. Default 'dtw'. */
  metric?: Metric;
  /** wdtw, wddtw: slope of the weight, default 0.05. erp: gap value, one or one a channel, default 0. */
  g?: number | Float64Array;
  /** adtw: penalty of a step off the diagonal, at least 0. Default 1. */
  warpPenalty?: number;
  /** shapeDtw: time points on either side that describe a point. Default 15. */
  reach?: number;
  /** lcss: largest distance of a match, default 1. edr: likewise, default a quarter of the larger deviation of the pair. */
  epsilon?: number;
  /** twe: stiffness, at least 0. Default 0.001. */
  nu?: number;
  /** twe: penalty of a deletion, at least 0. Default 1. */
  lambda?: number;
  /** msm: cost of a split or merge, at least 0. Default 1. */
  c?: number;
  /**
   * Sum over channels of univariate distances, each with its own path, in place of one path for all. Default false, but
   * true for msm: its dependent form works on squared distances and differs from the univariate one also at one channel.
   */
  independent?: boolean;
  /** edr: divide the edit count by max(n, m). Default false. */
  normalize?: boolean;
  /** sbd: z-normalise each channel first. Default true. */
  standardize?: boolean;
  /** erp, edr: 'published' borders, or those of the aeon toolkit. Default 'published'. */
  compat?: 'published' | 'aeon';
  /** The square root of the result. Default false. */
  root?: boolean;
}

/** What the kernels are told: the order of `parameters` is that of native/elastic/method.h. */
export interface NativeMethod {
  metric: Metric | 'softMsm';
  band: 'none' | 'window' | 'windowAbs' | 'itakuraMaxSlope';
  channels: number;
  parameters: Float64Array;
}

/** Every option of the functions that take a distance or a loss, and of those that hand theirs on: others are mistakes. */
const KNOWN = new Set(
  (
    'channels metric loss window windowAbs itakuraMaxSlope g warpPenalty reach epsilon nu lambda c independent ' +
    'normalize standardize compat root cutoff gamma gate divergence alignment grad weights threads rows cols out ' +
    'k prune exclude signal onProgress dtype tile read restart keep init maxIter tol seed method onIteration'
  ).split(' '),
);

/**
 * Refuses options that no function of this family has, and one that only its sibling has.
 * @param foreign the option of the other kind: `loss` where a distance is meant, `metric` where a loss is
 */
export function requireKnown(o: object, foreign: 'loss' | 'metric'): void {
  for (const [name, value] of Object.entries(o)) {
    if (!KNOWN.has(name)) throw check.typeError(name, 'an option of this function', value);
    if (name === foreign && value !== undefined)
      throw check.typeError(
        name,
        foreign === 'loss'
          ? 'absent: a distance is chosen by "metric"'
          : 'absent: a loss is chosen by "loss"',
        value,
      );
  }
}

const INDEPENDENT: readonly Metric[] = ['dtw', 'ddtw', 'wdtw', 'wddtw', 'adtw', 'erp', 'twe', 'msm'];
const FLAGS = { independent: 1, aeon: 2, normalize: 4, relativeGate: 8, root: 16 };
const PARAMETERS = 10;

/** A number of at least 0, or its default. */
export function nonNegative(name: string, value: unknown, absent: number): number {
  if (value === undefined) return absent;
  if (typeof value !== 'number') throw check.typeError(name, 'a number of at least 0', value);
  if (!(value >= 0 && value < Infinity)) throw check.rangeError(name, 'a finite number of at least 0', value);
  return value;
}

function flag(name: string, value: unknown, absent: boolean): boolean {
  return value === undefined ? absent : check.boolean(name, value);
}

/** Reads the band options: its kind and its number. */
export function bandOf(o: Band): { band: NativeMethod['band']; value: number } {
  const { window, windowAbs, itakuraMaxSlope } = o;
  if (window !== undefined && window !== null) {
    if (typeof window !== 'number') throw check.typeError('window', 'a number in [0, 1]', window);
    if (!(window >= 0 && window <= 1)) throw check.rangeError('window', 'in [0, 1]', window);
  }
  if (windowAbs !== undefined && windowAbs !== null) {
    if (typeof windowAbs !== 'number')
      throw check.typeError('windowAbs', 'an integer of at least 0', windowAbs);
    if (!Number.isSafeInteger(windowAbs) || windowAbs < 0)
      throw check.rangeError('windowAbs', 'an integer of at least 0', windowAbs);
    if (window !== undefined && window !== null)
      throw check.rangeError('windowAbs', 'absent where window is given', windowAbs);
  }
  if (itakuraMaxSlope !== undefined && itakuraMaxSlope !== null) {
    if (typeof itakuraMaxSlope !== 'number')
      throw check.typeError('itakuraMaxSlope', 'a number in (0, 1]', itakuraMaxSlope);
    if (!(itakuraMaxSlope > 0 && itakuraMaxSlope <= 1))
      throw check.rangeError('itakuraMaxSlope', 'in (0, 1]', itakuraMaxSlope);
    return { band: 'itakuraMaxSlope', value: itakuraMaxSlope };
  }
  if (typeof windowAbs === 'number') return { band: 'windowAbs', value: windowAbs };
  if (typeof window === 'number') return { band: 'window', value: window };
  return { band: 'none', value: 1 };
}

/** The parameters in the order of the kernels. */
export function pack(
  numbers: {
    gamma?: number;
    slope?: number;
    penalty?: number;
    epsilon?: number;
    nu?: number;
    lambda?: number;
    cost?: number;
    reach?: number;
    flags?: number;
    band: number;
  },
  gap: ArrayLike<number>,
): Float64Array {
  const p = new Float64Array(PARAMETERS + gap.length);
  p[0] = numbers.gamma ?? 0;
  p[1] = numbers.slope ?? 0;
  p[2] = numbers.penalty ?? 0;
  p[3] = numbers.epsilon ?? NaN;
  p[4] = numbers.nu ?? 0;
  p[5] = numbers.lambda ?? 0;
  p[6] = numbers.cost ?? 0;
  p[7] = numbers.reach ?? 0;
  p[8] = numbers.flags ?? 0;
  p[9] = numbers.band;
  p.set(gap, PARAMETERS);
  return p;
}

/** The gap values of ERP, one a channel. */
export function gapOf(g: unknown, channels: number): Float64Array {
  if (g === undefined || typeof g === 'number') {
    const value = g ?? 0;
    if (!Number.isFinite(value)) throw check.rangeError('g', 'finite', value);
    return new Float64Array(channels).fill(value);
  }
  if (!check.isA(g, Float64Array)) throw check.typeError('g', 'a number or a Float64Array', g);
  if (g.length !== channels) throw check.rangeError('g', `one value for each of the ${channels} channels`, g);
  if (!g.every(Number.isFinite)) throw check.rangeError('g', 'finite', 'NaN or an infinite value');
  return g;
}

/** The slope of WDTW's weight. */
export function slopeOf(g: unknown): number {
  if (g === undefined) return 0.05;
  if (typeof g !== 'number') throw check.typeError('g', 'a number', g);
  if (!Number.isFinite(g)) throw check.rangeError('g', 'finite', g);
  return g;
}

/**
 * Checks the options of a distance for series of so many channels.
 * @throws TypeError, RangeError that name the option
 */
export function methodOf(o: MetricOptions, channels: number): NativeMethod {
  requireKnown(o, 'loss');
  const metric = o.metric === undefined ? 'dtw' : check.oneOf('metric', o.metric, METRICS);
  const { band, value } = bandOf(o);
  const weighted = metric === 'wdtw' || metric === 'wddtw';
  const independent = flag('independent', o.independent, metric === 'msm');
  if (independent && !INDEPENDENT.includes(metric))
    throw check.rangeError('independent', `absent or false for metric '${metric}'`, true);
  const compat =
    o.compat === undefined ? 'published' : check.oneOf('compat', o.compat, ['published', 'aeon']);
  const normalize = flag('normalize', o.normalize, false);
  const standardize = flag('standardize', o.standardize, true);
  const reach = o.reach ?? 15;
  if (typeof reach !== 'number') throw check.typeError('reach', 'an integer of at least 0', reach);
  if (!Number.isSafeInteger(reach) || reach < 0 || reach > 4096)
    throw check.rangeError('reach', 'an integer in [0, 4096]', reach);
  const aeonEdr = metric === 'edr' && compat === 'aeon';
  const epsilon = nonNegative('epsilon', o.epsilon, metric === 'edr' ? NaN : 1);
  const flags =
    (independent ? FLAGS.independent : 0) |
    (compat === 'aeon' ? FLAGS.aeon : 0) |
    (normalize || aeonEdr || (metric === 'sbd' && standardize) ? FLAGS.normalize : 0) |
    (flag('root', o.root, false) ? FLAGS.root : 0);
  const parameters = pack(
    {
      slope: weighted ? slopeOf(o.g) : 0,
      penalty: nonNegative('warpPenalty', o.warpPenalty, 1),
      epsilon,
      nu: nonNegative('nu', o.nu, 0.001),
      lambda: nonNegative('lambda', o.lambda, 1),
      cost: nonNegative('c', o.c, 1),
      reach,
      flags,
      band: value,
    },
    metric === 'erp' ? gapOf(o.g, channels) : new Float64Array(channels),
  );
  return { metric, band, channels, parameters };
}

/** The same method after the square root. */
export function hasRoot(method: NativeMethod): boolean {
  return (method.parameters[8] & FLAGS.root) !== 0;
}

/** The flags of the soft losses. */
export const relativeGateFlag = FLAGS.relativeGate;

/**
 * Whether d(x, y) = d(y, x): not for shapeDtw, whose tie rule has a side, nor for Itakura's parallelogram between series
 * of unequal lengths.
 */
export function isSymmetric(o: MetricOptions, equalLengths: boolean): boolean {
  if (o.metric === 'shapeDtw') return false;
  return equalLengths || o.itakuraMaxSlope === undefined || o.itakuraMaxSlope === null;
}

/**
 * Checks what a method asks of the lengths that it will meet.
 * @throws RangeError for fewer than 3 time points where derivatives or Itakura's parallelogram need them, and for a slope
 *   too small for the length
 */
export function requireLengths(
  method: NativeMethod,
  shortestX: number,
  shortestY: number,
  names: readonly [string, string] = ['x', 'y'],
): void {
  const derivative = method.metric === 'ddtw' || method.metric === 'wddtw';
  const shortest = Math.min(shortestX, shortestY);
  const name = shortestX <= shortestY ? names[0] : names[1];
  if (derivative && shortest < 3)
    throw check.rangeError(name, 'of at least 3 time points for derivatives', `${shortest}`);
  if (method.band !== 'itakuraMaxSlope') return;
  const least = derivative ? shortest - 2 : shortest;
  if (least < 3)
    throw check.rangeError(
      'itakuraMaxSlope',
      'absent for series of fewer than 3 points',
      `${least} in "${name}"`,
    );
  if (Math.floor(method.parameters[9] * (least / 100) * 100) === 0)
    throw check.rangeError(
      'itakuraMaxSlope',
      `at least one step over the ${least} points of the shortest series`,
      method.parameters[9],
    );
}
