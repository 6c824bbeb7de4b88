import { CheckpointError } from '../../lib/io/index.js';

/** The bytes of a safetensors file with this header and these data; `length` overrides the length that is claimed. */
export function safetensorsBytes(
  header: string | Uint8Array,
  data: Uint8Array | number = 0,
  length?: bigint,
): Buffer {
  const text = Buffer.from(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([prefix, text, typeof data === 'number' ? Buffer.alloc(data) : data]);
}

/** The error of a promise that must reject with a CheckpointError. */
export async function badCheckpoint(promise: Promise<unknown>): Promise<CheckpointError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome === undefined) throw new Error('the promise did not reject');
  if (!(outcome instanceof CheckpointError)) throw new Error('another error came', { cause: outcome });
  expect(outcome.code).toBe('ERR_BAD_CHECKPOINT');
  expect(outcome.message).toContain(outcome.file);
  expect(outcome.message).toMatch(/expected .*, received ./s);
  return outcome;
}
