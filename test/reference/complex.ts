/** Complex numbers for references. Products of real numbers stay real, also where one of them is infinite. */
export interface Complex {
  re: number;
  im: number;
}

export const real = (re: number): Complex => ({ re, im: 0 });
export const conj = (a: Complex): Complex => ({ re: a.re, im: -a.im });
export const add = (a: Complex, b: Complex): Complex => ({ re: a.re + b.re, im: a.im + b.im });
export const scale = (a: Complex, factor: number): Complex => ({
  re: a.re * factor,
  im: a.im === 0 ? 0 : a.im * factor,
});
export const mul = (a: Complex, b: Complex): Complex => {
  if (b.im === 0) return scale(a, b.re);
  if (a.im === 0) return scale(b, a.re);
  return { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
};
export const div = (a: Complex, b: Complex): Complex => {
  if (b.im === 0) return { re: a.re / b.re, im: a.im === 0 ? 0 : a.im / b.re };
  return scale(mul(a, conj(b)), 1 / (b.re * b.re + b.im * b.im));
};
export const exp = (a: Complex): Complex =>
  a.im === 0
    ? real(Math.exp(a.re))
    : { re: Math.exp(a.re) * Math.cos(a.im), im: Math.exp(a.re) * Math.sin(a.im) };

/** sum_k (k + 1 if derivative) x^k / (k + order)!, for |x| < 1. */
function series(x: Complex, order: number, derivative: boolean): Complex {
  let sum = real(0);
  let power = real(1);
  let factorial = order === 1 ? 1 : 2;
  for (let k = 0; k < 30; k += 1) {
    sum = add(sum, scale(power, (derivative ? k + 1 : 1) / factorial));
    power = mul(power, x);
    factorial *= k + order + 1;
  }
  return sum;
}

const small = (x: Complex): boolean => Math.hypot(x.re, x.im) < 1;

/** (exp(x) - 1) / x, 1 at 0. */
export const phi = (x: Complex): Complex => (small(x) ? series(x, 1, false) : div(add(exp(x), real(-1)), x));

/** The derivative of phi, (exp(x) - phi(x)) / x, 1/2 at 0. */
export const psi = (x: Complex): Complex =>
  small(x) ? series(x, 2, true) : div(add(exp(x), scale(phi(x), -1)), x);
