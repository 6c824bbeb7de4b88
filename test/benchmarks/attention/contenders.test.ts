import { availableIsas, isa } from '../../../lib/index.js';
import { CACHE_TYPES, type CaseSpec } from '../../../benchmarks/attention/cases.js';
import { workOf } from '../../../benchmarks/attention/contenders.js';
import { checkAttention, checkedHeads, referencesOf } from '../../../benchmarks/attention/check.js';
import { cacheBytes, CacheSet, queryOf } from '../../../benchmarks/attention/inputs.js';
import { takesPart } from '../../../benchmarks/attention/peers.js';
import { planOf, question } from '../../../benchmarks/attention.js';
import type { CaseContender } from '../../../benchmarks/harness/question.js';

const isas = availableIsas();
const small: CaseSpec = { length: 50, group: 3, kvHeads: 2, headDim: 20, dtype: 'f32', threads: 1 };

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
const OWN = ['online', 'unified', 'pair', 'tiled', 'tokens-by-heads', 'paged'];

describe('contenders of attention', () => {
  it.each(CACHE_TYPES)('give the right answer on a %s cache, from every copy', async (dtype) => {
    await opened({ ...small, dtype }, async (contenders) => {
      // onnxruntime-node cannot be loaded into the sandbox of the tests: test/benchmarks/peers/onnx.test.ts.
      const peers = dtype === 'f32' ? ['javascript'] : [];
      expect(namesOf(contenders)).toEqual([...OWN, 'streaming-read', ...peers]);
      for (const contender of contenders) {
        contender.before?.();
        for (let turn = 0; turn < 3; turn++) {
          const { worst, detail } = await contender.check();
          expect({ name: contender.name, detail, right: worst <= 1 }).toMatchObject({ right: true });
          expect(detail).not.toContain('redone');
        }
      }
    });
  });

  it('count keys and values once, and two products', async () => {
    await opened(small, (contenders) => {
      const { length, group, kvHeads, headDim } = small;
      for (const { name, work, parameters } of contenders) {
        expect(work.bytes).toBe(2 * length * kvHeads * headDim * 4);
        // So small arrays lie in ordinary memory, pages of a decoder's cache in slabs.
        const [readBytes, largeBytes] = name === 'tiled' ? [0, work.bytes] : [work.bytes, 0];
        expect(work.memory).toEqual({ readBytes, largeBytes, copyBytes: 0 });
        const flops = 4 * length * kvHeads * group * headDim;
        expect(work.flops).toBe(name === 'streaming-read' ? 0 : flops);
        expect(parameters).toMatchObject({ length, group, kvHeads, headDim, dtype: 'f32', threads: 1 });
      }
    });
    // A scale for each head of each token, of keys and of values.
    expect(cacheBytes({ ...small, dtype: 'int8' })).toBe(2 * 50 * 2 * (20 + 4));
  });

  it('hold arrays from 4 MiB on against large pages', () => {
    const spec = { ...small, kvHeads: 8, headDim: 128, length: 1024 };
    const reads = (dtype: CaseSpec['dtype'], layout: 'HND' | 'NHD' | 'pages' | 'tiles', length = 1024) => {
      const { readBytes, largeBytes } = workOf({ ...spec, dtype, length }, layout).memory!;
      return [readBytes, largeBytes].map((bytes) => bytes! / 2 ** 20);
    };
    expect(reads('f32', 'HND')).toEqual([0, 8]);
    expect(reads('f32', 'NHD', 1008)).toEqual([7.875, 0]);
    // Keys and values of all pages are one array.
    expect(['HND', 'pages', 'tiles'].map((layout) => reads('bf16', layout as 'HND'))).toEqual([
      [4, 0],
      [0, 4],
      [0, 4],
    ]);
    expect(reads('int8', 'NHD', 2 ** 13)).toEqual([0.5, 16]);
  });

  it('are only those that the filter keeps', async () => {
    await opened(small, (all) => expect(namesOf(all)).toEqual(['paged']), /^paged/);
    expect((await planOf([small], { isas, filter: /^nobody/ })).cases).toEqual([]);
  });

  it('leave out plain loops where they are hopeless, and plain JavaScript beside threads', async () => {
    await opened({ ...small, length: 40_000, headDim: 128, group: 8, threads: 2 }, (contenders) => {
      expect(namesOf(contenders)).toEqual([...OWN, 'streaming-read']);
      const scalar = contenders.filter(({ parameters }) => parameters.isa === 'scalar');
      expect(scalar.length > 0).toBe(isas.length === 1);
    });
  });

  it('leave out plain JavaScript where one head takes too long', () => {
    const long = { ...small, headDim: 128, group: 8, length: 2 ** 15 };
    expect(takesPart('javascript', long)).toBe(true);
    expect(takesPart('javascript', { ...long, length: 2 ** 15 + 1 })).toBe(false);
    expect(takesPart('onnxruntime-node', { ...long, length: 2 ** 17 })).toBe(true);
    expect(takesPart('onnxruntime-node', { ...long, dtype: 'bf16' })).toBe(false);
  });

  it('scale plain JavaScript up from the heads that are timed', async () => {
    await opened(
      { ...small, length: 20_000, headDim: 128, group: 8, kvHeads: 3 },
      async ([javascript]) => {
        expect(javascript.scale).toBe(3);
        expect(javascript.note).toBe('1 head timed');
        expect((await javascript.check()).worst).toBeLessThanOrEqual(1);
      },
      /^javascript/,
    );
  });
});

