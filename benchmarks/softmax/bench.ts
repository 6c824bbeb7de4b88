/** What the contenders of an open case share: arrays, references, parameters, counted work. */
import { info, type Isa } from '../../lib/index.js';
import type { Work } from '../harness/question.js';
import type { CaseSpec } from './cases.js';
import type { RowReference } from './check.js';
import { BYTES, type FloatArray } from './inputs.js';
import { workOf, type Form } from './model.js';

/** Outputs that calls take turns with, as a caller with fresh results would. */
export const BUFFERS = 2;

/** Arrays and references of an open case, shared by its contenders. */
export interface Bench {
  spec: CaseSpec;
  x: FloatArray;
  /** BUFFERS arrays of the shape of `x`; none where the operation gives one number per row. */
  outs: FloatArray[];
  /** One per row for the loss, else none. */
  targets: Int32Array;
  references: RowReference[];
  /** Instruction sets of the run, best first. */
  isas: readonly Isa[];
}

/** Fills an output so that the answer of an earlier contender cannot pass for this one's. */
export function poisoned<T extends FloatArray>(out: T): T {
  out.fill(out instanceof Uint16Array ? 0x7fc0 : NaN);
  return out;
}

/** The case as result rows name it. */
export function parametersOf({ rows, cols, dtype, threads, operation, distribution }: CaseSpec, isa: Isa) {
  return { rows, cols, dtype, isa, threads, operation, distribution };
}

/** The counted work of a form in a case, with this machine's caches. */
export function workFor({ operation, rows, cols, dtype }: CaseSpec, form: Form): Work {
  const bytes = BYTES[dtype];
  const { caches } = info();
  return workOf({ operation, form, rows, cols, inBytes: bytes, outBytes: bytes, buffers: BUFFERS, caches });
}
