import { availableIsas, isa } from '../../../lib/index.js';
import type { CaseSpec } from '../../../benchmarks/gemm/cases.js';
import { checkedColumns, checkProduct, referencesOf } from '../../../benchmarks/gemm/check.js';
import { workOf } from '../../../benchmarks/gemm/contenders.js';
import { bytesOf, TYPES, WeightSet } from '../../../benchmarks/gemm/weights.js';
import { planOf, question } from '../../../benchmarks/gemm.js';
import type { CaseContender } from '../../../benchmarks/harness/question.js';

const isas = availableIsas();
const small: CaseSpec = { m: 3, n: 70, k: 50, threads: 1 };

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

describe('contenders of products', () => {
  it('give the right answer on every instruction set, from every copy', async () => {
    await opened(small, async (contenders) => {
      // onnxruntime-node cannot be loaded into the sandbox of the tests: test/benchmarks/peers/onnx.test.ts.
      expect(namesOf(contenders)).toEqual([
        ...TYPES.map((type) => `packed ${type}`),
        ...['gemv f32', 'flat f32', 'blocked f32', 'no-prefetch f32', 'no-prefetch bf16'],
        ...['unpacked f32', 'unpacked bf16', 'streaming-read', 'javascript'],
      ]);
      for (const contender of contenders) {
        contender.before?.();
        for (let turn = 0; turn < 3; turn++) {
          const { worst, detail } = await contender.check();
          expect({ name: contender.name, detail, right: worst <= 1 }).toMatchObject({ right: true });
        }
      }
    });
  });

  it('count each weight once, and say which kernel was chosen', async () => {
    await opened(small, (contenders) => {
      const { m, n, k } = small;
      for (const { name, parameters, work, note } of contenders) {
        const { dtype } = parameters;
        const bytes = bytesOf(small, dtype as 'f32');
        expect(parameters).toMatchObject({ m, n, k, dtype: name.split(' ')[1] ?? 'f32', threads: 1 });
        expect(work).toMatchObject({ unit: 'product', bytes, memory: { readBytes: bytes, copyBytes: 0 } });
        expect(work.memory?.largeBytes ?? 0).toBe(0);
        expect(work.flops).toBe(name === 'streaming-read' ? 0 : 2 * m * n * k);
        // Three rows: two panels at a time on AVX-512 alone; rows as stored take dot products.
        if (name.startsWith('packed')) expect(note).toBe(parameters.isa === 'avx512' ? 'gemv' : 'flat');
        if (name.startsWith('unpacked')) expect(note).toBe('gemv');
      }
      expect(bytesOf(small, 'int8')).toBe(n * k + 4 * n);
    });
  });

  it('hold weights from 4 MiB on against large pages, but what a peer packs for itself against ordinary memory', () => {
    const large = { ...small, n: 1024, k: 1024 };
    const [bytes, scales] = [2 ** 22, 4 * 1024];
    const of = (spec: CaseSpec, type: 'f32' | 'bf16' | 'int8') => workOf(spec, type).memory;
    expect(of(large, 'f32')).toEqual({ readBytes: 0, largeBytes: bytes, copyBytes: 0 });
    expect(of(large, 'bf16')).toEqual({ readBytes: bytes / 2, largeBytes: 0, copyBytes: 0 });
    expect(of({ ...large, k: 4096 }, 'int8')).toEqual({ readBytes: scales, largeBytes: bytes, copyBytes: 0 });
    expect(workOf(large, 'f32', 'ordinary').memory).toEqual({ readBytes: bytes, copyBytes: 0 });
  });

  it('are only those that the filter keeps', async () => {
    await opened(small, (all) => expect(namesOf(all)).toEqual(['packed int8']), /^packed int8/);
    await opened(small, (all) => expect(namesOf(all)).toEqual(['javascript']), /^javascript/);
    expect((await planOf([small], { isas, filter: /^nobody/ })).cases).toEqual([]);
  });

  it('leave out what is hopeless: plain loops beside vectors, dot products for many rows, JavaScript on threads', async () => {
    const large = { ...small, m: 64, n: 1024, k: 1024, threads: 2 };
    await opened(large, (contenders) => {
      const names = namesOf(contenders);
      expect(names).toContain('blocked f32');
      expect(names).not.toContain('gemv f32');
      expect(names).not.toContain('javascript');
      const scalar = contenders.filter(({ parameters }) => parameters.isa === 'scalar');
      expect(scalar.length > 0).toBe(isas.length === 1);
    });
  });

  it('scale plain JavaScript up from the columns that are timed', async () => {
    await opened(
      { ...small, m: 1, n: 600, k: 65536 },
      async ([javascript]) => {
        expect(javascript.scale).toBeCloseTo(600 / 512, 12);
        expect((await javascript.check()).worst).toBeLessThanOrEqual(1);
      },
      /^javascript/,
    );
  });
});

