/** Running pieces. */
import * as check from '../check.js';
import type { AsyncOptions } from '../native.js';
import { PieceError } from './error.js';
import { gather } from './gather.js';
import { kindOf, type AnyKind, type Piece } from './kinds.js';
import { pieceState, writePiece } from './piece-file.js';
import { checkPiece, checkPieces, claimFolder, folderOf, releaseFolder, type Plan } from './plan.js';

/** How pieces are run. */
export interface RunOptions extends AsyncOptions {
  /** Most threads to compute with; the bytes do not depend on them. Default 1. */
  threads?: number;
}

/** What became of one piece. */
export interface PieceResult {
  /** The file that holds it. */
  path: string;
  /** True where it was finished before. */
  skipped: boolean;
}

/** What became of several. */
export interface RunResult {
  /** Pieces computed now. */
  ran: number;
  /** Pieces that were finished before. */
  skipped: number;
}

/** Checks the options of a run. */
export function runOptions(given: RunOptions | undefined): RunOptions {
  const o = check.options(given);
  if (o.signal !== undefined && !(o.signal instanceof AbortSignal))
    throw check.typeError('signal', 'an AbortSignal', o.signal);
  if (o.onProgress !== undefined && typeof o.onProgress !== 'function')
    throw check.typeError('onProgress', 'a function', o.onProgress);
  if (o.threads !== undefined) check.positiveInteger('threads', o.threads);
  return o;
}

/**
 * Runs one piece: computes it and writes its file, which is there complete or not at all. Idempotent: a piece whose
 * file is there and sound is not computed again. May be called by any process that sees the piece's paths, for the
 * same piece by several at once.
 *
 * @param piece as `plan` made it, also after a way through JSON
 * @throws PieceError (another version, an altered piece, a folder with pieces of another plan, changed inputs), what the
 *   computation throws, the system's error, or the abort reason
 */
export async function runPiece(piece: Piece, options?: RunOptions): Promise<PieceResult> {
  const o = runOptions(options);
  checkPiece(piece);
  const kind = await kindOf(piece.kind);
  o.signal?.throwIfAborted();
  await claimFolder(piece, folderOf(piece));
  return runClaimed(piece, kind, o);
}

async function runClaimed(
  piece: Piece,
  kind: AnyKind,
  { signal, threads = 1, onProgress }: RunOptions,
): Promise<PieceResult> {
  const { path } = piece;
  const skipped = (await pieceState(piece, signal)) === 'finished';
  if (!skipped)
    await writePiece(piece, async (write) => {
      await kind.run(piece, { signal, threads, write, progress: (done) => onProgress?.(done) });
      signal?.throwIfAborted();
    });
  onProgress?.(1);
  return { path, skipped };
}

/**
 * Runs pieces of one or several plans one after the other, those not finished before; the share of one worker, say.
 *
 * @throws as `runPiece`; pieces finished until then stay
 */
export async function runPieces(pieces: readonly Piece[], options?: RunOptions): Promise<RunResult> {
  const o = runOptions(options);
  checkPieces(pieces);
  const result = { ran: 0, skipped: 0 };
  const claimed = new Set<string>();
  for (const [i, piece] of pieces.entries()) {
    o.signal?.throwIfAborted();
    const kind = await kindOf(piece.kind);
    const folder = folderOf(piece);
    const claim = `${piece.plan} ${folder}`;
    if (!claimed.has(claim)) await claimFolder(piece, folder);
    claimed.add(claim);
    const onProgress = o.onProgress && ((done: number) => o.onProgress?.((i + done) / pieces.length));
    const { skipped } = await runClaimed(piece, kind, { ...o, onProgress });
    result[skipped ? 'skipped' : 'ran']++;
  }
  return result;
}

/** How a whole plan is run. */
export interface RunAllOptions extends RunOptions {
  /** True drops pieces that are in the folder already, of this plan or another. Default false: they are gone on from. */
  restart?: boolean;
  /** True leaves the files of the pieces where they are when all is done. Default false. */
  keep?: boolean;
}

/** Share of the progress that running the pieces takes; merging them takes the rest. */
const RUN_SHARE = 0.95;

/**
 * Runs all pieces of a plan in this process, skipping finished ones, and gathers them. Interrupted at any moment, it
 * goes on from the finished pieces when called again, and gives the same bytes.
 *
 * @returns what the kind's gathering returns, and how many pieces were run and skipped
 * @throws as `runPiece` and `gather`; PieceError ERR_PIECE_MISSING where another run of the same plan, which should not
 *   overlap with this one, has finished and cleared the folder away
 */
export async function runAll<Result>(
  plan: Plan,
  options?: RunAllOptions,
): Promise<RunResult & { result: Result }> {
  const o = runOptions(options) as RunAllOptions;
  const { folder, pieces } = check.options(plan);
  for (const name of ['restart', 'keep'] as const) if (o[name] !== undefined) check.boolean(name, o[name]);
  if (typeof folder !== 'string') throw check.typeError('plan.folder', 'a path', folder);
  checkPieces(pieces);
  o.signal?.throwIfAborted();
  try {
    await claimFolder(plan, folder, o.restart);
    return await runAndGather<Result>(plan, o);
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' || path?.startsWith(folder) !== true) throw error;
    throw new PieceError(
      'ERR_PIECE_MISSING',
      folder,
      'expected the files of this run, received none: another run of the same plan has finished and removed them ' +
        '(its result is whole), or somebody else has (run again)',
    );
  }
}

async function runAndGather<Result>(
  { folder, pieces }: Plan,
  { signal, threads, onProgress, keep }: RunAllOptions,
): Promise<RunResult & { result: Result }> {
  const running = runPieces(pieces, {
    signal,
    threads,
    onProgress: onProgress && ((done) => onProgress(done * RUN_SHARE)),
  });
  const counts = await running.catch(async (error: unknown) => {
    await releaseFolder(folder);
    throw error;
  });
  const result = await gather<Result>(pieces, {
    signal,
    keep,
    onProgress: onProgress && ((done) => onProgress(RUN_SHARE + done * (1 - RUN_SHARE))),
  });
  return { ...counts, result };
}
