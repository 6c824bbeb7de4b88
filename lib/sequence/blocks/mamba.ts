/**
 * The Mamba block on the tape: projection to input and gate, short causal convolution, selective scan, projection back.
 * Parameters have the names and shapes of a checkpoint's layer (`norm.weight`, `mixer.in_proj.weight`, ...): what is trained
 * here can be saved with saveParameters and read by MambaModel.
 *
 *   (x, z) = Win norm(v);  u = silu(conv(x));  (r, B, C) = Wx u;  v + Wout scan(u, Wdt r, -exp(A_log), B, C, D, z)
 *
 * Form 'lti' is the control without selection: time step, B and C are learnt constants of each channel.
 */
import * as check from '../../check.js';
import {
  causalConv1d,
  exp,
  linear,
  neg,
  normal,
  ones,
  reshape,
  selectiveScan,
  slice,
  uniform,
  zeros,
  type Parameters,
  type Tensor,
} from '../../autograd/index.js';
import {
  normWeight,
  projection,
  requireInit,
  requireSequence,
  residual,
  type InitOptions,
} from './shared.js';

/** Whether the scan depends on what it reads. */
export type MambaForm = 'selective' | 'lti';

/** Sizes of a block. */
export interface MambaBlockOptions extends InitOptions {
  /** Default 'selective'. */
  form?: MambaForm;
  /** Channels of the scan. Default 2 dModel. */
  dInner?: number;
  /** Numbers of state per channel. Default 16. */
  stateSize?: number;
  /** Taps of the convolution. Default 4. */
  convWidth?: number;
  /** Rank of the time step's projection. Default ceil(dModel / 16). */
  timeStepRank?: number;
}

/**
 * Parameters of a block that has not been trained: A_log[n] = log(n + 1) and D = 1; the bias of the time step is the
 * inverse softplus of steps that are log-uniform in [0.001, 0.1]; its projection is uniform within rank^-1/2; all other
 * matrices are uniform within (inputs)^-1/2. In form 'lti' B starts at 1 and C normal.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 * @see "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", A. Gu and T. Dao, 2023, section 3.6
 */
export function initMambaBlock(options: MambaBlockOptions): Parameters {
  const o = requireInit(options) as MambaBlockOptions;
  const { dModel, generator, dtype } = o;
  const form = check.oneOf('form', o.form ?? 'selective', ['selective', 'lti']);
  const inner = check.positiveInteger('dInner', o.dInner ?? 2 * dModel);
  const state = check.positiveInteger('stateSize', o.stateSize ?? 16);
  const width = check.positiveInteger('convWidth', o.convWidth ?? 4);
  const rank = check.positiveInteger('timeStepRank', o.timeStepRank ?? Math.ceil(dModel / 16));
  const random = { generator, dtype };
  const bound = width ** -0.5;
  const taps = { low: -bound, high: bound, ...random };
  return {
    'norm.weight': normWeight(dModel, o),
    'mixer.in_proj.weight': projection(2 * inner, dModel, o),
    'mixer.conv1d.weight': uniform([inner, 1, width], taps),
    'mixer.conv1d.bias': uniform([inner], taps),
    ...(form === 'selective'
      ? {
          'mixer.x_proj.weight': projection(rank + 2 * state, inner, o),
          'mixer.dt_proj.weight': uniform([inner, rank], {
            low: -(rank ** -0.5),
            high: rank ** -0.5,
            ...random,
          }),
        }
      : {
          'mixer.B': ones([inner, state], { dtype, requiresGrad: true }),
          'mixer.C': normal([inner, state], random),
        }),
    'mixer.dt_proj.bias': timeStepBias(inner, o),
    'mixer.A_log': leaf([inner, state], o, (i) => Math.log((i % state) + 1)),
    'mixer.D': ones([inner], { dtype, requiresGrad: true }),
    'mixer.out_proj.weight': projection(dModel, inner, o),
  };
}

function leaf(shape: number[], { dtype }: InitOptions, value: (i: number) => number): Tensor {
  const made = zeros(shape, { dtype, requiresGrad: true });
  for (let i = 0; i < made.size; i++) made.data[i] = value(i);
  return made;
}

/** softplus of it is log-uniform in [0.001, 0.1]. */
function timeStepBias(count: number, o: InitOptions): Tensor {
  const logs = uniform([count], {
    low: Math.log(0.001),
    high: Math.log(0.1),
    generator: o.generator,
    dtype: o.dtype,
  });
  return leaf([count], o, (i) => {
    const step = Math.max(Math.exp(logs.data[i]), 1e-4);
    return step + Math.log(-Math.expm1(-step));
  });
}

/**
 * Applies a block; whether it selects is told by its parameters.
 *
 * @param params as initMambaBlock names them
 * @param x [batch, length, dModel]
 * @returns [batch, length, dModel]
 */
export function mambaBlock(params: Readonly<Parameters>, x: Tensor): Tensor {
  requireSequence(x);
  return residual(params, x, (normed) => mix(params, normed));
}

function mix(params: Readonly<Parameters>, normed: Tensor): Tensor {
  const [batch, length] = normed.shape;
  const of = (name: string): Tensor => params[`mixer.${name}`];
  const [inner, , width] = of('conv1d.weight').shape;
  const state = of('A_log').shape[1];
  // Rows of the small weights are cut, not the long products.
  const rows = (name: string, first: number, end: number): Tensor => slice(of(name), 0, first, end);
  const x = linear(normed, rows('in_proj.weight', 0, inner));
  const z = linear(normed, rows('in_proj.weight', inner, 2 * inner));
  const { out: u } = causalConv1d(
    { x, weight: reshape(of('conv1d.weight'), [inner, width]), bias: of('conv1d.bias') },
    { layout: 'time-first', activation: 'silu' },
  );
  const selective = params['mixer.x_proj.weight'] !== undefined;
  const rank = selective ? of('dt_proj.weight').shape[1] : 0;
  const selected = (first: number, count: number): Tensor =>
    linear(u, rows('x_proj.weight', first, first + count));
  // Input and read-out weights that vary have an axis of groups, here one.
  const weights = (first: number): Tensor => reshape(selected(first, state), [batch, length, 1, state]);
  const input = selective
    ? { delta: linear(selected(0, rank), of('dt_proj.weight')), B: weights(rank), C: weights(rank + state) }
    : { delta: zeros([batch, length, inner], { dtype: x.dtype }), B: of('B'), C: of('C') };
  const { out } = selectiveScan(
    { u, ...input, A: neg(exp(of('A_log'))), D: of('D'), z, deltaBias: of('dt_proj.bias') },
    { layout: 'time-first', deltaSoftplus: true },
  );
  return linear(out, of('out_proj.weight'));
}