describe('checkProduct', () => {
  const a = Float32Array.from({ length: small.m * small.k }, (_, i) => Math.sin(i));
  const weights = new WeightSet(small);
  const references = referencesOf(small, a, weights, 'f32', checkedColumns(small.n));
  const right = new Float32Array(small.m * small.n);
  for (const { at, value } of references) right[at] = value;

  it('accepts rounding, and sees one wrong output and one that is missing', () => {
    expect(checkProduct(right, references, 1e-6).worst).toBeLessThan(1);
    const { at, scale } = references[references.length - 1];
    expect(at).toBe(small.m * small.n - 1);
    const wrong = right.slice();
    wrong[at] += 2e-6 * scale;
    expect(checkProduct(wrong, references, 1e-6).worst).toBeGreaterThan(1);
    wrong[at] = NaN;
    expect(checkProduct(wrong, references, 1e-6).worst).toBeNaN();
  });

  it('looks at the first and the last column of many', () => {
    const columns = checkedColumns(10_000);
    expect(columns).toHaveLength(48);
    expect([columns[0], columns.at(-1)]).toEqual([0, 9999]);
    expect(new Set(columns.map((j) => j % 32)).size).toBeGreaterThan(16);
  });
});

describe('WeightSet', () => {
  it('copies rows as they are stored', () => {
    const set = new WeightSet(small);
    for (const type of ['f32', 'bf16'] as const) {
      const { w } = set.stored(type);
      for (const copy of set.copies(type)) {
        expect(copy.w).toEqual(w);
        expect(copy.w.buffer).not.toBe(w.buffer);
      }
      expect(set.copies(type).length).toBeGreaterThan(1);
    }
  });

  it('transposes', () => {
    const { n, k } = { n: 130, k: 70 };
    const set = new WeightSet({ n, k });
    const w = set.stored('f32').w;
    const turned = set.transposed();
    for (const [j, t] of [
      [0, 0],
      [129, 69],
      [64, 1],
      [7, 68],
    ]) {
      expect(turned[t * n + j]).toBe(w[j * k + t]);
    }
  });

  it('widens rows of every type near to each other', () => {
    const set = new WeightSet(small);
    const exact = set.row('f32', 69);
    for (const [type, error] of [
      ['bf16', 2 ** -8],
      ['f16', 2 ** -10],
      ['int8', 1 / 80],
    ] as const) {
      const row = set.row(type, 69);
      const largest = Math.max(...exact.map(Math.abs));
      row.forEach((value, t) => expect(Math.abs(value - exact[t])).toBeLessThanOrEqual(error * largest));
      expect(row.some((value, t) => value !== exact[t])).toBe(true);
    }
  });
});

describe('the question', () => {
  it('leaves out what memory does not hold, and says so', async () => {
    const huge = { ...small, n: 2 ** 31, k: 2 ** 13 };
    const { cases, remarks } = await planOf([huge, small], { isas });
    expect(cases).toHaveLength(1);
    expect(remarks).toContainEqual(
      expect.stringMatching(
        /^gemm m=3, weights \[2 Gi, 8 Ki\], 1 thread is left out: its weights take \d+\.\d GB/,
      ),
    );
  });

  it('plans what the filter keeps, and refuses a distribution', async () => {
    const { cases } = await question.plan({ isas, filter: /^javascript gemm m=2, weights \[128256/ });
    expect(cases.map(({ label }) => label)).toEqual(['gemm m=2, weights [128256, 2 Ki], 1 thread']);
    await expect(question.plan({ isas, distribution: 'flat' })).rejects.toThrow(
      'the question gemm has no --distribution',
    );
  });
});
