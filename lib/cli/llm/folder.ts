/** Whether a folder can hold a model, before anything is read. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError } from '../errors.js';

/** What stands at a path; undefined where nothing does. */
async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/**
 * Checks that a path is a folder with `config.json` and `tokenizer.json`.
 *
 * @throws CliError that says what is missing; the system's error
 */
export async function requireModelFolder(folder: string): Promise<void> {
  const found = await statOf(folder);
  if (!found)
    throw new CliError(
      `${folder}: no such folder; softlane does not download models: give the folder that holds one`,
    );
  if (!found.isDirectory()) throw new CliError(`${folder}: expected the folder of a model, received a file`);
  for (const [file, what] of [
    ['config.json', 'configuration'],
    ['tokenizer.json', 'tokenizer'],
  ]) {
    const path = join(folder, file);
    if (!(await statOf(path)))
      throw new CliError(`${path}: expected the ${what} of the model, received no such file`);
  }
}
