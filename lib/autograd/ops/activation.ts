/**
 * Activations. In float32 errors are at most a few units in the last place, for exact gelu 1e-7 |x| (native/tensor/maps.cc
 * has the formulas); float64 is exact to its rounding.
 */
import * as check from '../../check.js';
import type { Tensor } from '../tensor.js';
import { elementwise } from './arithmetic.js';

/** max(x, 0), with derivative 0 at 0. */
export const relu = (x: Tensor): Tensor => elementwise('relu', 'relu', x);

/**
 * x P(x), P the normal distribution; 'tanh': x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
 *
 * @param form default 'exact'
 * @see arXiv 1606.08415
 */
export const gelu = (x: Tensor, form: 'exact' | 'tanh' = 'exact'): Tensor =>
  elementwise('gelu', check.oneOf('form', form, ['exact', 'tanh']) === 'tanh' ? 'geluTanh' : 'gelu', x);

/** x / (1 + e^-x), also called swish. */
export const silu = (x: Tensor): Tensor => elementwise('silu', 'silu', x);

/** 1 / (1 + e^-x) */
export const sigmoid = (x: Tensor): Tensor => elementwise('sigmoid', 'sigmoid', x);

/** The hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => elementwise('tanh', 'tanh', x);

/** log(1 + e^x) */
export const softplus = (x: Tensor): Tensor => elementwise('softplus', 'softplus', x);

/**
 * x, or alpha (e^x - 1) below 0.
 *
 * @param alpha default 1
 */
export const elu = (x: Tensor, alpha = 1): Tensor =>
  elementwise('elu', 'elu', x, check.finiteNumber('alpha', alpha));
