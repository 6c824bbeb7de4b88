import {
  COPYING_NOISE,
  COPYING_QUERY,
  makeDisjointSets,
  makeMqar,
  makeSelectiveCopying,
  NO_TARGET,
  repeatPrompt,
  type TaskExamples,
} from '../../lib/sequence/tasks.js';
import { expectThrown } from '../helpers/refused.js';

/** The rows of a task, as plain arrays. */
function rows({ tokens, targets, count, length }: TaskExamples): { tokens: number[]; targets: number[] }[] {
  expect([tokens.length, targets.length]).toEqual([count * length, count * length]);
  return Array.from({ length: count }, (_, i) => ({
    tokens: [...tokens.subarray(i * length, (i + 1) * length)],
    targets: [...targets.subarray(i * length, (i + 1) * length)],
  }));
}

const distinctCount = (list: readonly (number | string)[]): number => new Set(list).size;

/** Every task, small, for what all of them promise. */
const TASKS = {
  disjoint: (o: object) =>
    makeDisjointSets({ vocabSize: 40, shortLength: 4, longLength: 7, count: 20, ...o }),
  mqar: (o: object) => makeMqar({ vocabSize: 32, pairs: 5, length: 24, count: 20, ...o }),
  mini: (o: object) => makeMqar({ vocabSize: 32, pairs: 5, queries: 2, form: 'mini', count: 20, ...o }),
  copying: (o: object) => makeSelectiveCopying({ length: 20, data: 4, count: 20, ...o }),
};

describe.each(Object.entries(TASKS))('%s', (_name, make) => {
  it('depends on the seed and the number of the example alone', () => {
    const all = rows(make({ seed: 3 }));
    expect(rows(make({ seed: 3, count: 5, first: 7 }))).toEqual(all.slice(7, 12));
    expect(rows(make({ seed: 4 }))).not.toEqual(all);
    expect(distinctCount(all.map((row) => row.tokens.join()))).toBe(20);
  });

  it('has ids of its vocabulary alone', () => {
    const { tokens, targets, vocabSize } = make({ count: 50 });
    expect(tokens.every((id) => id >= 0 && id < vocabSize)).toBe(true);
    expect(targets.every((id) => id === NO_TARGET || (id >= 0 && id < vocabSize))).toBe(true);
  });

  it('refuses counts and seeds that are none', () => {
    expectThrown(() => make({ count: 0 }), 'range', 'count');
    expectThrown(() => make({ seed: -1 }), 'range', 'seed');
    expectThrown(() => make({ first: 0.5 }), 'range', 'first');
    expectThrown(() => make({ count: '3' }), 'type', 'count');
  });
});

describe('makeDisjointSets', () => {
  it.each([
    [4, 32],
    [32, 4],
    [1, 1],
  ])('two lists of %i and %i with one element in common', (shortLength, longLength) => {
    const task = makeDisjointSets({ vocabSize: 256, shortLength, longLength, count: 200, seed: 1 });
    expect(task.length).toBe(shortLength + longLength + 3);
    const places: number[] = [];
    for (const { tokens, targets } of rows(task)) {
      const first = tokens.slice(1, 1 + shortLength);
      const second = tokens.slice(2 + shortLength, -1);
      expect([tokens[0], tokens[1 + shortLength], tokens.at(-1)]).toEqual([1, 2, 3]);
      expect([...first, ...second].every((id) => id >= 4)).toBe(true);
      expect([distinctCount(first), distinctCount(second)]).toEqual([shortLength, longLength]);
      const common = first.filter((id) => second.includes(id));
      expect(common).toHaveLength(1);
      expect(targets.slice(0, -1).every((target) => target === NO_TARGET)).toBe(true);
      expect(targets.at(-1)).toBe(common[0]);
      places.push(second.indexOf(common[0]));
    }
    // The place of the common element is spread over the list.
    expect(distinctCount(places)).toBeGreaterThan(0.9 * Math.min(longLength, 30));
  });

  it('an id may stand in either list', () => {
    const firsts = rows(makeDisjointSets({ vocabSize: 20, shortLength: 2, longLength: 2, count: 300 }));
    expect(distinctCount(firsts.flatMap(({ tokens }) => tokens.slice(1, 3)))).toBe(16);
  });

  it('refuses a vocabulary that is too small', () => {
    const make = (shortLength: number, longLength: number): unknown =>
      makeDisjointSets({ vocabSize: 40, shortLength, longLength, count: 1 });
    expect(make(20, 16)).toBeDefined();
    expectThrown(() => make(21, 1), 'range', 'vocabSize');
    expectThrown(() => make(1, 17), 'range', 'vocabSize');
  });
});

