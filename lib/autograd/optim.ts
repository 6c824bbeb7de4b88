/**
 * Optimizers: stochastic gradient descent, Adam and AdamW, over tensors that `backward` has given gradients.
 *
 *   const optimizer = adamW(params, { learningRate: 1e-3 });
 *   optimizer.zeroGrad(); backward(loss); optimizer.learningRate = 1e-3 * schedule(step); optimizer.step();
 *
 * A step changes the data of the parameters in place: take it when the backward pass is over.
 */
import * as check from '../check.js';
import { allocate, type Reals } from '../kernels/arguments.js';
import { adamStep, sgdStep, type StepContext } from './optim-steps.js';
import {
  groupsOf,
  nonNegative,
  type GroupedTensor,
  type ParameterGroup,
  type ParameterList,
} from './parameter-list.js';
import { zeroGrad } from './tape.js';

/** What an optimizer remembers between steps, apart from the parameters. */
export interface OptimizerState {
  /** Which optimizer it belongs to. */
  kind: string;
  learningRate: number;
  /** Number of steps taken of each parameter, by its name. */
  steps: Record<string, number>;
  /** Copies of the moments, under the parameter's name, a dot and 'velocity', 'mean' or 'variance'. */
  arrays: Record<string, Reals>;
}

/** Options that all optimizers have. */
export interface OptimizerOptions {
  /** At least 0; default 0.01 for `sgd`, 0.001 for the others. May be set later, before any step. */
  learningRate?: number;
  /** At least 0; default 0, of adamW 0.01. */
  weightDecay?: number;
}

/** Options of sgd. */
export interface SgdOptions extends OptimizerOptions {
  /** Share of the velocity that is kept, in [0, 1]; default 0. */
  momentum?: number;
  /** Nesterov's look-ahead; needs a momentum. Default false. */
  nesterov?: boolean;
}

/** Options of adam and adamW. */
export interface AdamOptions extends OptimizerOptions {
  /** Decay of the mean, in [0, 1); default 0.9. */
  beta1?: number;
  /** Decay of the variance, in [0, 1); default 0.999. */
  beta2?: number;
  /** Added to the root of the variance, greater than 0; default 1e-8. */
  epsilon?: number;
}

/** What distinguishes one optimizer from another. */
interface Rule {
  kind: string;
  /** Names of the arrays that it keeps beside each parameter. */
  slots: readonly string[];
  update(x: Reals, gradient: Reals, slots: readonly Reals[], context: StepContext): void;
}

interface Entry extends GroupedTensor {
  slots: Reals[];
  steps: number;
}

/** Made by `sgd`, `adam` and `adamW`. */
export class Optimizer {
  readonly #rule: Rule;
  readonly #entries: Entry[];
  readonly #weightDecay: number;
  #learningRate: number;

  /** Use `sgd`, `adam` or `adamW`. */
  constructor(
    rule: Rule,
    params: ParameterList | readonly ParameterGroup[],
    learningRate: number,
    weightDecay: number,
  ) {
    this.#rule = rule;
    this.#learningRate = nonNegative('learningRate', learningRate);
    this.#weightDecay = nonNegative('weightDecay', weightDecay);
    this.#entries = groupsOf(params).map((grouped) => ({
      ...grouped,
      steps: 0,
      slots: rule.slots.map(() => allocate(grouped.tensor.dtype, grouped.tensor.size) as Reals),
    }));
  }

  /** 'sgd', 'adam' or 'adamW'. */
  get kind(): string {
    return this.#rule.kind;
  }

  /** The rate of the next step, before the scales of the groups; at least 0, settable. */
  get learningRate(): number {
    return this.#learningRate;
  }

  set learningRate(value: number) {
    this.#learningRate = nonNegative('learningRate', value);
  }

  /** Forgets the gradients of all parameters: the next `backward` starts from none. */
  zeroGrad(): void {
    zeroGrad(this.#entries.map(({ tensor }) => tensor));
  }

  /**
   * Takes one step along the gradients. A parameter without a gradient stays as it is, its moments and its count of
   * steps as well.
   *
   * @throws RangeError (ERR_OUT_OF_RANGE) before anything is written, for a gradient of another shape
   */
  step(): void {
    for (const { name, tensor } of this.#entries) {
      const { grad } = tensor;
      if (grad && (grad.size !== tensor.size || grad.dtype !== tensor.dtype))
        throw check.rangeError(`${name}.grad`, `${tensor.size} elements of ${tensor.dtype}`, grad.data);
    }
    for (const entry of this.#entries) {
      const { tensor, slots, scale, weightDecay = this.#weightDecay } = entry;
      if (!tensor.grad) continue;
      entry.steps++;
      const context = { rate: this.#learningRate * scale, weightDecay, step: entry.steps };
      this.#rule.update(tensor.data, tensor.grad.data, slots, context);
    }
  }

  /** A copy of everything that the next steps depend on, apart from the parameters themselves. */
  state(): OptimizerState {
    const state: OptimizerState = {
      kind: this.kind,
      learningRate: this.#learningRate,
      steps: {},
      arrays: {},
    };
    for (const { name, steps, slots } of this.#entries) {
      state.steps[name] = steps;
      this.#rule.slots.forEach((slot, i) => (state.arrays[`${name}.${slot}`] = slots[i].slice()));
    }
    return state;
  }

  /**
   * Goes on from a state that an optimizer of the same kind, over parameters of the same names and sizes, has given:
   * the steps that follow have the bits of a run that was never interrupted.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE), before anything is changed
   */
  load(state: OptimizerState): void {
    if (typeof state !== 'object' || state === null)
      throw check.typeError('state', 'what state() returned', state);
    if (state.kind !== this.kind) throw check.rangeError('state.kind', `'${this.kind}'`, state.kind);
    const learningRate = nonNegative('state.learningRate', state.learningRate);
    for (const { name, slots } of this.#entries) {
      check.nonNegativeInteger(`state.steps.${name}`, state.steps?.[name]);
      this.#rule.slots.forEach((slot, i) => {
        const key = `${name}.${slot}`;
        const array: unknown = state.arrays?.[key];
        const kind = check.isA(slots[i], Float32Array) ? Float32Array : Float64Array;
        if (!check.isA<Reals>(array, kind))
          throw check.typeError(`state.arrays.${key}`, `a ${kind.name}`, array);
        if (array.length !== slots[i].length)
          throw check.rangeError(`state.arrays.${key}`, `${slots[i].length} elements long`, array);
      });
    }
    const unknown = Object.keys(state.steps).find(
      (name) => !this.#entries.some((each) => each.name === name),
    );
    if (unknown !== undefined)
      throw check.rangeError('state', 'of the parameters of this optimizer', unknown);
    this.#learningRate = learningRate;
    for (const entry of this.#entries) {
      entry.steps = state.steps[entry.name];
      this.#rule.slots.forEach((slot, i) => entry.slots[i].set(state.arrays[`${entry.name}.${slot}`]));
    }
  }
}

