/**
 * Linear attention: causal (or not), with feature maps or the Taylor polynomial of softmax's exponential, forward, backward
 * and token by token. Native: native/linear.
 */
import * as check from '../check.js';
import { blocking, promised } from '../native.js';
import type { AsyncOptions, Prepared } from '../native.js';
import { allocate, realType, reals, threadsOf } from './arguments.js';
import type { Reals } from './arguments.js';
import {
  featuresOf,
  makeState,
  maskOf,
  requireFinite,
  sequencesOf,
  sizesOf,
  stateOf,
} from './linear-attention-options.js';
import type { LinearCall, LinearShapeOptions, LinearState } from './linear-attention-options.js';

/** Arrays of linearAttention, all of one type. */
export interface LinearAttentionInputs<T extends Reals = Reals> {
  /** [batch, heads, length, headDim] */
  q: T;
  /** [batch, heads, length, headDim] */
  k: T;
  /** [batch, heads, length, valueDim] */
  v: T;
  /** [batch, length], 1 for tokens that count and 0 for padding; default all. */
  mask?: Uint8Array;
  /** What came before, as returned by an earlier call with the same features. */
  initialState?: LinearState<T>;
}

/** Options of linearAttention. */
export interface LinearAttentionOptions extends LinearShapeOptions {
  /** Returns the state after the last token; default false. */
  returnState?: boolean;
  /** Where the result goes, [batch, heads, length, valueDim]; default a fresh array. */
  out?: Reals;
}

/** What linear attention gives. */
export interface LinearAttentionResult<T extends Reals = Reals> {
  /** [batch, heads, length, valueDim] */
  out: T;
  /** After the last token; with `returnState`. */
  state?: LinearState<T>;
  /** Rows whose weights sum to exactly 0; their output is 0. Counted where the call normalizes. */
  emptyRows: number;
}

/** A fresh array of the call's type. */
const fresh = <T extends Reals>(n: { type: 'f32' | 'f64' }, length: number): T =>
  allocate(n.type, length) as T;

/** Keys and values that every query sees. */
export interface EncoderArrays<T extends Reals> {
  k: T;
  v: T;
  length: number;
}

/** The native call: shared with prefix linear attention and the recurrent form of softmax attention. */
export function prepareForward<T extends Reals>(
  n: LinearCall,
  { q, k, v, mask, initialState }: LinearAttentionInputs<T>,
  to: { out: T; state?: LinearState<T>; denominators?: T },
  encoder?: EncoderArrays<T>,
): Prepared<LinearAttentionResult<T>> {
  const all: EncoderArrays<T> | undefined = n.causal ? encoder : { k, v, length: n.length };
  const keys = n.causal ? [k, v] : [undefined, undefined];
  const { out, state, denominators } = to;
  const args = [q, ...keys, all?.k, all?.v, mask, initialState?.kv, initialState?.k];
  const results = [out, denominators, state?.kv, state?.k];
  const sizes = sizesOf(n, all?.length ?? 0);
  return {
    operation: 'linearAttention',
    args: [...args, ...results, sizes, n.kind, n.algorithm, n.threads],
    result: (zeros) => ({ out, ...(state && { state }), emptyRows: zeros as number }),
  };
}

function prepare<T extends Reals>(
  inputs: LinearAttentionInputs<T>,
  given: LinearAttentionOptions,
): Prepared<LinearAttentionResult<T>> {
  const [i, o] = [check.options(inputs), check.options(given)];
  const returnState = check.boolean('returnState', o.returnState ?? false);
  const n = sequencesOf(o, i, returnState || i.initialState !== undefined);
  maskOf(i.mask, n);
  if (i.initialState !== undefined) stateOf<T>('initialState', i.initialState, n);
  const size = n.batch * n.heads * n.length * n.valueDim;
  const out = o.out === undefined ? fresh<T>(n, size) : reals<T>('out', o.out, n.type, size);
  return prepareForward(n, i, { out, state: returnState ? makeState<T>(n) : undefined });
}

