import fc from 'fast-check';
import { explain } from '../../lib/explain.js';
import {
  chooseKernel,
  dataflowFor,
  dataflowTable,
  entriesOf,
  inflectionPoints,
  useDataflow,
  type DataflowEntry,
  type DataflowTable,
  type GemmKernel,
  type KernelTimes,
} from '../../lib/kernels/dataflow.js';
import { availableIsas, isa, setIsa } from '../../lib/index.js';
import { machineKey } from '../../lib/tuning-file.js';
import { expectThrown } from '../helpers/refused.js';

const entry = (change: Partial<DataflowEntry> = {}): DataflowEntry => ({
  n: 4096,
  k: 4096,
  type: 'f32',
  isa: isa(),
  packed: true,
  threads: 1,
  m1: 2,
  m2: 16,
  ...change,
});
const tableOf = (...entries: DataflowEntry[]): DataflowTable => ({ device: machineKey(), entries });
const shape = { n: 4096, k: 4096 };

afterEach(() => useDataflow(null));

describe('without a table', () => {
  const M = [1, 2, 4, 5, 95, 96, 383, 384, 1000];

  it.each([
    ['avx512', { gemv: [1, 2, 4], flat: [5, 95, 96, 383], blocked: [384, 1000] }],
    ['avx2', { gemv: [1], flat: [2, 4, 5, 95, 96, 383], blocked: [384, 1000] }],
    ['scalar', { gemv: [], flat: [1, 2, 4, 5, 95, 96, 383], blocked: [384, 1000] }],
  ] as const)('packed weights on %s', (name, expected) => {
    for (const kernel of ['gemv', 'flat', 'blocked'] as const) {
      const chosen = M.filter((m) => chooseKernel(m, { ...shape, isa: name }) === kernel);
      expect({ [kernel]: chosen }).toEqual({ [kernel]: expected[kernel] });
    }
  });

  it.each(['avx512', 'avx2', 'scalar'] as const)('rows as stored on %s: dot products below 96', (name) => {
    const kernels = M.map((m) => chooseKernel(m, { ...shape, isa: name, packed: false }));
    expect(kernels.slice(0, 5)).toEqual(new Array(5).fill('gemv'));
    expect(kernels.slice(5)).toEqual(['flat', 'flat', 'blocked', 'blocked']);
  });

  it('goes by the instruction set in use unless another is named, whatever the shape and the type', () => {
    const before = isa();
    try {
      for (const name of availableIsas()) {
        setIsa(name);
        const m1 = { avx512: 5, avx2: 2, scalar: 1 }[name];
        expect(dataflowFor(shape)).toEqual({ m1, m2: 384, source: 'built-in' });
        expect(dataflowFor({ n: 7, k: 9, type: 'int8', threads: 3 })).toEqual(dataflowFor(shape));
      }
    } finally {
      setIsa(before);
    }
  });
});

describe('with a table', () => {
  it('chooses by the points of the shape', () => {
    useDataflow(tableOf(entry(), entry({ n: 11008, m1: 1, m2: 33 })));
    expect([1, 2, 15, 16].map((m) => chooseKernel(m, shape))).toEqual(['gemv', 'flat', 'flat', 'blocked']);
    expect(dataflowFor(shape)).toMatchObject({ m1: 2, m2: 16, source: 'measured' });
    expect(dataflowFor({ n: 11008, k: 4096 })).toMatchObject({ m1: 1, m2: 33, source: 'measured' });
  });

  it('takes the nearest shape by ratios of n and k, and says which', () => {
    useDataflow(tableOf(entry({ n: 1000, k: 1000, m2: 8 }), entry({ n: 8000, k: 1000, m2: 32 })));
    // 2800 is nearer to 1000 by difference, 2900 by ratio already to 8000.
    expect(dataflowFor({ n: 2800, k: 1000 })).toMatchObject({ m2: 8, source: 'nearest', like: { n: 1000 } });
    expect(dataflowFor({ n: 2900, k: 1000 })).toMatchObject({ m2: 32, source: 'nearest', like: { n: 8000 } });
  });

  it('prefers the nearest number of threads to the nearest shape', () => {
    useDataflow(tableOf(entry({ m2: 8 }), entry({ n: 64, threads: 4, m2: 24 })));
    expect(dataflowFor({ ...shape, threads: 8 }).m2).toBe(24);
    expect(dataflowFor({ ...shape, threads: 1 }).m2).toBe(8);
  });

  it.each([
    ['type', { type: 'bf16' }],
    ['layout', { packed: false }],
    ['instruction set', { isa: availableIsas().find((name) => name !== isa()) ?? 'avx2' }],
  ] as const)('falls back to the built-in points for another %s', (_what, change) => {
    if (Object.hasOwn(change, 'isa') && availableIsas().length === 1) return;
    useDataflow(tableOf(entry()));
    expect(dataflowFor({ ...shape, ...change }).source).toBe('built-in');
  });

  it('looks into another table without using it', () => {
    const other = tableOf(entry({ m1: 9, m2: 10 }));
    expect(chooseKernel(9, shape, other)).toBe('flat');
    expect(chooseKernel(8, shape, other)).toBe('gemv');
    expect(dataflowTable()).toBeNull();
    useDataflow(other);
    expect(chooseKernel(8, shape, null)).toBe('flat');
    expect(chooseKernel(8, shape)).toBe('gemv');
  });

  it('forgets what it found in the table before', () => {
    useDataflow(tableOf(entry({ m2: 8 })));
    expect(chooseKernel(8, shape)).toBe('blocked');
    useDataflow(tableOf(entry({ m2: 9 })));
    expect(chooseKernel(8, shape)).toBe('flat');
  });

  it('is plain JSON', () => {
    const table = tableOf(entry());
    useDataflow(JSON.parse(JSON.stringify(table)) as DataflowTable);
    expect(dataflowTable()).toEqual(table);
  });
});

