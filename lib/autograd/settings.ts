/**
 * Settings of the tape.
 */
import * as check from '../check.js';

/** What ops read. */
export const settings = { threads: 1 };

/**
 * Threads of the kernels that ops call; default 1. Results do not depend on it.
 *
 * @param count at least 1
 */
export function setThreads(count: number): void {
  settings.threads = check.positiveInteger('count', count);
}

/** Threads of the kernels that ops call. */
export const threads = (): number => settings.threads;
