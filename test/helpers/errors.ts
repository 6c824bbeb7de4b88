import * as softlane from '../../lib/index.js';

/** The two kinds of error that a wrong argument gives. */
export type ErrorKind = 'type' | 'range';

/** One wrong call: what is wrong, the function, the kind of error, the argument it must name, the arguments. */
export interface BadCall {
  what: string;
  name: string;
  kind: ErrorKind;
  /** Name of the argument in the message; several where either may be blamed. */
  blames: string | readonly string[];
  args: () => readonly unknown[];
}

/** The package as callers without types see it. */
const untyped = softlane as unknown as Record<string, (...args: readonly unknown[]) => unknown>;

/** The error of a call that must fail. */
function errorOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('the call did not fail');
}

/**
 * Fails unless `error` has the class and code of its kind and a message that names the argument. The class is told
 * by its name: tests run in a realm of their own, native errors come from the outer one.
 */
export function expectArgumentError(error: unknown, kind: ErrorKind, blames: BadCall['blames']): void {
  const [name, code] =
    kind === 'type' ? ['TypeError', 'ERR_INVALID_ARG_TYPE'] : ['RangeError', 'ERR_OUT_OF_RANGE'];
  expect({ name: (error as Error).name, code: (error as softlane.ArgumentError).code }).toEqual({
    name,
    code,
  });
  const { message, stack } = error as Error;
  const names = [blames].flat();
  if (!names.some((name) => message.includes(`"${name}"`))) {
    throw new Error(`the message does not name ${names.join(' or ')}: ${message}`);
  }
  expect(message).toMatch(/received/);
  expect(stack).toContain(message);
}

/** Makes the wrong call in its blocking and its promise form; both must fail alike. */
export async function expectRefused({ name, kind, blames, args }: BadCall): Promise<void> {
  const blocking = errorOf(() => untyped[name](...args()));
  expectArgumentError(blocking, kind, blames);
  // The promise form must reject rather than throw.
  const promise = untyped[`${name}Async`](...args()) as Promise<unknown>;
  expect(promise).toBeInstanceOf(Promise);
  const rejection: unknown = await promise.then(
    () => {
      throw new Error('the promise did not reject');
    },
    (error: unknown) => error,
  );
  expectArgumentError(rejection, kind, blames);
  expect((rejection as Error).message).toBe((blocking as Error).message);
}

/** ArrayBuffer constructor with the option that the library typings for this target lack. */
const Resizable = ArrayBuffer as unknown as new (
  bytes: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize(bytes: number): void };

/** A buffer that may change its size, and so cannot be given to native code. */
export function resizable(bytes: number): ArrayBuffer & { resize(bytes: number): void } {
  return new Resizable(bytes, { maxByteLength: 2 * bytes });
}

/** Takes the memory of an array away, as sending it to a worker does. */
export function detach<T extends ArrayBufferView>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
  return array;
}
