import { linkage, type LinkageMethod } from '../../lib/elastic/linkage.js';
import { cutTree, leafOrder } from '../../lib/elastic/tree.js';
import { adjustedRandIndex } from '../../lib/elastic/scores.js';
import fixture from '../fixtures/linkage.json';
import { expectThrown } from '../helpers/refused.js';

const METHODS: LinkageMethod[] = ['single', 'complete', 'average', 'weighted'];
/** Four series: 0 and 1 at 1, 2 and 3 at 2, the two pairs at 5. */
const pairs = linkage(Float64Array.of(1, 5, 5, 5, 5, 2), 4);

describe('cutTree', () => {
  it('cuts into k clusters, numbered by their first series', () => {
    expect([...cutTree(pairs, { k: 1 })]).toEqual([0, 0, 0, 0]);
    expect([...cutTree(pairs, { k: 2 })]).toEqual([0, 0, 1, 1]);
    expect([...cutTree(pairs, { k: 3 })]).toEqual([0, 0, 1, 2]);
    expect([...cutTree(pairs, { k: 4 })]).toEqual([0, 1, 2, 3]);
  });

  it('cuts at a height, merges at the height included', () => {
    expect([...cutTree(pairs, { height: 0.5 })]).toEqual([0, 1, 2, 3]);
    expect([...cutTree(pairs, { height: 1 })]).toEqual([0, 0, 1, 2]);
    expect([...cutTree(pairs, { height: 4.9 })]).toEqual([0, 0, 1, 1]);
    expect([...cutTree(pairs, { height: Infinity })]).toEqual([0, 0, 0, 0]);
  });

  it.each(METHODS)("gives SciPy's flat clusters of %s", (method) => {
    for (const { flat, linkage: trees } of fixture.cases) {
      const Z = Float64Array.from(trees[method]);
      const { height, clusters } = flat[method];
      expect(adjustedRandIndex(clusters, cutTree(Z, { height }))).toBe(1);
    }
  });

  it('gives exactly k clusters for every k', () => {
    for (const { n, linkage: trees } of fixture.cases) {
      for (let k = 1; k <= n; k++) {
        const labels = cutTree(Float64Array.from(trees.average), { k });
        expect(new Set(labels).size).toBe(k);
        // Numbered in the order of their first series.
        expect([...new Set(labels)]).toEqual([...Array(k).keys()]);
      }
    }
  });

  it('of one series is one cluster', () => {
    expect([...cutTree(new Float64Array(0), { k: 1 })]).toEqual([0]);
  });
});

describe('leafOrder', () => {
  it.each(METHODS)("is SciPy's for %s", (method) => {
    for (const { order, linkage: trees } of fixture.cases) {
      const Z = Float64Array.from(trees[method]);
      expect([...leafOrder(Z)]).toEqual(order[method]);
    }
  });

  it('of one series is that series', () => {
    expect([...leafOrder(new Float64Array(0))]).toEqual([0]);
  });
});

it.each<[string, 'type' | 'range', string, () => unknown]>([
  ['what is no tree', 'type', 'Z', () => cutTree([] as never, { k: 1 })],
  ['half a row', 'range', 'Z', () => cutTree(new Float64Array(3), { k: 1 })],
  ['a cluster merged before it is made', 'range', 'Z', () => cutTree(Float64Array.of(0, 2, 1, 2), { k: 1 })],
  ['a cluster merged twice', 'range', 'Z', () => leafOrder(Float64Array.of(0, 0, 1, 2))],
  ['a broken number', 'range', 'Z', () => leafOrder(Float64Array.of(0, 0.5, 1, 2))],
  ['heights of NaN', 'range', 'Z', () => cutTree(Float64Array.of(0, 1, NaN, 2), { k: 1 })],
  ['no cut', 'type', 'cut', () => cutTree(pairs, {} as never)],
  ['two cuts', 'type', 'cut', () => cutTree(pairs, { k: 1, height: 2 } as never)],
  ['k = 0', 'range', 'k', () => cutTree(pairs, { k: 0 })],
  ['k above the series', 'range', 'k', () => cutTree(pairs, { k: 5 })],
  ['height as text', 'type', 'height', () => cutTree(pairs, { height: '1' as never })],
  ['height NaN', 'range', 'height', () => cutTree(pairs, { height: NaN })],
])('trees refuse %s', (_, kind, name, call) => expectThrown(call, kind, name));