describe('a table that is refused', () => {
  it('of another machine is named', () => {
    const other = { device: 'Another CPU 1/2/3 avx2', entries: [entry()] };
    expectThrown(() => useDataflow(other), 'range', 'table.device');
    expect(() => useDataflow(other)).toThrow(
      `"table.device" must be that of this machine, '${machineKey()}'`,
    );
    expect(() => useDataflow(other)).toThrow("received 'Another CPU 1/2/3 avx2'");
  });

  it.each<[string, 'type' | 'range', unknown]>([
    ['table', 'type', 'auto'],
    ['table', 'type', { device: machineKey() }],
    ['table.device', 'type', { entries: [] }],
    ['table.entries[0]', 'type', tableOf(null as unknown as DataflowEntry)],
    ['table.entries[1].m1', 'range', tableOf(entry(), entry({ m1: 20 }))],
    ['table.entries[0].m2', 'range', tableOf(entry({ m2: 1.5 }))],
    ['table.entries[0].n', 'range', tableOf(entry({ n: 0 }))],
    ['table.entries[0].type', 'range', tableOf(entry({ type: 'f8' as 'f16' }))],
    ['table.entries[0].isa', 'range', tableOf(entry({ isa: 'sse2' as 'avx2' }))],
    ['table.entries[0].packed', 'type', tableOf(entry({ packed: 1 as unknown as boolean }))],
  ])('names %s', (name, kind, table) => {
    useDataflow(tableOf(entry({ m2: 7 })));
    expectThrown(() => useDataflow(table as DataflowTable), kind, name);
    // What was in use stays.
    expect(dataflowFor(shape).m2).toBe(7);
  });
});

describe('entriesOf', () => {
  it('keeps what is sound of a stored list', () => {
    const sound = entry();
    expect(entriesOf([sound, { ...sound, m1: 99 }, null, 'x', { n: 1 }])).toEqual([sound]);
    expect(entriesOf({ 0: sound })).toEqual([]);
    expect(entriesOf(undefined)).toEqual([]);
  });
});

describe('inflectionPoints', () => {
  const M = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
  const timesOf = (of: Record<GemmKernel, (m: number) => number>): KernelTimes[] =>
    M.map((m) => ({ m, gemv: of.gemv(m), flat: of.flat(m), blocked: of.blocked(m) }));

  it('are where the curves cross', () => {
    const times = timesOf({ gemv: (m) => m, flat: (m) => 3 + 0.1 * m, blocked: (m) => 5 + 0.01 * m });
    // 4 against 3.4; at 24 5.24 against 5.4 is a tie, at 32 5.32 against 6.2 is not.
    expect(inflectionPoints(times)).toEqual({ m1: 4, m2: 32 });
  });

  it('a tie at one row goes to the flat product, and later ties to the kernel before', () => {
    expect(inflectionPoints(timesOf({ gemv: () => 1, flat: () => 1, blocked: () => 1 }))).toEqual({
      m1: 1,
      m2: 65,
    });
    expect(inflectionPoints(timesOf({ gemv: () => 1, flat: () => 1.02, blocked: () => 1 }))).toEqual({
      m1: 1,
      m2: 65,
    });
  });

  it('a kernel that is never overtaken stays to the end', () => {
    const times = timesOf({ gemv: () => 1, flat: () => 2, blocked: () => 3 });
    expect(inflectionPoints(times)).toEqual({ m1: 65, m2: 65 });
  });

  it('one outlier moves nothing', () => {
    const times = timesOf({ gemv: () => Infinity, flat: (m) => 10 + m, blocked: (m) => 40 + 0.1 * m });
    const steady = inflectionPoints(times);
    expect(steady).toEqual({ m1: 1, m2: 48 });
    times[3].flat = 1000;
    expect(inflectionPoints(times)).toEqual(steady);
  });

  it('are in order, and the choice is within the hysteresis of the best where curves cross once', () => {
    const time = fc.double({ min: 0.1, max: 100, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(time, time, time), { minLength: 1, maxLength: 12 }), (rows) => {
        const times = rows.map(([gemv, flat, blocked], i) => ({ m: M[i], gemv, flat, blocked }));
        const { m1, m2 } = inflectionPoints(times);
        expect(m1).toBeLessThanOrEqual(m2);
        expect(m1).toBeGreaterThanOrEqual(1);
        expect(m2).toBeLessThanOrEqual(M[rows.length - 1] + 1);
      }),
    );
    fc.assert(
      fc.property(time, time, time, time, (a, b, c, d) => {
        // Fixed costs ascending, costs of a row descending: each pair of lines crosses at most once.
        const [x, y] = [
          [a, a + b, a + b + c],
          [d + 2, d + 1, d],
        ];
        const line = (i: number) => (m: number) => x[i] + y[i] * m;
        const times = timesOf({ gemv: line(0), flat: line(1), blocked: line(2) });
        const { m1, m2 } = inflectionPoints(times);
        for (const { m, gemv, flat, blocked } of times) {
          const [chosen, others] =
            m < m1 ? [gemv, [flat]] : m < m2 ? [flat, [gemv, blocked]] : [blocked, [flat]];
          for (const other of others) expect(chosen).toBeLessThanOrEqual(other / 0.97 + 1e-9);
        }
      }),
    );
  });
});