/**
 * Linear attention: out_t = sum_i w(q_t, k_i) v_i, over i <= t (causal) or all i, divided by sum_i w(q_t, k_i) + eps where
 * `normalize`. w(q, k) = scale phi(q) . phi(k), or sum_n (scale q . k)^n / n! up to `order` for map 'taylor'.
 *
 * Time and memory are linear in the length. Accumulation is in the type of the arrays; results have the same bits for any
 * number of threads. All algorithms agree to rounding.
 *
 * Taylor polynomials of even order give weights > 0; of odd order they may be negative, and their sum may vanish: then
 * normalize with an eps, or not at all.
 *
 * @param inputs q, k, v in float32 or float64, [batch, heads, length, dim]; mask and state where wanted
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument; order: a state above
 *   `maxStateBytes`, with its size
 * @see "Transformers are RNNs", A. Katharopoulos et al., arXiv 2006.16236; "On the Expressiveness of Softmax Attention",
 *   G. Mongaras and E. C. Larson, arXiv 2507.23632
 */
export const linearAttention = <T extends Reals>(
  inputs: LinearAttentionInputs<T>,
  options: LinearAttentionOptions,
): LinearAttentionResult<T> => blocking(prepare(inputs, options));

/** Promise form of linearAttention. */
export const linearAttentionAsync = async <T extends Reals>(
  inputs: LinearAttentionInputs<T>,
  options: LinearAttentionOptions & AsyncOptions,
): Promise<LinearAttentionResult<T>> => promised(prepare(inputs, options), options);

/** Arrays of linearAttentionBackward: those of the forward call, and gradients of what it gave. */
export interface LinearAttentionBackwardInputs<T extends Reals = Reals> extends LinearAttentionInputs<T> {
  /** Gradient of `out`, [batch, heads, length, valueDim]. */
  gout: T;
  /** Gradient of the returned state: kv and k as in the state; default none. */
  gstate?: { kv: T; k: T };
}

/** Gradients of linear attention. */
export interface LinearAttentionGradients<T extends Reals = Reals> {
  /** [batch, heads, length, headDim] */
  dq: T;
  /** [batch, heads, length, headDim] */
  dk: T;
  /** [batch, heads, length, valueDim] */
  dv: T;
  /** Of the initial state, where one was given. */
  dinitialState?: { kv: T; k: T };
}

/** Gradients of what a forward call gave. */
export interface ForwardGradients<T extends Reals> {
  gout: T;
  gdenominators?: T;
  gstate?: { kv: T; k: T };
}

/** The native call of the way back. */
export function prepareBackward<T extends Reals>(
  n: LinearCall,
  { q, k, v, mask, initialState }: LinearAttentionInputs<T>,
  { gout, gdenominators, gstate }: ForwardGradients<T>,
  encoder?: EncoderArrays<T>,
): Prepared<LinearAttentionGradients<T> & { dkEnc?: T; dvEnc?: T }> {
  const tokens = n.batch * n.heads * n.length;
  const dq = fresh<T>(n, tokens * n.headDim);
  const dk = fresh<T>(n, tokens * n.headDim);
  const dv = fresh<T>(n, tokens * n.valueDim);
  const dinitialState = initialState && {
    kv: fresh<T>(n, initialState.kv.length),
    k: fresh<T>(n, initialState.k.length),
  };
  const seen = encoder && {
    dkEnc: fresh<T>(n, encoder.k.length),
    dvEnc: fresh<T>(n, encoder.v.length),
  };
  const all = n.causal ? encoder : { k, v, length: n.length };
  const args = [
    q,
    ...(n.causal ? [k, v] : [undefined, undefined]),
    ...[all?.k, all?.v, mask, initialState?.kv, initialState?.k],
    ...[gout, gdenominators, gstate?.kv, gstate?.k],
    ...(n.causal ? [dq, dk, dv, seen?.dkEnc, seen?.dvEnc] : [dq, undefined, undefined, dk, dv]),
    ...[dinitialState?.kv, dinitialState?.k],
    ...[sizesOf(n, all?.length ?? 0), n.kind, n.algorithm, n.threads],
  ];
  const result = { dq, dk, dv, ...(dinitialState && { dinitialState }), ...seen };
  return { operation: 'linearAttentionBackward', args, result };
}

