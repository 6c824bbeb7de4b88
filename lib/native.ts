/**
 * The border to the native addon: one declaration gives a function its blocking and its promise form.
 */
import loadAddon from '../addon.cjs';
import { typeError } from './check.js';

/** What an operation of the addon looks like from here. */
type Operation = (...args: unknown[]) => unknown;

const addon = loadAddon();
const table = addon as Record<string, Operation>;

/** A native operation or function by its name in native/catalogue.def or bindings/addon.cc. */
export function native(name: string): Operation {
  return table[name];
}

/** The package's version, the file that the addon was loaded from, and the folder that the package lies in. */
export const {
  version: packageVersion,
  path: addonPath,
  root: packageRoot,
} = addon as { version: string; path: string; root: string };

/** The instruction sets that this CPU and operating system support, best first. */
export const isaList = addon.isas as string[];

/** Options of every promise form. */
export interface AsyncOptions {
  /** Stops the call within a block of work; the promise then rejects with `signal.reason` and nothing more is written. */
  signal?: AbortSignal;
  /** Called on the JavaScript thread with the share of the work that is done, in [0, 1], at most every 50 ms. */
  onProgress?: (done: number) => void;
}

/** A call ready to go: which operation, with which arguments, and what the caller gets when it is done. */
export interface Prepared<R> {
  operation: string;
  args: unknown[];
  /** From what the operation returned, seldom used. */
  result: R | ((returned: unknown) => R);
}

function finish<R>(prepared: Prepared<R>, returned: unknown): R {
  const { result } = prepared;
  return typeof result === 'function' ? (result as (returned: unknown) => R)(returned) : result;
}

/** The blocking form: runs on the calling thread. */
export function blocking<R>(prepared: Prepared<R>): R {
  return finish(prepared, table[prepared.operation](...prepared.args));
}

/** Checks the options that every promise form has. */
export function requireAsync({ signal, onProgress }: AsyncOptions): void {
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw typeError('signal', 'an AbortSignal', signal);
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw typeError('onProgress', 'a function', onProgress);
}

/**
 * The promise form: runs on softlane's own pool. The arrays are held until it settles; the caller must neither change
 * nor transfer them until then: transferred memory may be freed under the call, and the process end with it.
 */
export async function promised<R>(prepared: Prepared<R>, options: AsyncOptions = {}): Promise<R> {
  const { signal, onProgress } = options;
  requireAsync(options);
  signal?.throwIfAborted();

  // One word that the native loops read between blocks.
  const control = signal || onProgress ? new Int32Array(1) : undefined;
  const stop = () => {
    if (control) control[0] = 1;
  };
  let thrown: { reason: unknown } | undefined;
  let last = 0;
  const report =
    onProgress &&
    ((done: number) => {
      if (thrown) return;
      last = done;
      try {
        onProgress(done);
      } catch (reason) {
        thrown = { reason };
        stop();
      }
    });
  signal?.addEventListener('abort', stop, { once: true });
  const here = new Error('call');
  try {
    const returned = await table[`${prepared.operation}Async`](...prepared.args, control, report);
    if (last < 1) report?.(1);
    if (thrown) throw thrown.reason;
    return finish(prepared, returned);
  } catch (error) {
    if (thrown) throw thrown.reason;
    if (error === undefined) throw signal?.reason ?? new Error('softlane: the call was stopped');
    // A native failure has no JavaScript frames of its own: it takes those of the call.
    if (error instanceof Error && here.stack) {
      error.stack = `${error.name}: ${error.message}\n${here.stack.split('\n').slice(1).join('\n')}`;
    }
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
