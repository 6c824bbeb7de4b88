/**
 * Files that appear under their name only when they are complete and on the disk, whatever ends the process before.
 */
import { randomBytes } from 'node:crypto';
import { chmod, open, readdir, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** `.NAME.HOST-PID.RANDOM.tmp`: whose it is can be read from the name, so that orphans are told from work in progress. */
const TEMPORARY = /^\..+\.([\w-]+)-(\d+)\.[0-9a-f]{12}\.tmp$/;
const host = hostname().replace(/[^\w-]/g, '_') || 'host';

/**
 * The file that `path` stands for once symbolic links are followed; `path` itself when there is none yet.
 * @throws Error (code EINVAL) for a device, a pipe or a socket: a rename would put a file in its place
 */
export async function realTarget(path: string): Promise<string> {
  try {
    const target = await realpath(path);
    const status = await stat(target);
    if (status.isFile() || status.isDirectory()) return target;
    const message = `${path}: expected a file, received a device, a pipe or a socket, which cannot be replaced`;
    throw Object.assign(new Error(message), { code: 'EINVAL' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path;
    throw error;
  }
}

/** A name in the same folder that nobody else uses, by which the file goes until it is complete. */
export function temporaryName(path: string): string {
  const name = `.${basename(path)}.${host}-${process.pid}.${randomBytes(6).toString('hex')}.tmp`;
  return join(dirname(path), name);
}

/**
 * Writes a file: under a temporary name first, flushed to the disk, then renamed. An existing file is replaced at once
 * or not at all. Where `write` fails the temporary file is removed; a process that is killed leaves it behind.
 *
 * @param path file to write; a symbolic link is followed
 * @param write writes everything to the handle
 * @throws what `write` throws, or the system's error (ENOSPC, EACCES, ...)
 */
export async function replaceFile(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const target = await realTarget(path);
  const temporary = temporaryName(target);
  const handle = await open(temporary, 'wx');
  try {
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await takeMode(temporary, target);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(target));
}

/** Gives a file that is about to take another's place the other's permissions, where there is one. */
export async function takeMode(from: string, target: string): Promise<void> {
  const status = await stat(target).catch(() => undefined);
  if (status) await chmod(from, status.mode & 0o7777);
}

/** Makes a rename outlast a loss of power, where the system lets a folder be flushed. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows and some network file systems do not; the file itself is flushed all the same.
  }
}

/**
 * Removes temporary files from a folder.
 *
 * @param which 'orphans': those of processes of this host that no longer run; 'all': of every process
 */
export async function removeTemporary(folder: string, which: 'orphans' | 'all'): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, owner, pid] = TEMPORARY.exec(name) ?? [];
    if (owner === undefined) continue;
    if (which === 'all' || (owner === host && !isRunning(Number(pid))))
      await rm(join(folder, name), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
