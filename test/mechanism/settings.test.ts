/** What one call or one process has set must not reach into another call: the instruction set, the calibration. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { availableIsas, explain, isa, logSoftmax, setIsa, softmax, softmaxAsync } from '../../lib/index.js';
import { machineKey } from '../../lib/tuning.js';
import { expectCleanEnding, runCode } from '../helpers/child.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { normalRow } from '../helpers/rows.js';

describe('the instruction set', () => {
  it('of a pending call is that of the moment it began', async () => {
    const before = isa();
    const x = normalRow(2 ** 21, 3, 1);
    x.fill(-1e38, 100, 90_000);
    for (const first of availableIsas()) {
      setIsa(first);
      const expected = softmax(x, { algorithm: 'two-pass' });
      const pending = softmaxAsync(x, { algorithm: 'two-pass' });
      for (const next of availableIsas()) setIsa(next);
      expectSameBits(await pending, expected, first);
    }
    setIsa(before);
  });

  it('is not touched by explain', () => {
    const before = isa();
    for (const each of availableIsas()) expect(explain('softmax', { cols: 10, isa: each }).isa).toBe(each);
    expect(isa()).toBe(before);
  });
});

describe('a calibration file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'softlane-'));
  const path = join(folder, 'tuning.json');
  const entry = (twoPassFrom: unknown): string =>
    JSON.stringify({ format: 2, machines: { [machineKey()]: { twoPassFrom } } });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    ['no JSON', '{'],
    ['null in place of machines', '{"format":2,"machines":null}'],
    ['a threshold that is no number', entry({ avx512: { f32: 'soon' }, scalar: { f32: -5 } })],
    ['a table that is null', entry(null)],
  ])('with %s does not keep the package from loading', async (_what, text) => {
    writeFileSync(path, text);
    const ending = await runCode('console.log(softlane.softmax(Float32Array.of(7))[0])', {
      env: { SOFTLANE_TUNING: path },
    });
    expectCleanEnding(ending);
    expect(ending.stdout.trim()).toBe('1');
  });

  it('from a tune over short rows does not say that two passes never win', async () => {
    const code = `softlane.tune({ isas: [softlane.isa()], dtypes: ['f32'], maxLength: 65536, samples: 1 })
      .then(() => console.log(softlane.explain('softmax', { cols: 2 ** 26 }).algorithm))`;
    rmSync(path, { force: true });
    const untuned = explain('softmax', { cols: 2 ** 26, isa: availableIsas()[0] }).algorithm;
    const ending = await runCode(code, { env: { SOFTLANE_TUNING: path, SOFTLANE_ISA: availableIsas()[0] } });
    expectCleanEnding(ending);
    expect(ending.stdout.trim()).toBe(untuned);
  });
});

it('arrays of another realm are what they say they are', () => {
  const foreign = runInContext('Float32Array.of(0, Math.log(3))', createContext({})) as Float32Array;
  expectSameBits(softmax(foreign), softmax(Float32Array.of(0, Math.log(3))));
  expectClose(softmax(foreign), [0.25, 0.75], () => 1e-7);
});

it.each(['two-pass', 'online', 'blocked', 'three-pass-recompute', 'three-pass-reload'] as const)(
  'the difference of logits may overflow where the quotient does not: %s',
  (algorithm) => {
    for (const cols of [2, 40, 5000]) {
      const x = new Float32Array(cols).fill(3e38);
      x[1] = -3e38;
      const logp = logSoftmax(x, { algorithm, temperature: 10 });
      const shared = -Math.log(cols - 1);
      expectClose(
        [logp[0], logp[1]],
        [shared, -6e37],
        (_, value) => 2e-6 + 1e-6 * Math.abs(value),
        algorithm,
      );
    }
  },
);
