/** The error of numbers that no longer mean anything: never a silent token. */
export class NotFiniteError extends Error {
  readonly code = 'ERR_NOT_FINITE';
  override readonly name = 'NotFiniteError';
  /** The row that is concerned, from 0. */
  readonly row: number;
  /** What it holds, as the message says it. */
  readonly what: string;

  /**
   * @param row from 0
   * @param what the row holds, for the message
   */
  constructor(row: number, what: string) {
    super(`row ${row} ${what}`);
    this.row = row;
    this.what = what;
  }
}
