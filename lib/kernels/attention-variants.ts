/**
 * Variants of causal attention that put something else in the place of softmax's denominator, with gradients. Quadratic in
 * the length. Native: native/linear.
 */
import * as check from '../check.js';
import { type AsyncOptions } from '../native.js';
import { allocate, apart, reals } from './arguments.js';
import type { Reals } from './arguments.js';
import { CLAMP, VARIANT_NAMES, VARIANTS } from './attention-variant-table.js';
import type { AttentionVariant, VariantParts } from './attention-variant-table.js';
import { requireFinite, sequencesOf } from './linear-attention-options.js';
import type { LinearCall, LinearMap } from './linear-attention-options.js';
import { prepareBackward, prepareForward } from './linear-attention.js';
import { L2_EPS } from './recurrent-norms.js';
import { normRows, normRowsBackward, type RowNormJob } from './row-norms.js';
import { blockingSteps, call, promisedSteps, type Steps } from './steps.js';
import { factorsBackward, factorsOf, rowDots, scaleRows, type Factors } from './variant-factors.js';

export type { AttentionVariant } from './attention-variant-table.js';

/** Arrays of attentionVariant, all of one type; a variant takes the gates and parameters that its row of the table names. */
export interface VariantInputs<T extends Reals = Reals> {
  /** [batch, heads, length, headDim] */
  q: T;
  /** [batch, heads, length, headDim] */
  k: T;
  /** [batch, heads, length, valueDim] */
  v: T;
  /** Logits of the gate of outputs, [batch, heads, length]. */
  outGate?: T;
  /** Logits of the gate of values, [batch, heads, length]. */
  inGate?: T;
  /** Factors after an RMS or layer norm, [valueDim] or [heads, valueDim]; default 1. */
  gamma?: T;
  /** Added after a layer norm, as long as gamma; default 0. */
  beta?: T;
  /** Logits of 'decay', [batch, heads, length]: exp of their sum over the tokens from i to before t, / 1024. */
  decay?: T;
  /** Of 'linear_cosine': values are divided by their position to the power of its sigmoid, [heads]; default 0.5. */
  power?: T;
}

/** Options of attentionVariantBackward, and of attentionVariant. */
export interface VariantShapeOptions {
  /** Which row of the table. */
  variant: AttentionVariant;
  /** Sequences; default 1. */
  batch?: number;
  /** Heads of a sequence; default 1. */
  heads?: number;
  /** Tokens of a sequence; 0 gives an empty result. */
  length: number;
  /** Numbers of a query and of a key of one head. */
  headDim: number;
  /** Numbers of a value of one head. */
  valueDim: number;
  /** In the norm; default 1e-6 for RMS, 1e-5 for layer norms, 1e-12 as the least L2 norm. */
  eps?: number;
  /** Refuses NaN and infinities in the inputs; default false. */
  checkFinite?: boolean;
  /** Threads; default 1. */
  threads?: number;
}

/** Options of attentionVariant. */
export interface VariantOptions extends VariantShapeOptions {
  /** Where the result goes, [batch, heads, length, valueDim]; default a fresh array. */
  out?: Reals;
}

/** The map of native/linear, and the scale, of each kind of weights. */
function weightsOf({ weights }: VariantParts, headDim: number): { map: LinearMap; scale: number } {
  const scale = 1 / Math.sqrt(headDim);
  if (weights === 'elu') return { map: 'elu', scale: 1 };
  if (weights === 'relu') return { map: 'relu', scale };
  if (weights === 'linear-relu') return { map: 'relu', scale: 1 };
  return { map: 'identity', scale: weights === 'cosine' ? 1 : scale };
}

/** Everything that forward and backward share. */
interface Ready<T extends Reals> {
  parts: VariantParts;
  n: LinearCall;
  q: T;
  k: T;
  values: T;
  inputs: VariantInputs<T>;
  factors: Factors;
  job: RowNormJob;
}

/** The norm of queries and keys to length 1. */
const unit = (n: LinearCall): RowNormJob => ({
  ...{ norm: 'l2', eps: L2_EPS, columns: n.headDim, length: n.length, heads: n.heads },
});

