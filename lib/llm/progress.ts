/** Reports of progress: never backwards, at most every 50 ms, and once at the end. */

/** Least time between two reports, in milliseconds. */
const BETWEEN_REPORTS = 50;

/** Counts what is done of a known total. */
export class Progress {
  readonly #total: number;
  readonly #report: ((done: number) => void) | undefined;
  #done = 0;
  #reportedAt = -Infinity;

  /**
   * @param total what is to be done, in any unit
   * @param report receives the share that is done, in [0, 1]
   */
  constructor(total: number, report: ((done: number) => void) | undefined) {
    this.#total = total;
    this.#report = report;
  }

  /** So much more is done. */
  advance(amount: number): void {
    this.#done += amount;
    const now = performance.now();
    if (now - this.#reportedAt < BETWEEN_REPORTS || this.#done >= this.#total) return;
    this.#reportedAt = now;
    this.#report?.(this.#done / this.#total);
  }

  /** All is done. */
  finish(): void {
    this.#report?.(1);
  }
}
