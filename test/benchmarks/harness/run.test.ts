import { floorOf, type Case, type CaseContender, type Check } from '../../../benchmarks/harness/question.js';
import { runCases, type CaseResult, type RunOptions } from '../../../benchmarks/harness/run.js';
import type { Ceilings } from '../../../benchmarks/harness/results.js';

const ceilings: Ceilings = {
  readGBps: 20,
  readLargeGBps: 40,
  copyGBps: 25,
  streamCopyGBps: 30,
  fmaGflops: { avx2: 100, scalar: 5 },
};
const quick: RunOptions = {
  question: 'test',
  ceilings,
  caseMs: 0,
  measure: { minSamples: 3, sampleNs: 1e4 },
};

function contender(
  name: string,
  check: () => Check = () => ({ worst: 0.1, detail: 'error 1e-7' }),
): CaseContender {
  return {
    name,
    run: () => Math.sqrt(2),
    check,
    parameters: { isa: 'avx2', threads: 1 },
    work: { elements: 10, bytes: 1000, flops: 500 },
  };
}

function caseOf(label: string, contenders: CaseContender[], close?: () => void): Case {
  return { label, open: () => Promise.resolve({ contenders, close }) };
}

describe('floorOf', () => {
  const work = { elements: 1, bytes: 300, flops: 1000, memory: { readBytes: 100, copyBytes: 200 } };

  it('is one read and one copy where memory binds', () => {
    expect(floorOf(work, ceilings, 'avx2', 1)).toEqual({ ns: 100 / 20 + 200 / 25, binding: 'memory' });
  });

  it('is the arithmetic where that takes longer, and in cache', () => {
    expect(floorOf(work, ceilings, 'scalar', 1)).toEqual({ ns: 200, binding: 'fma' });
    expect(floorOf({ ...work, memory: undefined }, ceilings, 'avx2', 1)).toEqual({ ns: 10, binding: 'fma' });
  });

  it('reads large pages at their own rate, and names the memory that takes longer', () => {
    const reads = (readBytes: number, largeBytes: number) =>
      floorOf({ ...work, memory: { readBytes, largeBytes, copyBytes: 0 } }, ceilings, 'avx2', 1);
    expect(reads(0, 1200)).toEqual({ ns: 30, binding: 'large pages' });
    expect(reads(100, 1200)).toEqual({ ns: 35, binding: 'large pages' });
    expect(reads(700, 1200)).toEqual({ ns: 65, binding: 'memory' });
    expect(reads(0, 399)).toEqual({ ns: 10, binding: 'fma' });
  });

  it('is shared by threads', () => {
    expect(floorOf(work, ceilings, 'avx2', 2).ns).toBe(6.5);
  });
});

