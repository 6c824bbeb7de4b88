/** Long work of a command: with a progress bar, and stopped by Ctrl-C. */
import type { AsyncOptions } from '../native.js';
import { interruptible } from './interrupt.js';
import { startProgress } from './progress.js';

/** What long calls of this package take. */
export type Watch = Required<AsyncOptions>;

/**
 * Runs work with a progress bar that follows its `onProgress`, and a signal that SIGINT, SIGTERM and SIGHUP abort.
 *
 * @param label what is being done, in front of the bar
 * @throws CliError with exit code 128 + n after signal n, else what the work throws
 */
export async function watched<T>(label: string, work: (watch: Watch) => Promise<T>): Promise<T> {
  const bar = startProgress(label, 1);
  try {
    return await interruptible((signal) => work({ signal, onProgress: (done) => bar.update(done) }));
  } finally {
    bar.stop();
  }
}

/** A watch of a part of the work, whose progress from 0 to 1 counts as from `from` to `to`. */
export function during({ signal, onProgress }: Watch, from: number, to: number): Watch {
  return { signal, onProgress: (done) => onProgress(from + done * (to - from)) };
}
