/**
 * Checking gradients against central differences: the test that a custom op should have.
 */
import * as check from '../check.js';
import { Philox } from '../random.js';
import { entriesOf, type Parameters } from './parameters.js';
import { apply, grad, noGrad } from './tape.js';
import { empty, requireTensor, scope, share, Tensor } from './tensor.js';

/** Options of gradCheck. */
export interface GradCheckOptions {
  /** Half the distance between the two points of a difference, greater than 0; default 1e-5. */
  step?: number;
  /** Largest error that passes, greater than 0; default 1e-6. */
  tolerance?: number;
  /** Most elements of each input that are tested, drawn without repetition; default all. */
  sample?: number;
  /** Decides the weights of the outputs' elements and the sample; default 1. */
  seed?: number;
}

/** One element of one input, both ways. */
export interface GradCheckElement {
  /** Name of the input: its key, or its number in the list. */
  input: string;
  /** Its place along each axis. */
  index: number[];
  /** What the backward pass gives. */
  gradient: number;
  /** What the difference gives. */
  difference: number;
  /** |gradient - difference| / max(1, |gradient|, |difference|). */
  error: number;
}

/** What gradCheck found. */
export interface GradCheckResult {
  /** Whether no error is above the tolerance, nor NaN. */
  ok: boolean;
  /** The element of the largest error; absent where no element was tested. */
  worst?: GradCheckElement;
  /** Number of elements tested. */
  tested: number;
  /** The worst element in words. */
  message: string;
}

/** One number out of all outputs: sum over outputs and elements of weight x element. */
function weighted(outputs: readonly Tensor[], generator: Philox): Tensor {
  const weights = outputs.map(({ size }) => generator.uniform(new Float64Array(size), 0.5, 1.5));
  return apply({
    name: 'gradCheck',
    inputs: outputs,
    forward: () => {
      const sum = empty([], 'f64');
      let total = 0;
      outputs.forEach(({ data, size }, i) => {
        for (let j = 0; j < size; j++) total += data[j] * weights[i][j];
      });
      sum.data[0] = total;
      return sum;
    },
    backward: ([gradient]) =>
      outputs.map(({ shape, size }, i) => {
        const each = empty(shape, 'f64');
        const factor = gradient?.data[0] ?? 0;
        for (let j = 0; j < size; j++) each.data[j] = factor * weights[i][j];
        return each;
      }),
  });
}

function indexOf(flat: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(flat % shape[axis]);
    flat = Math.floor(flat / shape[axis]);
  }
  return index;
}

/** Which elements are tested: all, or `most` of them without repetition (Floyd's algorithm), in rising order. */
function chosen(size: number, most: number, generator: Philox): number[] {
  if (most >= size) return Array.from({ length: size }, (_, i) => i);
  const found = new Set<number>();
  for (let j = size - most; j < size; j++) {
    const drawn = Math.floor(generator.uniform(new Float64Array(1), 0, j + 1)[0]);
    found.add(found.has(drawn) ? j : drawn);
  }
  return [...found].sort((a, b) => a - b);
}

/**
 * Compares gradients with central differences, (f(x + step) - f(x - step)) / (2 step), in float64. Outputs of more than
 * one element are reduced to one number with fixed random weights, so that errors that cancel in a plain sum show.
 *
 * Where `fn` has a corner (relu at 0, a maximum of equals) differences do not agree with any gradient: choose inputs away
 * from it. With the default step, differences of well scaled functions are good to about 1e-9.
 *
 * @param fn a deterministic function of the inputs (as arguments for a list, as a record for a record) that returns a
 *   tensor or a list of tensors of float64
 * @param inputs float64 tensors; their data are changed while it runs and restored
 * @returns whether they agree, and the worst element by name
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE), and what `fn` and the backward pass throw
 */
export function gradCheck(
  fn: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options?: GradCheckOptions,
): GradCheckResult;
export function gradCheck(
  fn: (inputs: Parameters) => Tensor | readonly Tensor[],
  inputs: Readonly<Parameters>,
  options?: GradCheckOptions,
): GradCheckResult;
export function gradCheck(
  fn: (...inputs: never[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[] | Readonly<Parameters>,
  options?: GradCheckOptions,
): GradCheckResult {
  if (typeof fn !== 'function') throw check.typeError('fn', 'a function', fn);
  const o = check.options(options);
  const step = check.positiveNumber('step', o.step ?? 1e-5);
  const tolerance = check.positiveNumber('tolerance', o.tolerance ?? 1e-6);
  const sample = o.sample === undefined ? Infinity : check.positiveInteger('sample', o.sample);
  const seed = check.nonNegativeInteger('seed', o.seed ?? 1);
  const isList = Array.isArray(inputs);
  const entries = isList
    ? inputs.map((each: Tensor, i): [string, Tensor] => [String(i), requireTensor(`inputs[${i}]`, each)])
    : entriesOf('inputs', inputs);
  for (const [name, each] of entries) requireTensor(`inputs.${name}`, each, 'f64');

  // Leaves of their own over the same memory: whatever history and gradients the inputs have stays out of it.
  const leaves = entries.map(([, each]) => share(each));
  for (const leaf of leaves) leaf.requiresGrad = true;
  const named = Object.fromEntries(entries.map(([name], i) => [name, leaves[i]]));
  const call = fn as (...inputs: unknown[]) => Tensor | readonly Tensor[];
  const value = (): Tensor => {
    const outputs = isList ? call(...leaves) : call(named);
    const list = outputs instanceof Tensor ? [outputs] : outputs;
    list.forEach((each, i) => requireTensor(`output ${i} of fn`, each, 'f64'));
    return weighted(list, new Philox(seed));
  };
  const at = (): number => scope(() => noGrad(() => value().item()));
  const gradients = scope(() =>
    grad(value(), leaves, { allowUnused: true }).map(({ data }) => Float64Array.from(data)),
  );

  const pick = new Philox(seed, 1);
  let worst: GradCheckElement | undefined;
  let tested = 0;
  entries.forEach(([input, { data, shape, size }], i) => {
    for (const j of chosen(size, sample, pick)) {
      const before = data[j];
      let difference: number;
      try {
        data[j] = before + step;
        const above = at();
        data[j] = before - step;
        difference = (above - at()) / (2 * step);
      } finally {
        data[j] = before;
      }
      const gradient = gradients[i][j];
      const error = Math.abs(gradient - difference) / Math.max(1, Math.abs(gradient), Math.abs(difference));
      tested++;
      // NaN is the worst of all.
      if (!worst || (!Number.isNaN(worst.error) && !(error <= worst.error)))
        worst = { input, index: indexOf(j, shape), gradient, difference, error };
    }
  });
  for (const leaf of leaves) leaf.release();
  const ok = !worst || worst.error <= tolerance;
  const message = worst
    ? `worst of ${tested}: input '${worst.input}' at [${worst.index.join(', ')}]: gradient ${worst.gradient}, ` +
      `difference ${worst.difference}, error ${worst.error} (tolerance ${tolerance})`
    : 'no elements';
  return { ok, worst, tested, message };
}