function share(name: string, value: unknown, isOpen: boolean): number {
  const found = check.finiteNumber(name, value);
  if (found < 0 || found > 1 || (isOpen && found === 1))
    throw check.rangeError(name, isOpen ? 'in [0, 1)' : 'in [0, 1]', value);
  return found;
}

/**
 * Stochastic gradient descent, with momentum where it is asked for; the formulas stand at `sgdStep` in optim-steps.ts
 * and are PyTorch's.
 *
 * @param params parameters by name, in a list, or in groups
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function sgd(params: ParameterList | readonly ParameterGroup[], options?: SgdOptions): Optimizer {
  const o = check.options(options);
  const momentum = share('momentum', o.momentum ?? 0, false);
  const nesterov = check.boolean('nesterov', o.nesterov ?? false);
  if (nesterov && momentum === 0) throw check.rangeError('momentum', '> 0 with nesterov', momentum);
  const settings = { momentum, nesterov };
  const rule: Rule = {
    kind: 'sgd',
    slots: momentum === 0 ? [] : ['velocity'],
    update: (x, gradient, [velocity], context) => sgdStep(x, gradient, velocity, context, settings),
  };
  return new Optimizer(rule, params, o.learningRate ?? 0.01, o.weightDecay ?? 0);
}

function adamLike(
  kind: 'adam' | 'adamW',
  params: ParameterList | readonly ParameterGroup[],
  options: AdamOptions | undefined,
): Optimizer {
  const o = check.options(options);
  const settings = {
    beta1: share('beta1', o.beta1 ?? 0.9, true),
    beta2: share('beta2', o.beta2 ?? 0.999, true),
    epsilon: check.positiveNumber('epsilon', o.epsilon ?? 1e-8),
    decoupled: kind === 'adamW',
  };
  const rule: Rule = {
    kind,
    slots: ['mean', 'variance'],
    update: (x, gradient, [mean, variance], context) =>
      adamStep(x, gradient, mean, variance, context, settings),
  };
  return new Optimizer(rule, params, o.learningRate ?? 1e-3, o.weightDecay ?? (kind === 'adamW' ? 0.01 : 0));
}

/**
 * Adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1) with bias correction. A
 * weight decay is added to the gradient; `adamW` is what one usually wants for that.
 *
 * @param params parameters by name, in a list, or in groups
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export const adam = (params: ParameterList | readonly ParameterGroup[], options?: AdamOptions): Optimizer =>
  adamLike('adam', params, options);

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019): every
 * step shrinks the parameters by rate x weightDecay, whatever the gradients are.
 *
 * @param params parameters by name, in a list, or in groups: biases and norms usually have a group with weightDecay 0
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export const adamW = (params: ParameterList | readonly ParameterGroup[], options?: AdamOptions): Optimizer =>
  adamLike('adamW', params, options);
