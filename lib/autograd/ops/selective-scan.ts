/**
 * The selective scan of Mamba as an op (lib/kernels/selective-scan.ts): the sizes are those of the tensors.
 */
import * as check from '../../check.js';
import type { Reals } from '../../kernels/arguments.js';
import { selectiveScanBackward } from '../../kernels/selective-scan-backward.js';
import type {
  ScanDiscretization,
  ScanLayout,
  SelectiveScanInput,
  SelectiveScanShape,
} from '../../kernels/selective-scan-options.js';
import { selectiveScan as scanKernel } from '../../kernels/selective-scan.js';
import { threads } from '../settings.js';
import { empty, shapeText, type Tensor } from '../tensor.js';
import { gradientOr, kept, kernelOp, operands, requireShape, resultOf } from './operands.js';

/** Operands of selectiveScan; shapes with layout 'time-first' in brackets, complex ones have a last axis [re, im]. */
export interface SelectiveScanTensors {
  /** [batch, dim, length] ([batch, length, dim]). */
  u: Tensor;
  /** Shaped as u. */
  delta: Tensor;
  /** [dim, state]. */
  A: Tensor;
  /** [batch, groups, state, length] ([batch, length, groups, state]), or constant: [dim, state]. */
  B: Tensor;
  /** Shaped as B may be, independently of it. */
  C: Tensor;
  /** Skip weights: [dim]. */
  D?: Tensor;
  /** Gate, shaped as u. */
  z?: Tensor;
  /** [dim]. */
  deltaBias?: Tensor;
  /** [batch, dim, state]; default 0. */
  initialState?: Tensor;
}

/** Options of selectiveScan. */
export interface SelectiveScanOpOptions {
  /** Default 'channels-first'. */
  layout?: ScanLayout;
  /** A, B, C and the states are complex; default false. */
  complex?: boolean;
  /** s = softplus(delta + deltaBias); default false. */
  deltaSoftplus?: boolean;
  /** Default 'euler'. */
  discretization?: ScanDiscretization;
  /** Powers of one exponential in place of an exponential a state; default 'auto', in float64 'never'. */
  powers?: 'auto' | 'never';
  /** Packed sequences: batch x length ids, not decreasing within a row. */
  segmentIds?: Int32Array;
  /**
   * Whether the forward call keeps the state before every 64th step for the backward call: batch dim state length / 64
   * numbers. Without, the backward call scans once more to find them. Default true.
   */
  keepStates?: boolean;
}

/** What selectiveScan returns. */
export interface SelectiveScanOutputs {
  /** Shaped as u. */
  out: Tensor;
  /** [batch, dim, state] after the last step. */
  lastState: Tensor;
}

const REQUIRED = ['u', 'delta', 'A', 'B', 'C'] as const;
const OPTIONAL = ['D', 'z', 'deltaBias', 'initialState'] as const;
type Name = (typeof REQUIRED)[number] | (typeof OPTIONAL)[number];

/** What the gradient of each operand is called. */
const GRADIENT = {
  u: 'du',
  delta: 'ddelta',
  A: 'dA',
  B: 'dB',
  C: 'dC',
  D: 'dD',
  z: 'dz',
  deltaBias: 'ddeltaBias',
  initialState: 'dInitialState',
} as const;

