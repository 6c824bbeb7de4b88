import { type BadCall, expectRefused } from './errors.js';
import { POISON } from './rows.js';

/** A call that is right, as its parts: a wrong call changes one of them. */
export interface GoodCall {
  name: string;
  /** Arrays before the options, by name, made anew for each call. */
  arrays: () => Record<string, unknown>;
  options: () => Record<string, unknown>;
}

/** One thing that is changed: an array or an option by name, and the argument that the error must name. */
export interface Change {
  what: string;
  kind: BadCall['kind'];
  blames?: BadCall['blames'];
  change: Record<string, unknown>;
}

const show = (value: unknown): string => {
  if (typeof value === 'string') return `'${value}'`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  return Array.isArray(value) ? `[${value.join()}]` : String(value);
};

/** Wrong values of one argument, each refused with this kind of error. */
export function wrong(
  name: string,
  kind: BadCall['kind'],
  values: readonly unknown[],
  blames: BadCall['blames'] = name,
): Change[] {
  return values.map((value) => ({
    what: `${name}: ${show(value)}`,
    kind,
    blames,
    change: { [name]: value },
  }));
}

/** The wrong calls that the changes make of a right one. A function among the changes is called for its value. */
export function badCalls(good: GoodCall, changes: readonly Change[]): BadCall[] {
  return changes.map(({ what, kind, blames, change }) => ({
    what,
    name: good.name,
    kind,
    blames: blames ?? Object.keys(change),
    args: () => {
      const made = Object.entries(change).map(([name, value]): [string, unknown] => [
        name,
        typeof value === 'function' ? (value as () => unknown)() : value,
      ]);
      const arrays = good.arrays();
      const options = good.options();
      for (const [name, value] of made) {
        if (name in arrays) arrays[name] = value;
        else options[name] = value;
      }
      return [...Object.values(arrays), options];
    },
  }));
}

/** Declares one test a wrong call: it is refused in both forms, and the watched arrays stay as they were. */
export function refuses(calls: readonly BadCall[], watched: readonly Float32Array[]): void {
  beforeEach(() => watched.forEach((array) => array.fill(POISON)));
  it.each(calls)('$name: $what', async (call) => {
    await expectRefused(call);
    const poison = Math.fround(POISON);
    for (const array of watched) expect(array.every((value) => value === poison)).toBe(true);
  });
}
