/** Matrices of elastic distances that are too big for memory: written to an .npy file tile by tile, resumable. */
import * as check from '../check.js';
import { registerKind } from '../pieces/kinds.js';
import type { Plan } from '../pieces/plan.js';
import {
  matrixKind,
  matrixToFile,
  planMatrix,
  type DistanceOptions,
  type MatrixDistance,
  type MatrixFile,
  type MatrixFileOptions,
} from './matrix-pieces.js';
import { isSymmetric, methodOf, type MetricOptions } from './metrics.js';
import { pairwiseAsync, requireSets, setsOf } from './pairwise.js';
import type { Collection } from './series.js';

/** Options of the distance, and of the file that its matrix goes to. */
export type PairwiseFileOptions = MetricOptions & MatrixFileOptions;

/** The file that came out, and of how many tiles. */
export interface PairwiseFile extends MatrixFile {
  /** Tiles computed in all; those below the diagonal of a symmetric matrix are mirrored. */
  tiles: number;
  /** Tiles that an earlier, interrupted call had finished. */
  skipped: number;
}

/** Cells of a pair: a line for the distances without warping, else the whole table, whatever the band. */
function cells(n: number, m: number, { metric }: MetricOptions): number {
  return metric === 'squared' || metric === 'euclidean' ? Math.max(n, m) : n * m;
}

const elastic: MatrixDistance = {
  name: 'distance-matrix',
  compute: (X, Y, options) => pairwiseAsync(X, Y, options),
  check: (X, Y, options) => {
    const { x, y } = setsOf(X, Y, undefined);
    requireSets(methodOf(options, x.channels), x, y ?? x);
  },
  isSymmetric: (options, isRagged) => isSymmetric(options, !isRagged),
  cells,
};

registerKind(matrixKind(elastic));

/** The names of all options. */
const NAMES: Readonly<Record<keyof PairwiseFileOptions, true>> = {
  ...{ channels: true, metric: true, window: true, windowAbs: true, itakuraMaxSlope: true, g: true },
  ...{ warpPenalty: true, reach: true, epsilon: true, nu: true, lambda: true, c: true, independent: true },
  ...{ normalize: true, standardize: true, compat: true, root: true },
  ...{ out: true, dtype: true, tile: true, read: true, rows: true, cols: true },
  ...{ threads: true, signal: true, onProgress: true, restart: true, keep: true },
};

/** Refuses names that are no options: of a file that took hours nobody sees that a misspelt one had no effect. */
function requireNames(options: PairwiseFileOptions): void {
  for (const [name, value] of Object.entries(check.options(options))) {
    if (value === undefined || Object.hasOwn(NAMES, name)) continue;
    const reason =
      name === 'cutoff' ? 'the distances of a file are computed to the end' : 'there is no such option';
    throw check.typeError(name, `absent: ${reason}`, value);
  }
}

/**
 * The matrix of distances of all series of X to all of Y, or of X to itself, or the block of `rows` and `cols` of it, in
 * an .npy file.
 *
 * Tiles are computed one after the other, each on `threads` threads (default 1), and kept in the folder
 * `out + '.pieces'` until the file is complete; the file then takes its name at once. Memory holds the series and a tile. Interrupted at any moment (an
 * abort, a crash, kill -9), the same call goes on from the finished tiles and gives the same bytes. Of a symmetric
 * distance the tiles below the diagonal are mirrored: all but shapeDtw, and the Itakura band with unequal lengths.
 *
 * @param X a set, an array of series, or the path of a file that `readSeries` reads
 * @param Y as X; null stands for X
 * @returns path, shape and type of the file; how many tiles it took, and how many of them were there already
 * @throws TypeError for names that are no options, and for `cutoff`: distances are computed to the end
 * @throws PieceError ERR_PIECE_NO_SPACE before anything is computed where the disk lacks room, with the numbers;
 *   ERR_PIECE_OTHER_PLAN where the folder holds tiles of other series, options or version (`restart: true` drops them);
 *   ERR_PIECE_MISSING where another call for the same file, which should not overlap with this one, has finished first;
 *   as `pairwise` and `readSeries`; the system's error; the abort reason
 */
export async function pairwiseToFile(
  X: Collection | string,
  Y: Collection | string | null,
  options: PairwiseFileOptions,
): Promise<PairwiseFile> {
  requireNames(options);
  return matrixToFile(elastic, X, Y, options as PairwiseFileOptions & DistanceOptions);
}

/**
 * The same matrix as a plan, for several processes or machines that see the same paths: each piece is a tile, plain
 * JSON of a few hundred bytes for any queue. Run each with `runPiece` of softlane/pieces, or a worker's share of them with
 * `runPieces(selectPieces(plan.pieces, 'i/n'))`, then `gather(plan.pieces)` once. Reads the files; writes nothing.
 *
 * @param X path of a file that `readSeries` reads
 * @param Y as X; null stands for X
 * @throws as `pairwiseToFile`
 */
export async function planPairwise(X: string, Y: string | null, options: PairwiseFileOptions): Promise<Plan> {
  requireNames(options);
  return planMatrix(elastic, X, Y, options as PairwiseFileOptions & DistanceOptions);
}