function ready<T extends Reals>(given: VariantInputs<T>, o: VariantShapeOptions): Ready<T> {
  const i = { ...check.options(given) };
  const parts: VariantParts = VARIANTS[check.oneOf('variant', o.variant, VARIANT_NAMES)];
  const { batch, heads, length, headDim, valueDim, checkFinite, threads } = o;
  const shape = { batch, heads, length, headDim, valueDim, checkFinite, threads, normalize: false };
  const weights = weightsOf(parts, check.positiveInteger('headDim', headDim));
  const call = sequencesOf({ ...shape, ...weights, algorithm: 'quadratic' }, i, false);
  const exponential = parts.weights === 'exp' || parts.weights === 'clamp';
  const clamp = parts.weights === 'clamp' ? CLAMP : Infinity;
  const n: LinearCall = exponential ? { ...call, kind: 'exponential', clamp } : call;
  const rows = n.batch * n.heads * n.length;
  if (parts.power && i.power === undefined) i.power = (allocate(n.type, n.heads) as T).fill(0.5) as T;
  for (const [name, needed, size] of [
    ['outGate', parts.outGate, rows],
    ['inGate', parts.inGate, rows],
    ['decay', parts.decay, rows],
    ['power', parts.power, n.heads],
  ] as const) {
    if (needed) reals(name, i[name], n.type, size);
    else if (i[name] !== undefined) throw check.typeError(name, `left out of '${o.variant}'`, i[name]);
  }
  for (const name of ['gamma', 'beta'] as const) {
    const array = i[name];
    if (array === undefined) continue;
    if (!parts.affine || (name === 'beta' && parts.norm !== 'layer'))
      throw check.typeError(name, `left out of '${o.variant}'`, array);
    reals(name, array, n.type);
    if (array.length !== n.valueDim && array.length !== n.heads * n.valueDim)
      throw check.rangeError(name, `${n.valueDim} or ${n.heads * n.valueDim} elements long`, array);
  }
  const eps = o.eps === undefined ? (parts.eps ?? 0) : check.finiteNumber('eps', o.eps);
  if (eps < 0) throw check.rangeError('eps', 'at least 0', eps);
  if (n.checkFinite) {
    const { outGate, inGate, gamma, beta, decay, power } = i;
    requireFinite({ outGate, inGate, gamma, beta, decay, power });
  }
  const factors = factorsOf(parts, i, n);
  const job: RowNormJob = {
    ...{ norm: parts.norm ?? 'none', eps, columns: n.valueDim, length: n.length, heads: n.heads },
    ...{ factors: factors.outputs, gamma: i.gamma, beta: i.beta },
  };
  let { q, k } = i;
  if (parts.weights === 'cosine') {
    [q, k] = [q.slice() as T, k.slice() as T];
    for (const x of [q, k]) normRows(unit(n), x, x);
  }
  return { parts, n, q, k, values: scaleRows(i.v, factors.values, n.valueDim), inputs: i, factors, job };
}

/** Numerators, and the sums of weights where there is a denominator. */
function* numerators<T extends Reals>(
  { parts, n, q, k, values }: Ready<T>,
  out?: T,
): Steps<{ u: T; sums?: T }> {
  const u = out ?? (allocate(n.type, values.length) as T);
  const sums = parts.denominator && (allocate(n.type, n.batch * n.heads * n.length) as T);
  yield* call(prepareForward(n, { q, k, v: values }, { out: u, denominators: sums }));
  return { u, sums };
}

/** One over the denominator of each row. A sum of 0 gives 0. */
function inverses({ denominator }: VariantParts, sums: Reals): Float64Array {
  const { add = 0, least = 0 } = denominator!;
  return Float64Array.from(sums, (sum) => (sum + add === 0 ? 0 : 1 / Math.max(sum + add, least)));
}

function* forward<T extends Reals>(inputs: VariantInputs<T>, given: VariantOptions): Steps<T> {
  const o = check.options(given);
  const r = ready(inputs, o);
  const size = r.values.length;
  const out = o.out === undefined ? undefined : reals<T>('out', o.out, r.n.type, size);
  if (out) {
    const { q, k, v, outGate, inGate, gamma, beta, decay, power } = r.inputs;
    apart('out', out, { q, k, v, outGate, inGate, gamma, beta, decay, power });
  }
  const { u, sums } = yield* numerators(r, out);
  if (sums) {
    const factors = inverses(r.parts, sums);
    normRows({ ...r.job, norm: 'none', gamma: undefined, beta: undefined, factors }, u, u);
  }
  if (r.job.norm !== 'none' || r.job.factors) normRows(r.job, u, u);
  return u;
}

