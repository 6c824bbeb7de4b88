/** Sizes and shapes as people type them, and as tables show them. */
import { BenchError } from './errors.js';

const UNITS: Record<string, number> = { k: 1e3, m: 1e6, g: 1e9, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30 };
const BINARY = /\^|i$/i;

/**
 * One size: `1000`, `1e6`, `2^20`, `64k`, `64Ki`, `1.5Mi`.
 *
 * @throws BenchError unless it is a whole number from 1 to 2^32
 */
export function parseSize(text: string): number {
  const power = /^2\^(\d+)$/.exec(text.trim());
  const plain = /^(\d+(?:\.\d+)?(?:e\d+)?)(k|m|g|ki|mi|gi)?$/i.exec(text.trim());
  let value = NaN;
  if (power) value = 2 ** Number(power[1]);
  else if (plain) value = Number(plain[1]) * (UNITS[plain[2]?.toLowerCase()] ?? 1);
  if (!Number.isInteger(value) || value < 1 || value > 2 ** 32) {
    throw new BenchError(
      `size "${text}" must be a whole number from 1 to 2^32, such as 1000, 1e6, 2^20 or 64Ki`,
    );
  }
  return value;
}

/**
 * A list of sizes, separated by commas: `1000,4Ki,1e6`. An item `a..b` is a range: steps of 2 if one of its ends is
 * written in powers of two (`1Ki..1Mi`, `2^10..2^26`), else two steps a decade (`1e3..1e8`); both ends are included.
 * The answer is ascending and has no duplicates.
 *
 * @throws BenchError on anything else
 */
export function parseSizes(text: string): number[] {
  const sizes = new Set<number>();
  for (const item of text.split(',')) {
    const [from, to, ...rest] = item.split('..');
    if (rest.length > 0) throw new BenchError(`size range "${item}" must have the form a..b`);
    const first = parseSize(from);
    if (to === undefined) {
      sizes.add(first);
      continue;
    }
    const last = parseSize(to);
    if (last < first) throw new BenchError(`size range "${item}" must be ascending`);
    const step = BINARY.test(from.trim()) || BINARY.test(to.trim()) ? 2 : Math.sqrt(10);
    for (let i = 0; first * step ** i < last * 0.999; i++) sizes.add(Math.round(first * step ** i));
    sizes.add(last);
  }
  return [...sizes].sort((a, b) => a - b);
}

/** A matrix of logits: `rows` rows of `cols` contiguous elements. */
export interface Shape {
  rows: number;
  cols: number;
}

/**
 * Shapes separated by commas, each `ROWSxCOLS`: `64x1000,1Mix10`.
 *
 * @throws BenchError on anything else
 */
export function parseShapes(text: string): Shape[] {
  return text.split(',').map((item) => {
    const sides = item.split(/[x×]/);
    if (sides.length !== 2)
      throw new BenchError(`shape "${item}" must have the form ROWSxCOLS, such as 64x1000`);
    return { rows: parseSize(sides[0]), cols: parseSize(sides[1]) };
  });
}

/** `65536` as `64 Ki`, `1000` as `1000`, `67108864` as `64 Mi`: exact, binary units only where they divide. */
export function formatCount(count: number): string {
  for (const [unit, size] of [
    ['Gi', 2 ** 30],
    ['Mi', 2 ** 20],
    ['Ki', 2 ** 10],
  ] as const) {
    if (count % size === 0) return `${count / size} ${unit}`;
  }
  return String(count);
}

/** Nanoseconds as a short time with its unit, three significant digits: `940 ns`, `7.05 us`, `22.7 ms`, `1.20 s`. */
export function formatTime(ns: number): string {
  for (const [unit, size] of [
    ['s', 1e9],
    ['ms', 1e6],
    ['us', 1e3],
  ] as const) {
    if (ns >= size * 0.9995) return `${formatDigits(ns / size)} ${unit}`;
  }
  return `${formatDigits(ns)} ns`;
}

/** Three significant digits without an exponent: `0.107`, `1.20`, `38.9`, `1234`. */
export function formatDigits(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const decimals = 2 - Math.floor(Math.log10(Math.abs(Number(value.toPrecision(3)))) + 1e-9);
  return value.toFixed(Math.min(Math.max(0, decimals), 6));
}
