/**
 * Modules are plain functions over named parameters: `Parameters` is a record of tensors under flat dotted names, and
 * these are the few things that one does with it.
 *
 *   const params = { ...under('encoder', encoderParameters), ...under('head', headParameters) };
 *   const y = encoder(subset(params, 'encoder'), x);
 */
import * as check from '../check.js';
import { Tensor } from './tensor.js';

/** Named parameters: flat dotted names such as 'layers.0.mixer.in_proj.weight'. */
export type Parameters = Record<string, Tensor>;

/** Checks a record of tensors and returns its entries. */
export function entriesOf(name: string, params: unknown): [string, Tensor][] {
  if (typeof params !== 'object' || params === null || params instanceof Tensor || Array.isArray(params))
    throw check.typeError(name, 'an object of tensors by name', params);
  const entries = Object.entries(params as Record<string, unknown>);
  for (const [key, value] of entries)
    if (!(value instanceof Tensor)) throw check.typeError(`${name}.${key}`, 'a Tensor', value);
  return entries as [string, Tensor][];
}

/**
 * The parameters whose names begin with `prefix` and a dot, under the rest of their names: the same tensors, not copies.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE)
 */
export function subset(params: Readonly<Parameters>, prefix: string): Parameters {
  if (typeof prefix !== 'string') throw check.typeError('prefix', 'a string', prefix);
  const head = `${prefix}.`;
  return Object.fromEntries(
    entriesOf('params', params)
      .filter(([name]) => name.startsWith(head))
      .map(([name, value]) => [name.slice(head.length), value]),
  );
}

/**
 * The same tensors under names with `prefix` and a dot before them: the way back from `subset`.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE)
 */
export function under(prefix: string, params: Readonly<Parameters>): Parameters {
  if (typeof prefix !== 'string') throw check.typeError('prefix', 'a string', prefix);
  return Object.fromEntries(entriesOf('params', params).map(([name, value]) => [`${prefix}.${name}`, value]));
}

/**
 * Number of elements of all parameters; a tensor that stands under two names counts once.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE)
 */
export function countElements(params: Readonly<Parameters>): number {
  const tensors = new Set(entriesOf('params', params).map(([, value]) => value));
  return [...tensors].reduce((sum, { size }) => sum + size, 0);
}

/**
 * Copies values into the tensors of `target`, which stay the objects that an optimizer holds. Nothing is written unless
 * all names, shapes and types agree.
 *
 * @param target parameters to be overwritten
 * @param source the values, under the same names, no more and no fewer, of the same shapes and types
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the parameter
 */
export function assignParameters(target: Readonly<Parameters>, source: Readonly<Parameters>): void {
  const targets = entriesOf('target', target);
  const sources = new Map(entriesOf('source', source));
  for (const [name, to] of targets) {
    const from = sources.get(name);
    if (!from) throw check.rangeError('source', `with the parameter '${name}'`, 'none of that name');
    const wanted = signature(to);
    if (signature(from) !== wanted) throw check.rangeError(`source.${name}`, wanted, signature(from));
    sources.delete(name);
  }
  for (const [name] of sources)
    throw check.rangeError('source', 'without parameters that the target lacks', name);
  for (const [name, to] of targets) to.data.set(source[name].data);
}

function signature({ dtype, shape }: Tensor): string {
  return `${dtype} of shape [${shape.join(', ')}]`;
}
