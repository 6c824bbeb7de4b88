/**
 * Counts of the work that each form of softmax does: words moved and operations done per element. They are counted from
 * the algorithm, not measured; a time divided by them says how well the machine was used.
 */
import type { SoftmaxAlgorithm } from '../../lib/index.js';
import type { Work } from '../harness/question.js';

export type Operation = 'softmax' | 'logSumExp' | 'crossEntropy';
/** An algorithm that does one definite thing: every option but `auto`. */
export type Form = Exclude<SoftmaxAlgorithm, 'auto'>;

/**
 * Passes over a row. `x` counts reads of the input and `y` reads of the output array, `writes` its stores; a pass that
 * both reads and writes is a copy, every other read is a streaming read. Lines that the machine may fetch before it
 * overwrites them are not counted.
 */
const TRAFFIC: Record<Form, { x: number; y: number; writes: number }> = {
  'two-pass': { x: 2, y: 0, writes: 1 },
  online: { x: 2, y: 0, writes: 1 },
  'three-pass-recompute': { x: 3, y: 0, writes: 1 },
  'three-pass-reload': { x: 2, y: 1, writes: 2 },
  blocked: { x: 1, y: 1, writes: 2 },
};

/**
 * Reads per element of the forms of logSumExp and of the loss, which write nothing that counts. Those that need the
 * maximum first read twice; a block is read from memory once and then from the cache.
 */
const SUM_READS: Record<Form, number> = {
  'two-pass': 1,
  online: 1,
  blocked: 1,
  'three-pass-recompute': 2,
  'three-pass-reload': 2,
};

/** Multiply and round for n, two fused steps for t, five of the polynomial. */
const EXTENDED_EXP = 1 + 1 + 2 * 2 + 5 * 2;
/** Difference from the maximum, one fused step each for n and t, four of the polynomial, the scaled last one. */
const SHIFTED_EXP = 1 + 2 + 2 + 4 * 2 + 1 + 2;

/** Operations per element: exponentials, and one each for maximum, scale, sum and product with the reciprocal. */
const FLOPS: Record<Form, number> = {
  'two-pass': EXTENDED_EXP + 2 + EXTENDED_EXP + 2,
  online: 1 + SHIFTED_EXP + 1 + SHIFTED_EXP + 1,
  'three-pass-recompute': 1 + SHIFTED_EXP + 1 + SHIFTED_EXP + 1,
  'three-pass-reload': 1 + SHIFTED_EXP + 1 + 1,
  blocked: 1 + SHIFTED_EXP + 1 + 1,
};
const SUM_FLOPS = SHIFTED_EXP + 2;

/** What the count depends on. */
export interface WorkCase {
  operation: Operation;
  form: Form;
  rows: number;
  cols: number;
  /** Bytes per element of input and output. */
  inBytes: number;
  outBytes: number;
  /** Output buffers that calls take turns with. */
  buffers: number;
  /** Cache sizes in bytes, 0 where unknown. */
  caches: { l2: number; l3: number };
}

/** Assumed where the operating system does not tell. */
const USUAL_L2 = 2 ** 20;
const USUAL_L3 = 2 ** 25;

/**
 * The work of one call. Memory binds it where input and outputs together are more than twice the last-level cache; there,
 * rows that fit in the second-level cache cross memory once in and once out, whatever the algorithm.
 */
export function workOf({ operation, form, rows, cols, inBytes, outBytes, buffers, caches }: WorkCase): Work {
  const elements = rows * cols;
  const { x, y, writes } = passesOf(operation, form);
  const written = writes > 0 ? outBytes : 0;
  const flops = (operation === 'softmax' ? FLOPS[form] : SUM_FLOPS) * elements;

  const footprint = elements * (inBytes + written * buffers);
  const rowStays = cols * (inBytes + written) <= (caches.l2 || USUAL_L2);
  if (footprint <= 2 * (caches.l3 || USUAL_L3)) {
    return { elements, bytes: elements * (x * inBytes + (y + writes) * outBytes), flops };
  }
  if (rowStays) {
    const bytes = elements * (inBytes + written);
    const memory = writes > 0 ? { readBytes: 0, copyBytes: bytes } : { readBytes: bytes, copyBytes: 0 };
    return { elements, bytes, flops, memory };
  }
  // The first store of a row goes with a read of x, each further one with a read of y.
  const copyBytes = elements * (writes > 0 ? inBytes + outBytes + (writes - 1) * 2 * outBytes : 0);
  const readBytes = elements * (x - Math.min(writes, 1)) * inBytes;
  return { elements, bytes: readBytes + copyBytes, flops, memory: { readBytes, copyBytes } };
}

function passesOf(operation: Operation, form: Form): { x: number; y: number; writes: number } {
  return operation === 'softmax' ? TRAFFIC[form] : { x: SUM_READS[form], y: 0, writes: 0 };
}
