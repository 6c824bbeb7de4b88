/**
 * Remembers what a function gave for numbers and strings, so that a reference is computed once and not
 * again for every instruction set and algorithm. The results must not be written to.
 */
export function memo<A extends readonly (string | number)[], R>(
  compute: (...args: A) => R,
): (...args: A) => R {
  const known = new Map<string, R>();
  return (...args) => {
    const key = args.join();
    const found = known.get(key);
    if (found !== undefined) return found;
    const result = compute(...args);
    known.set(key, result);
    return result;
  };
}
