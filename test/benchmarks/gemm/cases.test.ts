import { ALL_SHAPES, labelOf, listCases, MAIN_SHAPES, ROWS } from '../../../benchmarks/gemm/cases.js';

describe('the cases of products', () => {
  it('are four shapes of Llama 2 7B at every number of rows', () => {
    const cases = listCases({});
    expect(cases).toHaveLength(MAIN_SHAPES.length * ROWS.length);
    expect(ROWS).toEqual([1, 2, 4, 8, 16, 32, 64]);
    expect(new Set(cases.map(({ n, k }) => `${n}x${k}`))).toEqual(
      new Set(['4096x4096', '12288x4096', '11008x4096', '4096x11008']),
    );
    expect(new Set(cases.map(({ threads }) => threads))).toEqual(new Set([1]));
    // All rows of a shape follow each other: its weights are made once.
    expect(cases.slice(0, ROWS.length).map(({ m }) => m)).toEqual(ROWS);
  });

  it('are those of every model where a filter is given, each once', () => {
    const cases = listCases({ filter: /./ });
    expect(cases).toHaveLength(ALL_SHAPES.length * ROWS.length);
    expect(new Set(cases.map(labelOf)).size).toBe(cases.length);
    // [k, n] of the paper's evaluation.
    for (const [k, n] of [
      ...[4096, 11008, 12288, 16384, 13696].map((n) => [4096, n]),
      ...[12288, 16384, 13696].map((k) => [k, 4096]),
    ]) {
      expect(ALL_SHAPES).toContainEqual({ n, k });
    }
  });

  it('are those that are asked for', () => {
    expect(listCases({ sizes: [3], shapes: [{ rows: 10, cols: 20 }], threads: [1, 2] })).toEqual([
      { m: 3, n: 10, k: 20, threads: 1 },
      { m: 3, n: 10, k: 20, threads: 2 },
    ]);
    expect(listCases({ quick: true }).length).toBeLessThan(listCases({}).length / 4);
  });
});

describe('labelOf', () => {
  it('names every parameter', () => {
    expect(labelOf({ m: 8, n: 4096, k: 11008, threads: 2 })).toBe(
      'gemm m=8, weights [4 Ki, 11008], 2 threads',
    );
  });
});
