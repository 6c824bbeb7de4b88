/**
 * SOFT's attention by a Gaussian kernel as an op (lib/kernels/soft-attention.ts).
 */
import * as check from '../../check.js';
import type { NewtonSettings } from '../../kernels/newton.js';
import { softAttention as attentionKernel, softAttentionBackward } from '../../kernels/soft-attention.js';
import type { SoftAttentionSaved } from '../../kernels/soft-attention.js';
import { threads } from '../settings.js';
import { apply } from '../tape.js';
import { empty, type Tensor } from '../tensor.js';
import { operands, requireAxes, requireShape, resultOf } from './operands.js';

/** Operands of softAttention. */
export interface SoftAttentionTensors {
  /** Queries, which are the keys too: [batch, heads, n, d]; divided by d^(1/4) in the op. */
  q: Tensor;
  /** Landmarks on the scale of the divided queries: [batch, heads, m, d]. */
  landmarks: Tensor;
  /** Values: [batch, heads, n, dv]. */
  v: Tensor;
}

/** Options of softAttention: those of Newton's iteration, and these. */
export interface SoftAttentionOpOptions extends NewtonSettings {
  /** SOFT++: the inverse is normalised by the row sums of the landmarks' kernel. Default false. */
  normalize?: boolean;
  /** Accepts more landmarks than tokens; default false. */
  allowMoreLandmarks?: boolean;
  /** Refuses NaN and infinities; default true. */
  checkFinite?: boolean;
  /** 'implicit' (default): exact where the iteration has converged; 'unrolled': exact for any number of iterations. */
  gradient?: 'implicit' | 'unrolled';
}

/**
 * Softmax-free attention through landmarks, linear in the number of tokens: see `softAttention` of softlane. Gradients flow
 * to queries, landmarks and values.
 *
 * @param input tensors of one type
 * @returns [batch, heads, n, dv]
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand; ConvergenceError
 *   (ERR_NO_CONVERGENCE) with a `tolerance` that is not reached
 */
export function softAttention(input: SoftAttentionTensors, options?: SoftAttentionOpOptions): Tensor {
  const { gradient: mode, ...o } = check.options(options);
  if (mode !== undefined) check.oneOf('gradient', mode, ['implicit', 'unrolled']);
  const { inputs, dtype } = operands<keyof SoftAttentionTensors>(input, ['q', 'landmarks', 'v']);
  const { q, landmarks, v } = input;
  const [batch, heads, n, d] = requireAxes('q', q, 'batch, heads, n, d');
  requireShape('landmarks', landmarks, [batch, heads, undefined, d]);
  requireShape('v', v, [batch, heads, n, undefined]);
  const m = landmarks.shape[2];
  const dv = v.shape[3];
  let saved: SoftAttentionSaved | undefined;
  return apply({
    name: 'softAttention',
    inputs,
    forward: () => {
      const out = empty([batch, heads, n, dv], dtype);
      const arrays = { q: q.data, landmarks: landmarks.data, v: v.data };
      const shape = { batch, heads, n, m, d, dv };
      ({ saved } = attentionKernel(arrays, { ...o, ...shape, threads: threads(), out: out.data }));
      return out;
    },
    backward: ([gradient]) => {
      if (!gradient || !saved) return [];
      const found = softAttentionBackward(saved, gradient.data, { gradient: mode, threads: threads() });
      return [
        resultOf(found.dq, q.shape),
        resultOf(found.dLandmarks, landmarks.shape),
        resultOf(found.dv, v.shape),
      ];
    },
  });
}
