/** Parameters as optimizers and clipping take them: by name, in a list, or in groups with settings of their own. */
import * as check from '../check.js';
import { entriesOf, type Parameters } from './parameters.js';
import { Tensor } from './tensor.js';

/** Parameters by name, or in a list, where the names are '0', '1', ... */
export type ParameterList = Readonly<Parameters> | readonly Tensor[];

/** Parameters with settings that differ from those of the others. */
export interface ParameterGroup {
  /** The parameters; in lists, numbers go on from group to group. */
  params: ParameterList;
  /** At least 0; default that of the optimizer. */
  weightDecay?: number;
  /** A factor of the optimizer's learning rate, at least 0; default 1. */
  learningRateScale?: number;
}

/** A parameter, under its name. */
export interface NamedTensor {
  name: string;
  tensor: Tensor;
}

/** The parameters of a list, each tensor once: one that stands under two names (a tied weight) has the first. */
export function listOf(name: string, params: unknown, firstNumber = 0): NamedTensor[] {
  const entries = Array.isArray(params)
    ? params.map((tensor: unknown, i): [string, Tensor] => {
        if (!(tensor instanceof Tensor)) throw check.typeError(`${name}[${i}]`, 'a Tensor', tensor);
        return [String(firstNumber + i), tensor];
      })
    : entriesOf(name, params);
  const seen = new Set<Tensor>();
  return entries.flatMap(([key, tensor]) => {
    if (seen.has(tensor)) return [];
    seen.add(tensor);
    return [{ name: key, tensor }];
  });
}

/** A parameter with the settings of its group. */
export interface GroupedTensor extends NamedTensor {
  weightDecay: number | undefined;
  scale: number;
}

/**
 * The parameters of an optimizer, from a list or from groups.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE): a tensor in two groups, a name twice, a
 *   parameter that has no gradient of its own
 */
export function groupsOf(params: ParameterList | readonly ParameterGroup[]): GroupedTensor[] {
  const groups: readonly ParameterGroup[] = isGrouped(params) ? params : [{ params }];
  const found: GroupedTensor[] = [];
  const names = new Set<string>();
  const tensors = new Set<Tensor>();
  groups.forEach((group, g) => {
    const where = isGrouped(params) ? `params[${g}].` : '';
    const { weightDecay, learningRateScale = 1 } = group;
    if (weightDecay !== undefined) nonNegative(`${where}weightDecay`, weightDecay);
    const scale = nonNegative(`${where}learningRateScale`, learningRateScale);
    for (const { name, tensor } of listOf(`${where}params`, group.params, found.length)) {
      if (names.has(name)) throw check.rangeError(`${where}params`, 'of names that no other group has', name);
      if (tensors.has(tensor))
        throw check.rangeError(`${where}params`, 'without tensors of another group', name);
      if (!tensor.requiresGrad)
        throw check.rangeError(`${where}params`, 'tensors with requiresGrad', `${name} without`);
      names.add(name);
      tensors.add(tensor);
      found.push({ name, tensor, weightDecay, scale });
    }
  });
  return found;
}

function isGrouped(params: unknown): params is readonly ParameterGroup[] {
  return Array.isArray(params) && params.length > 0 && !(params[0] instanceof Tensor);
}

/** A finite number of at least 0. */
export function nonNegative(name: string, value: unknown): number {
  const found = check.finiteNumber(name, value);
  if (found < 0) throw check.rangeError(name, 'a finite number >= 0', value);
  return found;
}
