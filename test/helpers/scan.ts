/** Random cases of the selective scan, with their references. */
import type { SelectiveScanInput, SelectiveScanShape } from '../../lib/index.js';
import { Philox } from '../../lib/random.js';
import { selectiveScan, selectiveScanBackward } from '../reference/selective-scan.js';
import type { ScanGradients, ScanInput, ScanResult, ScanShape } from '../reference/selective-scan.js';
import { memo } from './memo.js';

/** A shape, which optional arrays there are, and what A is like. */
export interface ScanCase extends ScanShape {
  D?: boolean;
  z?: boolean;
  deltaBias?: boolean;
  initialState?: boolean;
  /** Segments of a row, at most; default none. */
  segments?: number;
  /** A[d, n] = (n + 1) A[d, 0]. */
  s4d?: boolean;
  seed?: number;
}

/** Real arrays of a case as float64 numbers that float32 holds exactly. */
export interface MadeScan {
  shape: ScanShape;
  input: ScanInput & { segmentIds?: Int32Array };
  gout: Float64Array;
  glast: Float64Array;
}

/** Ids 5, 6, 8, ... that change at random places; the first row has one segment only. */
function segmentIds(random: Philox, { batch, length, segments = 1 }: ScanCase): Int32Array {
  const ids = new Int32Array(batch * length);
  for (let b = 0; b < batch; b += 1) {
    const cuts = random.uniform(new Float64Array(b === 0 && batch > 1 ? 0 : segments - 1), 0, length + 1);
    for (let t = 0; t < length; t += 1)
      ids[b * length + t] = 5 + cuts.reduce((id, cut, i) => id + (t >= Math.floor(cut) ? i + 1 : 0), 0);
  }
  return ids;
}

/** Arrays of a case, the same ones for the same case. */
export function makeScan(c: ScanCase): MadeScan {
  const { batch, dim, length, state, groups = 1, complex, seed = 1 } = c;
  const random = new Philox(seed, 77);
  const normal = (count: number): Float64Array =>
    Float64Array.from(random.normal(new Float32Array(2 * Math.ceil(count / 2))).subarray(0, count));
  const uniform = (count: number, low: number, high: number): Float64Array =>
    Float64Array.from(random.uniform(new Float32Array(count), low, high));
  const parts = complex ? 2 : 1;
  const values = batch * dim * length;
  const weights = dim * state * parts;
  const varying = batch * groups * state * length * parts;
  const A = uniform(weights, -2, -0.1);
  if (complex) for (let i = 1; i < weights; i += 2) A[i] = 4 * A[i] + 4;
  else if (c.s4d)
    for (let i = 0; i < weights; i += 1) A[i] = Math.fround(A[i - (i % state)] * ((i % state) + 1));
  return {
    shape: {
      batch,
      dim,
      length,
      state,
      groups,
      layout: c.layout ?? 'channels-first',
      variableB: c.variableB ?? true,
      variableC: c.variableC ?? true,
      complex: c.complex ?? false,
      deltaSoftplus: c.deltaSoftplus ?? false,
      discretization: c.discretization ?? 'euler',
    },
    input: {
      u: normal(values),
      delta: c.deltaSoftplus
        ? normal(values).map((x) => Math.fround(1.5 * x - 1))
        : uniform(values, 0.01, 0.5),
      A,
      B: normal(c.variableB === false ? weights : varying),
      C: normal(c.variableC === false ? weights : varying),
      ...(c.D && { D: normal(dim) }),
      ...(c.z && { z: normal(values) }),
      ...(c.deltaBias && { deltaBias: uniform(dim, 0, 0.3) }),
      ...(c.initialState && { initialState: normal(batch * weights) }),
      ...(c.segments && { segmentIds: segmentIds(random, c) }),
    },
    gout: normal(values),
    glast: normal(batch * weights),
  };
}

type Real = 'f32' | 'f64';
/** The typed arrays of a call. */
export type Typed = Float32Array | Float64Array;

const CLASSES = { f32: Float32Array, f64: Float64Array };

/** Numbers in a typed array. */
export const typed = (values: ArrayLike<number>, type: Real): Typed => CLASSES[type].from(values);

/** The input of a call, in float32 or float64. */
export function typedInput(input: ScanInput, type: Real): SelectiveScanInput {
  const entries = Object.entries(input as unknown as Record<string, ArrayLike<number>>);
  return Object.fromEntries(
    entries.map(([name, x]) => [name, name === 'segmentIds' ? Int32Array.from(x) : typed(x, type)]),
  ) as unknown as SelectiveScanInput;
}

/** A case with its arrays and what the reference says of them. */
export interface WorkedScan extends MadeScan {
  expected: ScanResult;
  gradients: () => ScanGradients;
}

const worked = memo((key: string): WorkedScan => {
  const made = makeScan(JSON.parse(key) as ScanCase);
  const { input, shape, gout, glast } = made;
  let gradients: ScanGradients | undefined;
  return {
    ...made,
    expected: selectiveScan(input, shape),
    gradients: () => (gradients ??= selectiveScanBackward(input, gout, shape, glast)),
  };
});

/** The reference of a case, worked out once for all instruction sets. */
export const workScan = (c: ScanCase): WorkedScan => worked(JSON.stringify(c));

/** A name for a case: what differs from the default. */
export const caseName = (c: ScanCase): string =>
  Object.entries(c)
    .map(([name, value]) => (value === true ? name : `${name} ${String(value)}`))
    .join(', ');

/** The shape as options of a call. */
export const optionsOf = (made: MadeScan): SelectiveScanShape => ({ ...made.shape });

/** Optional arrays of every kind. */
export const ALL_ARRAYS = { D: true, z: true, deltaBias: true, initialState: true } as const;
