/** Contenders for search: the nearest of many series, and the place of a query in a stream. */
import { nearest, pairwise, subsequenceSearch, type SeriesSet } from '../../lib/elastic/index.js';
import { setIsa, type Isa } from '../../lib/index.js';
import type { CaseContender, Check } from '../harness/question.js';
import { formatCount } from '../harness/sizes.js';
import { dtw } from '../peers/elastic-javascript.js';
import { checkValues, parametersOf, workOf } from './bench.js';
import type { CaseSpec } from './cases.js';
import { classes, streamWith } from './inputs.js';

/** Queries, or windows of a stream, that plain JavaScript is timed on. */
const JAVASCRIPT_QUERIES = 2;
const JAVASCRIPT_WINDOWS = 1000;

const equal: Check = { worst: 0, detail: 'the same neighbours' };

/**
 * `nearest` with and without pruning, and what it stands in for: the matrix of all distances and its least elements.
 * Rates count the cells of the whole matrix, also for those that are spared most of them.
 */
export function nearestContenders(spec: CaseSpec, isas: readonly Isa[]): CaseContender[] {
  const { dtype, count, length, queries = 1, window, threads } = spec;
  const candidates = classes(dtype, count, length, 0);
  const asked = classes(dtype, queries, length, 1);
  const out = new Float64Array(queries * count);
  const options = { metric: 'dtw', window, threads } as const;
  const matrix = (): Uint32Array => leastOf(pairwise(asked, candidates, { ...options, out }), queries, count);

  const own = isas.flatMap((isa): CaseContender[] => {
    const shared = { parameters: parametersOf(spec, isa), before: () => void setIsa(isa) };
    const search = (prune: boolean) => () => nearest(candidates, asked, { ...options, prune });
    const { pruned } = search(true)();
    const check = (index: () => Uint32Array) => () => {
      const expected = matrix();
      return index().every((found, k) => found === expected[k])
        ? equal
        : { worst: Infinity, detail: 'other neighbours than those of the matrix' };
    };
    return [
      {
        ...shared,
        name: 'nearest',
        work: workOf(spec, { counted: false }),
        note: `${((100 * pruned) / (queries * count)).toFixed(0)}% of the pairs not computed to the end`,
        run: search(true),
        check: check(() => search(true)().index),
      },
      {
        ...shared,
        name: 'nearest-unpruned',
        work: workOf(spec),
        run: search(false),
        check: check(() => search(false)().index),
      },
      {
        ...shared,
        name: 'pairwise',
        work: workOf(spec),
        run: matrix,
        check: () => checkMatrix(spec, candidates, asked, matrix, out),
      },
    ];
  });
  return threads === 1 ? [...own, javascriptNearest(spec, candidates, asked, isas[0], matrix)] : own;
}

/** Position of the least element of each row, the first of equals. */
export function leastOf(matrix: Float64Array, rows: number, cols: number): Uint32Array {
  return Uint32Array.from({ length: rows }, (_, i) => {
    let least = 0;
    for (let j = 1; j < cols; j++) if (matrix[i * cols + j] < matrix[i * cols + least]) least = j;
    return least;
  });
}

function checkMatrix(
  spec: CaseSpec,
  candidates: SeriesSet,
  asked: SeriesSet,
  run: () => unknown,
  out: Float64Array,
): Check {
  out.fill(NaN);
  run();
  if (out.some(Number.isNaN)) return { worst: Infinity, detail: 'the matrix is not complete' };
  const { length, count, queries = 1 } = spec;
  const row = new Float64Array(length + 1);
  const references = [0, 1, 2, 3].map((k) => {
    const [i, j] = [(k * (queries - 1)) % queries, (k * 97) % count];
    const [x, y] = [asked.series(i), candidates.series(j)].map((series) => Float64Array.from(series));
    return { i, j, value: dtw(x, y, row, radiusOf(spec)) };
  });
  return checkValues(references, ({ i, j }) => out[i * count + j], spec);
}

const radiusOf = ({ window = 1, length }: CaseSpec): number => Math.floor(window * length);

