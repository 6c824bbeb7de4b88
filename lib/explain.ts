/**
 * Why a kernel runs the way it does: what `auto` stands for.
 */
import * as check from './check.js';
import { DTYPES } from './kernels/arguments.js';
import type { Dtype } from './kernels/arguments.js';
import { chosenAlgorithm } from './kernels/softmax.js';
import type { SoftmaxAlgorithm } from './kernels/softmax.js';
import { availableIsas, isa } from './machine.js';
import type { Isa } from './machine.js';
import { thresholdsPath } from './tuning.js';

/** A softmax call to be explained. */
export interface SoftmaxCase {
  /** Elements in a row. */
  cols: number;
  /** Default 'f32'. */
  dtype?: Dtype;
  /** Default: dtype. */
  outDtype?: Dtype;
  /** Default: the instruction set in use. */
  isa?: Isa;
  /** The choice depends on neither. */
  rows?: number;
  threads?: number;
}

/** What `auto` does in a case. */
export interface Explanation {
  algorithm: SoftmaxAlgorithm;
  isa: Isa;
  reason: string;
}

/**
 * Says which algorithm `auto` stands for in a call, and why.
 * @throws RangeError for an unknown operation, dtype or instruction set
 */
export function explain(operation: 'softmax', call: SoftmaxCase): Explanation {
  check.oneOf('operation', operation, ['softmax']);
  if (typeof call !== 'object' || call === null) throw check.typeError('call', 'an object with cols', call);
  const cols = check.positiveInteger('cols', call.cols);
  const dtype = check.oneOf('dtype', call.dtype ?? 'f32', DTYPES);
  const outDtype = check.oneOf('outDtype', call.outDtype ?? dtype, DTYPES);
  const wanted = check.oneOf('isa', call.isa ?? isa(), availableIsas());
  const algorithm = chosenAlgorithm(cols, dtype, outDtype, wanted);
  const source = thresholdsPath() === null ? 'built-in default' : `calibration in ${thresholdsPath()}`;
  const size = `a row of ${cols} ${dtype} elements`;
  const reason =
    algorithm === 'two-pass'
      ? `${size} and its result exceed the caches: memory traffic binds, and two passes move the least (${source})`
      : `${size}: the exponential binds rather than memory, and the blocked form computes it once (${source})`;
  return { algorithm, isa: wanted, reason };
}
