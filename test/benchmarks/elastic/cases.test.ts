import {
  cellsOfPair,
  countFor,
  labelOf,
  listCases,
  pairsOf,
  type CaseSpec,
} from '../../../benchmarks/elastic/cases.js';
import { boundingMatrix } from '../../../lib/elastic/index.js';

const spec: CaseSpec = { task: 'pairwise', metric: 'dtw', length: 128, count: 128, dtype: 'f32', threads: 1 };

describe('listCases', () => {
  const all = listCases({}, 2);

  it('has matrices of the five main metrics at every length, in both types but for the longest soft losses', () => {
    for (const metric of ['dtw', 'msm', 'twe', 'soft-dtw', 'soft-msm']) {
      for (const length of [128, 512, 2048, 10_000]) {
        const found = all.filter(
          (one) =>
            one.task === 'pairwise' && one.metric === metric && one.length === length && one.threads === 1,
        );
        const both = length < 10_000 || !metric.startsWith('soft');
        expect(found.map(({ dtype }) => dtype)).toEqual(both ? ['f32', 'f64'] : ['f32']);
      }
    }
  });

  it('has the other metrics, one long pair, gradients and searches', () => {
    for (const metric of ['adtw', 'wdtw', 'erp']) expect(all.some((one) => one.metric === metric)).toBe(true);
    expect(all.some(({ task, length }) => task === 'distance' && length === 10_000)).toBe(true);
    expect(new Set(all.map(({ task }) => task)).size).toBe(5);
  });

  it('uses all cores for some matrices, where there are several and no number is asked for', () => {
    expect(new Set(all.map(({ threads }) => threads))).toEqual(new Set([1, 2]));
    expect(new Set(listCases({}, 1).map(({ threads }) => threads))).toEqual(new Set([1]));
    const asked = listCases({ threads: [2, 3] }, 8);
    expect(asked.filter(({ threads }) => threads === 2)).toHaveLength(asked.length / 2);
    expect(new Set(asked.map(({ threads }) => threads))).toEqual(new Set([2, 3]));
  });

  it('has matrices alone of the lengths and sets that are asked for', () => {
    const cases = listCases({ sizes: [64], shapes: [{ rows: 5, cols: 300 }] }, 2);
    expect(new Set(cases.map(({ task }) => task))).toEqual(new Set(['pairwise']));
    expect(new Set(cases.map(({ length }) => length))).toEqual(new Set([64, 300]));
    expect(cases.filter(({ length }) => length === 300).every(({ count }) => count === 5)).toBe(true);
  });

  it('lists every case once, and few for a quick run', () => {
    for (const list of [all, listCases({ quick: true }, 2)]) {
      expect(new Set(list.map(labelOf)).size).toBe(list.length);
    }
    expect(listCases({ quick: true }, 2).length).toBeLessThan(all.length / 2);
  });
});

describe('countFor', () => {
  it('makes matrices of about the same number of cells, filling lanes where it can', () => {
    expect(countFor(128, false) % 16).toBe(0);
    for (const [length, soft, wanted] of [
      [128, false, 1.3e8],
      [512, false, 1.3e8],
      [2048, false, 1.3e8],
      [128, true, 2e7],
    ] as const) {
      const count = countFor(length, soft);
      expect((count * count * length * length) / 2 / wanted).toBeGreaterThan(0.7);
      expect((count * count * length * length) / 2 / wanted).toBeLessThan(1.4);
    }
  });

  it('always leaves a pair, and not too many series', () => {
    expect(countFor(1e6, false)).toBe(3);
    expect(countFor(1e6, true)).toBe(2);
    expect(countFor(1, false)).toBe(1024);
  });
});

describe('cellsOfPair', () => {
  it.each([undefined, 0, 0.05, 0.1, 0.33, 1])('counts the cells of window %s', (window) => {
    for (const length of [1, 2, 10, 37, 128]) {
      const inside = boundingMatrix(length, length, { window }).reduce((sum, cell) => sum + cell, 0);
      expect(cellsOfPair({ length, window })).toBe(inside);
    }
  });
});

describe('pairsOf', () => {
  it('counts what is compared', () => {
    expect(pairsOf(spec)).toBe((128 * 127) / 2);
    // A soft loss of a series with itself is not 0.
    expect(pairsOf({ ...spec, metric: 'soft-dtw' })).toBe((128 * 129) / 2);
    expect(pairsOf({ ...spec, task: 'distance' })).toBe(1);
    expect(pairsOf({ ...spec, task: 'gradient' })).toBe(128);
    expect(pairsOf({ ...spec, task: 'nearest', queries: 3 })).toBe(3 * 128);
    expect(pairsOf({ ...spec, task: 'subsequence', stream: 1000 })).toBe(873);
  });
});

describe('labelOf', () => {
  it('names every parameter', () => {
    expect(labelOf(spec)).toBe('pairwise dtw, 128 series of 128, f32, 1 thread');
    expect(labelOf({ ...spec, task: 'nearest', queries: 3, window: 0.1, threads: 2 })).toBe(
      'nearest dtw window 0.1, 3 queries in 128 series of 128, f32, 2 threads',
    );
    expect(labelOf({ ...spec, task: 'subsequence', stream: 1000 })).toBe(
      'subsequence dtw, a query of 128 in a stream of 1000, f32, 1 thread',
    );
  });
});