function javascriptNearest(
  spec: CaseSpec,
  candidates: SeriesSet,
  asked: SeriesSet,
  isa: Isa,
  matrix: () => Uint32Array,
): CaseContender {
  const { count, queries = 1, length } = spec;
  const timed = Math.min(queries, JAVASCRIPT_QUERIES);
  const doubles = (set: SeriesSet, k: number): Float64Array => Float64Array.from(set.series(k));
  const xs = Array.from({ length: timed }, (_, k) => doubles(asked, k));
  const ys = Array.from({ length: count }, (_, k) => doubles(candidates, k));
  const row = new Float64Array(length + 1);
  const radius = radiusOf(spec);
  const run = (): number[] =>
    xs.map((x) => {
      let [least, at] = [Infinity, 0];
      for (let j = 0; j < count; j++) {
        const value = dtw(x, ys[j], row, radius);
        if (value < least) [least, at] = [value, j];
      }
      return at;
    });
  return {
    name: 'javascript',
    peer: true,
    parameters: parametersOf(spec, isa),
    work: workOf(spec),
    scale: queries / timed,
    note: `${timed} queries timed`,
    run,
    check: () => {
      const expected = matrix();
      return run().every((found, k) => found === expected[k])
        ? equal
        : { worst: Infinity, detail: 'other neighbours than those of the matrix' };
    },
  };
}

/** `subsequenceSearch`, z-normalised, and a loop in plain JavaScript over all windows. */
export function subsequenceContenders(spec: CaseSpec, isas: readonly Isa[]): CaseContender[] {
  const { length, stream: points = 0, window, threads } = spec;
  const { query, stream, position } = streamWith(length, points);
  const options = { window, zNormalize: true, threads };
  const run = () => subsequenceSearch(query, stream, options);
  const row = new Float64Array(length + 1);
  const radius = radiusOf(spec);
  const z = zNormalized(query, 0, length, new Float64Array(length));
  const scratch = new Float64Array(length);
  const at = (start: number): number => dtw(z, zNormalized(stream, start, length, scratch), row, radius);

  const own = isas.map((isa): CaseContender => ({
    name: 'softlane',
    parameters: parametersOf(spec, isa),
    work: workOf(spec, { counted: false }),
    before: () => setIsa(isa),
    run,
    check: () => {
      const found = run();
      const away = Math.abs(found.position[0] - position);
      if (!(away <= length / 10))
        return { worst: Infinity, detail: `found ${away} points away from the copy` };
      const references = [{ i: 0, j: 0, value: at(found.position[0]) }];
      return checkValues(references, () => found.distance[0], spec);
    },
  }));
  if (threads > 1) return own;
  const windows = points - length + 1;
  const timed = Math.min(windows, JAVASCRIPT_WINDOWS);
  const first = Math.max(0, Math.min(position - Math.floor(timed / 2), windows - timed));
  const scan = (): number => {
    let [least, best] = [Infinity, first];
    for (let start = first; start < first + timed; start++) {
      const value = at(start);
      if (value < least) [least, best] = [value, start];
    }
    return best;
  };
  const javascript: CaseContender = {
    name: 'javascript',
    peer: true,
    parameters: parametersOf(spec, isas[0]),
    work: workOf(spec),
    scale: windows / timed,
    note: `${formatCount(timed)} windows timed`,
    run: scan,
    check: () =>
      scan() === run().position[0]
        ? { worst: 0, detail: 'the same place' }
        : { worst: Infinity, detail: 'another place' },
  };
  return [...own, javascript];
}

/** A window of a series with mean 0 and population deviation 1, written to `out`; of equal values 0. */
function zNormalized(series: Float64Array, start: number, length: number, out: Float64Array): Float64Array {
  let mean = 0;
  for (let i = 0; i < length; i++) mean += series[start + i];
  mean /= length;
  let squares = 0;
  for (let i = 0; i < length; i++) squares += (series[start + i] - mean) ** 2;
  const scale = squares > 0 ? 1 / Math.sqrt(squares / length) : 0;
  for (let i = 0; i < length; i++) out[i] = (series[start + i] - mean) * scale;
  return out;
}
