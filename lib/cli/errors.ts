/** How the command line fails: one line on stderr, and an exit code that is not zero. */
import { CommanderError } from 'commander';

/** A failure that the user can do something about. */
export class CliError extends Error {
  override readonly name = 'CliError';
  /** Exit code of the process. */
  readonly exitCode: number;

  /**
   * @param message one sentence: what was expected and what came
   * @param exitCode 1 by default; 2 for a wrong command line, 128 + n after signal n
   */
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The message of anything thrown, on one line: line breaks and other control characters become spaces. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message
    .replace(/^error: /, '')
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim();
  return line === '' ? 'failed without a message' : line;
}

/**
 * Writes an error to stderr and returns the exit code that goes with it: the error's own, 2 for a command line that
 * could not be parsed, else 1.
 *
 * @param error whatever was thrown
 * @param debug true adds the stack
 */
export function report(error: unknown, debug: boolean): number {
  process.stderr.write(`softlane: ${oneLine(error)}\n`);
  if (debug && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  if (error instanceof CliError) return error.exitCode;
  return error instanceof CommanderError ? 2 : 1;
}
