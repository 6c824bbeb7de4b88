/** Functions of several native calls, with work between them, in one blocking and one promise form. */
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';

/** A function that yields native calls and takes up what they give. */
export type Steps<R> = Generator<Prepared<unknown>, R, unknown>;

/** One native call of such a function: `const result = yield* call(prepared)`. */
export function* call<R>(prepared: Prepared<R>): Steps<R> {
  return (yield prepared) as R;
}

/** Runs all calls on the calling thread. */
export function blockingSteps<R>(steps: Steps<R>): R {
  let step = steps.next();
  while (!step.done) step = steps.next(blocking(step.value));
  return step.value;
}

/**
 * Runs the calls on softlane's pool, what lies between them on the JavaScript thread.
 *
 * @param count of the calls, for progress
 */
export async function promisedSteps<R>(steps: Steps<R>, count: number, options: AsyncOptions): Promise<R> {
  const { signal, onProgress } = options;
  let step = steps.next();
  for (let i = 0; !step.done; i++) {
    const before = i;
    const report = onProgress && ((done: number) => onProgress(Math.min(1, (before + done) / count)));
    step = steps.next(await promised(step.value, { signal, onProgress: report }));
  }
  return step.value;
}
