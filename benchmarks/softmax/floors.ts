/**
 * What memory alone would take: the native loops behind `ceilings()` on the arrays of the case, sampled in the same rounds
 * as the contenders, so that a share of them does not depend on what the machine did a minute ago.
 */
import { native } from '../../lib/native.js';
import type { CaseContender } from '../harness/question.js';
import type { CaseParameters } from '../harness/results.js';
import type { FloatArray } from './inputs.js';

/** The bytes of an array as the float32 array that the loops take. */
function asFloats(array: FloatArray): Float32Array {
  return new Float32Array(array.buffer, array.byteOffset, array.byteLength / Float32Array.BYTES_PER_ELEMENT);
}

/**
 * A streaming read of `x`, and where there are outputs of the same size copies of `x` to them with ordinary and with
 * non-temporal stores.
 *
 * @param parameters of the case, under which the rows are reported
 */
export function floorContenders(
  x: FloatArray,
  outs: readonly FloatArray[],
  parameters: CaseParameters,
): CaseContender[] {
  const source = asFloats(x);
  const targets = outs.map(asFloats);
  const elements = x.length;
  const bytes = x.byteLength;
  const read: CaseContender = {
    name: 'streaming-read',
    peer: true,
    parameters,
    work: { elements, bytes, flops: 0, memory: { readBytes: bytes, copyBytes: 0 } },
    run: () => native('measureRead')(source),
    check: () => ({ worst: 0, detail: 'reads only' }),
  };
  if (targets.length === 0) return [read];
  const copy = (name: string, nonTemporal: boolean): CaseContender => {
    let turn = 0;
    return {
      name,
      peer: true,
      parameters,
      work: { elements, bytes: 2 * bytes, flops: 0, memory: { readBytes: 0, copyBytes: 2 * bytes } },
      run: () => native('measureCopy')(source, targets[(turn = (turn + 1) % targets.length)], nonTemporal),
      check: () => {
        targets[0].fill(NaN);
        native('measureCopy')(source, targets[0], nonTemporal);
        const differs = targets[0].findIndex((value, i) => !Object.is(value, source[i]));
        return differs < 0
          ? { worst: 0, detail: 'equal' }
          : { worst: Infinity, detail: `element ${differs} was not copied` };
      },
    };
  };
  return [read, copy('copy', false), copy('streaming-copy', true)];
}
