/** Contenders for matrices of distances, and for one long pair. */
import { distance, pairwise, softDistance, softPairwise, type SeriesSet } from '../../lib/elastic/index.js';
import { setIsa, type Isa } from '../../lib/index.js';
import type { CaseContender } from '../harness/question.js';
import { formatCount } from '../harness/sizes.js';
import type { NpmDtw } from '../peers/elastic-npm.js';
import {
  checkedPairs,
  checkValues,
  ownValue,
  parametersOf,
  referencesOf,
  workOf,
  type Reference,
} from './bench.js';
import { cellsOfPair, pairsOf, type CaseSpec } from './cases.js';
import { walks } from './inputs.js';
import { methodOf } from './methods.js';

/** Cells that a contender without lanes is given at most beyond its first pair; what is left is scaled up. */
const TIMED_CELLS = { javascript: { hard: 8e6, soft: 4e5 }, npm: { hard: 8e5, soft: 0 } };
/** Series of a matrix whose scalar form is timed beside others: a sixteenth of the cells. */
const SCALAR_SHARE = 4;

/** Longest series that peers take part with: beyond, a pair takes more than some tenths of a second. */
export const LONGEST = { javascript: { hard: 2048, soft: 512 }, npm: { hard: 2048, soft: 0 } };

/** Every contender of a case of this task. */
export function matrixContenders(
  spec: CaseSpec,
  isas: readonly Isa[],
  npm: readonly NpmDtw[],
): CaseContender[] {
  const set = walks(spec.dtype, spec.count, spec.length);
  let known: Reference[] | undefined;
  const references = (): Reference[] =>
    (known ??= referencesOf(spec, set, checkedPairs(spec.count, spec.length)));
  const own = isasFor(spec, isas).map((isa) => ownContender(spec, set, isa, isas, references));
  return [...own, ...peerContenders(spec, set, isas[0], npm)];
}

/** Beside other instruction sets the plain loops are timed at the shortest length alone: nothing changes beyond. */
export function isasFor({ length }: CaseSpec, isas: readonly Isa[]): readonly Isa[] {
  return isas.length === 1 || length <= 128 ? isas : isas.filter((isa) => isa !== 'scalar');
}

/** softlane itself. */
function ownContender(
  spec: CaseSpec,
  whole: SeriesSet,
  isa: Isa,
  isas: readonly Isa[],
  references: () => Reference[],
): CaseContender {
  const { task, count, threads } = spec;
  const { soft, options } = methodOf(spec.metric);
  const shared = {
    name: 'softlane',
    parameters: parametersOf(spec, isa),
    work: workOf(spec),
    before: () => setIsa(isa),
  };
  if (task === 'distance') {
    const [x, y] = [whole.series(0), whole.series(1)];
    const run = soft ? () => softDistance(x, y, options) : () => distance(x, y, options);
    return { ...shared, run, check: () => checkValues(references(), run, spec) };
  }
  const part = isa === 'scalar' && isas.length > 1 ? Math.max(2, Math.round(count / SCALAR_SHARE)) : count;
  const set = part === count ? whole : whole.subset(Uint32Array.from({ length: part }, (_, k) => k));
  const out = new Float64Array(part * part);
  const withOut = { ...options, threads, out };
  const run = soft ? () => softPairwise(set, null, withOut) : () => pairwise(set, null, withOut);
  return {
    ...shared,
    run,
    ...(part < count && {
      scale: pairsOf(spec) / pairsOf({ ...spec, count: part }),
      note: `${part} series timed`,
    }),
    check: () => {
      out.fill(NaN);
      run();
      const seen = references().filter(({ i, j }) => i < part && j < part);
      const found = (i: number, j: number) => out[i * part + j];
      const check = checkValues(seen, ({ i, j }) => found(i, j), spec);
      const mirrored = seen.every(({ i, j }) => Object.is(found(i, j), found(j, i)));
      const complete = mirrored && out.every((value) => !Number.isNaN(value));
      return complete ? check : { worst: Infinity, detail: 'the matrix is not complete' };
    },
  };
}

/** Plain JavaScript, and for DTW in float64 the packages from npm. */
function peerContenders(spec: CaseSpec, set: SeriesSet, isa: Isa, npm: readonly NpmDtw[]): CaseContender[] {
  const { metric, length, dtype, threads, task } = spec;
  if (threads > 1) return [];
  const kind = methodOf(metric).soft ? 'soft' : 'hard';
  const contenders: CaseContender[] = [];
  // One long pair is the one place where a long table in JavaScript is worth its time.
  if (length <= LONGEST.javascript[kind] || (task === 'distance' && metric === 'dtw')) {
    const { javascript } = methodOf(metric);
    const row = new Float64Array(length + 1);
    const asDoubles = (series: ArrayLike<number>): Float64Array => Float64Array.from(series);
    const distanceOf = (x: Float64Array, y: Float64Array): number => javascript(x, y, row);
    contenders.push(peer('javascript', spec, set, isa, TIMED_CELLS.javascript[kind], asDoubles, distanceOf));
  }
  if (metric === 'dtw' && dtype === 'f64' && length <= LONGEST.npm[kind]) {
    for (const one of npm) {
      const asArray = (series: ArrayLike<number>): number[] => Array.from(series);
      contenders.push(peer(one.name, spec, set, isa, TIMED_CELLS.npm[kind], asArray, one.distance));
    }
  }
  return contenders;
}

/** A function of two series, called for as many pairs as take some tens of milliseconds. */
function peer<T>(
  name: string,
  spec: CaseSpec,
  set: SeriesSet,
  isa: Isa,
  cells: number,
  convert: (series: ArrayLike<number>) => T,
  distanceOf: (x: T, y: T) => number,
): CaseContender {
  const total = pairsOf(spec);
  const timed = Math.max(1, Math.min(total, Math.floor(cells / cellsOfPair(spec))));
  const series = new Map<number, T>();
  const converted = (k: number): T => {
    const found = series.get(k) ?? convert(set.series(k));
    series.set(k, found);
    return found;
  };
  const pairs = firstPairs(spec.count, timed);
  const arrays = pairs.map(([i, j]): [T, T] => [converted(i), converted(j)]);
  const values = new Float64Array(pairs.length);
  const run = (): void => {
    for (let k = 0; k < arrays.length; k++) values[k] = distanceOf(arrays[k][0], arrays[k][1]);
  };
  return {
    name,
    peer: true,
    parameters: parametersOf(spec, isa),
    work: workOf(spec),
    run,
    ...(pairs.length < total && {
      scale: total / pairs.length,
      note: `${formatCount(pairs.length)} ${pairs.length === 1 ? 'pair' : 'pairs'} timed`,
    }),
    check: () => {
      values.fill(NaN);
      run();
      const looked = pairs.slice(0, 3).map(([i, j]) => ({ i, j, value: ownValue(spec, set, i, j) }));
      // Both sides are float64, whatever the class of the series.
      return checkValues(looked, (_, k) => values[k], { ...spec, dtype: 'f64' });
    },
  };
}

/** The first pairs of different series, row by row. */
function firstPairs(count: number, wanted: number): [number, number][] {
  const pairs: [number, number][] = [];
  for (let i = 0; i < count && pairs.length < wanted; i++) {
    for (let j = i + 1; j < count && pairs.length < wanted; j++) pairs.push([i, j]);
  }
  return pairs;
}
