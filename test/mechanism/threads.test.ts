import { availableParallelism, cpus } from 'node:os';

import { info, setThreads, softmax, softmaxAsync, threads } from '../../lib/index.js';
import { expectCleanEnding, runCode } from '../helpers/child.js';
import { expectSameBits } from '../helpers/compare.js';
import { uniformRow } from '../helpers/rows.js';

const print = 'console.log(softlane.threads());';

/** The number of threads in a fresh process. */
async function threadsOf(held?: string): Promise<number> {
  const ending = await runCode(print, { env: { SOFTLANE_THREADS: held } });
  expectCleanEnding(ending);
  return Number(ending.stdout);
}

it('the default is at least one and no more than the CPU gives', async () => {
  const count = await threadsOf();
  expect(count).toBeGreaterThanOrEqual(1);
  expect(count).toBeLessThanOrEqual(Math.max(availableParallelism(), cpus().length));
  expect(count).toBeLessThanOrEqual(availableParallelism());
});

it.each([1, 3, 16])('SOFTLANE_THREADS=%i is obeyed', async (count) => {
  expect(await threadsOf(String(count))).toBe(count);
});

it.each(['0', '-1', 'many', '1.5', ''])('SOFTLANE_THREADS=%p is an error or means nothing', async (held) => {
  const { code, signal, stderr, stdout } = await runCode(print, { env: { SOFTLANE_THREADS: held } });
  expect(signal).toBeNull();
  if (held === '') {
    // An empty variable is one that is not set.
    expect([code, Number(stdout)]).toEqual([0, await threadsOf()]);
  } else {
    expect(code).toBe(1);
    expect(stderr).toContain('SOFTLANE_THREADS');
  }
});

describe('setThreads', () => {
  const before = threads();
  const x = uniformRow(2 ** 21 + 77, -10, 10, 1);
  const expected = softmax(x);
  afterAll(() => setThreads(before));

  it.each([1, 2, 3, 8, 64])('%i threads: said so, and the same bits', async (count) => {
    setThreads(count);
    expect([threads(), info().threads]).toEqual([count, count]);
    expectSameBits(softmax(x, { threads: count }), expected, 'blocking');
    expectSameBits(await softmaxAsync(x, { threads: count }), expected, 'promise');
  });

  it('a call may ask for more threads than the pool has, and than there are cores', async () => {
    setThreads(2);
    expectSameBits(softmax(x, { threads: 200 }), expected, 'blocking');
    expectSameBits(await softmaxAsync(x, { threads: 200 }), expected, 'promise');
  });

  it('may change while calls are pending', async () => {
    setThreads(2);
    const pending = [softmaxAsync(x, { threads: 2 }), softmaxAsync(x)];
    setThreads(5);
    pending.push(softmaxAsync(x, { threads: 5 }));
    setThreads(1);
    pending.push(softmaxAsync(x, { threads: 3 }));
    for (const p of await Promise.all(pending)) expectSameBits(p, expected);
    expect(threads()).toBe(1);
  });
});

it('blocking calls go on while promises are pending', async () => {
  const x = uniformRow(2 ** 22, -10, 10, 2);
  const small = uniformRow(1000, -10, 10, 3);
  const expected = softmax(small);
  const pending = Array.from({ length: 4 }, () => softmaxAsync(x, { threads: 2 }));
  for (let i = 0; i < 100; i += 1) expectSameBits(softmax(small, { threads: 2 }), expected);
  const whole = softmax(x);
  for (const p of await Promise.all(pending)) expectSameBits(p, whole);
});
