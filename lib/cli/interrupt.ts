/** Ctrl-C and its like: work is told to stop, tidies up, and the process ends with the exit code of the signal. */
import { rmSync } from 'node:fs';
import { constants } from 'node:os';
import { CliError } from './errors.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work` with a signal that aborts on SIGINT, SIGTERM or SIGHUP. The second of them ends the process at once.
 *
 * @param work returns or throws soon after its signal aborts; the reason is a CliError with exit code 128 + n
 * @throws the abort reason when `work` throws after an abort, else what it throws
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    const exitCode = 128 + constants.signals[name];
    if (controller.signal.aborted) process.exit(exitCode);
    controller.abort(new CliError(`stopped by ${name} before the end`, exitCode));
  };
  for (const name of SIGNALS) process.on(name, stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    for (const name of SIGNALS) process.off(name, stop);
  }
}

/**
 * Removes a file when the process exits, however that comes about short of being killed.
 *
 * @returns a function that takes this back
 */
export function removeOnExit(path: string): () => void {
  const remove = (): void => rmSync(path, { force: true });
  process.on('exit', remove);
  return () => process.off('exit', remove);
}
