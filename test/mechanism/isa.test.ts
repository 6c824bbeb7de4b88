import * as softlane from '../../lib/index.js';
import { expectCleanEnding, runCode } from '../helpers/child.js';
import { onEveryIsa, usable } from '../helpers/isa.js';

const { availableIsas, info, isa, setIsa } = softlane;
const print = 'console.log(JSON.stringify([softlane.isa(), softlane.availableIsas(), softlane.info().isa]));';

/** What the child printed. */
async function choice(held?: string): Promise<[string, string[], string]> {
  const ending = await runCode(print, { env: { SOFTLANE_ISA: held } });
  expectCleanEnding(ending);
  return JSON.parse(ending.stdout) as [string, string[], string];
}

it('without SOFTLANE_ISA the best available set is chosen', async () => {
  const [chosen, available, reported] = await choice();
  expect(chosen).toBe(available[0]);
  expect(reported).toBe(chosen);
  expect(available.at(-1)).toBe('scalar');
});

it.each(softlane.availableIsas())('SOFTLANE_ISA=%s is obeyed', async (name) => {
  const [chosen, available] = await choice(name);
  expect(chosen).toBe(name);
  expect(available).toEqual(availableIsas());
});

it.each(['avx9', 'AVX2', 'neon2', 'scalar,avx2', 'native'])(
  'SOFTLANE_ISA=%s is an error that lists the sets',
  async (name) => {
    const code = `console.log('not reached');`;
    const { code: exit, signal, stdout, stderr } = await runCode(code, { env: { SOFTLANE_ISA: name } });
    expect([exit, signal, stdout]).toEqual([1, null, '']);
    // A JavaScript error, not an end of the process without a word.
    expect(stderr).toMatch(/Error: .*SOFTLANE_ISA/);
    expect(stderr).toContain(name);
    for (const available of availableIsas()) expect(stderr).toContain(available);
  },
);

it('the error of a wrong SOFTLANE_ISA can be caught', async () => {
  const code = `
    process.env.SOFTLANE_ISA = 'avx9';
    try { require('./dist/cjs/lib/index.js'); } catch (error) { console.log(error instanceof Error, error.message.includes('scalar')); }
  `;
  const ending = await runCode(code, { load: false });
  expectCleanEnding(ending);
  expect(ending.stdout.trim()).toBe('true true');
});

it('availableIsas lists the best first and what info reports', () => {
  const order = ['avx512', 'avx2', 'scalar'];
  expect(order.filter((name) => availableIsas().includes(name as softlane.Isa))).toEqual(availableIsas());
  expect(info().isas).toEqual(availableIsas());
});

it.each(['avx9', '', 'SCALAR', 'constructor'])('setIsa(%p) is a RangeError that lists the sets', (name) => {
  const before = isa();
  const set = (): void => setIsa(name as softlane.Isa);
  expect(set).toThrow(expect.objectContaining({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }) as Error);
  expect(set).toThrow(/scalar/);
  expect(isa()).toBe(before);
});

it('setIsa of something that is no string is a TypeError', () => {
  expect(() => setIsa(2 as unknown as softlane.Isa)).toThrow(TypeError);
});

onEveryIsa((name) => {
  it('is in use, and says so', () => {
    expect([isa(), info().isa]).toEqual([name, name]);
    expect(softlane.explain('softmax', { rows: 1, cols: 1000 }).isa).toBe(name);
  });

  it('explains its choice of algorithm without being in use', () => {
    const other = availableIsas().filter(usable)[0];
    const {
      algorithm,
      isa: explained,
      reason,
    } = softlane.explain('softmax', { rows: 1, cols: 2 ** 26, isa: other });
    expect(explained).toBe(other);
    expect(algorithm).not.toBe('auto');
    expect(reason.length).toBeGreaterThan(10);
  });
});