describe("explain('gemm')", () => {
  it.each(availableIsas())('says which kernel and why on %s', (name) => {
    const m1 = { avx512: 5, avx2: 2, scalar: 1 }[name];
    const on = { ...shape, isa: name };
    const range = m1 === 1 ? 'below 384 rows' : `from ${m1} to 383 rows`;
    expect(explain('gemm', { m: 8, ...on })).toEqual({
      kernel: 'flat',
      isa: name,
      m1,
      m2: 384,
      reason:
        `8 rows times packed f32 weights [4096, 4096]: ${range} the weights are read once for all rows, one panel ` +
        'after another (built-in default)',
    });
    expect(explain('gemm', { m: 384, ...on }).reason).toMatch(/: from 384 rows arithmetic binds/);
    if (m1 > 1) {
      const { kernel, reason } = explain('gemm', { m: 1, ...on });
      expect(kernel).toBe('gemv');
      expect(reason).toContain(
        `: below ${m1} rows registers suffice for two panels of the weights at a time (`,
      );
    }
  });

  it('says so of rows as they are stored', () => {
    const rows = { ...shape, packed: false, type: 'bf16' } as const;
    const gemv = explain('gemm', { m: 1, ...rows });
    expect(gemv).toMatchObject({ kernel: 'gemv', isa: isa(), m1: 96, m2: 384 });
    expect(gemv.reason).toMatch(
      /^1 row times unpacked bf16 weights \[4096, 4096\]: below 96 rows dot products with the rows /,
    );
    const flat = explain('gemm', { m: 96, ...rows });
    expect(flat.kernel).toBe('flat');
    expect(flat.reason).toContain(': from 96 to 383 rows it pays to turn the weights into panels, ');
    expect(explain('gemm', { m: 384, ...rows }).reason).toMatch(/: from 384 rows arithmetic binds/);
  });

  it('names the measured shape that it went by', () => {
    useDataflow(tableOf(entry({ m1: 2, m2: 9 })));
    expect(explain('gemm', { m: 8, ...shape }).reason).toMatch(
      /: from 2 to 8 rows .* \(a table of this process\)$/,
    );
    expect(explain('gemm', { m: 9, n: 2048, k: 4096 })).toMatchObject({
      kernel: 'blocked',
      reason: expect.stringMatching(
        / \(nearest shape \[4096, 4096\], 1 thread, of a table of this process\)$/,
      ) as unknown,
    });
  });

  it.each<[string, 'type' | 'range', Record<string, unknown>]>([
    ['m', 'range', { m: 0 }],
    ['n', 'type', { n: undefined }],
    ['k', 'range', { k: 2.5 }],
    ['type', 'range', { type: 'f64' }],
    ['packed', 'type', { packed: 'yes' }],
    ['isa', 'range', { isa: 'sse9' }],
    ['threads', 'range', { threads: 0 }],
  ])('refuses a wrong %s', (name, kind, change) => {
    expectThrown(() => explain('gemm', { m: 1, ...shape, ...change }), kind, name);
  });

  it('refuses an unknown operation and what is no case', () => {
    expectThrown(() => explain('conv' as 'gemm', { m: 1, ...shape }), 'range', 'operation');
    expectThrown(() => explain('gemm', null as unknown as { m: 1; n: 1; k: 1 }), 'type', 'call');
  });
});
