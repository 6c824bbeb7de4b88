/**
 * Matrices of soft losses, and of z-normalised series, as pieces: tiles of a file. The matrices of hard distances of series
 * as they are in their files are those of `softlane/elastic`.
 */
import { isSymmetric, methodOf, type MetricOptions } from '../../elastic/metrics.js';
import {
  matrixKind,
  matrixToFile,
  planMatrix,
  type DistanceOptions,
  type MatrixDistance,
  type MatrixFileOptions,
  type TileOptions,
} from '../../elastic/matrix-pieces.js';
import { without } from '../../elastic/model.js';
import { pairwiseToFile, planPairwise, type PairwiseFile } from '../../elastic/matrix-file.js';
import { pairwiseAsync, requireSets, setsOf } from '../../elastic/pairwise.js';
import { softPairwise, softPairwiseAsync, type SoftOptions } from '../../elastic/soft.js';
import type { Collection, SeriesSet } from '../../elastic/series.js';
import { registerKind } from '../../pieces/kinds.js';
import type { Plan } from '../../pieces/plan.js';

/** What a matrix holds: a metric or a soft loss, of series as they are or z-normalised. */
export type MatrixContents = (MetricOptions | SoftOptions) & { zNormalize?: boolean };

const prepared: MatrixDistance = {
  name: 'prepared-distance-matrix',
  compute,
  check,
  isSymmetric: (options, isRagged) => isSymmetric(options, !isRagged),
  cells: (n, m) => n * m,
};

registerKind(matrixKind(prepared));

function isSoft(o: DistanceOptions): boolean {
  return o.loss !== undefined;
}

/** The tile of the series that it is about: these alone are z-normalised, and have their self terms computed. */
function compute(X: SeriesSet, Y: SeriesSet | null, o: TileOptions): Promise<Float64Array> {
  const { rows, cols, zNormalize, ...rest } = o;
  const part = (set: SeriesSet, [begin, end]: [number, number]): SeriesSet => {
    const some = set.subset(Array.from({ length: end - begin }, (_, i) => begin + i));
    return zNormalize === true ? some.zNormalized() : some;
  };
  const x = part(X, rows);
  const isOnDiagonal = Y === null && rows[0] === cols[0] && rows[1] === cols[1];
  const y = isOnDiagonal ? null : part(Y ?? X, cols);
  return isSoft(o) ? softPairwiseAsync(x, y, rest) : pairwiseAsync(x, y, rest);
}

function check(X: SeriesSet, Y: SeriesSet | null, given: DistanceOptions): void {
  const options = without(given, 'zNormalize');
  if (isSoft(options)) {
    // One loss, after the checks of both sets; its self terms would be those of all series.
    softPairwise(X, Y, { ...options, divergence: false, rows: [0, 1], cols: [0, 1] });
    return;
  }
  const { x, y } = setsOf(X, Y, undefined);
  requireSets(methodOf(options, x.channels), x, y ?? x);
}

function isPlain(contents: MatrixContents): boolean {
  return !('loss' in contents) && contents.zNormalize !== true;
}

/** A matrix in a file, as `pairwiseToFile`. */
export function contentsToFile(
  X: Collection | string,
  Y: Collection | string | null,
  contents: MatrixContents,
  file: MatrixFileOptions,
): Promise<PairwiseFile> {
  if (isPlain(contents)) return pairwiseToFile(X, Y, { ...contents, ...file });
  return matrixToFile(prepared, X, Y, { ...contents, ...file });
}

/** The plan of a matrix of files, as `planPairwise`. */
export function planContents(
  X: string,
  Y: string | null,
  contents: MatrixContents,
  file: MatrixFileOptions,
): Promise<Plan> {
  if (isPlain(contents)) return planPairwise(X, Y, { ...contents, ...file });
  return planMatrix(prepared, X, Y, { ...contents, ...file });
}
