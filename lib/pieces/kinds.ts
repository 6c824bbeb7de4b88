/** Kinds of work that comes in pieces. Each says how it is cut, how one piece is computed and how all are merged. */
import * as check from '../check.js';
import { PieceError } from './error.js';
import type { JsonObject } from './json.js';

/**
 * One piece of a job: plain JSON that carries paths and ranges, never arrays, so that it travels through any queue.
 * Whoever runs it needs the same package version and the same paths.
 */
export interface Piece<Job = JsonObject, Part = JsonObject, Inputs = JsonObject> {
  /** Kind of the work; names the runner. */
  readonly kind: string;
  /** Version of the package that planned it, and alone may run it: results may change between versions. */
  readonly version: string;
  /** Key of the plan: SHA-256 of kind, version and job. */
  readonly plan: string;
  /** Key of the piece: SHA-256 of the key of the plan and the part. */
  readonly key: string;
  /** Number of the piece, from 0. */
  readonly index: number;
  /** How many pieces the plan has. */
  readonly count: number;
  /** File that the piece is written to. */
  readonly path: string;
  /** What is computed, the same for all pieces: options, and digests of what is in the input files. */
  readonly job: Job;
  /** Which part of it this piece is. */
  readonly part: Part;
  /** Where things are: paths of inputs and result. Not part of the keys, so that a plan may be carried on elsewhere. */
  readonly inputs: Inputs;
}

/** What a piece has at hand while it is computed. */
export interface PieceWork {
  /** Stops the work. */
  readonly signal: AbortSignal | undefined;
  /** Most threads to compute with: 1 where the run was not told. */
  readonly threads: number;
  /** Reports the share of the piece that is done, in [0, 1]. */
  readonly progress: (done: number) => void;
  /** Appends to the piece's file. Do not change the bytes before the promise is fulfilled. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
}

/** What merging has at hand. */
export interface GatherWork {
  /** Stops the work. */
  readonly signal: AbortSignal | undefined;
  /** Reports the share that is merged, in [0, 1]. */
  readonly progress: (done: number) => void;
  /** The bytes that a piece wrote, with their checksum verified. */
  readonly read: (piece: Pick<Piece, 'path' | 'key'>) => Promise<Uint8Array>;
}

/** A kind of work. Must be deterministic: the same job and part give the same bytes, whoever computes them. */
export interface PieceKind<Job, Part, Inputs, Result> {
  /** Name, as in a piece's `kind`. */
  readonly name: string;
  /** The parts of a job, in order. */
  split(job: Job): readonly Part[];
  /** Computes one piece and writes it. */
  run(piece: Piece<Job, Part, Inputs>, work: PieceWork): Promise<void>;
  /** Merges all pieces, given in order, into the result, which must be complete and on the disk before it resolves. */
  gather(pieces: readonly Piece<Job, Part, Inputs>[], work: GatherWork): Promise<Result>;
}

/** A kind whose types are not known here. */
export type AnyKind = PieceKind<JsonObject, JsonObject, JsonObject, unknown>;

const kinds = new Map<string, AnyKind>();

/** Kinds of this package, loaded when one of their pieces is met. */
const own: Readonly<Record<string, () => Promise<unknown>>> = {
  'distance-matrix': () => import('../elastic/matrix-file.js'),
};

/**
 * Makes a kind known to `plan`, `runPiece` and `gather` in this process.
 *
 * @throws RangeError ERR_OUT_OF_RANGE where another kind has the name
 */
export function registerKind<Job, Part, Inputs, Result>(kind: PieceKind<Job, Part, Inputs, Result>): void {
  const { name } = check.options(kind);
  if (typeof name !== 'string' || name === '') throw check.typeError('kind.name', 'a name', name);
  const methods = kind as unknown as Readonly<Record<string, unknown>>;
  for (const method of ['split', 'run', 'gather'])
    if (typeof methods[method] !== 'function')
      throw check.typeError(`kind.${method}`, 'a function', methods[method]);
  const known = kinds.get(name);
  if (known !== undefined && known !== (kind as unknown))
    throw check.rangeError('kind.name', 'a name that no other kind has', name);
  kinds.set(name, kind as unknown as AnyKind);
}

/**
 * The kind of a name.
 *
 * @throws PieceError ERR_PIECE_KIND
 */
export async function kindOf(name: string): Promise<AnyKind> {
  if (!kinds.has(name) && Object.hasOwn(own, name)) await own[name]();
  const kind = kinds.get(name);
  if (kind !== undefined) return kind;
  const known = [...new Set([...Object.keys(own), ...kinds.keys()])].join(', ');
  throw new PieceError(
    'ERR_PIECE_KIND',
    `piece of kind '${name}'`,
    `expected one of ${known}, or a kind made known by registerKind`,
  );
}
