/**
 * Long methods written once for both forms. A task is a generator that yields what it waits for: native calls, which a
 * blocking run makes at once and a promise run makes on softlane's pool, and breaths, where a promise run lets other
 * events of the process through and looks at its signal. The numbers are the same either way.
 */
import { blocking, promised, requireAsync } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';

/** A native call in both forms. */
interface Call {
  kind: 'call';
  now: () => unknown;
  later: (options: AsyncOptions) => Promise<unknown>;
  /** The shares of the whole task that are done before and after it; absent where it reports none. */
  span?: readonly [number, number];
}

/** What a task yields. */
type Step = Call | { kind: 'progress'; done: number } | { kind: 'breath' };

/** A method under way; R is what it returns. */
export type Task<R> = Generator<Step, R, unknown>;

/**
 * A native call within a task.
 * @param now the blocking form
 * @param later the promise form
 * @param span shares of the task done before and after the call, in [0, 1]: it then reports its own progress between them
 */
export function* call<R>(
  now: () => R,
  later: (options: AsyncOptions) => Promise<R>,
  span?: readonly [number, number],
): Task<R> {
  return (yield { kind: 'call', now, later, span }) as R;
}

/** The same from what a native call is prepared as. */
export const nativeCall = <R>(prepared: Prepared<R>, span?: readonly [number, number]): Task<R> =>
  call(
    () => blocking(prepared),
    (options) => promised(prepared, options),
    span,
  );

/** Reports the share of the task that is done, in [0, 1]. */
export function* progress(done: number): Task<void> {
  yield { kind: 'progress', done };
}

/** A place where a promise run may pause: wanted at least once a millisecond of JavaScript work. */
export function* breath(): Task<void> {
  yield { kind: 'breath' };
}

/** A task as a part of a larger one: its progress from 0 to 1 counts as from `from` to `to`; without them as none. */
export function* part<R>(task: Task<R>, span?: readonly [number, number]): Task<R> {
  const scaled = (done: number): number => (span ? span[0] + done * (span[1] - span[0]) : 0);
  let next = task.next();
  while (next.done !== true) {
    const step = next.value;
    if (step.kind === 'call') {
      const inner = span && step.span && ([scaled(step.span[0]), scaled(step.span[1])] as const);
      next = task.next(yield { ...step, span: inner });
    } else if (step.kind === 'progress') {
      if (span) yield { kind: 'progress', done: scaled(step.done) };
      next = task.next();
    } else {
      next = task.next(yield step);
    }
  }
  return next.value;
}

/** The blocking form: runs on the calling thread until it is done. */
export function runNow<R>(task: Task<R>): R {
  let next = task.next();
  while (next.done !== true) {
    next = task.next(next.value.kind === 'call' ? next.value.now() : undefined);
  }
  return next.value;
}

/** Longest time without letting other events through, and between reports of progress, in milliseconds. */
const LONGEST_TURN = 8;
const BETWEEN_REPORTS = 50;

/**
 * The promise form. It rejects with `signal.reason` where aborted, with what onProgress throws, or with what the task
 * throws.
 */
export async function runLater<R>(task: Task<R>, options: AsyncOptions = {}): Promise<R> {
  const { signal, onProgress } = options;
  requireAsync(options);
  let reported = -1;
  let reportedAt = -Infinity;
  const report = (done: number): void => {
    const now = performance.now();
    // Never backwards: a method that ends early jumps to 1.
    if (done <= reported || (done < 1 && now - reportedAt < BETWEEN_REPORTS)) return;
    reported = done;
    reportedAt = now;
    onProgress?.(done);
  };

  signal?.throwIfAborted();
  let turnAt = performance.now();
  let next = task.next();
  while (next.done !== true) {
    const step = next.value;
    let answer: unknown;
    if (step.kind === 'call') {
      const { span } = step;
      const inner =
        onProgress && span ? (done: number) => report(span[0] + done * (span[1] - span[0])) : undefined;
      answer = await step.later({ signal, onProgress: inner });
      turnAt = performance.now();
    } else if (step.kind === 'progress') {
      report(step.done);
    } else if (performance.now() - turnAt > LONGEST_TURN) {
      await new Promise(setImmediate);
      turnAt = performance.now();
    }
    signal?.throwIfAborted();
    next = task.next(answer);
  }
  report(1);
  return next.value;
}
