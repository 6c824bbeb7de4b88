import type { CaseContender } from '../../../benchmarks/harness/question.js';
import type { CaseSpec } from '../../../benchmarks/scan/cases.js';
import { checkedChannels, compared } from '../../../benchmarks/scan/check.js';
import { SCANS, workOf } from '../../../benchmarks/scan/scans.js';
import { stepWork } from '../../../benchmarks/scan/steps.js';
import { planOf, question } from '../../../benchmarks/scan.js';
import { availableIsas, isa } from '../../../lib/index.js';

const isas = availableIsas();
const small: CaseSpec = { task: 'scan', batch: 1, dim: 64, state: 16, length: 70, threads: 1 };

/** Opens a case and hands over its contenders; the instruction set of the tests comes back. */
async function opened(
  spec: CaseSpec,
  use: (contenders: CaseContender[]) => void | Promise<void>,
  filter?: RegExp,
): Promise<void> {
  const before = isa();
  const { cases } = await planOf([spec], { isas, filter });
  const open = await cases[0].open();
  await use(open.contenders);
  await open.close?.();
  expect(isa()).toBe(before);
}

const namesOf = (contenders: readonly CaseContender[]) => [...new Set(contenders.map(({ name }) => name))];

/** Every contender is right, at its first call and its third. */
async function right(contenders: readonly CaseContender[]): Promise<void> {
  for (const contender of contenders) {
    contender.before?.();
    for (let turn = 0; turn < 3; turn += 1) {
      await contender.run();
      const { worst, detail } = await contender.check();
      expect({ name: contender.name, detail, right: worst <= 1 }).toMatchObject({ right: true });
    }
  }
}

describe('contenders of scans', () => {
  it.each([
    [small, [...SCANS, 'no-exp', 'javascript', 'javascript gated']],
    [{ ...small, threads: 2, length: 2100 }, [...SCANS, 'no-exp']],
    [{ ...small, dim: 5 }, [...SCANS, 'javascript', 'javascript gated']],
    [{ ...small, state: 3, dim: 2048, length: 64 }, [...SCANS, 'javascript', 'javascript gated']],
    [{ ...small, task: 'step', batch: 3, length: 1 }, ['step', 'javascript']],
    [{ ...small, task: 'ssd', dim: 128, state: 32 }, ['chunked', 'recurrent', 'javascript']],
  ] as [CaseSpec, string[]][])('give the right answer: %j', async (spec, names) => {
    await opened(spec, async (contenders) => {
      expect(namesOf(contenders)).toEqual(names);
      await right(contenders);
    });
  });

  it('find a wrong answer', async () => {
    expect(compared([[1, 1]], 1e-5).worst).toBe(0);
    expect(compared([[1.1, 1]], 1e-5).worst).toBeCloseTo(1e4, 0);
    expect(compared([[NaN, 1]], 1e-5).worst).toBeNaN();
  });

  it('look at channels from the first to the last', () => {
    expect([checkedChannels(10), checkedChannels(2), checkedChannels(1)]).toEqual([
      [0, 3, 6, 9],
      [0, 1],
      [0],
    ]);
  });

  it('count every array once, and a step its state twice', () => {
    const values = 64 * 70;
    const weights = 2 * 70 * 16;
    expect(workOf(small).bytes).toBe(4 * (3 * values + weights));
    expect(workOf(small, { gate: true, bytes: 2 }).bytes).toBe(2 * (4 * values + weights));
    expect(workOf(small, { backward: true }).bytes).toBe(4 * (5 * values + weights));
    const { bytes, memory } = workOf(small, { gate: true });
    expect((memory?.readBytes ?? 0) + (memory?.copyBytes ?? 0)).toBe(bytes);
    const step = stepWork({ ...small, task: 'step', length: 1 });
    expect(step.bytes).toBe(2 * 4 * 64 * 16 + 4 * (4 * 64 + 64 * 16));
  });

  it('are only those that the filter keeps', async () => {
    await opened(small, (all) => expect(namesOf(all)).toEqual(['backward', 'backward direct']), /^backward/);
    expect((await planOf([small], { isas, filter: /^nobody/ })).cases).toEqual([]);
  });

  it('scale plain JavaScript up from the channels that are timed', async () => {
    await opened(
      { ...small, dim: 512, length: 2048 },
      ([javascript]) => {
        expect([javascript.scale, javascript.note]).toEqual([4, '128 channels timed']);
      },
      /^javascript scan/,
    );
  });

  it('have no distribution', async () => {
    await expect(question.plan({ isas, distribution: 'normal' })).rejects.toThrow('--distribution');
  });
});
