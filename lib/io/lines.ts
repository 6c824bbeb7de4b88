/** Lines of a text file of any size. */
import { open } from 'node:fs/promises';

/** Bytes read at a time. */
const CHUNK_BYTES = 1 << 20;

/**
 * The lines of a UTF-8 file without their ends (LF or CR LF), read in chunks; a byte order mark is dropped. Files may
 * be longer than the longest string.
 *
 * @param path file to read
 * @param signal stops the reading with its reason
 * @throws the system's error (ENOENT, EISDIR, ...), or the abort reason
 */
export async function* linesOf(path: string, signal?: AbortSignal): AsyncGenerator<string> {
  signal?.throwIfAborted();
  const file = await open(path, 'r');
  try {
    const decoder = new TextDecoder();
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    // Pieces of a line that is longer than a chunk are joined once.
    let carried: string[] = [];
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(chunk, 0, chunk.length);
      const isLast = bytesRead === 0;
      const text = decoder.decode(chunk.subarray(0, bytesRead), { stream: !isLast });
      const lines = text.split('\n');
      carried.push(lines[0]);
      for (let i = 1; i < lines.length; i++) {
        yield withoutReturn(carried.join(''));
        carried = [lines[i]];
      }
      if (isLast) break;
    }
    const rest = carried.join('');
    if (rest !== '') yield withoutReturn(rest);
  } finally {
    await file.close();
  }
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}
