/** Functions with known minima, for the tests of the optimisers. */
import type { Evaluation } from '../../lib/optimize/index.js';

/** Rosenbrock's valley in any number of variables: minimum 0 at (1, ..., 1). */
export function rosenbrock(x: Float64Array): Evaluation {
  let value = 0;
  const gradient = new Float64Array(x.length);
  for (let i = 0; i + 1 < x.length; i++) {
    const a = x[i + 1] - x[i] * x[i];
    const b = 1 - x[i];
    value += 100 * a * a + b * b;
    gradient[i] += -400 * x[i] * a - 2 * b;
    gradient[i + 1] += 200 * a;
  }
  return { value, gradient };
}

/** (x - at)' diag(scales) (x - at) / 2. */
export function quadratic(scales: readonly number[], at: readonly number[]) {
  return (x: Float64Array): Evaluation => {
    const gradient = x.map((each, i) => scales[i] * (each - at[i]));
    return { value: x.reduce((sum, each, i) => sum + (gradient[i] * (each - at[i])) / 2, 0), gradient };
  };
}

/** Himmelblau's function: four minima, all 0, a maximum and saddles between them. */
export function himmelblau([x, y]: Float64Array): Evaluation {
  const a = x * x + y - 11;
  const b = x + y * y - 7;
  return { value: a * a + b * b, gradient: [4 * x * a + 2 * b, 2 * a + 4 * y * b] };
}

export const HIMMELBLAU_MINIMA = [
  [3, 2],
  [-2.805118086952745, 3.131312518250573],
  [-3.779310253377747, -3.28318599128617],
  [3.584428340330492, -1.848126526964404],
];
