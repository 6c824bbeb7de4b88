/**
 * The file of a piece: what the piece wrote, followed by a trailer that says whose it is and how to check it. Whole or
 * not there: it takes its name when all is on the disk. Readers that stop at the end of their data (numpy) can open it.
 *
 *   payload | trailer, JSON | length of the trailer, uint32, little-endian | "slpiece1"
 */
import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { replaceFile } from '../io/atomic.js';
import { PieceError } from './error.js';
import type { Piece } from './kinds.js';

const MAGIC = 'slpiece1';
const END_BYTES = 4 + MAGIC.length;
/** Longer trailers are not ours. */
const MAX_TRAILER_BYTES = 1 << 16;
/** Bytes read at a time where a whole file is only checked. */
const READ_BYTES = 1 << 22;

/** What a trailer says. */
interface Trailer {
  kind: string;
  version: string;
  key: string;
  bytes: number;
  sha256: string;
}

/** The checksum covers the payload, then what else the trailer says. */
function sealed(hash: Hash, { kind, version, key, bytes }: Omit<Trailer, 'sha256'>): string {
  return hash.update(JSON.stringify({ kind, version, key, bytes })).digest('hex');
}

/** A piece's file and key: all that is needed to find and to check it. */
export type PieceFile = Pick<Piece, 'path' | 'key'>;

/** Whether the file of a piece is there and is what was written. */
export type PieceState = 'finished' | 'missing' | 'corrupt';

/**
 * Writes the file of a piece.
 *
 * @param produce gives the payload to the function it gets, one chunk after the other
 * @throws what `produce` throws, or the system's error; no file is left then
 */
export async function writePiece(
  piece: Piece,
  produce: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const { kind, version, key } = piece;
  await replaceFile(piece.path, async (handle) => {
    const hash = createHash('sha256');
    let bytes = 0;
    await produce(async (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      await handle.writeFile(chunk);
    });
    const head = { kind, version, key, bytes };
    const trailer: Trailer = { ...head, sha256: sealed(hash, head) };
    const text = Buffer.from(JSON.stringify(trailer));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    await handle.writeFile(Buffer.concat([text, length, Buffer.from(MAGIC)]));
  });
}

/** The state of a piece's file, for which all of it is read. */
export async function pieceState(piece: PieceFile, signal?: AbortSignal): Promise<PieceState> {
  return withFile(piece, (handle) => checkedState(handle, piece, signal), 'missing');
}

/**
 * What a piece wrote.
 *
 * @throws PieceError ERR_PIECE_MISSING or ERR_PIECE_CORRUPT, or the system's error
 */
export async function readPiece(piece: PieceFile, signal?: AbortSignal): Promise<Uint8Array> {
  const payload = await withFile<Uint8Array | PieceState>(
    piece,
    async (handle) => {
      const trailer = await readTrailer(handle);
      if (trailer?.key !== piece.key) return 'corrupt';
      signal?.throwIfAborted();
      const bytes = new Uint8Array(trailer.bytes);
      const got = await readAt(handle, bytes, 0);
      const sha256 = sealed(createHash('sha256').update(bytes), trailer);
      return got === bytes.length && sha256 === trailer.sha256 ? bytes : 'corrupt';
    },
    'missing',
  );
  if (typeof payload === 'string') throw stateError(piece, payload);
  return payload;
}

/** The error of a piece that is not finished. */
export function stateError(piece: PieceFile, state: PieceState): PieceError {
  return state === 'missing'
    ? new PieceError(
        'ERR_PIECE_MISSING',
        piece.path,
        'expected a finished piece, received none: run this piece first',
      )
    : new PieceError(
        'ERR_PIECE_CORRUPT',
        piece.path,
        'expected the bytes that were written, received others: run this piece again',
      );
}

async function withFile<T>(
  { path }: PieceFile,
  use: (handle: FileHandle) => Promise<T>,
  missing: T,
): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return missing;
    throw error;
  }
  return use(handle).finally(() => handle.close());
}

async function checkedState(
  handle: FileHandle,
  piece: PieceFile,
  signal: AbortSignal | undefined,
): Promise<PieceState> {
  const trailer = await readTrailer(handle);
  if (trailer?.key !== piece.key) return 'corrupt';
  const hash = createHash('sha256');
  const chunk = new Uint8Array(Math.min(READ_BYTES, trailer.bytes));
  for (let at = 0; at < trailer.bytes; at += chunk.length) {
    signal?.throwIfAborted();
    const part = chunk.subarray(0, Math.min(chunk.length, trailer.bytes - at));
    if ((await readAt(handle, part, at)) < part.length) return 'corrupt';
    hash.update(part);
  }
  return sealed(hash, trailer) === trailer.sha256 ? 'finished' : 'corrupt';
}

/** The trailer, undefined where there is none or it does not fit the file. */
async function readTrailer(handle: FileHandle): Promise<Trailer | undefined> {
  const { size } = await handle.stat();
  const end = Buffer.alloc(END_BYTES);
  if (size < END_BYTES || (await readAt(handle, end, size - END_BYTES)) < END_BYTES) return undefined;
  const length = end.readUInt32LE(0);
  const start = size - END_BYTES - length;
  if (end.toString('latin1', 4) !== MAGIC || length > MAX_TRAILER_BYTES || start < 0) return undefined;
  const text = Buffer.alloc(length);
  if ((await readAt(handle, text, start)) < length) return undefined;
  try {
    const trailer = JSON.parse(text.toString()) as Trailer;
    return trailer.bytes === start ? trailer : undefined;
  } catch {
    return undefined;
  }
}

async function readAt(handle: FileHandle, target: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
