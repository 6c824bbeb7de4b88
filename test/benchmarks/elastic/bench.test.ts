import {
  ALLOWANCE,
  checkedPairs,
  checkValues,
  parametersOf,
  referencesOf,
  workOf,
} from '../../../benchmarks/elastic/bench.js';
import type { CaseSpec } from '../../../benchmarks/elastic/cases.js';
import { walks } from '../../../benchmarks/elastic/inputs.js';
import { METHOD_NAMES, methodOf } from '../../../benchmarks/elastic/methods.js';
import { pairwise } from '../../../lib/elastic/index.js';

const spec: CaseSpec = { task: 'pairwise', metric: 'dtw', length: 30, count: 6, dtype: 'f64', threads: 1 };

describe('parametersOf', () => {
  it('names what design asks for first, then the task', () => {
    expect(Object.keys(parametersOf(spec, 'avx2'))).toEqual([
      'metric',
      'length',
      'count',
      'dtype',
      'isa',
      'threads',
      'task',
    ]);
    const search: CaseSpec = { ...spec, task: 'nearest', queries: 2, window: 0.1 };
    expect(parametersOf(search, 'avx2')).toMatchObject({ task: 'nearest', queries: 2, window: 0.1 });
  });
});

describe('workOf', () => {
  it('counts cells and operations, no bytes', () => {
    expect(workOf(spec)).toEqual({ elements: 15 * 900, unit: 'cell', bytes: 0, flops: 15 * 900 * 5 });
  });

  it('does not count operations that may be left out', () => {
    expect(workOf(spec, { counted: false })).toMatchObject({ elements: 15 * 900, flops: 0 });
  });

  it('counts more for more: longer polynomials in float64, soft minima, gradients', () => {
    const soft = (change: Partial<CaseSpec>, gradient = false) =>
      workOf({ ...spec, metric: 'soft-msm', ...change }, { gradient }).flops;
    expect(soft({ dtype: 'f32' })).toBeLessThan(soft({}));
    expect(soft({})).toBeLessThan(soft({}, true));
    expect(soft({ metric: 'soft-dtw' })).toBeLessThan(soft({}));
    for (const name of METHOD_NAMES) expect(methodOf(name).operations.f32).toBeGreaterThanOrEqual(5);
  });
});

describe('checkValues', () => {
  const set = walks('f64', 6, 30);
  const references = referencesOf(spec, set, checkedPairs(6, 30));
  const matrix = pairwise(set, null);

  it('accepts softlane', () => {
    expect(checkValues(references, ({ i, j }) => matrix[6 * i + j], spec).worst).toBeLessThan(1);
  });

  it('sees one wrong value, and one that is missing', () => {
    const wrong = (change: (value: number) => number) =>
      checkValues(
        references,
        ({ i, j }, k) => (k === references.length - 1 ? change(matrix[6 * i + j]) : matrix[6 * i + j]),
        spec,
      ).worst;
    expect(wrong((value) => value + 100 * ALLOWANCE.f64 * (value + 30))).toBeGreaterThan(1);
    expect(wrong(() => NaN) <= 1).toBe(false);
  });
});

describe('checkedPairs', () => {
  it('looks at the first pair, the last and some between, of long series at one', () => {
    expect(checkedPairs(3, 10)).toEqual([
      [0, 1],
      [0, 2],
      [1, 2],
    ]);
    const pairs = checkedPairs(100, 128);
    expect(pairs).toHaveLength(6);
    expect([pairs[0], pairs[5]]).toEqual([
      [0, 1],
      [98, 99],
    ]);
    expect(checkedPairs(4, 10_000)).toHaveLength(1);
  });
});

describe('referencesOf', () => {
  it('takes softlane itself where JavaScript would take too long, the same function', () => {
    const long: CaseSpec = { ...spec, metric: 'soft-dtw', length: 3300, count: 2 };
    const set = walks('f64', 2, 3300);
    const [{ value }] = referencesOf(long, set, [[0, 1]]);
    const [x, y] = [0, 1].map((k) => Float64Array.from(set.series(k)));
    const javascript = methodOf('soft-dtw').javascript(x, y, new Float64Array(3301));
    expect(Math.abs(value - javascript)).toBeLessThan(1e-9 * 3300);
  });
});
