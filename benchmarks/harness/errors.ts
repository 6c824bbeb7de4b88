/** An error of the user's making (an option, a file, a missing package): shown as one line, without a stack. */
export class BenchError extends Error {
  readonly code = 'ERR_BENCH';
  override readonly name = 'BenchError';
}

/** The first line of the message of anything thrown. */
export function messageOf(error: unknown): string {
  const hasMessage = typeof error === 'object' && error !== null && 'message' in error;
  return String(hasMessage ? error.message : error).split('\n')[0];
}
