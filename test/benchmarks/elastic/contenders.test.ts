import type { CaseSpec, Task } from '../../../benchmarks/elastic/cases.js';
import { METHOD_NAMES } from '../../../benchmarks/elastic/methods.js';
import { isasFor } from '../../../benchmarks/elastic/matrices.js';
import { leastOf } from '../../../benchmarks/elastic/searches.js';
import { planOf, question } from '../../../benchmarks/elastic.js';
import type { CaseContender } from '../../../benchmarks/harness/question.js';
import { dtw } from '../../../benchmarks/peers/elastic-javascript.js';
import type { NpmDtw } from '../../../benchmarks/peers/elastic-npm.js';
import { availableIsas, isa } from '../../../lib/index.js';

const isas = availableIsas();
const small: CaseSpec = { task: 'pairwise', metric: 'dtw', length: 24, count: 9, dtype: 'f32', threads: 1 };

/** In the place of packages from npm, which this sandbox cannot load: the right distance, and one that is off. */
const right: NpmDtw = {
  name: 'right',
  distance: (x, y) => dtw(Float64Array.from(x), Float64Array.from(y), new Float64Array(y.length + 1)),
};
const wrong: NpmDtw = { name: 'wrong', distance: (x, y) => right.distance(x, y) * (1 + 1e-6) };

/** Opens a case and hands over its contenders; the instruction set of the tests comes back. */
async function opened(
  spec: CaseSpec,
  use: (contenders: CaseContender[]) => void | Promise<void>,
  npm: readonly NpmDtw[] = [right],
) {
  const before = isa();
  const open = await planOf([spec], isas, npm)[0].open();
  await use(open.contenders);
  await open.close?.();
  expect(isa()).toBe(before);
}

async function expectRight(contenders: readonly CaseContender[]): Promise<void> {
  for (const contender of contenders) {
    contender.before?.();
    const { worst, detail } = await contender.check();
    expect({ name: contender.name, detail, right: worst <= 1 }).toMatchObject({ right: true });
    expect(contender.run()).not.toBeInstanceOf(Promise);
  }
}

const namesOf = (contenders: readonly CaseContender[]) => contenders.map(({ name }) => name);
const own = (name: string): string[] => isas.map(() => name);

describe.each(['f32', 'f64'] as const)('contenders in %s', (dtype) => {
  it.each(METHOD_NAMES)('give the right matrix of %s', async (metric) => {
    await opened({ ...small, metric, dtype }, async (contenders) => {
      const npm = metric === 'dtw' && dtype === 'f64' ? ['right'] : [];
      expect(namesOf(contenders)).toEqual([...own('softlane'), 'javascript', ...npm]);
      await expectRight(contenders);
    });
  });

  it.each<[Task, Partial<CaseSpec>, string[]]>([
    ['distance', { count: 2 }, [...own('softlane'), 'javascript']],
    ['distance', { count: 2, metric: 'soft-msm' }, [...own('softlane'), 'javascript']],
    ['gradient', { metric: 'soft-dtw' }, isas.flatMap(() => ['value', 'gradient'])],
    ['gradient', { metric: 'soft-msm' }, isas.flatMap(() => ['value', 'gradient'])],
    [
      'nearest',
      { count: 30, queries: 5, window: 0.1 },
      [...isas.flatMap(() => ['nearest', 'nearest-unpruned', 'pairwise']), 'javascript'],
    ],
  ])('give the right answer to %s %j', async (task, change, names) => {
    await opened({ ...small, task, dtype, ...change }, async (contenders) => {
      const expected = task === 'distance' && change.metric === undefined && dtype === 'f64';
      expect(namesOf(contenders)).toEqual(expected ? [...names, 'right'] : names);
      await expectRight(contenders);
    });
  });
});

it('find a query in a stream', async () => {
  const spec: CaseSpec = {
    ...small,
    task: 'subsequence',
    dtype: 'f64',
    count: 1,
    window: 0.05,
    stream: 3000,
  };
  await opened(spec, async (contenders) => {
    expect(namesOf(contenders)).toEqual([...own('softlane'), 'javascript']);
    await expectRight(contenders);
  });
});

describe('a contender that is timed on a part', () => {
  it('is scaled up to all pairs', async () => {
    // More cells than plain JavaScript is given, and more than the plain loops beside vectors.
    await opened({ ...small, metric: 'soft-dtw', length: 128, count: 12 }, async (contenders) => {
      const javascript = contenders.find(({ name }) => name === 'javascript')!;
      expect(javascript.scale).toBeCloseTo((12 * 13) / 2 / 24, 12);
      expect(javascript.note).toBe('24 pairs timed');
      const scalar = contenders.find(({ parameters }) => parameters.isa === 'scalar')!;
      expect(scalar.scale).toBe(isas.length > 1 ? 78 / 6 : undefined);
      await expectRight([javascript, scalar]);
    });
  });

  it('is not there where it would take too long, nor beside several threads', async () => {
    await opened({ ...small, metric: 'soft-dtw', length: 600, count: 2 }, (contenders) => {
      expect(namesOf(contenders)).toEqual(
        own('softlane').slice(0, isasFor({ ...small, length: 600 }, isas).length),
      );
    });
    await opened({ ...small, threads: 2 }, (contenders) => {
      expect(namesOf(contenders)).toEqual(own('softlane'));
    });
  });
});

it('sees a wrong distance', async () => {
  await opened(
    { ...small, dtype: 'f64' },
    async (contenders) => {
      const [first, second] = contenders.slice(-2);
      expect((await first.check()).worst).toBeLessThan(1);
      expect((await second.check()).worst).toBeGreaterThan(1);
    },
    [right, wrong],
  );
});

describe('leastOf', () => {
  it('finds the first of the least of each row', () => {
    expect([...leastOf(Float64Array.of(3, 1, 1, 0, 2, 0), 2, 3)]).toEqual([1, 0]);
  });
});

describe('the question', () => {
  it('plans what the filter keeps, and refuses a distribution', async () => {
    const options = { isas, filter: /^nearest .*f64/ };
    const { cases } = await question.plan(options);
    expect(cases.map(({ label }) => label)).toEqual([
      'nearest dtw window 0.1, 50 queries in 400 series of 256, f64, 1 thread',
    ]);
    await expect(question.plan({ isas, distribution: 'flat' })).rejects.toThrow(
      'the question elastic has no --distribution',
    );
  });
});