/** Reads the sizes off the tensors and checks that all shapes agree. */
function shapeOfScan(
  input: SelectiveScanTensors,
  o: SelectiveScanOpOptions,
): SelectiveScanShape & { parts: number[] } {
  const layout = check.oneOf('layout', o.layout ?? 'channels-first', ['channels-first', 'time-first']);
  const complex = check.boolean('complex', o.complex ?? false);
  const { u, delta, A, B, C } = input;
  if (u.shape.length !== 3) throw check.rangeError('u', 'of three axes', `shape ${shapeText(u.shape)}`);
  const [batch, second, third] = u.shape;
  const [dim, length] = layout === 'time-first' ? [third, second] : [second, third];
  const parts = complex ? [2] : [];
  requireShape('delta', delta, u.shape);
  const order = (...axes: string[]): string => `[${[...axes, ...parts].join(', ')}]`;
  if (A.shape.length !== 2 + parts.length || A.shape[0] !== dim || (complex && A.shape[2] !== 2)) {
    const read = layout === 'time-first' ? '[batch, length, dim]' : '[batch, dim, length]';
    throw check.rangeError(
      'A',
      `of shape ${order(String(dim), 'state')} (layout '${layout}' reads u ${shapeText(u.shape)} as ${read})`,
      `shape ${shapeText(A.shape)}`,
    );
  }
  const state = A.shape[1];
  const isVariable = (x: Tensor): boolean => x.shape.length === 4 + parts.length;
  const groupsAxis = layout === 'time-first' ? 2 : 1;
  let groups: number | undefined;
  for (const [name, x] of [
    ['B', B],
    ['C', C],
  ] as const) {
    if (isVariable(x)) {
      groups ??= x.shape[groupsAxis];
      const wanted =
        layout === 'time-first' ? [batch, length, groups, state] : [batch, groups, state, length];
      requireShape(name, x, [...wanted, ...parts]);
    } else if (x.shape.length === 2 + parts.length) {
      requireShape(name, x, [dim, state, ...parts]);
    } else {
      const variable =
        layout === 'time-first'
          ? order('batch', 'length', 'groups', 'state')
          : order('batch', 'groups', 'state', 'length');
      throw check.rangeError(
        name,
        `of axes ${order('dim', 'state')}, or ${variable} where it varies in time`,
        `shape ${shapeText(x.shape)}`,
      );
    }
  }
  if (input.D) requireShape('D', input.D, [dim]);
  if (input.z) requireShape('z', input.z, u.shape);
  if (input.deltaBias) requireShape('deltaBias', input.deltaBias, [dim]);
  if (input.initialState) requireShape('initialState', input.initialState, [batch, dim, state, ...parts]);
  const variable = { variableB: isVariable(B), variableC: isVariable(C) };
  const { deltaSoftplus, discretization, powers } = o;
  return {
    batch,
    dim,
    length,
    state,
    groups,
    layout,
    complex,
    ...variable,
    deltaSoftplus,
    discretization,
    powers,
    parts,
  };
}

/**
 * Selective scan (S6) of Mamba: see `selectiveScan` of softlane for the formulas and the options. Gradients flow to every
 * operand, from `out` and from `lastState`; of complex operands they are d/dRe + i d/dIm.
 *
 * @param input tensors of one type
 * @returns out and lastState
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) naming the operand
 *
 * @example
 * const { out } = selectiveScan({ u, delta, A, B, C, D, z, deltaBias }, { deltaSoftplus: true });
 */
export function selectiveScan(
  input: SelectiveScanTensors,
  options?: SelectiveScanOpOptions,
): SelectiveScanOutputs {
  const o = check.options(options);
  const given = operands<Name>(input, REQUIRED, OPTIONAL);
  const keepStates = check.boolean('keepStates', o.keepStates ?? true);
  const { parts, ...shape } = shapeOfScan(input, o);
  const { batch, dim, state } = shape;
  const segmentIds = kept(o.segmentIds);
  const kernelInput = (): SelectiveScanInput => ({ ...given.data(), segmentIds });
  let checkpoints: Tensor | undefined;
  const [out, lastState] = kernelOp(
    'selectiveScan',
    given,
    (context) => {
      const result = empty(input.u.shape, given.dtype);
      const scanned = scanKernel<Reals>(kernelInput(), {
        ...shape,
        threads: threads(),
        out: result.data,
        returnLastState: true,
        saveCheckpoints: keepStates && context.recording,
      });
      if (scanned.checkpoints)
        checkpoints = context.save(resultOf(scanned.checkpoints, [scanned.checkpoints.length]));
      return [result, resultOf(scanned.lastState as Reals, [batch, dim, state, ...parts])];
    },
    ([gradient, glast]) => {
      const gout = gradientOr(gradient, input.u);
      // In memory of the pool: a training step asks for the same lengths again and again.
      const made = Object.fromEntries(
        given.names.map((name, i) => [name, empty(given.inputs[i].shape, given.dtype)]),
      ) as Partial<Record<Name, Tensor>>;
      selectiveScanBackward<Reals>(kernelInput(), gout.data, {
        ...shape,
        threads: threads(),
        glast: glast?.data,
        checkpoints: checkpoints?.data,
        out: Object.fromEntries(given.names.map((name) => [GRADIENT[name], made[name]?.data])),
      });
      if (gout !== gradient) gout.release();
      return made;
    },
  );
  return { out, lastState };
}

/** selectiveScan that keeps no states for the backward call: as with keepStates false. */
export const selectiveScanCheckpointed = (
  input: SelectiveScanTensors,
  options?: Omit<SelectiveScanOpOptions, 'keepStates'>,
): SelectiveScanOutputs => selectiveScan(input, { ...check.options(options), keepStates: false });
