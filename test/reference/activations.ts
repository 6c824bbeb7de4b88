/** Activations in plain float64, with an error function good to a few units in the last place. */

/** erf(x) for |x| <= 3 by 2/sqrt(pi) e^(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!, whose terms have one sign. */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n += 1) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return ((2 / Math.sqrt(Math.PI)) * sum) / Math.exp(x * x);
}

/** erfc(x) for x > 2 by the continued fraction e^(-x^2)/sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))). */
function erfcFraction(x: number): number {
  let tail = x;
  for (let n = 120; n >= 1; n -= 1) tail = x + n / 2 / tail;
  return 1 / (Math.exp(x * x) * Math.sqrt(Math.PI) * tail);
}

/** The complementary error function 1 - erf(x). */
export function erfc(x: number): number {
  if (Number.isNaN(x)) return NaN;
  if (x > 2) return erfcFraction(x);
  return x < -2 ? 2 - erfcFraction(-x) : 1 - erfSeries(x);
}

/** z / (1 + e^-z). */
export const silu = (z: number): number => z / (1 + Math.exp(-z));

/** z Phi(z), Phi the distribution function of the standard normal. */
export const gelu = (z: number): number => 0.5 * z * erfc(-z / Math.SQRT2);

/** The approximation z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2. */
export const geluTanh = (z: number): number =>
  0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));
