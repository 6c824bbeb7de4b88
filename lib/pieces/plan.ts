/** Cutting a job into pieces, choosing among them, and the note of the plan that lies beside their files. */
import { mkdir, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import * as check from '../check.js';
import { removeTemporary, replaceFile } from '../io/atomic.js';
import { packageVersion } from '../native.js';
import { PieceError } from './error.js';
import { canonicalJson, digest, type JsonObject } from './json.js';
import { kindOf, type AnyKind, type Piece } from './kinds.js';

/** What a job is: the same fields stand in each of its pieces. */
export interface PlanHead {
  /** Kind of the work; names the runner. */
  readonly kind: string;
  /** Version of the package that made the plan. */
  readonly version: string;
  /** Key of the plan: SHA-256 of kind, version and job. */
  readonly plan: string;
  /** What is computed: options, and digests of what is in the input files. */
  readonly job: JsonObject;
  /** Where things are: paths of inputs and result. */
  readonly inputs: JsonObject;
}

/** A job and its pieces, plain JSON. */
export interface Plan extends PlanHead {
  /** Folder that the pieces are written to. */
  readonly folder: string;
  /** The pieces, in order. */
  readonly pieces: readonly Piece[];
}

/** What is planned. */
export interface PlanOptions {
  /** What decides the result: options, and digests of what is in the input files. */
  job: JsonObject;
  /** Where things are: paths of inputs and result. Not part of the keys. */
  inputs: JsonObject;
  /** Folder for the files of the pieces, made when the first is run. It must be for them alone. */
  folder: string;
}

/** Name of the note of the plan. */
const NOTE = 'plan.json';
const SUFFIX = '.piece';

/**
 * Cuts a job into pieces. Nothing is written.
 *
 * @param kind name of a kind of this package or one that `registerKind` made known
 * @throws PieceError ERR_PIECE_KIND; TypeError ERR_INVALID_ARG_TYPE and RangeError ERR_OUT_OF_RANGE for a job that JSON
 *   cannot hold
 */
export async function plan(kind: string, options: PlanOptions): Promise<Plan> {
  const { job, inputs, folder } = check.options(options);
  if (typeof folder !== 'string' || folder === '') throw check.typeError('folder', 'a path', folder);
  const runner = await kindOf(kind);
  const head = headOf(kind, packageVersion, job, inputs);
  return { ...head, folder: resolve(folder), pieces: cut(runner, head, resolve(folder)) };
}

function headOf(kind: string, version: string, job: JsonObject, inputs: JsonObject): PlanHead {
  canonicalJson('inputs', inputs);
  const key = digest(`${JSON.stringify([kind, version])}${canonicalJson('job', job)}`);
  return { kind, version, plan: key, job, inputs };
}

function cut(runner: AnyKind, head: PlanHead, folder: string): Piece[] {
  const parts = runner.split(head.job);
  const digits = Math.max(4, String(parts.length - 1).length);
  return parts.map((part, index) => {
    const key = pieceKey(head.plan, part);
    const path = join(folder, `${String(index).padStart(digits, '0')}-${key.slice(0, 16)}${SUFFIX}`);
    return { ...head, key, index, count: parts.length, path, part };
  });
}

function pieceKey(planKey: string, part: JsonObject): string {
  return digest(`${planKey}${canonicalJson('part', part)}`);
}

/**
 * Checks that a piece, which may come from a queue, is one that this version planned and nobody altered.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, PieceError ERR_PIECE_VERSION or ERR_PIECE_KEY
 */
export function checkPiece(piece: Piece): void {
  const { kind, version, plan: planKey, key, path, job, part, inputs, index, count } = check.options(piece);
  for (const [name, value] of Object.entries({ kind, version, plan: planKey, key, path }))
    if (typeof value !== 'string') throw check.typeError(`piece.${name}`, 'a string', value);
  for (const [name, value] of Object.entries({ index, count }))
    if (!Number.isSafeInteger(value)) throw check.typeError(`piece.${name}`, 'an integer', value);
  const source = `piece ${index + 1} of ${count} of kind '${kind}'`;
  if (version !== packageVersion)
    throw new PieceError(
      'ERR_PIECE_VERSION',
      source,
      `expected one that softlane ${packageVersion} planned, received one of ${version}: plan again`,
    );
  if (headOf(kind, version, job, inputs).plan !== planKey || pieceKey(planKey, part) !== key)
    throw new PieceError(
      'ERR_PIECE_KEY',
      source,
      'expected the job and part that its key was made from, received others: plan again',
    );
}

/** Checks an array of pieces. @throws as checkPiece */
export function checkPieces(pieces: readonly Piece[]): void {
  if (!Array.isArray(pieces)) throw check.typeError('pieces', 'an array of pieces', pieces);
  for (const piece of pieces as readonly Piece[]) checkPiece(piece);
}

/**
 * The share of worker i of n: every n-th piece, beginning with the i-th, so that neighbours, which are of like size,
 * are dealt out evenly.
 *
 * @param share 'i/n' with 1 <= i <= n, as in `--piece 2/8`
 * @throws RangeError ERR_OUT_OF_RANGE
 */
export function selectPieces<P>(pieces: readonly P[], share: string): P[] {
  const [, i, n] = (/^(\d{1,9})\/(\d{1,9})$/.exec(String(share)) ?? []).map(Number);
  if (!(i >= 1 && i <= n)) throw check.rangeError('share', "'i/n' with 1 <= i <= n", share);
  return pieces.filter((_, index) => index % n === i - 1);
}

/**
 * Makes the folder of a plan, or finds it there; a note in it says whose it is.
 *
 * @param restart true removes the pieces that are there, of whichever plan
 * @throws PieceError ERR_PIECE_OTHER_PLAN where it holds the pieces of another plan; the system's error
 */
export async function claimFolder(head: PlanHead, folder: string, restart = false): Promise<void> {
  await mkdir(folder, { recursive: true });
  await removeTemporary(folder, 'orphans');
  if (restart) await removePieces(folder);
  const there = await readNote(folder);
  if (there?.plan === head.plan) return;
  if (there !== undefined && (await hasPieces(folder)))
    throw new PieceError(
      'ERR_PIECE_OTHER_PLAN',
      folder,
      `expected no pieces, or those of this plan, received those of another (${differences(there, head)}): ` +
        'start afresh (restart: true) or remove the folder',
    );
  const { kind, version, plan: key, job, inputs } = head;
  const note = `${JSON.stringify({ kind, version, plan: key, job, inputs }, null, 2)}\n`;
  await replaceFile(join(folder, NOTE), (handle) => handle.writeFile(note));
}

async function hasPieces(folder: string): Promise<boolean> {
  return (await readdir(folder)).some((name) => name.endsWith(SUFFIX));
}

/** Removes a folder that holds the note alone: of a call that failed at once nothing is left behind. */
export async function releaseFolder(folder: string): Promise<void> {
  const names = await namesIn(folder);
  if (names.length === 1 && names[0] === NOTE) await removeFolder(folder);
}

/** What is in a folder; nothing where another run has removed it. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function readNote(folder: string): Promise<PlanHead | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, NOTE), 'utf8')) as PlanHead;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (!(error instanceof SyntaxError)) throw error;
    throw new PieceError(
      'ERR_PIECE_OTHER_PLAN',
      join(folder, NOTE),
      `expected a plan, received ${error.message}`,
    );
  }
}

/** What two plans do not have in common, in words. */
function differences(there: PlanHead, here: PlanHead): string {
  const flat = ({ kind, version, job }: PlanHead): Record<string, unknown> => ({ kind, version, ...job });
  const [a, b] = [flat(there), flat(here)];
  const show = (value: unknown): string => {
    const text = JSON.stringify(value) ?? 'none';
    return text.length > 60 ? `${text.slice(0, 60)}...` : text;
  };
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names
    .filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]))
    .map((name) => `${name}: ${show(a[name])} there, ${show(b[name])} here`)
    .join('; ');
}

