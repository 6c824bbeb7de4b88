/**
 * Sums of gradients.
 */
import { empty } from './tensor.js';
import type { Tensor } from './tensor.js';

/** sum += term, of one shape. */
export function addInPlace(sum: Tensor, term: Tensor): void {
  const [a, b] = [sum.data, term.data];
  for (let i = 0; i < a.length; i++) a[i] += b[i];
}

/** A new tensor a + b, or a copy of a. */
export function addOutOfPlace(a: Tensor, b: Tensor | undefined): Tensor {
  const sum = empty(a.shape, a.dtype);
  sum.data.set(a.data);
  if (b !== undefined) addInPlace(sum, b);
  return sum;
}
