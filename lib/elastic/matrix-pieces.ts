/**
 * A matrix of distances as pieces (lib/pieces): one tile each, gathered into an .npy file. Which distance is a function
 * from outside; matrix-file.ts gives it the elastic ones.
 */
import { stat } from 'node:fs/promises';
import { basename, extname, resolve } from 'node:path';
import * as check from '../check.js';
import { realTarget, removeTemporary, temporaryName } from '../io/atomic.js';
import { encodeNpy, NpyWriter, parseNpy, transpose } from '../io/npy.js';
import { readSeries } from '../io/series-file.js';
import type { JsonObject } from '../pieces/json.js';
import type { GatherWork, Piece, PieceKind, PieceWork } from '../pieces/kinds.js';
import { folderOf, plan, type Plan } from '../pieces/plan.js';
import { runAll, runOptions, type RunAllOptions } from '../pieces/run.js';
import { digestOf, hold, setOf, type ReadOptions, type SetDigest } from './matrix-sets.js';
import {
  checkTiles,
  defaultTile,
  MATRIX_DTYPES,
  requireRoom,
  tilesOf,
  type Cut,
  type MatrixDtype,
  type Tile,
} from './matrix-tiles.js';
import { rangeOf, type Range } from './pairwise.js';
import { asSet, type Collection, type SeriesSet } from './series.js';

/** Options of the distance in a tile, and how it is computed. */
export interface TileOptions {
  /** Rows [begin, end) of the matrix. */
  rows: [number, number];
  /** Columns [begin, end) of the matrix. */
  cols: [number, number];
  /** Most threads. Default 1. */
  threads?: number;
  signal?: AbortSignal;
  onProgress?: (done: number) => void;
  /** Options of the distance. */
  [option: string]: unknown;
}

/** A distance whose matrices go to files. */
export interface MatrixDistance {
  /** Name of the kind of pieces. */
  name: string;
  /**
   * The rows x cols distances of a tile, row-major; Y null stands for X. The bits of an element must not depend on the
   * tile that it is in.
   */
  compute: (X: SeriesSet, Y: SeriesSet | null, options: TileOptions) => Promise<Float64Array>;
  /** Throws where the options do not fit the sets. Called before anything is written. */
  check: (X: SeriesSet, Y: SeriesSet | null, options: DistanceOptions) => void;
  /** Whether d(x, y) = d(y, x) for these options, for series of equal or unequal lengths. */
  isSymmetric: (options: DistanceOptions, isRagged: boolean) => boolean;
  /** Cells of dynamic programming for a pair of these lengths. */
  cells: (n: number, m: number, options: DistanceOptions) => number;
}

/** Options of a distance, checked by the distance itself. */
export type DistanceOptions = Readonly<Record<string, unknown>>;

/** Options of the file; all others are those of the distance. */
export interface MatrixFileOptions extends RunAllOptions {
  /** File to write, named .npy. Tiles are kept in the folder of this name with '.pieces' after it until it is complete. */
  out: string;
  /** Element type of the file. 'f32' rounds each distance once. Default 'f64'. */
  dtype?: MatrixDtype;
  /**
   * Rows and columns of a tile, which is what an interruption costs at most and what memory holds at a time.
   * Default: some ten seconds of work, 32 to 1024.
   */
  tile?: number;
  /** The rows of the matrix that the file gets, [begin, end). Default all. */
  rows?: Range;
  /** The columns, [begin, end). Default all. */
  cols?: Range;
  /** How X and Y are read where they are files. */
  read?: ReadOptions;
}

/** The file that came out. */
export interface MatrixFile {
  /** The file. */
  path: string;
  /** Rows: series of X, or as many as `rows` asks for. */
  rows: number;
  /** Columns: series of Y, of X without Y, or as many as `cols` asks for. */
  cols: number;
  /** Element type. */
  dtype: MatrixDtype;
}

/** What decides the bytes. */
export type MatrixJob = {
  readonly x: SetDigest;
  readonly y: SetDigest | null;
  /** Rows and columns of the matrix that are in the file; those of tiles count from their begin. */
  readonly rows: Range;
  readonly cols: Range;
  readonly options: JsonObject;
  readonly dtype: MatrixDtype;
  readonly tile: number;
  readonly symmetric: boolean;
};

