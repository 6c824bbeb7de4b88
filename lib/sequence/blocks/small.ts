/** Small blocks that stand beside attention: a short convolution, which binds neighbours, and an MLP. */
import * as check from '../../check.js';
import {
  causalConv1d,
  gelu,
  linear,
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

/** Parameters of shortConvolutionBlock: `norm`, `conv` [dModel, width] and `out`. */
export function initShortConvolutionBlock(options: InitOptions & { width?: number }): Parameters {
  const o = requireInit(options) as InitOptions & { width?: number };
  const { dModel, generator, dtype } = o;
  const width = check.positiveInteger('width', o.width ?? 3);
  const bound = width ** -0.5;
  return {
    'norm.weight': normWeight(dModel, o),
    'conv.weight': uniform([dModel, width], { low: -bound, high: bound, generator, dtype }),
    'conv.bias': zeros([dModel], { dtype, requiresGrad: true }),
    'out.weight': projection(dModel, dModel, o),
  };
}

/**
 * x + Wout silu(causal depthwise convolution of norm(x)).
 *
 * @param x [batch, length, dModel]
 */
export function shortConvolutionBlock(params: Readonly<Parameters>, x: Tensor): Tensor {
  requireSequence(x);
  return residual(params, x, (normed) => {
    const input = { x: normed, weight: params['conv.weight'], bias: params['conv.bias'] };
    const { out } = causalConv1d(input, { layout: 'time-first', activation: 'silu' });
    return linear(out, params['out.weight']);
  });
}

/** Parameters of mlpBlock: `norm`, `up` [hidden, dModel] and `down` [dModel, hidden], with biases. */
export function initMlpBlock(options: InitOptions & { hidden?: number }): Parameters {
  const o = requireInit(options) as InitOptions & { hidden?: number };
  const { dModel, dtype } = o;
  const hidden = check.positiveInteger('hidden', o.hidden ?? 4 * dModel);
  return {
    'norm.weight': normWeight(dModel, o),
    'up.weight': projection(hidden, dModel, o),
    'up.bias': zeros([hidden], { dtype, requiresGrad: true }),
    'down.weight': projection(dModel, hidden, o),
    'down.bias': zeros([dModel], { dtype, requiresGrad: true }),
  };
}

/**
 * x + Wdown gelu(Wup norm(x)), with biases.
 *
 * @param x [batch, length, dModel]
 */
export function mlpBlock(params: Readonly<Parameters>, x: Tensor): Tensor {
  requireSequence(x);
  return residual(params, x, (normed) =>
    linear(
      gelu(linear(normed, params['up.weight'], params['up.bias']), 'tanh'),
      params['down.weight'],
      params['down.bias'],
    ),
  );
}
