/** What the tests of the commands on time series share. */
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { expectOneLine, softlane } from './run.js';

const ucr = join(__dirname, '../fixtures/ucr');

/** Path of a half of a data set in test/fixtures/ucr. */
export const dataSet = (name: string, half: 'TRAIN' | 'TEST'): string => join(ucr, `${name}_${half}.ts`);

/** Runs `softlane ARGS`, fails unless it ended well, and returns what it printed. */
export async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await softlane(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** Runs `softlane ARGS --json` and returns what it printed, parsed. */
export async function json<T>(...args: string[]): Promise<T> {
  return JSON.parse(await printed(...args, '--json')) as T;
}

/** Runs `softlane ARGS`, fails unless it ended with one line and this exit code, and returns the line. */
export async function refused(code: number, ...args: string[]): Promise<string> {
  return expectOneLine(await softlane(args), code);
}

/**
 * What the parsing of a command line says that it refuses; the command itself is not run. In this process: starting one
 * takes longer than all else.
 */
export async function usageError(
  register: (program: Command) => void,
  ...args: readonly string[]
): Promise<string> {
  const program = new Command('softlane').exitOverride().configureOutput({ outputError: () => {} });
  register(program);
  const error: unknown = await program.parseAsync(args, { from: 'user' }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CommanderError);
  expect((error as CommanderError).exitCode).not.toBe(0);
  return (error as CommanderError).message;
}
