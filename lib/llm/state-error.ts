/** Errors of sessions and engines that are used at the wrong time. */

/** A call on a session while another is in flight: the second is refused, the first goes on. */
export class SessionBusyError extends Error {
  readonly code = 'ERR_SESSION_BUSY';
  override readonly name = 'SessionBusyError';

  constructor(call: string) {
    super(`${call}: another call on this session has not finished; await it, or fork the session before`);
  }
}

/** A call on what has been disposed of. */
export class DisposedError extends Error {
  readonly code = 'ERR_DISPOSED';
  override readonly name = 'DisposedError';

  constructor(what: string) {
    super(`the ${what} has been disposed of`);
  }
}