/**
 * The plan whose pieces a folder holds, for gathering what other processes have run.
 *
 * @throws PieceError ERR_PIECE_MISSING where there is no plan, ERR_PIECE_VERSION, ERR_PIECE_KIND; the system's error
 */
export async function readPlan(folder: string): Promise<Plan> {
  if (typeof folder !== 'string') throw check.typeError('folder', 'a string', folder);
  const note = await readNote(folder);
  if (note === undefined)
    throw new PieceError(
      'ERR_PIECE_MISSING',
      folder,
      `expected the pieces of a plan and ${NOTE}, received none`,
    );
  if (note.version !== packageVersion)
    throw new PieceError(
      'ERR_PIECE_VERSION',
      folder,
      `expected pieces of softlane ${packageVersion}, received those of ${note.version}`,
    );
  return plan(note.kind, { job: note.job, inputs: note.inputs, folder });
}

/** Removes all pieces and the note from a folder. Other files stay. */
async function removePieces(folder: string): Promise<void> {
  await removeTemporary(folder, 'all');
  for (const name of await readdir(folder))
    if (name.endsWith(SUFFIX)) await rm(join(folder, name), { force: true });
  // Last: as long as pieces are left, so is the note of whose they are.
  await rm(join(folder, NOTE), { force: true });
}

/** Removes the pieces of a folder, and the folder where nothing else is in it. */
export async function removeFolder(folder: string): Promise<void> {
  try {
    await removePieces(folder);
    await rmdir(folder);
  } catch (error) {
    // A file of somebody else keeps the folder; another run may have removed it first.
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Folder of a piece. */
export function folderOf(piece: Pick<Piece, 'path'>): string {
  return dirname(piece.path);
}
