import { accuracy, adjustedRandIndex } from '../../lib/elastic/scores.js';
import { Philox } from '../../lib/random.js';
import { expectThrown } from '../helpers/refused.js';

describe('accuracy', () => {
  it('is the share of equal labels', () => {
    expect(accuracy(['a', 'b', 'c', 'a'], ['a', 'b', 'a', 'a'])).toBe(0.75);
    expect(accuracy(Int32Array.of(1, 2), [1, 2])).toBe(1);
    expect(accuracy([1], ['1'])).toBe(0);
  });
});

describe('adjustedRandIndex', () => {
  // Worked by hand, or scikit-learn's documented examples.
  it.each([
    [[0, 0, 1, 1], [0, 0, 1, 1], 1],
    [[0, 0, 1, 1], [1, 1, 0, 0], 1],
    [[0, 0, 1, 2], [0, 0, 1, 1], 4 / 7],
    [[0, 0, 1, 1], [0, 0, 1, 2], 4 / 7],
    [[0, 0, 0, 0], [0, 1, 2, 3], 0],
    [[0, 0, 1, 1], [0, 1, 0, 1], -0.5],
    [[5], [7], 1],
    [[1, 1, 1], [2, 2, 2], 1],
    [[1, 2, 3], [4, 5, 6], 1],
  ])('of %j and %j is %d', (a, b, expected) => {
    expect(adjustedRandIndex(a, b)).toBeCloseTo(expected, 14);
  });

  it('does not depend on names, order or side', () => {
    const draw = (stream: number) => new Philox(8, stream).words(new Uint32Array(60)).map((each) => each % 4);
    const [a, b] = [draw(1), draw(2)];
    const value = adjustedRandIndex(a, b);
    expect(adjustedRandIndex(b, a)).toBeCloseTo(value, 14);
    expect(
      adjustedRandIndex(
        Array.from(a, (each) => `class ${each}`),
        b,
      ),
    ).toBe(value);
    expect(adjustedRandIndex(a.slice().reverse(), b.slice().reverse())).toBe(value);
  });

  it('is about 0 for random clusterings', () => {
    let sum = 0;
    for (let s = 0; s < 200; s++) {
      const draw = (stream: number) =>
        new Philox(s, stream).words(new Uint32Array(50)).map((each) => each % 3);
      sum += adjustedRandIndex(draw(1), draw(2));
    }
    expect(Math.abs(sum / 200)).toBeLessThan(0.01);
  });
});

describe.each([
  ['accuracy', accuracy],
  ['adjustedRandIndex', adjustedRandIndex],
])('%s refuses', (_, score) => {
  it.each<[string, 'type' | 'range', string, () => unknown]>([
    ['no lists', 'type', 'truth', () => score('ab', ['a'])],
    ['no predictions', 'type', 'predicted', () => score(['a'], undefined as never)],
    ['labels of another kind', 'type', 'truth[1]', () => score(['a', null as never], ['a', 'b'])],
    ['NaN', 'range', 'predicted[0]', () => score([1], [NaN])],
    ['empty lists', 'range', 'truth', () => score([], [])],
    ['different lengths', 'range', 'predicted', () => score([1, 2], [1])],
  ])('%s', (_what, kind, name, call) => expectThrown(call, kind, name));
});
