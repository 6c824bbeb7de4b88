import { getEventListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

import {
  crossEntropyAsync,
  f32ToBf16Async,
  isa,
  type Isa,
  logSumExpAsync,
  memory,
  setIsa,
  softmax,
  softmaxAsync,
  softmaxBackwardAsync,
} from '../../lib/index.js';
import { Philox } from '../../lib/random.js';
import { expectSameBits } from '../helpers/compare.js';
import { POISON } from '../helpers/rows.js';

const LENGTH = 2 ** 24;
const ROWS = 256;
const x = new Float32Array(LENGTH);
const out = new Float32Array(LENGTH);

/** How a promise ended. */
async function ending(promise: Promise<unknown>): Promise<{ rejected: boolean; reason?: unknown }> {
  return promise.then(
    () => ({ rejected: false }),
    (reason: unknown) => ({ rejected: true, reason }),
  );
}

/** Fails if the output changes in the time that the rest of the call would have taken. */
async function expectStill(output: Float32Array): Promise<void> {
  const atRejection = output.slice();
  await pause(60);
  expectSameBits(output, atRejection, 'written to after the rejection');
}

describe('abort', () => {
  let before: Isa;
  beforeAll(() => {
    new Philox(5, 0).uniform(x, -10, 10);
    // The plainest instruction set leaves the most time to abort in.
    before = isa();
    setIsa('scalar');
  });
  afterAll(() => setIsa(before));

  it.each([
    ['one long row', { rows: 1 }],
    ['many rows', { rows: ROWS }],
    ['one long row on two threads', { rows: 1, threads: 2 }],
    ['many rows on two threads', { rows: ROWS, threads: 2 }],
    ['one long row, two-pass', { rows: 1, algorithm: 'two-pass' }],
  ] as const)('at a random moment: %s', async (_name, options) => {
    const random = new Philox(6, 0);
    const delay = new Float64Array(1);
    let aborted = 0;
    for (let attempt = 0; attempt < 8; attempt += 1) {
      out.fill(POISON);
      const controller = new AbortController();
      const reason = new Error(`attempt ${attempt}`);
      const end = ending(softmaxAsync(x, { ...options, out, signal: controller.signal }));
      await pause(random.uniform(delay, 0, 30)[0]);
      controller.abort(reason);
      const { rejected, reason: received } = await end;
      if (rejected) {
        aborted += 1;
        expect(received).toBe(reason);
        await expectStill(out);
      }
      expect(memory().pendingCalls).toBe(0);
    }
    expect(aborted).toBeGreaterThan(0);
  });

  it('gives a result that is whole when it comes too late', async () => {
    const controller = new AbortController();
    const p = await softmaxAsync(x.subarray(0, 1000), { signal: controller.signal });
    controller.abort();
    await pause(1);
    expectSameBits(p, softmax(x.subarray(0, 1000)));
  });

  it('stops long before the work would have ended', async () => {
    // Some of these wait in the queue of the pool; what is not begun must not be done.
    const controller = new AbortController();
    const outputs = Array.from({ length: 3 }, () => new Float32Array(LENGTH).fill(POISON));
    const ends = outputs.map((output) => {
      return ending(softmaxAsync(x, { rows: ROWS, out: output, signal: controller.signal }));
    });
    controller.abort();
    for (const { rejected, reason } of await Promise.all(ends)) {
      expect(rejected).toBe(true);
      expect(reason).toBe(controller.signal.reason);
    }
    // Some row at the end of each output has not been reached.
    const poison = Math.fround(POISON);
    expect(outputs.map((output) => output[LENGTH - 1])).toEqual([poison, poison, poison]);
  });

  it('rejects at once with the reason of a signal that was aborted before, and writes nothing', async () => {
    out.fill(POISON);
    const reason = { why: 'any value may be a reason' };
    const options = { out, signal: AbortSignal.abort(reason) };
    expect(await ending(softmaxAsync(x, options))).toEqual({ rejected: true, reason });
    const untouched = await ending(logSumExpAsync(x, { signal: AbortSignal.abort() }));
    expect(untouched.reason).toMatchObject({ name: 'AbortError' });
    await pause(20);
    const poison = Math.fround(POISON);
    expect(out.every((value) => value === poison)).toBe(true);
  });

  it('holds for every kind of call', async () => {
    const targets = new Int32Array(ROWS);
    const half = new Uint16Array(LENGTH);
    const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => crossEntropyAsync(x, targets, { rows: ROWS, gradient: out, signal }),
      (signal) => softmaxBackwardAsync(x, x, { rows: ROWS, out, signal }),
      (signal) => logSumExpAsync(x, { rows: ROWS, signal }),
      (signal) => f32ToBf16Async(x, { out: half, signal }),
    ];
    for (const call of calls) {
      const controller = new AbortController();
      const end = ending(call(controller.signal));
      controller.abort(call);
      expect(await end).toEqual({ rejected: true, reason: call });
      await expectStill(out);
    }
  });

  it('works with a timeout as the signal', async () => {
    const end = await ending(softmaxAsync(x, { out, signal: AbortSignal.timeout(1) }));
    expect(end).toMatchObject({ rejected: true, reason: { name: 'TimeoutError' } });
  });

  it('leaves no listener on the signal, however the call ends', async () => {
    const { signal } = new AbortController();
    await softmaxAsync(x.subarray(0, 5000), { signal });
    await ending(softmaxAsync(x, { rows: 7, signal }));
    await ending(softmaxAsync(x, { out: x.subarray(1), signal }));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    const controller = new AbortController();
    const end = ending(softmaxAsync(x, { out, signal: controller.signal }));
    controller.abort();
    await end;
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('refuses what is no signal and no callback', async () => {
    for (const [name, value] of [
      ['signal', {}],
      ['signal', 'stop'],
      ['onProgress', 5],
    ] as const) {
      const end = await ending(softmaxAsync(x.subarray(0, 10), { [name]: value } as object));
      expect(end.reason).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
      expect((end.reason as Error).message).toContain(`"${name}"`);
    }
  });

  describe('progress', () => {
    it.each([
      ['one long row', { rows: 1 }],
      ['many rows', { rows: ROWS }],
      ['many rows on two threads', { rows: ROWS, threads: 2 }],
    ])('rises from 0 to 1: %s', async (_name, options) => {
      const seen: number[] = [];
      // Slow enough to be seen on the way: reports come at most every 50 ms.
      const before = isa();
      setIsa('scalar');
      const call = softmaxAsync(x, {
        ...options,
        out,
        algorithm: 'two-pass',
        onProgress: (done) => seen.push(done),
      });
      setIsa(before);
      await call;
      expect(seen.some((done) => done > 0 && done < 1)).toBe(true);
      expect(seen.every((done, i) => done >= 0 && done <= 1 && (i === 0 || done >= seen[i - 1]))).toBe(true);
      const count = seen.length;
      await pause(20);
      expect(seen).toHaveLength(count);
    });

    it('a callback that throws rejects the promise with its error, and nothing more is written', async () => {
      out.fill(POISON);
      const error = new Error('from the callback');
      const onProgress = (): void => {
        throw error;
      };
      expect(await ending(softmaxAsync(x, { rows: ROWS, out, onProgress }))).toEqual({
        rejected: true,
        reason: error,
      });
      await expectStill(out);
      expect(memory().pendingCalls).toBe(0);
    });

    it('a callback may abort its own call', async () => {
      const controller = new AbortController();
      const onProgress = (): void => controller.abort('enough');
      const end = await ending(softmaxAsync(x, { rows: ROWS, out, signal: controller.signal, onProgress }));
      expect(end.rejected ? end.reason : 'enough').toBe('enough');
      await expectStill(out);
    });
  });

  it('a refusal of the promise form has a stack that leads to the caller', async () => {
    async function theCaller(): Promise<void> {
      await softmaxAsync(x, { rows: 7 });
    }
    const { reason } = await ending(theCaller());
    expect((reason as Error).stack).toContain('theCaller');
  });
});
