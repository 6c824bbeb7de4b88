/**
 * Shapes, states and checks of linear attention and its family. Native: native/linear/shape.h.
 */
import * as check from '../check.js';
import { allocate, realType, reals, requireBounded, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';

/**
 * How a weight comes from a query and a key: phi(q) . phi(k) with phi = elu + 1, max(x, 0) or x, or the Taylor polynomial
 * of exp(scale q . k).
 */
export type LinearMap = 'elu' | 'relu' | 'identity' | 'taylor';
const MAPS: readonly LinearMap[] = ['elu', 'relu', 'identity', 'taylor'];

/**
 * 'quadratic': tiles of weights, O(length^2); 'chunk': tiles within a chunk and a state between chunks, O(length);
 * 'recurrent': token by token, as a decoder goes; 'auto': the first or the second, by the work that each is.
 */
export type LinearAlgorithm = 'auto' | 'quadratic' | 'chunk' | 'recurrent';
const ALGORITHMS: readonly LinearAlgorithm[] = ['auto', 'quadratic', 'chunk', 'recurrent'];

/** What the features of a query and a key are. */
export interface LinearFeatures {
  /** Numbers of a query and of a key of one head. */
  headDim: number;
  /** Numbers of a value of one head. */
  valueDim: number;
  /** Default 'elu'. */
  map?: LinearMap;
  /** Of the Taylor polynomial, an integer in [0, 32]; default 2. Other maps have none. */
  order?: number;
  /**
   * Taylor features: one for each multiset of variables (default true), or one for each sequence, as Kronecker's products
   * have them: the same weights with a larger state.
   */
  symmetric?: boolean;
  /** Factor of q . k (of phi(q) . phi(k)), > 0; default 1 / sqrt(headDim) for 'taylor', else 1. */
  scale?: number;
  /** Largest state of one head in bytes; default 2^28. */
  maxStateBytes?: number;
}

/** Options that all calls on whole sequences share. */
export interface LinearShapeOptions extends LinearFeatures {
  /** Sequences; default 1. */
  batch?: number;
  /** Heads of a sequence; default 1. */
  heads?: number;
  /** Tokens of a sequence; 0 gives an empty result. */
  length: number;
  /** Divides by the sum of the weights (plus eps); default true. */
  normalize?: boolean;
  /** Added to the sum of weights, >= 0; default 1e-12. */
  eps?: number;
  /** Token t sees tokens up to t (default true), or all. */
  causal?: boolean;
  /** Default 'auto'. */
  algorithm?: LinearAlgorithm;
  /** Tokens of a chunk, >= 1; default up to 64, so that a chunk's features fit the second-level cache. */
  chunkSize?: number;
  /**
   * What a masked token is: 'exact' counts for nothing; 'reference' has its key set to zero before the feature map, as the
   * code of JRT-RNN does, where the constant feature and the value still count. Default 'exact'.
   */
  padding?: 'exact' | 'reference';
  /** Refuses NaN and infinities in the inputs; default false. */
  checkFinite?: boolean;
  /** Threads; default 1. */
  threads?: number;
}

/** Sums over tokens of phi(k) v^T and phi(k), for every sequence and head: all that a decoder needs of the past. */
export interface LinearState<T extends Reals = Reals> extends Required<LinearFeatures> {
  /** [batch, heads, features, valueDim] */
  kv: T;
  /** [batch, heads, features] */
  k: T;
  /** Features of a key: C(headDim + order, order) for symmetric Taylor features, headDim for the other maps. */
  features: number;
  batch: number;
  heads: number;
  normalize: boolean;
  eps: number;
}

const FINITE = 'finite numbers';

/** Throws unless every number of the arrays is finite. */
export function requireFinite(arrays: Record<string, Reals | undefined>): void {
  for (const [name, array] of Object.entries(arrays)) {
    const at = array?.findIndex((value) => !Number.isFinite(value)) ?? -1;
    if (at >= 0) throw check.rangeError(name, FINITE, `${array![at]} at index ${at}`);
  }
}

/** Taylor features of all orders up to `order`: C(dim + order, order), or 1 + dim + ... + dim^order. */
export function taylorFeatureCount(dim: number, order: number, symmetric: boolean): number {
  let [total, term] = [1, 1];
  for (let degree = 1; degree <= order; degree++) {
    term = symmetric ? (term * (dim + degree - 1)) / degree : term * dim;
    total += term;
  }
  return Math.round(total);
}

/** The features of a call, checked and with defaults. */
export function featuresOf(o: LinearFeatures): Required<LinearFeatures> & { features: number } {
  const headDim = check.positiveInteger('headDim', o.headDim);
  const valueDim = check.positiveInteger('valueDim', o.valueDim);
  const map = check.oneOf('map', o.map ?? 'elu', MAPS);
  if (map !== 'taylor' && o.order !== undefined)
    throw check.rangeError('order', "left out but for 'taylor'", o.order);
  const order = map === 'taylor' ? orderOf(o.order) : 1;
  const symmetric = check.boolean('symmetric', o.symmetric ?? true);
  const scale = check.positiveNumber('scale', o.scale ?? (map === 'taylor' ? 1 / Math.sqrt(headDim) : 1));
  const maxStateBytes = check.positiveNumber('maxStateBytes', o.maxStateBytes ?? 2 ** 28);
  const features = map === 'taylor' ? taylorFeatureCount(headDim, order, symmetric) : headDim;
  return { headDim, valueDim, map, order, symmetric, scale, maxStateBytes, features };
}

/** The order of a Taylor polynomial; default 2. */
export function orderOf(order: unknown): number {
  const value = order === undefined ? 2 : check.nonNegativeInteger('order', order);
  if (value > 32) throw check.rangeError('order', 'an integer in [0, 32]', value);
  return value;
}

/** Throws where the state of a head would be larger than allowed. */
export function requireState(
  { features, valueDim, maxStateBytes, order }: { features: number } & Required<LinearFeatures>,
  bytes: number,
): void {
  const size = features * valueDim * bytes;
  if (size > maxStateBytes) {
    throw check.rangeError(
      'order',
      `low enough for a state of at most ${maxStateBytes} bytes a head (maxStateBytes)`,
      `order ${order}, whose state of ${features} x ${valueDim} takes ${size} bytes`,
    );
  }
}

/** A call's numbers, checked. */
export type LinearCall = ReturnType<typeof callOf>;

/** Checks the options of a call on whole sequences; `stateful`: a state goes in or comes out. */
export function callOf(o: LinearShapeOptions, type: 'f32' | 'f64', stateful: boolean) {
  const features = featuresOf(o);
  const batch = o.batch === undefined ? 1 : check.nonNegativeInteger('batch', o.batch);
  const heads = o.heads === undefined ? 1 : check.positiveInteger('heads', o.heads);
  const length = check.nonNegativeInteger('length', o.length);
  const normalize = check.boolean('normalize', o.normalize ?? true);
  const eps = check.finiteNumber('eps', o.eps ?? 1e-12);
  if (eps < 0) throw check.rangeError('eps', 'at least 0', eps);
  const causal = check.boolean('causal', o.causal ?? true);
  let algorithm = check.oneOf('algorithm', o.algorithm ?? 'auto', ALGORITHMS);
  const chunkSize = o.chunkSize === undefined ? 0 : check.positiveInteger('chunkSize', o.chunkSize);
  const padding = check.oneOf('padding', o.padding ?? 'exact', ['exact', 'reference'] as const);
  const checkFinite = check.boolean('checkFinite', o.checkFinite ?? false);
  const bytes = type === 'f64' ? 8 : 4;
  if (
    algorithm === 'auto' &&
    !stateful &&
    features.features * features.valueDim * bytes > features.maxStateBytes
  )
    algorithm = 'quadratic';
  if (algorithm === 'chunk' || algorithm === 'recurrent' || stateful) requireState(features, bytes);
  const threads = threadsOf(o.threads);
  const shape = { batch, heads, length, normalize, eps, causal };
  const kind = features.map as LinearMap | 'exponential';
  const settings = { algorithm, chunkSize, padding, checkFinite, threads };
  return { ...features, ...shape, ...settings, type, kind, clamp: 0 };
}

/** The numbers of a call in the order of native/linear/shape.h. */
export function sizesOf(n: LinearCall, encoderLength: number): Float64Array {
  const flags = [n.normalize, n.symmetric, n.padding === 'reference'].map(Number);
  const shape = [n.batch, n.heads, n.length, encoderLength, n.headDim, n.valueDim, n.order];
  return Float64Array.of(...shape, n.scale, n.eps, n.chunkSize, ...flags, n.clamp, Number(n.causal));
}

/** A mask of tokens, [batch, length], of 0 and 1. */
export function maskOf(mask: unknown, n: { batch: number; length: number }): Uint8Array | undefined {
  if (mask === undefined) return undefined;
  if (!check.isA(mask, Uint8Array)) throw check.typeError('mask', 'a Uint8Array', mask);
  check.attached('mask', mask);
  if (mask.length !== n.batch * n.length)
    throw check.rangeError('mask', `${n.batch * n.length} elements long, batch x length`, mask);
  const wrong = mask.findIndex((value) => value > 1);
  if (wrong >= 0) throw check.rangeError('mask', 'of 0 and 1', `${mask[wrong]} at index ${wrong}`);
  return mask;
}

/** The numbers that a state and a call must have alike. */
const SAME = ['batch', 'heads', 'headDim', 'valueDim', 'map', 'order', 'symmetric', 'scale'] as const;

/** Checks a state against the shape of the call that it goes into. */
export function stateOf<T extends Reals>(name: string, state: unknown, n: LinearCall): LinearState<T> {
  if (typeof state !== 'object' || state === null || ArrayBuffer.isView(state))
    throw check.typeError(name, 'a LinearState', state);
  const given = state as LinearState<T>;
  for (const each of SAME) {
    if (given[each] !== n[each])
      throw check.rangeError(name, `a state of ${each} ${n[each]}`, `one of ${each} ${given[each]}`);
  }
  const count = n.batch * n.heads * n.features;
  reals(`${name}.kv`, given.kv, n.type, count * n.valueDim);
  reals(`${name}.k`, given.k, n.type, count);
  return given;
}

/** A state of given sums, or of none yet. */
export function makeState<T extends Reals>(n: Omit<LinearCall, 'length'>, kv?: T, k?: T): LinearState<T> {
  const count = n.batch * n.heads * n.features;
  const { batch, heads, headDim, valueDim, map, order, symmetric, scale, maxStateBytes, features } = n;
  const { normalize, eps } = n;
  return {
    kv: kv ?? (allocate(n.type, count * valueDim) as T),
    k: k ?? (allocate(n.type, count) as T),
    ...{
      batch,
      heads,
      headDim,
      valueDim,
      map,
      order,
      symmetric,
      scale,
      maxStateBytes,
      features,
      normalize,
      eps,
    },
  };
}

/** Options of createLinearState. */
export interface LinearStateOptions extends LinearFeatures {
  /** Sequences; default 1. */
  batch?: number;
  /** Heads of a sequence; default 1. */
  heads?: number;
  /** Whether steps divide by the sum of the weights; default true. */
  normalize?: boolean;
  /** Added to the sum of weights; default 1e-12. */
  eps?: number;
  /** Default 'f32'. */
  dtype?: 'f32' | 'f64';
}

/**
 * The state before the first token: zeros.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 */
export function createLinearState(options: LinearStateOptions & { dtype: 'f64' }): LinearState<Float64Array>;
export function createLinearState(options: LinearStateOptions & { dtype?: 'f32' }): LinearState<Float32Array>;
export function createLinearState(given: LinearStateOptions): LinearState {
  const o = check.options(given);
  const type = check.oneOf('dtype', o.dtype ?? 'f32', ['f32', 'f64'] as const);
  return makeState(callOf({ ...o, length: 0 }, type, true));
}

/** The arrays of a call on whole sequences, checked for type and length. */
export function sequencesOf<T extends Reals>(
  o: LinearShapeOptions,
  inputs: { q: T; k: T; v: T },
  stateful: boolean,
): LinearCall {
  const type = realType('q', inputs.q);
  const n = callOf(o, type, stateful);
  requireBounded(n.batch * n.heads, n.length);
  const tokens = n.batch * n.heads * n.length;
  reals('q', inputs.q, type, tokens * n.headDim);
  reals('k', inputs.k, type, tokens * n.headDim);
  reals('v', inputs.v, type, tokens * n.valueDim);
  if (n.checkFinite) requireFinite({ q: inputs.q, k: inputs.k, v: inputs.v });
  return n;
}
