/**
 * Ops of a caller's own.
 */
import { apply } from './tape.js';
import type { Gradients, OpContext } from './tape.js';
import { requireTensor, share, Tensor, tensorsMade } from './tensor.js';

/** What the two halves of a custom op share. */
export interface CustomContext<Saved> extends OpContext {
  /** What forward leaves for backward; tensors in it are kept for as long. */
  saved: Saved;
}

/**
 * A custom op: forward computes without recording, backward gives the gradients of the inputs, undefined for none. A
 * tensor that backward makes becomes the tape's; inputs, saved tensors and constants may be gradients and stay as they are.
 */
export interface CustomOp<Saved, R extends Tensor | readonly Tensor[]> {
  forward: (context: CustomContext<Saved>, ...inputs: Tensor[]) => R;
  /** Absent: asking for a gradient through the op is a TapeError (ERR_NO_GRADIENT) that names it. */
  backward?: (
    context: CustomContext<Saved>,
    ...outputGradients: (Tensor | undefined)[]
  ) => Gradients | Tensor;
}

/**
 * An op with a gradient of its own.
 *
 * @param name what errors and profiles call it
 * @returns the op, a function of tensors
 * @example
 * const clipped = customOp<Tensor>('clipped', {
 *   forward: (context, x) => minimum((context.saved = x), 1),
 *   backward: (context, g) => [g], // straight through
 * });
 */
export function customOp<Saved = undefined, R extends Tensor | readonly Tensor[] = Tensor>(
  name: string,
  { forward, backward: back }: CustomOp<Saved, R>,
): (...inputs: Tensor[]) => R {
  return (...inputs) => {
    inputs.forEach((each, i) => requireTensor(`inputs[${i}] of ${name}`, each));
    const box: { saved?: Saved } = {};
    const view = (context: OpContext): CustomContext<Saved> => ({
      needs: context.needs,
      recording: context.recording,
      save: (value) => context.save(value),
      get saved() {
        return box.saved as Saved;
      },
      set saved(value: Saved) {
        box.saved = value;
        context.save(value);
      },
    });
    return apply<R>({
      name,
      inputs,
      forward: (context) => {
        const results = forward(view(context), ...inputs);
        for (const each of Array.isArray(results) ? (results as readonly unknown[]) : [results])
          requireTensor(`output of ${name}`, each);
        return results;
      },
      backward:
        back &&
        ((gradients, context) => {
          const since = tensorsMade();
          const results = back(view(context), ...gradients);
          const list: Gradients = results instanceof Tensor ? [results] : (results ?? []);
          list.forEach((each, i) => each && requireTensor(`gradient ${i} of ${name}`, each));
          // What the author holds (an input, a constant, an array): a view, which the tape neither adds to nor gives away.
          return list.map(
            (each) => each && (each.serial <= since || !each.storage.pooled ? share(each) : each),
          );
        }),
    });
  };
}
