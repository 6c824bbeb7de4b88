/** Merging finished pieces into the result. */
import { access } from 'node:fs/promises';
import * as check from '../check.js';
import type { AsyncOptions } from '../native.js';
import { PieceError } from './error.js';
import { kindOf, type Piece } from './kinds.js';
import { readPiece } from './piece-file.js';
import { checkPieces, folderOf, removeFolder } from './plan.js';

/** How pieces are gathered. */
export interface GatherOptions extends AsyncOptions {
  /** True leaves the files of the pieces where they are. Default false: they are removed once the result is complete. */
  keep?: boolean;
}

/**
 * Merges all pieces of a plan, in any order, into the result. Keys and checksums are verified before anything takes the
 * result's name. Interrupted, it can be called again; two calls for the same plan must not overlap.
 *
 * @returns what the kind's gathering returns
 * @throws PieceError ERR_PIECE_SET (not all pieces, or of several plans), ERR_PIECE_MISSING, ERR_PIECE_CORRUPT,
 *   ERR_PIECE_VERSION, ERR_PIECE_KEY; the system's error; the abort reason
 */
export async function gather<Result>(pieces: readonly Piece[], options?: GatherOptions): Promise<Result> {
  const { signal, onProgress, keep = false } = check.options(options);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw check.typeError('signal', 'an AbortSignal', signal);
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw check.typeError('onProgress', 'a function', onProgress);
  check.boolean('keep', keep);
  const ordered = wholeSet(pieces);
  const kind = await kindOf(ordered[0].kind);
  await requireFiles(ordered);
  signal?.throwIfAborted();
  const result = (await kind.gather(ordered, {
    signal,
    progress: (done) => onProgress?.(done),
    read: (piece) => readPiece(piece, signal),
  })) as Result;
  if (!keep) await discard(ordered);
  onProgress?.(1);
  return result;
}

/** The pieces in order, provided that they are all of one plan and each is there once. */
function wholeSet(pieces: readonly Piece[]): Piece[] {
  checkPieces(pieces);
  if (pieces.length === 0) throw check.rangeError('pieces', 'at least one', 'none');
  const [first] = pieces;
  const ordered: (Piece | undefined)[] = Array.from({ length: first.count });
  for (const piece of pieces) {
    const isForeign = piece.plan !== first.plan || piece.count !== first.count;
    if (isForeign || !(piece.index >= 0 && piece.index < first.count))
      throw new PieceError(
        'ERR_PIECE_SET',
        piece.path,
        'expected pieces of one plan, received those of several',
      );
    ordered[piece.index] ??= piece;
  }
  const missing = ordered.flatMap((piece, index) => (piece === undefined ? [index] : []));
  if (missing.length > 0)
    throw new PieceError(
      'ERR_PIECE_SET',
      folderOf(first),
      `expected all ${first.count} pieces, received none for ${listed(missing)}`,
    );
  return ordered as Piece[];
}

/** A few of the numbers of pieces, from 1, in words. */
function listed(indices: readonly number[]): string {
  const some = indices.slice(0, 10).map((index) => index + 1);
  return `${indices.length} of them (${some.join(', ')}${indices.length > some.length ? ', ...' : ''})`;
}

/** Refuses to begin a long merge that would end at a piece that was never run. */
async function requireFiles(pieces: readonly Piece[]): Promise<void> {
  const missing: number[] = [];
  for (const { path, index } of pieces) {
    try {
      await access(path);
    } catch {
      missing.push(index);
    }
  }
  if (missing.length > 0)
    throw new PieceError(
      'ERR_PIECE_MISSING',
      folderOf(pieces[0]),
      `expected ${pieces.length} finished pieces, received none for ${listed(missing)}: run these first`,
    );
}

/** Removes the files of the pieces of a plan, and their folder where nothing else is in it. */
export async function discard(pieces: readonly Piece[]): Promise<void> {
  for (const folder of new Set(pieces.map(folderOf))) await removeFolder(folder);
}
