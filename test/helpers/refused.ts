import { expectArgumentError, type ErrorKind } from './errors.js';

/** Fails unless the call throws an argument error of this kind that names the argument. */
export function expectThrown(call: () => unknown, kind: ErrorKind, name: string): void {
  let thrown: unknown;
  let returned: unknown;
  try {
    returned = call();
  } catch (error) {
    thrown = error;
  }
  if (thrown === undefined) throw new Error(`the call did not fail, it returned ${String(returned)}`);
  expectArgumentError(thrown, kind, name);
}

/** Fails unless the call gives a promise that rejects with such an error. */
export async function expectRejected(
  call: () => Promise<unknown>,
  kind: ErrorKind,
  name: string,
): Promise<void> {
  const outcome = await call().then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (outcome === undefined) throw new Error('the promise did not reject');
  expectArgumentError(outcome.error, kind, name);
}