describe('makeMqar', () => {
  it('asks for keys and expects their values', () => {
    const task = makeMqar({ vocabSize: 64, pairs: 6, queries: 4, length: 30, count: 100, seed: 2 });
    const places = new Set<number>();
    for (const { tokens, targets } of rows(task)) {
      const keys = [0, 1, 2, 3, 4, 5].map((i) => tokens[2 * i]);
      const valueOf = new Map(keys.map((key, i) => [key, tokens[2 * i + 1]]));
      expect(valueOf.size).toBe(6);
      expect(keys.every((key) => key >= 1 && key < 32)).toBe(true);
      expect([...valueOf.values()].every((value) => value >= 32 && value < 64)).toBe(true);
      const asked = tokens.flatMap((token, i) => (i >= 12 && token !== 0 ? [i] : []));
      expect(asked).toHaveLength(4);
      expect(distinctCount(asked.map((i) => tokens[i]))).toBe(4);
      targets.forEach((target, i) =>
        expect(target).toBe(asked.includes(i) ? valueOf.get(tokens[i]) : NO_TARGET),
      );
      asked.forEach((place) => places.add(place));
    }
    expect(places.size).toBe(18);
  });

  it('mini: alternates query and value at the tail', () => {
    const task = makeMqar({ vocabSize: 32, pairs: 5, queries: 3, form: 'mini', count: 50 });
    expect(task.length).toBe(10 + 1 + 3 + 1 + 6);
    for (const { tokens, targets } of rows(task)) {
      const valueOf = new Map([0, 1, 2, 3, 4].map((i) => [tokens[2 * i], tokens[2 * i + 1]]));
      expect([...valueOf.keys()].every((key) => key >= 2 && key < 16)).toBe(true);
      expect(new Set(valueOf.values()).size).toBe(5);
      const asked = tokens.slice(11, 14);
      expect([tokens[10], tokens[14]]).toEqual([1, 1]);
      expect(tokens.slice(15)).toEqual([0, 0, 0, 0, 0, 0]);
      expect(targets.slice(0, 15).every((target) => target === NO_TARGET)).toBe(true);
      expect(targets.slice(15)).toEqual(asked.flatMap((key) => [key, valueOf.get(key)]));
    }
  });

  it('refuses what has no room', () => {
    const make = (o: object): unknown => makeMqar({ vocabSize: 32, pairs: 5, count: 1, ...o });
    expectThrown(() => make({ queries: 6 }), 'range', 'queries');
    expectThrown(() => make({ length: 14 }), 'range', 'length');
    expectThrown(() => make({ vocabSize: 11 }), 'range', 'vocabSize');
    expectThrown(() => make({ form: 'long' }), 'range', 'form');
    expectThrown(() => make({ form: 'mini', length: 100 }), 'range', 'length');
  });
});

describe('makeSelectiveCopying', () => {
  it('hides data in noise and asks for it in order', () => {
    const task = makeSelectiveCopying({ length: 40, data: 6, count: 200, seed: 5 });
    expect([task.length, task.vocabSize]).toEqual([46, 10]);
    const places = new Set<number>();
    for (const { tokens, targets } of rows(task)) {
      const data = tokens.slice(0, 40).filter((token) => token !== COPYING_NOISE);
      expect(data).toHaveLength(6);
      expect(data.every((token) => token < 8)).toBe(true);
      expect(tokens.slice(40)).toEqual(new Array(6).fill(COPYING_QUERY));
      expect(targets).toEqual([...new Array<number>(40).fill(NO_TARGET), ...data]);
      tokens.forEach((token, i) => token < 8 && places.add(i));
    }
    expect(places.size).toBe(40);
  });

  it('refuses more data than places', () => {
    expectThrown(() => makeSelectiveCopying({ length: 4, data: 5, count: 1 }), 'range', 'data');
  });
});

describe('repeatPrompt', () => {
  it('repeats context and question', () => {
    expect([...repeatPrompt([5, 6])]).toEqual([5, 6, 5, 6]);
    expect([...repeatPrompt(Int32Array.of(5, 6), { times: 3, question: [7], separator: [0] })]).toEqual([
      5, 6, 7, 0, 5, 6, 7, 0, 5, 6, 7,
    ]);
    expect([...repeatPrompt([])]).toEqual([]);
    expect([...repeatPrompt([5], { times: 1 })]).toEqual([5]);
  });

  it('cuts the context at its beginning, in every copy alike', () => {
    const options = { question: [9], maxLength: 12, answerLength: 3 };
    // floor((12 - 3) / 2) = 4 tokens a copy, one of them the question.
    expect([...repeatPrompt([1, 2, 3, 4, 5], options)]).toEqual([3, 4, 5, 9, 3, 4, 5, 9]);
    expect([...repeatPrompt([1, 2], options)]).toEqual([1, 2, 9, 1, 2, 9]);
    expect([...repeatPrompt([1, 2, 3], { maxLength: 5, separator: [0] })]).toEqual([2, 3, 0, 2, 3]);
    expect([...repeatPrompt([1, 2, 3], { maxLength: 2, question: [8] })]).toEqual([8, 8]);
  });

  it('refuses what does not fit', () => {
    expectThrown(() => repeatPrompt([1, 2, 3], { maxLength: 5, trim: false }), 'range', 'tokens');
    expectThrown(() => repeatPrompt([1], { maxLength: 3, question: [1, 2] }), 'range', 'maxLength');
    expectThrown(() => repeatPrompt([1], { times: 0 }), 'range', 'times');
    expectThrown(() => repeatPrompt('text' as unknown as number[]), 'type', 'tokens');
    expectThrown(() => repeatPrompt([-1]), 'range', 'tokens[i]');
  });
});
