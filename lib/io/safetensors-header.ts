/**
 * The header of a safetensors file, by the published rules of the format: a little-endian uint64 n of at most
 * 100,000,000, then n bytes of UTF-8 with a JSON object that starts with "{" and may end in spaces, then the data. Sorted
 * by offset the tensors start at 0, touch without gap or overlap, and end at the end of the file.
 */
import { CheckpointError, shortened } from './checkpoint-error.js';
import { duplicateKey, excess } from './json-scan.js';
import { bitsOf, isSafetensorsDtype, type SafetensorsDtype } from './safetensors-dtype.js';

/** Bytes before the header's text. */
export const LENGTH_BYTES = 8;
/** Longest header that the format allows, in bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

/** One tensor as the header describes it. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype;
  /** Lengths of the axes; empty for a single number. */
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly begin: number;
  /** Number of bytes. */
  readonly bytes: number;
}

/** What a header says. */
export interface SafetensorsHeader {
  /** The tensors by name, in the header's order. */
  tensors: Map<string, TensorEntry>;
  /** The member `__metadata__`; empty where there is none. */
  metadata: Record<string, string>;
}

/**
 * Length of the header's text.
 *
 * @param prefix the first 8 bytes of the file, or all where it has fewer
 * @param fileSize size of the file in bytes
 * @param file name of the file for messages
 * @throws CheckpointError
 */
export function headerLength(prefix: Uint8Array, fileSize: number, file: string): number {
  if (prefix.length < LENGTH_BYTES)
    throw new CheckpointError(file, {
      expected: 'a safetensors file, which starts with a length of 8 bytes',
      found: `${prefix.length} bytes`,
    });
  const length = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw new CheckpointError(file, {
      expected: `a safetensors header of at most ${MAX_HEADER_BYTES} bytes`,
      found: `a length of ${length}`,
    });
  const most = fileSize - LENGTH_BYTES;
  if (length > BigInt(most))
    throw new CheckpointError(file, {
      expected: `a header that ends inside the file, which has ${most} bytes after the length`,
      found: `a length of ${length}`,
    });
  return Number(length);
}

/**
 * Reads the header's text.
 *
 * @param text its bytes
 * @param fileSize size of the file in bytes
 * @param file name of the file for messages
 * @throws CheckpointError
 */
export function parseHeader(text: Uint8Array, fileSize: number, file: string): SafetensorsHeader {
  const header = parseObject(text, file);
  const start = LENGTH_BYTES + text.length;
  const tensors = new Map<string, TensorEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = parseMetadata(value, file);
    else tensors.set(name, parseEntry(name, value, start, file));
  }
  checkLayout(tensors, start, fileSize, file);
  return { tensors, metadata };
}

function parseObject(bytes: Uint8Array, file: string): Record<string, unknown> {
  const wrong = (found: string, cause?: unknown): CheckpointError =>
    new CheckpointError(file, { expected: 'a header that is a JSON object in UTF-8', found, cause });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw wrong('bytes that are not UTF-8', cause);
  }
  if (!text.startsWith('{')) throw wrong(shortened(text));
  const tooMuch = excess(text);
  if (tooMuch !== undefined) throw wrong(tooMuch);
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw wrong(`text that is not JSON (${(cause as Error).message})`, cause);
  }
  const twice = duplicateKey(text);
  if (twice !== undefined)
    throw new CheckpointError(file, {
      expected: 'a header that has each name once',
      found: `${shortened(twice)} twice`,
    });
  return parsed;
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  const isSound = isObject(value) && Object.values(value).every((each) => typeof each === 'string');
  if (!isSound)
    throw new CheckpointError(file, {
      expected: '"__metadata__" to be an object of strings',
      found: shortened(value),
    });
  return value as Record<string, string>;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function parseEntry(name: string, value: unknown, start: number, file: string): TensorEntry {
  const wrong = (expected: string, found: string): CheckpointError =>
    new CheckpointError(file, { tensor: name, expected, found });
  const shown = (found: unknown): string => (found === undefined ? 'none' : shortened(found));
  if (!isObject(value)) throw wrong('an object with dtype, shape and data_offsets', shown(value));
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSafetensorsDtype(dtype)) throw wrong('a dtype of the safetensors format', shown(dtype));
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw wrong('a shape, an array of integers from 0 to 2^53 - 1', shown(shape));
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw wrong('data_offsets, two integers from 0 to 2^53 - 1', shown(offsets));
  const [begin, end] = offsets;
  if (begin > end) throw wrong('data_offsets that begin before they end', `[${begin}, ${end}]`);
  if (!Number.isSafeInteger(start + end)) throw wrong('data_offsets below 2^53', `[${begin}, ${end}]`);

  const bytes = byteCount(shape, dtype);
  if (bytes === undefined)
    throw wrong('a shape of whole bytes, fewer than 2^53', `${shortened(shape)} of ${dtype}`);
  if (bytes !== end - begin)
    throw wrong(
      `${bytes} bytes for shape ${shortened(shape)} of ${dtype}`,
      `${end - begin} by data_offsets [${begin}, ${end}]`,
    );
  return { dtype, shape: Object.freeze(shape), begin: start + begin, bytes };
}

/** Bytes of a tensor; undefined where the number is not exact, or not whole. */
export function byteCount(shape: readonly number[], dtype: SafetensorsDtype): number | undefined {
  let bits = bitsOf(dtype);
  for (const length of shape) {
    bits *= length;
    if (!Number.isSafeInteger(bits)) return undefined;
  }
  return bits % 8 === 0 ? bits / 8 : undefined;
}

/** Refuses gaps, overlaps, and data that end before or after the file does. */
function checkLayout(
  tensors: ReadonlyMap<string, TensorEntry>,
  start: number,
  fileSize: number,
  file: string,
): void {
  // Empty tensors share their offset with what follows: they come first, whatever the order of the header.
  const sorted = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.bytes - b.bytes);
  let next = start;
  for (const [tensor, { begin, bytes }] of sorted) {
    if (begin !== next) {
      const what = begin < next ? 'overlaps with another tensor' : 'leaves a gap before it';
      throw new CheckpointError(file, {
        tensor,
        expected: `data that begin at offset ${next - start}, where those of the tensor before end`,
        found: `${begin - start} (it ${what})`,
      });
    }
    next = begin + bytes;
  }
  if (next === fileSize) return;
  throw new CheckpointError(file, {
    expected: `${next} bytes, the header and ${next - start} bytes of data`,
    found: `a file of ${fileSize} bytes (${fileSize < next ? 'it is cut off' : 'bytes follow the last tensor'})`,
  });
}
