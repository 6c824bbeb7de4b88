/**
 * ERR_PIECE_KIND: no runner has the name of the piece's kind.
 * ERR_PIECE_VERSION: the piece was planned by another version of the package.
 * ERR_PIECE_KEY: what the piece says is not what its key was made from.
 * ERR_PIECE_OTHER_PLAN: the folder holds the pieces of another plan.
 * ERR_PIECE_SET: pieces of several plans, or not all of one.
 * ERR_PIECE_MISSING: the file of a piece is not there.
 * ERR_PIECE_CORRUPT: the file of a piece is not what was written.
 * ERR_PIECE_INPUT: an input is not there any more or has changed since the plan was made.
 * ERR_PIECE_NO_SPACE: the disk has no room for the result.
 */
export type PieceErrorCode =
  | 'ERR_PIECE_KIND'
  | 'ERR_PIECE_VERSION'
  | 'ERR_PIECE_KEY'
  | 'ERR_PIECE_OTHER_PLAN'
  | 'ERR_PIECE_SET'
  | 'ERR_PIECE_MISSING'
  | 'ERR_PIECE_CORRUPT'
  | 'ERR_PIECE_INPUT'
  | 'ERR_PIECE_NO_SPACE';

/** Pieces that cannot be planned, run or gathered. The message says what was expected, what came and what to do. */
export class PieceError extends Error {
  override readonly name = 'PieceError';
  /** Stable name of the kind of failure. */
  readonly code: PieceErrorCode;

  /**
   * @param code stable name of the kind of failure
   * @param source file, folder or piece, first in the message
   * @param problem what was expected and what came
   */
  constructor(code: PieceErrorCode, source: string, problem: string) {
    super(`${source}: ${problem}`);
    this.code = code;
  }
}
