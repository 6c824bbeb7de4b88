import { entropy, logSoftmax, logSumExp, softmax, type SoftmaxAlgorithm } from '../../lib/index.js';
import * as reference from '../reference/softmax.js';
import { expectClose, expectNear } from './compare.js';
import {
  entropyTolerance,
  float64Tolerance,
  logSoftmaxTolerance,
  logSumExpTolerance,
  softmaxTolerance,
} from './tolerances.js';

/** A row and everything that the reference says about it. */
export interface Described<T extends Float32Array | Float64Array> {
  x: T;
  temperature: number;
  p: Float64Array;
  logp: Float64Array;
  lse: number;
  h: number;
}

/** Asks the reference about a row. */
export function described<T extends Float32Array | Float64Array>(x: T, temperature = 1): Described<T> {
  const options = { temperature };
  return {
    x,
    temperature,
    p: reference.softmax(x, options),
    logp: reference.logSoftmax(x, options),
    lse: reference.logSumExp(x, options),
    h: reference.entropy(x, options),
  };
}

/** Fails unless every function of a float32 row is within the stated accuracy. */
export function expectRow(row: Described<Float32Array>, algorithm: SoftmaxAlgorithm, label = ''): void {
  const { x, temperature } = row;
  const options = { algorithm, temperature };
  const tolerance = softmaxTolerance(x, temperature, algorithm);
  expectClose(softmax(x, options), row.p, tolerance, `softmax ${label}`);
  // What float32 cannot hold is -Infinity there.
  const logp = Float32Array.from(row.logp);
  expectClose(logSoftmax(x, options), logp, logSoftmaxTolerance(x, temperature), `logSoftmax ${label}`);
  expectNear(logSumExp(x, options)[0], row.lse, logSumExpTolerance(row.lse), `logSumExp ${label}`);
  expectNear(entropy(x, { temperature })[0], row.h, entropyTolerance(row.h), `entropy ${label}`);
}

/** Fails unless every function of a float64 row is good to a few units of float64. */
export function expectRow64(row: Described<Float64Array>, algorithm: SoftmaxAlgorithm): void {
  const { x, temperature } = row;
  const options = { algorithm, temperature };
  const p = softmax(x, options);
  expect(p).toBeInstanceOf(Float64Array);
  expectClose(p, row.p, float64Tolerance(x, temperature), 'softmax');
  expectClose(logSoftmax(x, options), row.logp, (_, v) => 2e-14 * (1 + Math.abs(v)), 'logSoftmax');
  expectNear(logSumExp(x, options)[0], row.lse, 1e-14 * (1 + Math.abs(row.lse)), 'logSumExp');
  expectNear(entropy(x, { temperature })[0], row.h, 2e-14 * (1 + row.h), 'entropy');
}
