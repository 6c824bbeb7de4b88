/**
 * Numbers as (mantissa, exponent) pairs worth mantissa * 2^exponent, in plain float64. Such a pair holds
 * exp(x) for any x without overflow.
 */

/** ln 2 in two parts; the first has 32 significant bits, so that its product with an exponent is exact. */
const LN2_HIGH = 6.9314718036912381649e-1;
const LN2_LOW = 1.90821492927058770002e-10;

/** mantissa * 2^exponent; zero is (0, -Infinity). */
export interface Pair {
  mantissa: number;
  exponent: number;
}

/** The nearest integer, ties to the even one. */
export function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const distance = x - floor;
  if (distance !== 0.5) return distance < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** exp(x) for finite x: exponent = round(x / ln 2), mantissa in [sqrt(1/2), sqrt(2)]. */
export function extendedExp(x: number): Pair {
  const exponent = roundToEven(x * Math.LOG2E);
  return { mantissa: Math.exp(x - exponent * LN2_HIGH - exponent * LN2_LOW), exponent };
}

/** a + b, at the larger of the two exponents. */
export function addPairs(a: Pair, b: Pair): Pair {
  const exponent = Math.max(a.exponent, b.exponent);
  if (exponent === -Infinity) return { mantissa: 0, exponent };
  const scaled = (pair: Pair): number => pair.mantissa * 2 ** (pair.exponent - exponent);
  return { mantissa: scaled(a) + scaled(b), exponent };
}

/** Natural logarithm of the value of a pair. */
export function logOfPair({ mantissa, exponent }: Pair): number {
  return exponent === -Infinity ? -Infinity : Math.log(mantissa) + exponent * Math.LN2;
}

/** sum_i exp(x_i) of finite entries as a pair. */
export function sumOfExp(x: ArrayLike<number>): Pair {
  let sum: Pair = { mantissa: 0, exponent: -Infinity };
  for (let i = 0; i < x.length; i += 1) sum = addPairs(sum, extendedExp(x[i]));
  return sum;
}
