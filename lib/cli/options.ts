/** Parsers of option values, shared by the commands. Each throws commander's InvalidArgumentError. */
import { InvalidArgumentError } from 'commander';

/** A finite number > 0. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('It must be a finite number > 0.');
  }
  return value;
}

/** An integer >= 1 that a float64 holds exactly. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('It must be an integer >= 1.');
  }
  return value;
}

/** An integer of either sign. */
export function integer(text: string): number {
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('It must be an integer.');
  }
  return value;
}

/** An integer >= 0 that a float64 holds exactly. */
export function nonNegativeInteger(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('It must be an integer >= 0.');
  }
  return value;
}

/** A finite number >= 0. */
export function nonNegativeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('It must be a finite number >= 0.');
  }
  return value;
}

/** A number in [0, 1]. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError('It must be a number from 0 to 1.');
  }
  return value;
}

/** A number in (0, 1]. */
export function positiveShare(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1))
    throw new InvalidArgumentError('It must be a number above 0 and at most 1.');
  return value;
}

/** The temperature of sampling: 0, or a number that float32 can divide by. */
export function samplingTemperature(text: string): number {
  const value = nonNegativeNumber(text);
  if (value !== 0 && !(value >= 1e-30 && value <= 1e30))
    throw new InvalidArgumentError('It must be 0, or a number from 1e-30 to 1e30.');
  return value;
}

/** Finite numbers separated by commas. */
export function numbers(text: string): number[] {
  return text.split(',').map((each) => {
    const value = Number(each);
    if (each.trim() === '' || !Number.isFinite(value)) {
      throw new InvalidArgumentError('It must be a finite number, or several separated by commas.');
    }
    return value;
  });
}

/** A file name that ends in .npy. */
export function npyName(text: string): string {
  if (!/\.npy$/.test(text)) throw new InvalidArgumentError('It must end in .npy.');
  return text;
}

/** A file name that ends in .svg. */
export function svgName(text: string): string {
  if (!/\.svg$/i.test(text)) throw new InvalidArgumentError('It must end in .svg: that is what is drawn.');
  return text;
}

/** One share of several, `i/n` with 1 <= i <= n. */
export function pieceShare(text: string): string {
  const [, i, n] = (/^(\d{1,9})\/(\d{1,9})$/.exec(text) ?? []).map(Number);
  if (!(i >= 1 && i <= n)) throw new InvalidArgumentError('It must be i/n with 1 <= i <= n.');
  return text;
}

/** A half-open range `a:b` of indices from 0; `a:` ends at the end, `:b` begins at 0. */
export function indexRange(text: string): { begin: number; end: number | undefined } {
  const [, a, b] = /^(\d*):(\d*)$/.exec(text) ?? [];
  const [begin, end] = [Number(a), b === '' ? undefined : Number(b)];
  if (a === undefined || !Number.isSafeInteger(begin) || (end !== undefined && !(end > begin))) {
    throw new InvalidArgumentError('It must be a:b, rows or columns from a up to b, which is left out.');
  }
  return { begin, end };
}
