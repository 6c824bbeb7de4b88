/** What is wrong with a checkpoint: where, what was expected there, and what came. */
export interface CheckpointProblem {
  /** Name of the tensor, where one is concerned. */
  tensor?: string;
  /** What the file should hold, as it reads after "expected". */
  expected: string;
  /** What it holds, as it reads after "received". */
  found: string;
  /** The error that this one was made from. */
  cause?: unknown;
}

/**
 * A model's files that cannot be read, contradict themselves, or are of a kind that is not supported. The message
 * names the file, the tensor, what was expected and what came.
 */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  /** Stable name of the kind of failure. */
  readonly code = 'ERR_BAD_CHECKPOINT';
  /** File or folder that is at fault. */
  readonly file: string;
  /** Tensor that is at fault; undefined where the file as a whole is meant. */
  readonly tensor: string | undefined;
  /** What should have been there. */
  readonly expected: string;
  /** What was there. */
  readonly found: string;

  /**
   * @param file file or folder, first in the message
   * @param problem what was expected and what came
   */
  constructor(file: string, { tensor, expected, found, cause }: CheckpointProblem) {
    const where = tensor === undefined ? file : `${file}: tensor ${shortened(tensor)}`;
    super(`${where}: expected ${expected}, received ${found}`, cause === undefined ? undefined : { cause });
    this.file = file;
    this.tensor = tensor;
    this.expected = expected;
    this.found = found;
  }
}

/** A name or value from a file as it reads in a message: quoted, control characters escaped, cut at 100 characters. */
export function shortened(value: unknown): string {
  const cut = (_: string, each: unknown): unknown => (typeof each === 'string' ? each.slice(0, 101) : each);
  const text = JSON.stringify(value, cut) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}