/**
 * A variant of causal attention, out_t = norm(gate_t sum_(i <= t) w(q_t, k_i) v_i), by its name in the table:
 *
 * - softmax: e^s, divided by the sum of the weights
 * - clamp_denom, detach_denom: e^min(s, 5), divided by max(sum, 1), whose gradient the second leaves out
 * - detach_denom_gate: divided by sum + 1e-4, without its gradient, times a gate
 * - gate: no denominator, times a gate;  div_s, out_gate_div_s: divided by the number of tokens seen
 * - rmsnorm, div_s_rmsnorm, div_s_layernorm: normalized rows;  l2norm: rows of length 1, of e^s
 * - gated_softmax: gates of values and outputs, divided by the tokens seen, layer norm; gated_no_norm, no_in_gate,
 *   no_out_gate: without that part;  decay: with weights that fade
 * - relu_l2norm, linear_elu, linear_relu, linear_cosine: inner products of features
 *
 * Where no clamp stands before exp, the largest score of a row is subtracted: nothing overflows.
 *
 * @param inputs q, k, v, float32 or float64, and the gates and parameters of the variant
 * @returns [batch, heads, length, valueDim]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the argument
 * @see "On the Expressiveness of Softmax Attention", G. Mongaras and E. C. Larson, arXiv 2507.23632
 */
export const attentionVariant = <T extends Reals>(inputs: VariantInputs<T>, options: VariantOptions): T =>
  blockingSteps(forward(inputs, options));

/** Promise form of attentionVariant. */
export const attentionVariantAsync = async <T extends Reals>(
  inputs: VariantInputs<T>,
  options: VariantOptions & AsyncOptions,
): Promise<T> => promisedSteps(forward(inputs, options), 1, options);

/** Gradients of attentionVariant: of q, k, v, and of the gates and parameters that went in. */
export interface VariantGradients<T extends Reals = Reals> {
  dq: T;
  dk: T;
  dv: T;
  doutGate?: T;
  dinGate?: T;
  dgamma?: T;
  dbeta?: T;
  ddecay?: T;
  dpower?: T;
}

function* backward<T extends Reals>(
  inputs: VariantInputs<T> & { gout: T },
  given: VariantShapeOptions,
): Steps<VariantGradients<T>> {
  const r = ready(inputs, check.options(given));
  const { parts, n, job } = r;
  const gout = reals<T>('gout', inputs.gout, n.type, r.values.length);
  if (n.checkFinite) requireFinite({ gout });
  const { u, sums } = yield* numerators(r);
  const inverse = sums && inverses(parts, sums);
  const y = inverse ? scaleRows(u, inverse, n.valueDim) : u;
  const norm = normRowsBackward(job, y, gout);
  let du = norm.dx as T;
  let gdenominators: T | undefined;
  if (inverse) {
    // y = u / d(z): dz = -<dy, y> d'(z) / d.
    const { add = 0, least = 0, detached = false } = parts.denominator!;
    const dots = rowDots(du, y, n.valueDim);
    gdenominators = allocate(n.type, dots.length) as T;
    if (!detached)
      dots.forEach((dot, row) => {
        if (sums[row] + add >= least) gdenominators![row] = -dot * inverse[row];
      });
    du = scaleRows(du, inverse, n.valueDim);
  }
  const d = yield* call(prepareBackward(n, { q: r.q, k: r.k, v: r.values }, { gout: du, gdenominators }));
  const { v, q, k } = inputs;
  const values = r.factors.values && rowDots(d.dv, v, n.valueDim);
  const logits = factorsBackward(parts, r.inputs, n, r.factors, { values, outputs: norm.dfactors });
  const typed = (x: Float64Array): T => (n.type === 'f64' ? x : Float32Array.from(x)) as T;
  const parameters = { dgamma: norm.dgamma, dbeta: norm.dbeta, ...logits };
  const rest = Object.entries(parameters).flatMap(([name, x]) => (x ? [[name, typed(x)] as const] : []));
  const cosine = parts.weights === 'cosine';
  return {
    dq: cosine ? (normRowsBackward(unit(n), q, d.dq).dx as T) : d.dq,
    dk: cosine ? (normRowsBackward(unit(n), k, d.dk).dx as T) : d.dk,
    dv: scaleRows(d.dv, r.factors.values, n.valueDim),
    ...Object.fromEntries(rest),
  };
}

/**
 * Gradients of attentionVariant. A clamped score has gradient 0 above 5.
 *
 * @param inputs those of the forward call, and `gout`, the gradient of its result
 * @param options those of the forward call
 * @throws as attentionVariant
 */
export const attentionVariantBackward = <T extends Reals>(
  inputs: VariantInputs<T> & { gout: T },
  options: VariantShapeOptions,
): VariantGradients<T> => blockingSteps(backward(inputs, options));

/** Promise form of attentionVariantBackward. */
export const attentionVariantBackwardAsync = async <T extends Reals>(
  inputs: VariantInputs<T> & { gout: T },
  options: VariantShapeOptions & AsyncOptions,
): Promise<VariantGradients<T>> => promisedSteps(backward(inputs, options), 2, options);