describe('runCases', () => {
  it('makes a row of each contender, with rates from the counted work', async () => {
    const { cases } = await runCases([caseOf('one', [contender('a'), contender('b')])], quick);
    expect(cases).toHaveLength(1);
    const rows = cases[0].rows.map((row) => row.result);
    expect(rows.map((row) => row.contender)).toEqual(['a', 'b']);
    for (const row of rows) {
      expect(row).toMatchObject({
        question: 'test',
        case: { isa: 'avx2', threads: 1 },
        samples: expect.any(Number),
      });
      expect(row.GBps).toBeCloseTo(1000 / row.medianNs, 9);
      expect(row.Gflops).toBeCloseTo(500 / row.medianNs, 9);
      expect(row.ofCeiling).toBeCloseTo(5 / row.medianNs, 9);
    }
  });

  it('tells cells per second where cells are counted, and no rate of what is not counted', async () => {
    const cells = {
      ...contender('cells'),
      work: { elements: 5000, unit: 'cell', bytes: 0, flops: 0 } as const,
    };
    const { cases } = await runCases([caseOf('one', [cells])], quick);
    const row = cases[0].rows[0].result;
    expect((row.Mcells ?? 0) / (5e6 / row.medianNs)).toBeCloseTo(1, 9);
    for (const name of ['GBps', 'Gflops', 'ofCeiling']) expect(row).not.toHaveProperty(name);
  });

  it('tells tokens per second where tokens are counted, and no rate of the outputs of a product', async () => {
    const of = (name: string, unit: 'token' | 'product') => ({
      ...contender(name),
      work: { elements: 4, unit, bytes: 0, flops: 0 } as const,
    });
    const { cases } = await runCases([caseOf('one', [of('a', 'token'), of('b', 'product')])], quick);
    const [a, b] = cases[0].rows.map((row) => row.result);
    expect(a.tokensPerSecond).toBeCloseTo(4e9 / a.medianNs, 3);
    for (const name of ['tokensPerSecond', 'Mcells']) expect(b).not.toHaveProperty(name);
  });

  it('checks every answer before any timing, and does not time a wrong one', async () => {
    const log: string[] = [];
    const logging = (name: string, worst: number): CaseContender => ({
      ...contender(name, () => {
        log.push(`check ${name}`);
        return { worst, detail: 'error 0.5' };
      }),
      run: () => log.push(`run ${name}`),
    });
    const { cases } = await runCases(
      [caseOf('one', [logging('right', 1), logging('wrong', 1.01), logging('nan', NaN)])],
      quick,
    );
    expect(log.slice(0, 3)).toEqual(['check right', 'check wrong', 'check nan']);
    expect(new Set(log.slice(3))).toEqual(new Set(['run right']));
    expect(cases[0].failures).toEqual([
      'wrong (avx2): wrong answer, error 0.5',
      'nan (avx2): wrong answer, error 0.5',
    ]);
  });

  it('reports a contender that throws and goes on', async () => {
    const failing = contender('bad', () => {
      throw new Error('no such kernel');
    });
    const { cases } = await runCases([caseOf('one', [failing, contender('good')])], quick);
    expect(cases[0].failures).toEqual(['bad (avx2): no such kernel']);
    expect(cases[0].rows).toHaveLength(1);
  });

  it('closes each case, a failed one too', async () => {
    const closed: string[] = [];
    const cases = ['one', 'two'].map((label) => caseOf(label, [contender('a')], () => closed.push(label)));
    await runCases(cases, quick);
    expect(closed).toEqual(['one', 'two']);
    const late: CaseContender = { ...contender('late'), check: () => ({ worst: 0, detail: '' }) };
    late.run = () => {
      throw new Error('broke while it was timed');
    };
    await expect(runCases([caseOf('three', [late], () => closed.push('three'))], quick)).rejects.toThrow(
      'broke',
    );
    expect(closed).toEqual(['one', 'two', 'three']);
  });

  it('keeps what the filter matches, by contender, case or instruction set', async () => {
    const cases = [caseOf('[1, 8]', [contender('a'), contender('b')]), caseOf('[2, 4]', [contender('a')])];
    const names = async (filter: RegExp) =>
      (await runCases(cases, { ...quick, filter })).cases.map((one) => [
        one.label,
        ...one.rows.map((row) => row.result.contender),
      ]);
    expect(await names(/^a /)).toEqual([
      ['[1, 8]', 'a'],
      ['[2, 4]', 'a'],
    ]);
    expect(await names(/\[1, 8\]/)).toEqual([['[1, 8]', 'a', 'b']]);
    expect(await names(/scalar/)).toEqual([]);
  });

  it('hands out each case as it ends, and lists those that a signal left out', async () => {
    const controller = new AbortController();
    const seen: CaseResult[] = [];
    const cases = ['one', 'two', 'three'].map((label) => caseOf(label, [contender('a')]));
    const { leftOut } = await runCases(cases, {
      ...quick,
      signal: controller.signal,
      onCase: (result) => {
        seen.push(result);
        controller.abort();
      },
    });
    expect(seen.map((result) => result.label)).toEqual(['one']);
    expect(leftOut).toEqual(['two', 'three']);
  });

  it('ends with the budget', async () => {
    const slow = contender('slow');
    slow.run = () => {
      for (const end = performance.now() + 20; performance.now() < end;);
    };
    const cases = Array.from({ length: 50 }, (_, i) => caseOf(String(i), [slow]));
    const start = performance.now();
    const { leftOut } = await runCases(cases, { ...quick, budgetSeconds: 0.3 });
    expect(performance.now() - start).toBeLessThan(2000);
    expect(leftOut.length).toBeGreaterThan(30);
  });
});
