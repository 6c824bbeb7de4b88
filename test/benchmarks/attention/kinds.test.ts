import { availableIsas, isa } from '../../../lib/index.js';
import { kindCases, kindLabel } from '../../../benchmarks/attention/kinds/kind.js';
import { findKinds, KINDS } from '../../../benchmarks/attention/kinds/list.js';
import { summarise } from '../../../benchmarks/attention/summary.js';
import { question } from '../../../benchmarks/attention.js';
import type { ResultRow } from '../../../benchmarks/harness/results.js';

const isas = availableIsas();

describe('kinds of attention', () => {
  it.each(KINDS.map(({ name }) => name))('%s: every contender gives the right answer', async (name) => {
    const before = isa();
    const [one] = kindCases(findKinds([name]), { isas, sizes: [200] });
    expect(one.label).toBe(`${name} attention, 200 tokens, 1 thread`);
    const { contenders, close } = await one.open();
    for (const contender of contenders) {
      contender.before?.();
      const { worst, detail } = await contender.check();
      expect({ name: contender.name, detail, right: worst <= 1 }).toMatchObject({ right: true });
      expect(contender.work.flops).toBeGreaterThan(0);
      expect(contender.parameters.kind).toBe(name);
    }
    const known = KINDS.find((kind) => kind.name === name)!;
    const spec = { kind: name, length: 200, threads: 1 };
    expect(new Set(contenders.map((contender) => contender.name))).toEqual(new Set(known.names(spec)));
    await close?.();
    expect(isa()).toBe(before);
  });

  it('are the cases of the question where they are asked for', async () => {
    const { cases } = await question.plan({ isas, kinds: ['linear', 'pla'] });
    const labels = ['linear', 'pla'].flatMap((kind) =>
      [2 ** 10, 2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18].map((length) => kindLabel({ kind, length, threads: 1 })),
    );
    expect(cases.map(({ label }) => label)).toEqual(labels);
    const some = await question.plan({ isas, kinds: ['linear'], filter: /^softmax /, quick: true });
    expect(some.cases).toHaveLength(2);
    await expect(question.plan({ isas, kinds: ['cubic'] })).rejects.toThrow(
      /unknown kind of attention "cubic"; there are: linear, pla, soft/,
    );
  });

  it('are summarised by length, against softmax attention', () => {
    const row = (contender: string, length: number, medianNs: number): ResultRow => ({
      ...{ question: 'attention', contender, medianNs, spread: 0, samples: 1 },
      case: { kind: 'linear', length, isa: 'scalar', threads: 1 },
    });
    const tables = summarise([row('elu', 1024, 1e6), row('softmax', 1024, 8e6), row('elu', 4096, 4e6)]);
    expect(tables).toHaveLength(3);
    expect(tables[0]).toMatch(/^milliseconds by length, linear, scalar, 1 thread/);
    expect(tables[1]).toMatch(/elu +977 +977/);
    expect(tables[2]).toMatch(/elu +8\.00/);
  });
});
