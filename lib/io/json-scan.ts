/**
 * What `JSON.parse` cannot tell or should not be trusted with: whether an object names a member twice, and how deep a text
 * from a stranger is nested.
 */

/**
 * The largest number of brackets that are open at a time, strings left out, whether the text is JSON or not. A hundred
 * million of them would cost `JSON.parse` gigabytes.
 */
export function nesting(text: string): number {
  let [depth, deepest] = [0, 0];
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') inString = !inString;
    else if (character === '\\' && inString) at++;
    else if (inString) continue;
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth);
    else if (character === '}' || character === ']') depth--;
  }
  return deepest;
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

/** Where the string that opens at `start` ends. */
function closingQuote(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return end;
  }
}