describe('CacheSet', () => {
  it('has the same numbers in every layout', () => {
    const { length, kvHeads, headDim } = small;
    for (const dtype of CACHE_TYPES) {
      const set = new CacheSet({ length, kvHeads, headDim, dtype });
      const [heads, tokens, { pages, pageTable }] = [set.of('HND')[0], set.of('NHD')[0], set.paged()[0]];
      expect([...pageTable].sort()).toEqual([0, 1, 2, 3]);
      for (const [t, h, d] of [
        [0, 0, 0],
        [49, 1, 19],
        [16, 1, 3],
        [31, 0, 7],
      ]) {
        for (const [which, what] of (['keys', 'values'] as const).entries()) {
          const page = ((pageTable[Math.floor(t / 16)] * 2 + which) * kvHeads + h) * 16 + (t % 16);
          const value = heads[what].data[(h * length + t) * headDim + d];
          expect(tokens[what].data[(t * kvHeads + h) * headDim + d]).toBe(value);
          expect(pages.data[page * headDim + d]).toBe(value);
          if (dtype !== 'int8') continue;
          const scale = heads[what].scales![h * length + t];
          expect(scale).toBeGreaterThan(0);
          expect(tokens[what].scales![t * kvHeads + h]).toBe(scale);
          expect(pages.scales![page]).toBe(scale);
        }
      }
    }
  });
});

describe('checkAttention', () => {
  const q = queryOf(small);
  const references = referencesOf(small, q, new CacheSet(small).of('HND')[0]);
  const right = new Float32Array(q.length);
  for (const { head, out } of references) right.set(out, head * small.headDim);

  it('accepts rounding, and sees one wrong number and one that is missing', () => {
    expect(checkAttention(right, references, 2e-6).worst).toBeLessThan(1);
    const wrong = right.slice();
    wrong[q.length - 1] += 2e-5;
    expect(checkAttention(wrong, references, 2e-6).worst).toBeGreaterThan(1);
    expect(checkAttention(wrong, references, 2e-6, 5).worst).toBeLessThan(1);
    wrong[q.length - 1] = NaN;
    expect(checkAttention(wrong, references, 2e-6).worst).toBeNaN();
  });

  it('looks at the first and the last query head', () => {
    expect(checkedHeads(64)).toEqual([0, 21, 42, 63]);
    expect(checkedHeads(1)).toEqual([0]);
  });
});

describe('the question', () => {
  it('plans what the filter keeps, and refuses what it has not', async () => {
    const { cases } = await question.plan({ isas, filter: /^pair attention group 4, 2 Ki tokens.* int8/ });
    expect(cases.map(({ label }) => label)).toEqual([
      'attention group 4, 2 Ki tokens, 8 x 128, int8, 1 thread',
    ]);
    await expect(question.plan({ isas, distribution: 'flat' })).rejects.toThrow(
      'the question attention has no --distribution',
    );
    await expect(question.plan({ isas, shapes: [{ rows: 1, cols: 1 }] })).rejects.toThrow(
      'the question attention has no --shapes',
    );
  });
});
