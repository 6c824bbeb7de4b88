import fc from 'fast-check';
import { duplicateKey, excess, extentOf } from '../../lib/io/json-scan.js';

/** JSON text with white space and escapes in odd places. */
const text = fc.tuple(fc.jsonValue(), fc.constantFrom(undefined, ' ', '\t', 3)).map(([value, space]) => ({
  value,
  text: JSON.stringify(value, null, space),
}));

/** Depth of a value by recursion. */
function depth(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depth));
}

describe('duplicateKey', () => {
  it('finds none in what JSON.stringify writes', () => {
    fc.assert(fc.property(text, (each) => expect(duplicateKey(each.text)).toBeUndefined()));
  });

  it('finds a member that was added twice, at any depth and however it is spelled', () => {
    const spelled = (name: string): string =>
      `"${Array.from({ length: name.length }, (_, i) => `\\u${name.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;
    fc.assert(
      fc.property(fc.string(), text, fc.nat(3), fc.boolean(), (name, { text: value }, levels, isEscaped) => {
        const again = isEscaped ? spelled(name) : JSON.stringify(name);
        let whole = `{${JSON.stringify(name)}:${value},${JSON.stringify(`x${name}`)}:[],${again}:0}`;
        for (let i = 0; i < levels; i++) whole = i % 2 ? `[1,${whole},"a"]` : `{"k":0,"v":${whole}}`;
        JSON.parse(whole);
        expect(duplicateKey(whole)).toBe(name);
      }),
    );
  });

  it.each([
    ['{"a":"a","b":"a"}', undefined],
    ['[{"a":1},{"a":1}]', undefined],
    ['{"a":{"a":{"a":1}}}', undefined],
    ['{"a":["a","a"],"b":[]}', undefined],
    ['{"\\\\":1,"\\"":2,"\\\\\\"":3}', undefined],
    ['{"a\\"":1,"a\\"":2}', 'a"'],
    ['{"":1,"":2}', ''],
    ['{"a":[{"b":1,"b":2}]}', 'b'],
  ])('%s', (json, name) => expect(duplicateKey(json)).toBe(name));
});

/** Values in a value, itself among them, by recursion. */
function count(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce((sum: number, each) => sum + count(each), 1);
}

describe('extentOf', () => {
  it('nesting is the depth of the value', () => {
    fc.assert(fc.property(text, (each) => expect(extentOf(each.text).nesting).toBe(depth(each.value))));
  });

  it('bounds the number of values from both sides', () => {
    fc.assert(
      fc.property(text, (each) => {
        const { values } = extentOf(each.text);
        expect(count(each.value)).toBeLessThanOrEqual(values + 1);
        expect(values).toBeLessThanOrEqual(2 * count(each.value));
      }),
    );
  });

  it('needs no sound JSON', () => {
    expect(extentOf('[[[')).toEqual({ nesting: 3, values: 3 });
    expect(extentOf('{"[[[[')).toEqual({ nesting: 1, values: 1 });
    expect(extentOf(']]]]{')).toEqual({ nesting: 0, values: 1 });
    expect(extentOf(',"\\",",')).toEqual({ nesting: 0, values: 2 });
  });
});

it('excess tells what would cost too much', () => {
  expect(excess('['.repeat(32))).toBeUndefined();
  expect(excess('['.repeat(33))).toMatch(/nested more than 32 deep/);
  expect(excess(','.repeat(2 ** 20))).toBeUndefined();
  expect(excess(`["${','.repeat(2 ** 20)}"]`)).toBeUndefined();
  expect(excess(','.repeat(2 ** 20 + 1))).toMatch(/1048577 brackets and commas/);
});
