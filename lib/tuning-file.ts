/**
 * Where measured choices are kept: one JSON file in the user's cache folder, an entry for each kind of machine.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { isaList, native } from './native.js';

/** What the file holds for a machine: each kind of calibration under names of its own, and when the last was measured. */
export type MachineEntry = Record<string, unknown> & { measured?: string };

interface TuningFile {
  format: 2;
  machines: Record<string, MachineEntry>;
}

/** Where the calibration is kept: SOFTLANE_TUNING (a path, or 'off'), else in the user's cache folder; null: off. */
export function tuningFile(): string | null {
  const wish = process.env.SOFTLANE_TUNING;
  if (wish === 'off') return null;
  if (wish) return wish;
  try {
    return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'softlane', 'tuning.json');
  } catch {
    return null; // a user without a home has no cache folder either
  }
}

/** A calibration holds for one kind of machine: CPU, caches, instruction sets. */
export function machineKey(): string {
  const machine = native('machine')() as { cpu: string; caches: { l1d: number; l2: number; l3: number } };
  const { l1d, l2, l3 } = machine.caches;
  return `${machine.cpu} ${l1d}/${l2}/${l3} ${isaList.join('+')}`;
}

/** Bytes of the last-level cache; 32 MiB where the system does not say. */
export function lastLevelCache(): number {
  const machine = native('machine')() as { caches: { l3: number } };
  return machine.caches.l3 || 2 ** 25;
}

let loaded: string | null = null;

/** The file whose calibration is in use, or null. */
export function tuningPath(): string | null {
  return loaded;
}

function read(path: string): TuningFile | null {
  if (!existsSync(path)) return null;
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as TuningFile;
    return file.format === 2 && typeof file.machines === 'object' && file.machines !== null ? file : null;
  } catch {
    return null; // a damaged cache is no reason to fail: `info` shows that no calibration is in use
  }
}

/** What the file holds for this machine, if anything; from then on `tuningPath` names the file. */
export function readTuning(): MachineEntry | undefined {
  const path = tuningFile();
  const entry = path === null ? undefined : read(path)?.machines[machineKey()];
  if (typeof entry !== 'object' || entry === null) return undefined;
  loaded = path;
  return entry;
}

/**
 * Changes what the file holds for this machine, atomically; what other kinds of calibration have stored stays. Does
 * nothing where SOFTLANE_TUNING is 'off'.
 *
 * @param update receives the present entry and gives the new one
 */
export function writeTuning(update: (known: MachineEntry) => MachineEntry): void {
  const path = tuningFile();
  if (path === null) return;
  const file: TuningFile = read(path) ?? { format: 2, machines: {} };
  const known = file.machines[machineKey()] ?? {};
  file.machines[machineKey()] = { ...update(known), measured: new Date().toISOString() };
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, JSON.stringify(file, null, 2));
  renameSync(temporary, path);
  loaded = path;
}
