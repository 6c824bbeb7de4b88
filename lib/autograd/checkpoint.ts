/**
 * Checkpoints: memory for time. What a part of a model computes on the way is forgotten in the forward pass and computed
 * again in the backward pass (Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016).
 */
import * as check from '../check.js';
import { apply, enableGrad, grad } from './tape.js';
import { empty, requireTensor, scope, share, Tensor, tensorsMade } from './tensor.js';

type Results = Tensor | readonly Tensor[];

/** Refuses a recomputed graph that leans on tensors from outside, whose gradients would be lost. */
function requireNothingCaptured(outputs: readonly Tensor[], leaves: readonly Tensor[], since: number): void {
  const seen = new Set(outputs);
  for (const each of seen) {
    if (each.serial <= since && each.requiresGrad && !leaves.includes(each))
      throw check.rangeError(
        'inputs',
        'all tensors with requiresGrad that fn uses',
        `a captured one of shape [${each.shape.join(', ')}]`,
      );
    if (each.serial > since) for (const input of each.node?.inputs ?? []) seen.add(input);
  }
}

/** The bytes of a tensor's elements. */
const bytesOf = ({ data }: Tensor): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

/** Refuses results that are not those of the forward pass, of which the gradients would be of another function. */
function requireRepeated(outputs: readonly Tensor[], before: readonly Tensor[]): void {
  outputs.forEach((each, i) => {
    if (before[i] && !before[i].released && !bytesOf(each).equals(bytesOf(before[i])))
      throw check.rangeError(
        'fn',
        'a function that gives the same results each time (random numbers: a generator made inside)',
        `others for output ${i} in the backward pass`,
      );
  });
}

/** One number whose gradient in each of the outputs is the given one: a backward pass through all of them at once. */
function joined(outputs: readonly Tensor[], gradients: readonly (Tensor | undefined)[]): Tensor {
  return apply({
    name: 'checkpoint',
    inputs: outputs,
    forward: () => {
      const zero = empty([], outputs[0].dtype);
      zero.data[0] = 0;
      return zero;
    },
    backward: () => gradients.map((each) => each && share(each)),
  });
}

/**
 * Runs fn(...inputs) and keeps the inputs alone for the backward pass, which runs it again: the memory of its inside is
 * needed only while its own part of the backward pass runs. Checkpoints may be nested.
 *
 * @param fn a function that gives the same results each time: one that draws random numbers makes its generator inside.
 *   Tensors with requiresGrad that it uses must be among the inputs. The backward pass refuses captured ones and other
 *   results.
 * @param inputs tensors
 * @returns what fn returns, a tensor or a list of tensors, with the same bits
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE), and what fn throws
 *
 * @example
 * const y = checkpoint((x, w1, w2) => linear(gelu(linear(x, w1)), w2), x, params.w1, params.w2);
 */
export function checkpoint<R extends Results>(fn: (...inputs: Tensor[]) => R, ...inputs: Tensor[]): R {
  if (typeof fn !== 'function') throw check.typeError('fn', 'a function', fn);
  inputs.forEach((each, i) => requireTensor(`inputs[${i}]`, each));
  const listed = (results: Results): readonly Tensor[] => (results instanceof Tensor ? [results] : results);
  let before: readonly Tensor[] = [];
  const result = apply<R>({
    name: 'checkpoint',
    inputs,
    forward: () => scope(() => fn(...inputs)),
    backward: (gradients, { needs }) =>
      scope(() => {
        const leaves = inputs.map((each, i) => {
          const leaf = share(each);
          leaf.requiresGrad = needs[i];
          return leaf;
        });
        const since = tensorsMade();
        const total = enableGrad(() => {
          const outputs = listed(fn(...leaves));
          requireNothingCaptured(outputs, leaves, since);
          requireRepeated(outputs, before);
          return joined(outputs, gradients);
        });
        const wanted = leaves.filter((_, i) => needs[i]);
        const found = grad(total, wanted, { allowUnused: true });
        return leaves.map((_, i) => (needs[i] ? found.shift() : undefined));
      }),
  });
  before = listed(result);
  return result;
}
