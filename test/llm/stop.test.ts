import fc from 'fast-check';
import { StopWatch, TextOfTokens } from '../../lib/llm/stop.js';
import type { StopOptions } from '../../lib/llm/stop.js';

/** Tokens are bytes, as in a byte-level model. */
const utf8 = (tokens: number[]): string => new TextDecoder().decode(Uint8Array.from(tokens));
const bytes = (text: string): number[] => [...new TextEncoder().encode(text)];

/** Tokens are words with a mark for the space before them, which vanishes at the beginning of a text. */
const WORDS = ['▁the', '▁cat', 's', '▁sat', '.'];
const words = (tokens: number[]): string =>
  tokens
    .map((token) => WORDS[token].replace('▁', ' '))
    .join('')
    .replace(/^ /, '');

/** Pushes tokens until one stops the text. */
function run(
  tokens: readonly number[],
  o: Partial<StopOptions>,
): { pieces: (string | undefined)[]; stopped: boolean; stopLength?: number } {
  const watch = new StopWatch({ stopTokens: [], stopSequences: [], stop: [], ...o });
  const pieces: (string | undefined)[] = [];
  for (const [i, token] of tokens.entries()) {
    const { text, stopped, stopLength } = watch.push(token, i === tokens.length - 1);
    pieces.push(text);
    if (stopped) return { pieces, stopped, stopLength };
  }
  return { pieces, stopped: false };
}

test('half a character is held back until it is whole', () => {
  const { pieces } = run(bytes('aß€😀b'), { detokenize: utf8 });
  expect(pieces).toEqual(['a', '', 'ß', '', '', '€', '', '', '', '😀', 'b']);
});

test('a character that never becomes whole is shown when it is certain, or at the end', () => {
  expect(run([0xe2, 0x82, 0x41, 0x42], { detokenize: utf8 }).pieces.join('')).toBe('\ufffdAB');
  expect(run([0x41, 0xe2, 0x82], { detokenize: utf8 }).pieces).toEqual(['A', '', '\ufffd']);
  // Garbage without end does not pile up.
  const garbage = run(Array<number>(100).fill(0x80), { detokenize: utf8 }).pieces;
  expect(garbage.join('')).toBe('\ufffd'.repeat(100));
  expect(garbage.slice(0, 50).join('').length).toBeGreaterThan(40);
});

test('spaces at the joints of words stay', () => {
  const { pieces } = run([0, 1, 2, 3, 4], { detokenize: words });
  expect(pieces).toEqual(['the', ' cat', 's', ' sat', '.']);
});

test('decoding stays local: the work on a token does not grow with the text', () => {
  let longest = 0;
  const text = new TextOfTokens((tokens) => {
    longest = Math.max(longest, tokens.length);
    return utf8(tokens);
  });
  const source = 'ein Stück Text 😀 '.repeat(50);
  expect(
    bytes(source)
      .map((byte) => text.push(byte))
      .join(''),
  ).toBe(source);
  expect(longest).toBeLessThan(10);
});

test('a stop string ends the text before it; what might begin one is held back', () => {
  const o = { stop: ['END', 'EX'], detokenize: utf8 };
  expect(run(bytes('an EN END of'), o)).toEqual({
    pieces: ['a', 'n', ' ', '', '', 'EN ', '', '', ''],
    stopped: true,
    stopLength: undefined,
  });
  // At the end of the tokens everything is let go.
  expect(run(bytes('an EN'), o)).toEqual({ pieces: ['a', 'n', ' ', '', 'EN'], stopped: false });
  // The earliest of several, also within one token's text.
  const whole = (tokens: number[]): string => tokens.map((token) => ['', 'x EX y END', ' z'][token]).join('');
  expect(run([1, 2], { stop: ['END', 'EX'], detokenize: whole }).pieces).toEqual(['x ']);
});

test('a stop sequence ends the text, and its tokens have no text', () => {
  const o = { stopSequences: [[65, 66, 67], [90]], detokenize: utf8 };
  expect(run(bytes('xABABCy'), o)).toEqual({
    pieces: ['x', '', '', 'AB', '', ''],
    stopped: true,
    stopLength: 3,
  });
  expect(run(bytes('AZ'), o)).toEqual({ pieces: ['', 'A'], stopped: true, stopLength: 1 });
  expect(run(bytes('xAB'), o)).toEqual({ pieces: ['x', '', 'AB'], stopped: false });
  expect(run(bytes('ABABC'), { stopSequences: [[65, 66, 67]] })).toEqual({
    pieces: [undefined, undefined, undefined, undefined, undefined],
    stopped: true,
    stopLength: 3,
  });
});

test('a stop token ends the text, lets go of what was held, and may itself complete nothing', () => {
  const o = { stopTokens: [0], stopSequences: [[65, 66]], stop: ['yz'], detokenize: utf8 };
  expect(run([...bytes('xA'), 0], o)).toEqual({ pieces: ['x', '', 'A'], stopped: true, stopLength: 1 });
  expect(run([...bytes('xy'), 0], o)).toEqual({ pieces: ['x', '', 'y'], stopped: true, stopLength: 1 });
  expect(run([0], o)).toEqual({ pieces: [''], stopped: true, stopLength: 1 });
});

test('the pieces together are the whole text up to the first stop string, whatever the text', () => {
  const character = fc.constantFrom('a', 'b', 'ß', '€', '😀');
  fc.assert(
    fc.property(
      fc.array(character, { maxLength: 30 }),
      fc.array(fc.array(character, { minLength: 1, maxLength: 4 }), { maxLength: 3 }),
      (text, stops) => {
        const source = text.join('');
        const stop = stops.map((each) => each.join(''));
        const at = stop.map((each) => source.indexOf(each)).filter((i) => i >= 0);
        // A stop that ends later but begins earlier cannot be waited for: the first to be complete decides.
        const ends = stop
          .map((each) => source.indexOf(each) + each.length)
          .filter((_, i) => source.includes(stop[i]));
        const complete = Math.min(...ends);
        const begins = stop.map((each) => source.slice(0, complete).indexOf(each)).filter((i) => i >= 0);
        const expected = at.length > 0 ? source.slice(0, Math.min(...begins)) : source;
        const found = run(bytes(source), { stop, detokenize: utf8 });
        expect(found.pieces.join('')).toBe(expected);
        expect(found.stopped).toBe(at.length > 0);
      },
    ),
    { numRuns: 300, seed: 2 },
  );
});
