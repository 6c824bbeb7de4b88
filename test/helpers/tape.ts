import { gradCheck, grad, tensor, type GradCheckOptions, type Tensor } from '../../lib/autograd/index.js';
import type { Parameters } from '../../lib/autograd/index.js';

/** An op under test: a function of named tensors to its outputs. */
export type NamedOp = (inputs: Parameters) => Tensor | readonly Tensor[];

/** Fails unless the op's gradients agree with differences in float64; the message names the worst element. */
export function expectGradients(op: NamedOp, inputs: Parameters, options?: GradCheckOptions): void {
  const { ok, message, tested } = gradCheck(op, inputs, options);
  if (!ok) throw new Error(message);
  expect(tested).toBeGreaterThan(0);
}

const listOf = (outputs: Tensor | readonly Tensor[]): readonly Tensor[] =>
  'data' in outputs ? [outputs] : outputs;

/** Weights of the elements of output `which`, the same for both types. */
const weight = (i: number, which: number) => Math.cos(1.7 * i + which);

function run(op: NamedOp, inputs: Parameters, single: boolean): Float64Array[] {
  const leaves = Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => {
      const copy = single ? Float32Array.from(data) : Float64Array.from(data);
      return [name, tensor(copy, { shape, requiresGrad: true })];
    }),
  );
  const list = Object.values(leaves);
  const count = listOf(op(leaves)).length;
  const results: Float64Array[] = [];
  for (let which = 0; which < count; which++) {
    const output = listOf(op(leaves))[which];
    expect(output.dtype).toBe(single ? 'f32' : 'f64');
    const weights = Float64Array.from({ length: output.size }, (_, i) => weight(i, which));
    const gradient = tensor(single ? Float32Array.from(weights) : weights, { shape: output.shape });
    results.push(Float64Array.from(output.data));
    for (const each of grad(output, list, { gradient, allowUnused: true }))
      results.push(Float64Array.from(each.data));
  }
  return results;
}

/** Fails unless results and gradients in float32 are those in float64, relative to the largest of each array. */
export function expectSingleClose(op: NamedOp, inputs: Parameters, tolerance: number): void {
  const exact = run(op, inputs, false);
  run(op, inputs, true).forEach((found, k) => {
    const largest = exact[k].reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
    found.forEach((x, i) => {
      const error = Math.abs(x - exact[k][i]) / largest;
      if (!(error <= tolerance)) throw new Error(`array ${k}, element ${i}: ${x} for ${exact[k][i]}`);
    });
  });
}
