/** A matrix of distances cut into tiles, and the room on disk that it takes. */
import { readdir, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as check from '../check.js';
import { PieceError } from '../pieces/error.js';

/** Rows [begin, end) by columns [begin, end) of the file. */
export type Tile = { readonly rows: readonly [number, number]; readonly cols: readonly [number, number] };

/** How a matrix is cut. */
export interface Cut {
  rows: number;
  cols: number;
  /** Rows and columns of a tile. */
  tile: number;
  /** Whether the tiles below the diagonal are mirrored from those above it. */
  symmetric: boolean;
}

/** Element type of the matrix. */
export const MATRIX_DTYPES = ['f64', 'f32'] as const;

/** Element type of the matrix. */
export type MatrixDtype = (typeof MATRIX_DTYPES)[number];

/** More tiles than this are more files than a folder, and a queue, should have to bear. */
const MOST_TILES = 1e6;
/** Cells of dynamic programming that a tile should take: some ten seconds of one core, which is what a crash costs. */
const TILE_CELLS = 2e10;
const SMALLEST_TILE = 32;
const LARGEST_TILE = 1024;
/** A multiple of the pairs that one vector holds. */
const TILE_STEP = 16;
/** Trailer of a tile's file, header of its array, and what a file system adds. */
const FILE_BYTES = 4096;

/** Rows and columns of a tile for pairs of so many cells: 32 to 1024. */
export function defaultTile(cellsPerPair: number): number {
  const side = Math.floor(Math.sqrt(TILE_CELLS / cellsPerPair) / TILE_STEP) * TILE_STEP;
  return Math.min(LARGEST_TILE, Math.max(SMALLEST_TILE, side));
}

/** The tiles in order of rows, then columns; of a symmetric matrix those on and above the diagonal. */
export function tilesOf({ rows, cols, tile, symmetric }: Cut): Tile[] {
  const tiles: Tile[] = [];
  for (let a = 0; a < rows; a += tile)
    for (let c = symmetric ? a : 0; c < cols; c += tile)
      tiles.push({ rows: [a, Math.min(a + tile, rows)], cols: [c, Math.min(c + tile, cols)] });
  return tiles;
}

/** Number of tiles and of the elements in them. */
export function sizeOf({ rows, cols, tile, symmetric }: Cut): { tiles: number; elements: number } {
  const [down, across] = [Math.ceil(rows / tile), Math.ceil(cols / tile)];
  if (!symmetric) return { tiles: down * across, elements: rows * cols };
  // Those on the diagonal are whole squares.
  const last = rows - (down - 1) * tile;
  const onDiagonal = (down - 1) * tile * tile + last * last;
  return { tiles: (down * (down + 1)) / 2, elements: (rows * rows + onDiagonal) / 2 };
}

/** Refuses a cut into too many tiles. @throws RangeError ERR_OUT_OF_RANGE */
export function checkTiles(cut: Cut): void {
  const { tiles } = sizeOf(cut);
  if (tiles <= MOST_TILES) return;
  const least = Math.ceil(cut.tile * Math.sqrt(tiles / MOST_TILES));
  throw check.rangeError(
    'tile',
    `such that ${cut.rows} x ${cut.cols} distances are at most ${MOST_TILES} tiles (about ${least})`,
    cut.tile,
  );
}

/** Bytes in words: 1.23 GB. */
function inWords(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(2)} ${units[power]}`;
}

/** Bytes of the finished tiles in a folder. */
async function bytesIn(folder: string): Promise<number> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch {
    return 0; // not there yet
  }
  let bytes = 0;
  for (const name of names)
    if (name.endsWith('.piece')) bytes += (await stat(join(folder, name)).catch(() => ({ size: 0 }))).size;
  return bytes;
}

/**
 * Refuses a matrix that the disk has no room for, before anything is computed: the result, and beside it the tiles
 * until they are gathered.
 *
 * @throws PieceError ERR_PIECE_NO_SPACE with the numbers; the system's error where the folder of `out` is not there
 */
export async function requireRoom(out: string, folder: string, cut: Cut, dtype: MatrixDtype): Promise<void> {
  const itemBytes = dtype === 'f32' ? 4 : 8;
  const { tiles, elements } = sizeOf(cut);
  const result = cut.rows * cut.cols * itemBytes + FILE_BYTES;
  const beside = elements * itemBytes + tiles * FILE_BYTES;
  const { bavail, bsize } = await statfs(dirname(out));
  const free = bavail * bsize;
  const needed = result + Math.max(0, beside - (await bytesIn(folder)));
  if (needed <= free) return;
  throw new PieceError(
    'ERR_PIECE_NO_SPACE',
    out,
    `expected room for ${cut.rows} x ${cut.cols} distances of ${dtype}: ${inWords(result)} for ${basename(out)} and ` +
      `${inWords(needed - result)} for its tiles until they are gathered, ${inWords(needed)} in all; ` +
      `received ${inWords(free)} free in ${dirname(out)}${dtype === 'f64' ? " (dtype: 'f32' takes half)" : ''}`,
  );
}
