/** `tuneDataflow`: what it measures, keeps and refuses. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { availableIsas, isa } from '../lib/index.js';
import { dataflowFor, dataflowTable, useDataflow } from '../lib/kernels/dataflow.js';
import { lastLevelCache, machineKey } from '../lib/tuning-file.js';
import { coldCopies, tuneDataflow } from '../lib/tuning-dataflow.js';
import { expectCleanEnding, runCode } from './helpers/child.js';
import { expectRejected } from './helpers/refused.js';

const quick = { rows: [1, 2, 8], samples: 1, save: false } as const;
const small = { n: 40, k: 24 };

afterEach(() => useDataflow(null));

describe('tuneDataflow', () => {
  it('measures every type and layout of every shape on every instruction set, and uses the answer', async () => {
    const before = isa();
    const seen: [number, string][] = [];
    const isas = availableIsas();
    const table = await tuneDataflow([small, { n: 7, k: 5 }], {
      ...quick,
      isas,
      onProgress: (done, what) => seen.push([done, what]),
    });
    expect(table.device).toBe(machineKey());
    expect(table.entries).toHaveLength(2 * 4 * 2 * isas.length);
    expect(new Set(table.entries.map((entry) => JSON.stringify({ ...entry, m1: 0, m2: 0 }))).size).toBe(
      table.entries.length,
    );
    for (const { m1, m2, threads } of table.entries) {
      expect(m1).toBeGreaterThanOrEqual(1);
      expect(m1).toBeLessThanOrEqual(m2);
      expect([1, 2, 8, 9]).toContain(m2);
      expect(threads).toBe(1);
    }
    expect(JSON.parse(JSON.stringify(table))).toEqual(table);
    for (const entry of table.entries) {
      const { m1, m2 } = entry;
      expect(dataflowFor(entry)).toMatchObject({ m1, m2, source: 'measured' });
    }
    expect(isa()).toBe(before);
    // A call per number of rows, never backwards, below 1 until the end.
    expect(seen).toHaveLength(3 * table.entries.length);
    expect(seen.map(([done]) => done)).toEqual(seen.map(([done]) => done).sort((a, b) => a - b));
    expect(seen[0][0]).toBe(0);
    expect(seen.at(-1)![0]).toBeLessThan(1);
    expect(seen[1][1]).toBe(`${isas[0]} packed f32 [40, 24] m=2`);
  });

  it('keeps to one type, one layout and the threads that are asked for', async () => {
    const { entries } = await tuneDataflow([small], {
      ...quick,
      type: 'bf16',
      layouts: ['packed'],
      threads: 2,
    });
    expect(entries).toMatchObject([{ ...small, type: 'bf16', packed: true, threads: 2, isa: isa() }]);
  });

  it('replaces what it measured before and keeps the rest', async () => {
    const options = { ...quick, layouts: ['packed'] } as const;
    await tuneDataflow([small], { ...options, type: 'f32' });
    await tuneDataflow([small], { ...options, type: 'f16' });
    await tuneDataflow([small], { ...options, type: 'f32' });
    expect(dataflowTable()!.entries.map(({ type }) => type)).toEqual(['f32', 'f16']);
  });

  it('stops between measurements, changing nothing', async () => {
    const controller = new AbortController();
    const stopped = tuneDataflow([small], {
      ...quick,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(stopped).rejects.toBe(controller.signal.reason);
    expect(dataflowTable()).toBeNull();
  });

  it.each<[string, 'type' | 'range', unknown, Record<string, unknown>]>([
    ['shapes', 'type', [], {}],
    ['shapes', 'type', { n: 1, k: 1 }, {}],
    ['shapes[1]', 'type', [small, 7], {}],
    ['shapes[0].k', 'range', [{ n: 4, k: 0 }], {}],
    ['type', 'range', [small], { type: ['f32', 'f64'] }],
    ['layouts', 'range', [small], { layouts: ['loose'] }],
    ['isas', 'range', [small], { isas: ['sse9'] }],
    ['rows', 'range', [small], { rows: [] }],
    ['rows', 'range', [small], { rows: [1, 4, 4] }],
    ['rows[0]', 'range', [small], { rows: [0] }],
    ['threads', 'range', [small], { threads: 0 }],
    ['samples', 'range', [small], { samples: 1.5 }],
    ['save', 'type', [small], { save: 'no' }],
  ])('refuses a wrong %s before anything is measured', async (name, kind, shapes, options) => {
    await expectRejected(() => tuneDataflow(shapes as [], { ...quick, ...options }), kind, name);
    expect(dataflowTable()).toBeNull();
  });
});

describe('coldCopies', () => {
  it('fill the last-level cache twice between two uses of one', () => {
    const cache = lastLevelCache();
    expect(coldCopies(10 * cache)).toBe(2);
    expect(coldCopies(cache)).toBe(3);
    expect(coldCopies(cache / 4)).toBe(9);
    expect(coldCopies(1)).toBe(64);
  });
});

describe('the calibration file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'softlane-dataflow-'));
  const path = join(folder, 'tuning.json');
  const env = { SOFTLANE_TUNING: path };
  afterAll(() => rmSync(folder, { recursive: true }));

  const tune = `const { tuneDataflow } = require('./dist/cjs/lib/tuning-dataflow.js');
    tuneDataflow([{ n: 40, k: 24 }], { rows: [1, 2], samples: 1, type: 'f32', layouts: ['packed'] })`;
  const reason = "softlane.explain('gemm', { m: 1, n: 40, k: 24 }).reason";
  interface File {
    format: number;
    machines: Record<string, Record<string, unknown>>;
  }
  const file = () => JSON.parse(readFileSync(path, 'utf8')) as File;

  it('holds the points for later processes, beside the thresholds of softmax', async () => {
    const thresholds = { twoPassFrom: { avx2: { f64: 1e6 } }, streamFrom: {} };
    writeFileSync(
      path,
      JSON.stringify({ format: 2, machines: { [machineKey()]: thresholds, other: { a: 1 } } }),
    );
    const first = await runCode(`${tune}.then(() => console.log(${reason}))`, { env });
    expectCleanEnding(first);
    expect(first.stdout).toContain(`(calibration in ${path})`);
    expect(file().machines).toMatchObject({
      [machineKey()]: { ...thresholds, dataflow: [{ n: 40, k: 24, type: 'f32', packed: true, threads: 1 }] },
      other: { a: 1 },
    });

    const second = await runCode(`console.log(${reason}); console.log(softlane.info().tuning)`, { env });
    expectCleanEnding(second);
    expect(second.stdout).toMatch(/^1 row times packed f32 weights \[40, 24\]: .* \(calibration in .*\)\n/);
    expect(second.stdout.trim().split('\n')[1]).toBe(path);
  });

  it('is kept when softmax is tuned', async () => {
    const code = `softlane.tune({ isas: [softlane.isa()], dtypes: ['f32'], maxLength: 32768, samples: 1 })
      .then(() => console.log(${reason}))`;
    const ending = await runCode(code, { env });
    expectCleanEnding(ending);
    expect(ending.stdout).toContain(`(calibration in ${path})`);
    expect(file().machines[machineKey()].dataflow).toHaveLength(1);
    expect(file().machines[machineKey()].twoPassFrom).toMatchObject({ avx2: { f64: 1e6 } });
  });

  it('of another machine, or damaged, is passed over', async () => {
    const entry = { n: 40, k: 24, type: 'f32', isa: 'avx2', packed: true, threads: 1, m1: 3, m2: 2 };
    for (const machines of [
      { 'Another CPU': { dataflow: [{ ...entry, m1: 1 }] } },
      { [machineKey()]: { dataflow: [entry, 7, null] } },
      { [machineKey()]: { dataflow: 'none' } },
      { [machineKey()]: null },
    ]) {
      writeFileSync(path, JSON.stringify({ format: 2, machines }));
      const ending = await runCode(`console.log(${reason})`, { env });
      expectCleanEnding(ending);
      expect(ending.stdout).toContain('(built-in default)');
    }
  });

  it('is neither read nor written where SOFTLANE_TUNING is off', async () => {
    rmSync(path);
    const off = { SOFTLANE_TUNING: 'off', XDG_CACHE_HOME: folder };
    const ending = await runCode(`${tune}.then(() => console.log(${reason}))`, { env: off });
    expectCleanEnding(ending);
    expect(ending.stdout).toContain('(a table of this process)');
    expect(existsSync(join(folder, 'softlane'))).toBe(false);
    const fresh = await runCode(`console.log(${reason})`, { env: off });
    expect(fresh.stdout).toContain('(built-in default)');
  });
});
