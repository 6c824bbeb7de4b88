import {
  measure,
  roundOrder,
  timerResolutionNs,
  type Contender,
} from '../../../benchmarks/harness/measure.js';

/** A clock that only moves when a contender works. */
class FakeClock {
  ns = 0;
  readonly now = (): number => this.ns;

  /** A contender whose call takes `cost` nanoseconds and leaves its name in `log`. */
  contender(name: string, cost: number | (() => number), log: string[] = []): Contender {
    return {
      name,
      before: () => log.push(name),
      run: () => {
        this.ns += typeof cost === 'number' ? cost : cost();
      },
    };
  }
}

describe('roundOrder', () => {
  it('rotates from round to round and walks backwards in every other cycle', () => {
    expect([0, 1, 2, 3, 4, 5].map((round) => roundOrder(3, round).join(''))).toEqual([
      '012',
      '120',
      '201',
      '210',
      '021',
      '102',
    ]);
  });

  it('gives everybody every place equally often over two cycles', () => {
    const places = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
    for (let round = 0; round < 10; round++)
      roundOrder(5, round).forEach((who, place) => places[who][place]++);
    expect(places.flat().every((count) => count === 2)).toBe(true);
  });
});

describe('measure', () => {
  it('samples in interleaved rounds', async () => {
    const clock = new FakeClock();
    const log: string[] = [];
    const names = ['a', 'b', 'c'];
    const contenders = names.map((name) => clock.contender(name, 2e6, log));
    await measure(contenders, { now: clock.now, minSamples: 15, budgetMs: 0 });
    const rounds = log.slice(names.length);
    expect(rounds).toHaveLength(15 * names.length);
    for (let round = 0; round < 15; round++) {
      const order = rounds.slice(round * names.length, (round + 1) * names.length);
      expect(order).toEqual(roundOrder(names.length, round).map((i) => names[i]));
    }
  });

  it('reports the time of one call, whatever the batch', async () => {
    const clock = new FakeClock();
    const contenders = [clock.contender('quick', 250), clock.contender('slow', 3e7)];
    const [quick, slow] = await measure(contenders, { now: clock.now, budgetMs: 0, sampleNs: 1e6 });
    expect(quick).toMatchObject({ medianNs: 250, minNs: 250, spread: 0, batch: 4000, flags: [] });
    expect(slow).toMatchObject({ medianNs: 3e7, batch: 1, flags: [] });
    expect(quick.samplesNs).toHaveLength(15);
  });

  it('takes at least 15 samples even beyond the budget, and more within it', async () => {
    const clock = new FakeClock();
    const [beyond] = await measure([clock.contender('a', 1e9)], { now: clock.now, budgetMs: 10 });
    expect(beyond.samplesNs).toHaveLength(15);
    const [within] = await measure([clock.contender('a', 1e6)], {
      now: clock.now,
      budgetMs: 40,
      maxSamples: 99,
    });
    expect(within.samplesNs).toHaveLength(40);
    const [most] = await measure([clock.contender('a', 1e6)], {
      now: clock.now,
      budgetMs: 1e9,
      maxSamples: 33,
    });
    expect(most.samplesNs).toHaveLength(33);
  });

  it('takes the median of a drifting contender and says how it spreads', async () => {
    const clock = new FakeClock();
    let calls = 0;
    const [drifting] = await measure([clock.contender('a', () => 2e7 + 1e6 * calls++)], {
      now: clock.now,
      budgetMs: 0,
    });
    // One warm-up call, then 15 samples of one call each: 21 to 35 ms.
    expect(drifting.medianNs).toBe(28e6);
    expect(drifting.minNs).toBe(21e6);
    expect(drifting.spread).toBeCloseTo(7 / 28, 12);
  });

  it('flags a contender whose samples jump about', async () => {
    const clock = new FakeClock();
    let calls = 0;
    const [noisy] = await measure([clock.contender('a', () => (calls++ % 2 === 0 ? 1e7 : 3e7))], {
      now: clock.now,
      budgetMs: 0,
    });
    expect(noisy.flags).toContain('noisy');
  });

  it('flags what is below the resolution of the timer', async () => {
    // Steps of 10 ms, and calls of 40 ns: even the longest batch lasts a few steps only.
    const real = { ns: 0 };
    const now = () => {
      real.ns += 1e4;
      return Math.floor(real.ns / 1e7) * 1e7;
    };
    const run = () => {
      real.ns += 40;
    };
    expect(timerResolutionNs(now)).toBe(1e7);
    const [row] = await measure([{ name: 'tiny', run }], { now, budgetMs: 0 });
    expect(row.flags).toContain('below timer resolution');
  });

  it('knows a timer that stands still', () => {
    expect(timerResolutionNs(() => 5)).toBe(0);
    expect(timerResolutionNs()).toBeGreaterThan(0);
    expect(timerResolutionNs()).toBeLessThan(1e5);
  });

  it('scales a contender that does a part of the work, and says so', async () => {
    const clock = new FakeClock();
    const [part] = await measure([{ ...clock.contender('a', 2e6), scale: 16 }], {
      now: clock.now,
      budgetMs: 0,
    });
    expect(part.medianNs).toBe(32e6);
    expect(part.flags).toEqual(['scaled']);
  });

  it('awaits contenders that return promises, one call at a time', async () => {
    const clock = new FakeClock();
    let running = 0;
    const run = async () => {
      expect(++running).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      clock.ns += 5e5;
      running--;
    };
    const [promised] = await measure([{ name: 'p', run }], { now: clock.now, budgetMs: 0 });
    expect(promised).toMatchObject({ medianNs: 5e5, batch: 2 });
  });

  it('stops on a signal and returns what is done, flagged', async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    let samples = 0;
    const counted = (name: string): Contender => ({
      ...clock.contender(name, 2e7),
      before: () => {
        // Two warm-ups, then the samples.
        if (++samples === 2 + 7) controller.abort();
      },
    });
    const rows = await measure([counted('a'), counted('b')], { now: clock.now, signal: controller.signal });
    expect(rows.map((row) => row.samplesNs.length)).toEqual([4, 3]);
    for (const row of rows) expect(row.flags).toContain('few samples');
  });

  it('lets an interrupt in while blocking calls run', async () => {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), 50);
    const run = () => {
      for (const end = performance.now() + 5; performance.now() < end;);
    };
    const [row] = await measure([{ name: 'blocking', run }], {
      signal: controller.signal,
      minSamples: 10_000,
      maxSamples: 10_000,
    });
    clearTimeout(timer);
    expect(row.samplesNs.length).toBeLessThan(1000);
  });

  it('begins no round after the deadline', async () => {
    const clock = new FakeClock();
    const options = { now: clock.now, deadlineNs: 7.5e8, minSamples: 15 };
    const [row] = await measure([clock.contender('a', 1e8)], options);
    expect(row.samplesNs).toHaveLength(7);
    expect(row.flags).toContain('few samples');
  });

  it('leaves out contenders that never got a sample', async () => {
    const clock = new FakeClock();
    const signal = AbortSignal.abort();
    expect(await measure([clock.contender('a', 1)], { now: clock.now, signal })).toEqual([]);
  });

  it('measures real time', async () => {
    const run = () => {
      for (const end = performance.now() + 3; performance.now() < end;);
    };
    const [row] = await measure([{ name: 'three milliseconds', run }], { budgetMs: 0 });
    expect(row.minNs).toBeGreaterThan(2.9e6);
    expect(row.minNs).toBeLessThan(30e6);
  });
});
