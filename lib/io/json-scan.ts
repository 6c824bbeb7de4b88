/**
 * What `JSON.parse` cannot tell or should not be trusted with: whether an object names a member twice, and how deep a text
 * from a stranger is nested.
 */

/** Brackets open at a time: the formats have three levels, the rest is for members that are passed over. */
const MAX_NESTING = 32;
/** Brackets and commas in a text. A header has eight a matrix, 131,072 matrices then; an index has one a tensor. */
const MAX_VALUES = 2 ** 20;

/** How much a text claims to hold, strings left out, whether it is JSON or not. */
export interface JsonExtent {
  /** The largest number of brackets that are open at a time. */
  nesting: number;
  /** Opening brackets and commas: JSON has at most one value more. */
  values: number;
}

/**
 * Counts what `JSON.parse` would have to build: a hundred million brackets or commas would cost it gigabytes and half a
 * minute.
 */
export function extentOf(text: string): JsonExtent {
  let [depth, nesting, values] = [0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = closingQuote(text, at);
    else if (character === ',') values++;
    else if (character === '{' || character === '[') {
      values++;
      nesting = Math.max(nesting, ++depth);
    } else if (character === '}' || character === ']') depth--;
  }
  return { nesting, values };
}

/** What is wrong with a text that is too deep or holds too much to be parsed; undefined where it may be. */
export function excess(text: string): string | undefined {
  const { nesting, values } = extentOf(text);
  if (nesting > MAX_NESTING) return `brackets nested more than ${MAX_NESTING} deep`;
  return values > MAX_VALUES ? `${values} brackets and commas, more than ${MAX_VALUES}` : undefined;
}

/**
 * The first name that an object of the text has twice, with escapes resolved ("a" and "\u0061" are one name);
 * undefined where there is none.
 *
 * @param text sound JSON: what `JSON.parse` takes
 */
export function duplicateKey(text: string): string | undefined {
  // One set of names per open object, undefined per open array.
  const open: (Set<string> | undefined)[] = [];
  let isKey = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      const end = closingQuote(text, at);
      const names = open[open.length - 1];
      if (isKey && names) {
        const raw = text.slice(at + 1, end);
        const name = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
        if (names.has(name)) return name;
        names.add(name);
      }
      isKey = false;
      at = end;
    } else if (character === '{') {
      open.push(new Set());
      isKey = true;
    } else if (character === '[') {
      open.push(undefined);
      isKey = false;
    } else if (character === '}' || character === ']') {
      open.pop();
      isKey = false;
    } else if (character === ',') {
      isKey = open[open.length - 1] !== undefined;
    }
  }
  return undefined;
}

/** Where the string that opens at `start` ends; the end of the text where it does not. */
function closingQuote(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    if (end < 0) return text.length;
    let slashes = 0;
    while (text[end - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return end;
  }
}
