/**
 * What the tape itself can refuse, beside bad arguments: each has a code of its own.
 */

/** The codes of the tape's errors. */
export type TapeErrorCode =
  | 'ERR_NO_GRADIENT' // an op without a gradient lies between the output and what asks for one
  | 'ERR_NO_GRAPH' // the output does not depend on anything that requires a gradient
  | 'ERR_GRAPH_RELEASED' // a second backward pass through a graph whose buffers went back to the pool
  | 'ERR_RELEASED' // a tensor whose scope has ended, or that was released
  | 'ERR_HIGHER_ORDER'; // gradients of gradients, which the tape does not have

/** An error of the tape with its code. */
export class TapeError extends Error {
  override readonly name = 'TapeError';
  readonly code: TapeErrorCode;

  constructor(code: TapeErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
