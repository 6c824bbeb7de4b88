/**
 * A reader for the Python literals that .npy headers are made of: dictionaries with string keys, tuples and lists,
 * strings, integers, True, False and None. Nothing is evaluated.
 */

/** A value read: tuples and lists become arrays, integers big integers. */
export type Literal = string | bigint | boolean | null | Literal[] | Map<string, Literal>;

const MAX_DEPTH = 32;
const MAX_TOKEN = 64;
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', '\\': '\\', "'": "'", '"': '"' };

/**
 * Reads one literal; white space may surround it, nothing else.
 *
 * @throws SyntaxError whose message says what stood where, for example "'}' missing at character 20"
 */
export function parseLiteral(text: string): Literal {
  let at = 0;

  const fail = (what: string): never => {
    throw new SyntaxError(`${what} at character ${at}`);
  };
  const skip = (): void => {
    while (at < text.length && ' \t\r\n\f'.includes(text[at])) at++;
  };
  const take = (token: string): boolean => {
    skip();
    if (!text.startsWith(token, at)) return false;
    at += token.length;
    return true;
  };

  const readString = (): string => {
    const quote = text[at++];
    let value = '';
    while (text[at] !== quote) {
      if (at >= text.length || text[at] === '\n') return fail('an unfinished string');
      if (text[at] === '\\') {
        const escaped = ESCAPES[text[at + 1]];
        if (escaped === undefined) return fail('an unknown escape');
        value += escaped;
        at += 2;
      } else {
        value += text[at++];
      }
    }
    at++;
    return value;
  };

  /** Items up to `close`; a comma may follow the last. `single` tells whether a lone item had no comma after it. */
  const readItems = (close: string, depth: number): { items: Literal[]; single: boolean } => {
    const items: Literal[] = [];
    let comma = true;
    while (!take(close)) {
      if (!comma) return fail(`a missing ',' or '${close}'`);
      items.push(readValue(depth));
      comma = take(',');
    }
    return { items, single: items.length === 1 && !comma };
  };

  const readMap = (depth: number): Map<string, Literal> => {
    const map = new Map<string, Literal>();
    let comma = true;
    while (!take('}')) {
      if (!comma) return fail("a missing ',' or '}'");
      const key = readValue(depth);
      if (typeof key !== 'string') return fail('a key that is not a string');
      if (map.has(key)) return fail(`the key '${key}' twice`);
      if (!take(':')) return fail("a missing ':'");
      map.set(key, readValue(depth));
      comma = take(',');
    }
    return map;
  };

  const readValue = (depth: number): Literal => {
    if (depth > MAX_DEPTH) return fail('too many nested brackets');
    skip();
    if (take('{')) return readMap(depth + 1);
    if (take('[')) return readItems(']', depth + 1).items;
    if (take('(')) {
      const { items, single } = readItems(')', depth + 1);
      return single ? items[0] : items;
    }
    // Python 2 wrote u'...' for unicode and 3L for long integers.
    const prefixed = /^[uUbB]?['"]/.exec(text.slice(at, at + 2));
    if (prefixed) {
      at += prefixed[0].length - 1;
      return readString();
    }
    const match = /^(True|False|None|[+-]?\d+)[lL]?(?![\w.])/.exec(text.slice(at, at + MAX_TOKEN));
    if (match === null) return fail(at < text.length ? `an unexpected '${text[at]}'` : 'an early end');
    at += match[0].length;
    const word = match[1];
    if (word === 'True' || word === 'False') return word === 'True';
    return word === 'None' ? null : BigInt(word.replace('+', ''));
  };

  const value = readValue(0);
  skip();
  if (at < text.length) fail(`an unexpected '${text[at]}'`);
  return value;
}
