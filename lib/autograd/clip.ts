/** Keeping gradients within bounds, between `backward` and the step of an optimizer. */
import * as check from '../check.js';
import { listOf, type ParameterList } from './parameter-list.js';

/**
 * Scales the gradients of all parameters together so that the Euclidean norm of the whole is at most `most` (Pascanu,
 * Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1). Gradients
 * whose norm is not finite are left as they are: look at what is returned.
 *
 * @param params parameters; those without a gradient count as 0
 * @param most greater than 0
 * @returns the norm before scaling, accumulated in float64
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function clipGradNorm(params: ParameterList, most: number): number {
  check.positiveNumber('most', most);
  const gradients = gradientsOf(params);
  let square = 0;
  for (const gradient of gradients) {
    let sum = 0;
    for (let i = 0; i < gradient.length; i++) sum += gradient[i] * gradient[i];
    square += sum;
  }
  const norm = Math.sqrt(square);
  if (norm > most && norm < Infinity) {
    const scale = most / norm;
    for (const gradient of gradients) for (let i = 0; i < gradient.length; i++) gradient[i] *= scale;
  }
  return norm;
}

/**
 * Brings every element of the gradients into [-most, most]; NaN stays.
 *
 * @param params parameters; those without a gradient are left alone
 * @param most greater than 0
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE)
 */
export function clipGradValue(params: ParameterList, most: number): void {
  check.positiveNumber('most', most);
  for (const gradient of gradientsOf(params)) {
    for (let i = 0; i < gradient.length; i++) {
      if (gradient[i] > most) gradient[i] = most;
      else if (gradient[i] < -most) gradient[i] = -most;
    }
  }
}

function gradientsOf(params: ParameterList) {
  return listOf('params', params).flatMap(({ tensor }) => (tensor.grad ? [tensor.grad.data] : []));
}