/** Where things are; null for series in memory. */
export type MatrixInputs = {
  readonly x: string | null;
  readonly y: string | null;
  readonly out: string;
  readonly read: JsonObject;
};

/** The matrix of one distance as a kind of pieces. */
export type MatrixKind = PieceKind<MatrixJob, Tile, MatrixInputs, MatrixFile>;
type MatrixPiece = Piece<MatrixJob, Tile, MatrixInputs>;

const FOLDER_SUFFIX = '.pieces';

/** The kind of a distance. */
export function matrixKind({ name, compute }: MatrixDistance): MatrixKind {
  return {
    name,
    split: (job) => tilesOf(cutOf(job)),
    run: (piece, work) => runTile(compute, piece, work),
    gather: gatherTiles,
  };
}

function cutOf({ rows, cols, tile, symmetric }: MatrixJob): Cut {
  return { rows: rows[1] - rows[0], cols: cols[1] - cols[0], tile, symmetric };
}

/** A range of the file as one of the matrix. */
function within([begin]: Range, [from, to]: Range): [number, number] {
  return [begin + from, begin + to];
}

async function runTile(
  compute: MatrixDistance['compute'],
  piece: MatrixPiece,
  { signal, threads, progress, write }: PieceWork,
): Promise<void> {
  const { job, inputs, part } = piece;
  const read = inputs.read as ReadOptions;
  const X = await setOf(job.x, inputs.x, read, signal);
  const Y = job.y && (await setOf(job.y, inputs.y, read, signal));
  const [rows, cols] = [within(job.rows, part.rows), within(job.cols, part.cols)];
  const block = await compute(X, Y, {
    ...fromJson(job.options),
    rows,
    cols,
    threads,
    signal,
    onProgress: progress,
  });
  const shape = [rows[1] - rows[0], cols[1] - cols[0]];
  // One element and its mirror are one number, in a tile on the diagonal as between tiles.
  if (job.symmetric && rows[0] === cols[0]) mirror(block, shape[0]);
  await write(encodeNpy({ data: job.dtype === 'f32' ? Float32Array.from(block) : block, shape }));
}

function mirror(square: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) square[j * n + i] = square[i * n + j];
}

