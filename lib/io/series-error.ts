/**
 * ERR_SERIES_FORMAT: a file that does not follow its format, or whose rows contradict its header.
 * ERR_SERIES_MISSING: a missing value (`?`, NaN, an empty cell) between others.
 * ERR_SERIES_UNSUPPORTED: a sound file of a form that is not read here, such as time stamps.
 */
export type SeriesFileErrorCode = 'ERR_SERIES_FORMAT' | 'ERR_SERIES_MISSING' | 'ERR_SERIES_UNSUPPORTED';

/** A file of time series that cannot be read. The message names file, line, what was expected and what came. */
export class SeriesFileError extends Error {
  override readonly name = 'SeriesFileError';
  /** Stable name of the kind of failure. */
  readonly code: SeriesFileErrorCode;
  /** Line of the file, counted from 1; undefined where the file as a whole is meant. */
  readonly line: number | undefined;

  /**
   * @param code stable name of the kind of failure
   * @param source file name or other name of the text, first in the message
   * @param line line of the file, counted from 1
   * @param problem what was expected and what came
   */
  constructor(code: SeriesFileErrorCode, source: string, line: number | undefined, problem: string) {
    super(`${source}${line === undefined ? '' : `:${line}`}: ${problem}`);
    this.code = code;
    this.line = line;
  }
}

/** A piece of a file as it reads in a message: in quotes, control characters escaped, cut at 40 characters. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}
