import { breath, call, part, progress, runLater, runNow, type Task } from '../../lib/elastic/task.js';
import { expectRejected } from '../helpers/refused.js';

/** A task of calls that say in which form they were made. */
function* recorder(log: string[]): Task<number> {
  yield* progress(0.25);
  const a = yield* call(
    () => (log.push('now'), 1),
    async ({ onProgress }) => {
      onProgress?.(0.5);
      log.push('later');
      return Promise.resolve(1);
    },
    [0.25, 0.75],
  );
  yield* breath();
  return a + 1;
}

describe('runNow', () => {
  it('makes the blocking calls and returns what the task returns', () => {
    const log: string[] = [];
    expect(runNow(recorder(log))).toBe(2);
    expect(log).toEqual(['now']);
  });

  it('throws what a call throws', () => {
    const failing = function* (): Task<void> {
      yield* call(
        () => {
          throw new Error('no');
        },
        async () => Promise.resolve(),
      );
    };
    expect(() => runNow(failing())).toThrow('no');
  });
});

describe('runLater', () => {
  it('makes the promise calls', async () => {
    const log: string[] = [];
    expect(await runLater(recorder(log))).toBe(2);
    expect(log).toEqual(['later']);
  });

  it('reports progress upwards to 1, those of calls as shares of their span', async () => {
    const seen: number[] = [];
    const slowly = function* (): Task<void> {
      for (const done of [0.1, 0.2, 0.2, 0.05]) {
        // Reports are at least 50 ms apart.
        yield* call(
          () => undefined,
          async () => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 60)),
        );
        yield* progress(done);
      }
      yield* call(
        () => undefined,
        async ({ onProgress }) => {
          await new Promise((resolve) => setTimeout(resolve, 60));
          onProgress?.(0.5);
        },
        [0.4, 0.8],
      );
    };
    await runLater(part(slowly(), [0, 0.5]), { onProgress: (done) => void seen.push(done) });
    expect(seen.map((each) => each.toFixed(3))).toEqual(['0.050', '0.100', '0.300', '1.000']);
  });

  it('gives calls no onProgress where nobody listens, or where they report none', async () => {
    const seen: unknown[] = [];
    const silent = function* (span?: [number, number]): Task<void> {
      yield* call(
        () => undefined,
        async ({ onProgress }) => void seen.push(onProgress),
        span,
      );
    };
    await runLater(silent([0, 1]));
    await runLater(silent(), { onProgress: () => undefined });
    await runLater(part(silent([0, 1])), { onProgress: () => undefined });
    expect(seen).toEqual([undefined, undefined, undefined]);
  });

  it('lets other events through at a breath once some milliseconds have gone by', async () => {
    let turns = 0;
    const count = (): void => {
      turns++;
      immediate = setImmediate(count);
    };
    let immediate = setImmediate(count);
    // Works until three turns have come by, which on a busy machine takes as long as it takes.
    const busy = function* (): Task<number> {
      let breaths = 0;
      while (turns < 3) {
        breaths++;
        yield* breath();
      }
      return breaths;
    };
    const breaths = await runLater(busy());
    clearImmediate(immediate);
    // Far from one turn per breath, which would cost more than the work.
    expect(breaths).toBeGreaterThan(10 * turns);
  });

  it('hands the signal to calls, and stops between steps', async () => {
    const controller = new AbortController();
    const stop = new Error('enough');
    const reached: string[] = [];
    const task = function* (): Task<void> {
      yield* call(
        () => undefined,
        async ({ signal }) => {
          expect(signal).toBe(controller.signal);
          controller.abort(stop);
          return Promise.resolve();
        },
      );
      reached.push('after');
      yield* breath();
    };
    await expect(runLater(task(), { signal: controller.signal })).rejects.toBe(stop);
    expect(reached).toEqual([]);
  });

  it('rejects bad options before it begins', async () => {
    await expectRejected(async () => runLater(recorder([]), { signal: 3 as never }), 'type', 'signal');
    await expectRejected(
      async () => runLater(recorder([]), { onProgress: 3 as never }),
      'type',
      'onProgress',
    );
  });
});
