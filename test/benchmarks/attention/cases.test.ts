import { labelOf, listCases } from '../../../benchmarks/attention/cases.js';

describe('the cases of attention', () => {
  it('reach from 1 Ki to 128 Ki tokens, in groups of 1, 4 and 8, in float32 and bf16', () => {
    const cases = listCases({});
    const lengths = cases.map(({ length }) => length);
    expect([Math.min(...lengths), Math.max(...lengths)]).toEqual([2 ** 10, 2 ** 17]);
    for (const dtype of ['f32', 'bf16']) {
      for (const length of new Set(lengths)) {
        const groups = cases.filter((one) => one.dtype === dtype && one.length === length);
        expect(groups.map(({ group }) => group)).toEqual([1, 4, 8]);
      }
    }
    for (const { kvHeads, headDim, threads } of cases) {
      expect({ kvHeads, headDim, threads }).toEqual({ kvHeads: 8, headDim: 128, threads: 1 });
    }
  });

  it('are those of every length and type where a filter is given, each once', () => {
    const cases = listCases({ filter: /./ });
    expect(cases).toHaveLength(8 * 4 * 3);
    expect(new Set(cases.map(labelOf)).size).toBe(cases.length);
  });

  it('are those that are asked for, and few for a quick run', () => {
    const cases = listCases({ sizes: [100], threads: [2] });
    expect(cases).toHaveLength(2 * 3);
    for (const { length, threads } of cases) expect({ length, threads }).toEqual({ length: 100, threads: 2 });
    expect(listCases({ quick: true }).length).toBeLessThan(listCases({}).length / 2);
  });
});

describe('labelOf', () => {
  it('names every parameter', () => {
    const spec = { length: 32768, group: 4, kvHeads: 8, headDim: 128, dtype: 'bf16', threads: 1 } as const;
    expect(labelOf(spec)).toBe('attention group 4, 32 Ki tokens, 8 x 128, bf16, 1 thread');
  });
});
