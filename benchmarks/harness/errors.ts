/** An error of the user's making (an option, a file, a missing package): shown as one line, without a stack. */
export class BenchError extends Error {
  readonly code = 'ERR_BENCH';
  override readonly name = 'BenchError';
}