function prepareGradients<T extends Reals>(
  inputs: LinearAttentionBackwardInputs<T>,
  given: LinearShapeOptions,
): Prepared<LinearAttentionGradients<T>> {
  const [i, o] = [check.options(inputs), check.options(given)];
  const n = sequencesOf(o, i, i.initialState !== undefined || i.gstate !== undefined);
  maskOf(i.mask, n);
  if (i.initialState !== undefined) stateOf<T>('initialState', i.initialState, n);
  reals('gout', i.gout, n.type, n.batch * n.heads * n.length * n.valueDim);
  if (i.gstate !== undefined) {
    const count = n.batch * n.heads * n.features;
    reals('gstate.kv', check.options(i.gstate).kv, n.type, count * n.valueDim);
    reals('gstate.k', i.gstate.k, n.type, count);
  }
  if (n.checkFinite) requireFinite({ gout: i.gout });
  return prepareBackward(n, i, i);
}

/**
 * Gradients of linearAttention, in time linear in the length: a scan forward for dq and one backward for dk and dv; the
 * forward pass is worked out again where its sums are needed. Memory beside the results: length x (headDim + valueDim)
 * for each thread. algorithm 'recurrent' runs as 'chunk'. Parallel over sequences and heads.
 *
 * @param inputs those of the forward call and the gradients of its results
 * @param options those of the forward call
 * @throws as linearAttention
 */
export const linearAttentionBackward = <T extends Reals>(
  inputs: LinearAttentionBackwardInputs<T>,
  options: LinearShapeOptions,
): LinearAttentionGradients<T> => blocking(prepareGradients(inputs, options));

/** Promise form of linearAttentionBackward. */
export const linearAttentionBackwardAsync = async <T extends Reals>(
  inputs: LinearAttentionBackwardInputs<T>,
  options: LinearShapeOptions & AsyncOptions,
): Promise<LinearAttentionGradients<T>> => promised(prepareGradients(inputs, options), options);

/** Options of linearAttentionStep. */
export interface LinearStepOptions {
  /** Threads; default 1. */
  threads?: number;
  /** Where the result goes, [batch, heads, valueDim]; default a fresh array. */
  out?: Reals;
}

function prepareStep<T extends Reals>(
  state: LinearState<T>,
  token: { q: T; k: T; v: T },
  given?: LinearStepOptions,
): Prepared<T> {
  const o = check.options(given);
  const { q, k, v } = check.options(token);
  if (typeof state !== 'object' || state === null || ArrayBuffer.isView(state))
    throw check.typeError('state', 'a LinearState', state);
  const type = realType('state.kv', state.kv);
  const { features, headDim, valueDim, order } = featuresOf({
    ...state,
    order: state.map === 'taylor' ? state.order : undefined,
  });
  const heads =
    check.nonNegativeInteger('state.batch', state.batch) * check.positiveInteger('state.heads', state.heads);
  reals('state.kv', state.kv, type, heads * features * valueDim);
  reals('state.k', state.k, type, heads * features);
  reals('q', q, type, heads * headDim);
  reals('k', k, type, heads * headDim);
  reals('v', v, type, heads * valueDim);
  const size = heads * valueDim;
  const out = o.out === undefined ? fresh<T>({ type }, size) : reals<T>('out', o.out, type, size);
  const shape = [state.batch, state.heads, 1, 0, headDim, valueDim, order, state.scale, state.eps, 0];
  const sizes = Float64Array.of(...shape, Number(state.normalize), Number(state.symmetric), 0, 0, 1);
  const args = [q, k, v, state.kv, state.k, out, sizes, state.map, threadsOf(o.threads)];
  return { operation: 'linearAttentionStep', args, result: out };
}

/**
 * One more token of every sequence: the state takes its key and value in, in place, and its query is answered. The time
 * of a step does not depend on how many tokens came before.
 *
 * @param state from createLinearState or an earlier call; changed
 * @param token q and k [batch, heads, headDim], v [batch, heads, valueDim], of the state's type
 * @returns [batch, heads, valueDim]; a row whose weights sum to 0 is 0
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 */
export const linearAttentionStep = <T extends Reals>(
  state: LinearState<T>,
  token: { q: T; k: T; v: T },
  options?: LinearStepOptions,
): T => blocking(prepareStep(state, token, options));

/** Promise form of linearAttentionStep: the state belongs to the call until it settles. */
export const linearAttentionStepAsync = async <T extends Reals>(
  state: LinearState<T>,
  token: { q: T; k: T; v: T },
  options?: LinearStepOptions & AsyncOptions,
): Promise<T> => promised(prepareStep(state, token, options), options);