async function gatherTiles(pieces: readonly MatrixPiece[], work: GatherWork): Promise<MatrixFile> {
  const [{ job, inputs }] = pieces;
  const { rows, cols, symmetric } = cutOf(job);
  const target = await realTarget(inputs.out);
  const folder = folderOf(pieces[0]);
  // What gathering left behind when it was killed is as large as the result.
  await removeTemporary(folder, 'orphans');
  const temporaryPath = temporaryName(`${folder}/${basename(target)}`);
  const writer = await NpyWriter.create(target, [rows, cols], job.dtype, { temporaryPath, sync: true });
  try {
    for (const [done, piece] of pieces.entries()) {
      work.signal?.throwIfAborted();
      const { data, shape } = parseNpy(await work.read(piece), { source: piece.path });
      const [[a], [c]] = [piece.part.rows, piece.part.cols];
      const [height, width] = shape;
      await writer.writeRuns(a * cols + c, width, cols, height, data);
      if (symmetric && a !== c) {
        const turned = data.slice();
        transpose(data, turned, height, width);
        await writer.writeRuns(c * cols + a, height, cols, width, turned);
      }
      work.progress((done + 1) / pieces.length);
    }
    work.signal?.throwIfAborted();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await writer.finish();
  return { path: inputs.out, rows, cols, dtype: job.dtype };
}

/** One side of the matrix: the set, its digest, and its path where it has one. */
interface Side {
  set: SeriesSet;
  digest: SetDigest;
  path: string | null;
}

async function sideOf(
  name: string,
  given: Collection | string,
  channels: number | undefined,
  read: ReadOptions,
  signal: AbortSignal | undefined,
): Promise<Side> {
  const path = typeof given === 'string' ? resolve(given) : null;
  const set =
    path === null ? asSet(name, given, channels) : (await readSeries(path, { ...read, signal })).set;
  return { set, digest: await digestOf(set, signal), path };
}

/** A matrix that is planned, with its sides at hand. */
interface Planned {
  plan: Plan;
  sides: Side[];
}

async function planned(
  distance: MatrixDistance,
  X: Collection | string,
  Y: Collection | string | null,
  options: MatrixFileOptions & DistanceOptions,
): Promise<Planned> {
  const {
    out,
    dtype = 'f64',
    tile,
    rows,
    cols,
    read = {},
    signal,
    onProgress,
    threads,
    restart,
    keep,
    ...rest
  } = check.options(options);
  runOptions({ signal, onProgress, threads });
  for (const [name, value] of Object.entries({ restart, keep }))
    if (value !== undefined) check.boolean(name, value);
  if (typeof out !== 'string') throw check.typeError('out', 'a path', out);
  if (extname(out) !== '.npy') throw check.rangeError('out', 'a path that ends in .npy', out);
  check.oneOf('dtype', dtype, MATRIX_DTYPES);
  if (tile !== undefined) check.positiveInteger('tile', tile);
  const { channels, ...metric } = rest as { channels?: number } & Record<string, unknown>;
  const asked: ReadOptions = { ...(channels !== undefined && { channels }), ...check.options(read) };
  const x = await sideOf('X', X, channels, asked, signal);
  const y = Y === null ? null : await sideOf('Y', Y, channels, asked, signal);
  distance.check(x.set, y && y.set, metric);
  const isRagged = x.set.length === null;
  const [a, b] = rangeOf('rows', rows, x.set.count);
  const [c, d] = rangeOf('cols', cols, (y ?? x).set.count);
  // A block on the diagonal is symmetric where the matrix is.
  const symmetric = y === null && a === c && b === d && distance.isSymmetric(metric, isRagged);
  const side = Math.max(b - a, d - c);
  const cells = distance.cells(meanLength(x.set), meanLength((y ?? x).set), metric);
  const job: MatrixJob = {
    x: x.digest,
    y: y && y.digest,
    rows: [a, b],
    cols: [c, d],
    options: toJson(metric),
    dtype,
    tile: Math.min(tile ?? defaultTile(cells), side),
    symmetric,
  };
  const cut = cutOf(job);
  checkTiles(cut);
  const target = await realTarget(resolve(out));
  if ((await stat(target).catch(() => undefined))?.isDirectory() === true)
    throw check.rangeError('out', 'a file name to write to', 'a folder');
  const inputs: MatrixInputs = { x: x.path, y: y && y.path, out: target, read: asked };
  const folder = `${target}${FOLDER_SUFFIX}`;
  await requireRoom(target, folder, cut, dtype);
  return { plan: await plan(distance.name, { job, inputs, folder }), sides: y === null ? [x] : [x, y] };
}

function meanLength(set: SeriesSet): number {
  return set.data.length / set.channels / set.count;
}

/** Options as JSON has them: typed arrays as arrays. */
function toJson(options: DistanceOptions): JsonObject {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      check.isA(value, Float64Array) ? Array.from(value) : value,
    ]),
  ) as JsonObject;
}

/** The inverse of `toJson`. */
function fromJson(options: JsonObject): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      Array.isArray(value) ? Float64Array.from(value) : value,
    ]),
  );
}

/** The pieces of a matrix of two files; nothing is written. */
export async function planMatrix(
  distance: MatrixDistance,
  X: string,
  Y: string | null,
  options: MatrixFileOptions & DistanceOptions,
): Promise<Plan> {
  if (typeof X !== 'string') throw check.typeError('X', 'a path', X);
  if (Y !== null && typeof Y !== 'string') throw check.typeError('Y', 'a path or null', Y);
  return (await planned(distance, X, Y, options)).plan;
}

/** Plans, runs and gathers a matrix in this process. */
export async function matrixToFile(
  distance: MatrixDistance,
  X: Collection | string,
  Y: Collection | string | null,
  options: MatrixFileOptions & DistanceOptions,
): Promise<MatrixFile & { tiles: number; skipped: number }> {
  const { plan: whole, sides } = await planned(distance, X, Y, options);
  const release = sides.map(({ digest, set }) => hold(digest, set));
  try {
    const { signal, onProgress, threads, restart, keep } = options;
    const done = await runAll<MatrixFile>(whole, { signal, onProgress, threads, restart, keep });
    return { ...done.result, path: options.out, tiles: whole.pieces.length, skipped: done.skipped };
  } finally {
    for (const each of release) each();
  }
}
