/**
 * ERR_NPY_FORMAT: not an .npy file, a header that cannot be read, or bytes after the data.
 * ERR_NPY_TRUNCATED: the file ends before its header or data do.
 * ERR_NPY_UNSUPPORTED: a sound file of an element type or order that is not read here.
 * ERR_NPY_TOO_LARGE: sizes that do not fit an exact integer, or an array that does not fit in memory.
 */
export type NpyErrorCode =
  'ERR_NPY_FORMAT' | 'ERR_NPY_TRUNCATED' | 'ERR_NPY_UNSUPPORTED' | 'ERR_NPY_TOO_LARGE';

/** A file that cannot be read or written as .npy. The message names the file, what was expected and what came. */
export class NpyError extends Error {
  override readonly name = 'NpyError';
  /** Stable name of the kind of failure. */
  readonly code: NpyErrorCode;

  /**
   * @param code stable name of the kind of failure
   * @param source file name or other name of the bytes, first in the message
   * @param problem what was expected and what came
   */
  constructor(code: NpyErrorCode, source: string, problem: string) {
    super(`${source}: ${problem}`);
    this.code = code;
  }
}
