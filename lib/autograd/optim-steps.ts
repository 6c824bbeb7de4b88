/**
 * What one step of an optimizer does to one parameter, in place. Native: native/tensor.
 */
import type { Reals } from '../kernels/arguments.js';
import { native } from '../native.js';
import { threads } from './settings.js';

/** What every step of a parameter needs. */
export interface StepContext {
  /** The learning rate, with the group's scale in it. */
  rate: number;
  weightDecay: number;
  /** Number of this step of this parameter, from 1. */
  step: number;
}

/** Settings of stochastic gradient descent. */
export interface SgdSettings {
  momentum: number;
  nesterov: boolean;
}

/**
 * Stochastic gradient descent: with g the gradient, x the parameter and v its velocity, at first 0,
 *
 *   d = g + weightDecay x
 *   v = momentum v + d
 *   x = x - rate d (without momentum), x - rate v, or with Nesterov's look-ahead x - rate (d + momentum v)
 *
 * The velocity does not hold the rate, as in PyTorch; Sutskever et al. 2013 have the rate inside of it.
 */
export function sgdStep(
  x: Reals,
  gradient: Reals,
  velocity: Reals | undefined,
  { rate, weightDecay }: StepContext,
  { momentum, nesterov }: SgdSettings,
): void {
  const settings = Float64Array.of(rate, momentum, momentum, 1, 1, weightDecay, 1);
  native('sgdStep')(x, gradient, velocity, settings, nesterov, threads());
}

/** Settings of Adam and AdamW. */
export interface AdamSettings {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** AdamW: the decay acts on the parameter alone; else it is part of the gradient. */
  decoupled: boolean;
}

/**
 * Adam (Kingma and Ba, ICLR 2015, algorithm 1) and AdamW (Loshchilov and Hutter, ICLR 2019, algorithm 2, with the
 * decay scaled by the whole rate). Mean m and variance v start at 0; g is the gradient, of Adam plus weightDecay x:
 *
 *   x = x - rate weightDecay x                              (AdamW alone)
 *   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
 *   x = x - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
 */
export function adamStep(
  x: Reals,
  gradient: Reals,
  mean: Reals,
  variance: Reals,
  { rate, weightDecay, step }: StepContext,
  { beta1, beta2, epsilon, decoupled }: AdamSettings,
): void {
  const settings = Float64Array.of(
    rate / (1 - beta1 ** step),
    beta1,
    beta2,
    epsilon,
    1 / (1 - beta2 ** step),
    decoupled ? 1 - rate * weightDecay : 1,
    decoupled ? 0 : weightDecay,
    1,
  );
  native('adamStep')(x, gradient, mean, variance, settings, threads());
}
