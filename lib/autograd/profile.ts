/**
 * Where the time of a computation goes, op by op.
 */

/** Time of the ops of one name, forward or backward. */
export interface ProfileEntry {
  /** The op's name, with ' backward' for its gradient. */
  name: string;
  calls: number;
  /** Without the time of ops that it calls itself. */
  milliseconds: number;
  /** Of the whole call of `profile`. */
  share: number;
}

let times: Map<string, { calls: number; milliseconds: number }> | undefined;
let insideMilliseconds = 0;

/** Runs a part of an op, and notes its time where somebody asks for it. @internal */
export function timed<T>(name: string, fn: () => T): T {
  if (times === undefined) return fn();
  const before = insideMilliseconds;
  insideMilliseconds = 0;
  const start = performance.now();
  try {
    return fn();
  } finally {
    const whole = performance.now() - start;
    const entry = times?.get(name) ?? { calls: 0, milliseconds: 0 };
    entry.calls += 1;
    entry.milliseconds += whole - insideMilliseconds;
    times?.set(name, entry);
    insideMilliseconds = before + whole;
  }
}

/** Runs a function and tells the time of its ops by name, longest first. */
export function profile<T>(fn: () => T): { result: T; milliseconds: number; ops: ProfileEntry[] } {
  const before = times;
  const mine = (times = new Map());
  const start = performance.now();
  try {
    const result = fn();
    const milliseconds = performance.now() - start;
    const ops = [...(mine as NonNullable<typeof times>)]
      .map(([name, each]) => ({ name, ...each, share: each.milliseconds / milliseconds }))
      .sort((a, b) => b.milliseconds - a.milliseconds);
    return { result, milliseconds, ops };
  } finally {
    times = before;
  }
}
