import { grad, mul, scope, sum, tensor } from '../../lib/autograd/index.js';
import type { Tensor } from '../../lib/autograd/index.js';
import { Philox } from '../../lib/random.js';
import { expectClose } from './compare.js';

/** A float64 leaf of standard normal numbers, or of others that `map` makes of them. */
export function leaf(shape: number[], stream: number, map: (x: number) => number = (x) => x): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const data = new Philox(7, stream).normal(new Float64Array(size)).map(map);
  return tensor(data, { shape, requiresGrad: true });
}

/** The same tensor in float32. */
export const single = (x: Tensor): Tensor =>
  tensor(Float32Array.from(x.data), { shape: x.shape, requiresGrad: x.requiresGrad });

/** How many elements of an input are moved. */
const MOST_ELEMENTS = 83;

/** A weighted sum of the elements: every element of the gradient differs. */
function weighted(y: Tensor): Tensor {
  const weights = tensor(new Philox(11, 3).uniform(new Float64Array(y.size), 0.5, 1.5), { shape: y.shape });
  return sum(mul(y, y.dtype === 'f64' ? weights : single(weights)));
}

/**
 * Checks the gradient of an op against central differences in float64 (step 1e-5: truncation and rounding both stay
 * below 1e-8 of the scale of values near 1), and float32 values and gradients against float64.
 */
export function checkGradient(
  op: (...inputs: Tensor[]) => Tensor,
  inputs: Tensor[],
  tolerance = { difference: 2e-7, single: 2e-5 },
): void {
  const step = 1e-5;
  const gradients = grad(weighted(op(...inputs)), inputs, { allowUnused: true });
  inputs.forEach((input, at) => {
    // Of large inputs some elements, spread over all rows and columns.
    const every = Math.ceil(input.size / MOST_ELEMENTS);
    const places = Array.from({ length: Math.ceil(input.size / every) || 0 }, (_, i) => i * every);
    const expected = places.map((i) => {
      const x = input.data[i];
      const value = (moved: number): number => {
        input.data[i] = moved;
        return scope(() => weighted(op(...inputs)).item());
      };
      const slope = (value(x + step) - value(x - step)) / (2 * step);
      input.data[i] = x;
      return slope;
    });
    const scale = Math.max(1, ...expected.map(Math.abs));
    const found = places.map((i) => gradients[at].data[i]);
    expectClose(found, expected, () => tolerance.difference * scale, `gradient ${at}`);
  });

  const narrow = inputs.map(single);
  const [wide, rounded] = [op(...inputs), op(...narrow)];
  expect(rounded.dtype).toBe('f32');
  expect(rounded.shape).toEqual(wide.shape);
  const size = Math.max(1, ...wide.data.map(Math.abs));
  expectClose(rounded.data, wide.data, () => tolerance.single * size, 'float32 value');
  const narrowGradients = grad(weighted(rounded), narrow, { allowUnused: true });
  narrowGradients.forEach((each, i) => {
    const scale = Math.max(1, ...gradients[i].data.map(Math.abs));
    expectClose(each.data, gradients[i].data, () => tolerance.single * 4 * scale, `float32 gradient ${i}`);
  });
}
