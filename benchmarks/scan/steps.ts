/** Contenders of a decode step of Mamba. */
import { selectiveStateUpdate, setIsa, type Isa } from '../../lib/index.js';
import type { CaseContender, Check, Work } from '../harness/question.js';
import { stepJavaScript } from '../peers/scan-javascript.js';
import { updatesOf, type CaseSpec } from './cases.js';
import { channelOf, checkedChannels, compared } from './check.js';
import { arraysOf } from './inputs.js';

/** Every name that a contender of the case may have. */
export function stepNames({ threads }: CaseSpec): string[] {
  return ['step', ...(threads === 1 ? ['javascript'] : [])];
}

const ALLOWED = 1e-5;
/** Decode steps come to a state that others have pushed out of the caches: calls take turns with so many bytes of them. */
const COLD_BYTES = 2 ** 28;

type Wanted = (name: string, isa: Isa) => boolean;

function parametersOf({ task, batch, dim, state, length, threads }: CaseSpec, isa: Isa) {
  return { task, batch, dim, state, length, isa, threads };
}

/** The state is read and written, the rest is small. */
export function stepWork(spec: CaseSpec): Work {
  const bytes = 4 * updatesOf(spec);
  const { batch, dim, state } = spec;
  const rest = 4 * (4 * batch * dim + dim * state);
  return {
    elements: updatesOf(spec),
    bytes: 2 * bytes + rest,
    flops: 5 * updatesOf(spec),
    memory: { readBytes: rest, copyBytes: 2 * bytes },
  };
}

export function stepContenders(spec: CaseSpec, isas: readonly Isa[], wanted: Wanted): CaseContender[] {
  const { batch, dim, state, threads } = spec;
  const { u: x, delta: dt, A, B, C, D, z, deltaBias: dtBias } = arraysOf(spec);
  const out = new Float32Array(batch * dim);
  const size = batch * dim * state;
  // Written once, so that no call has to wait for a fresh page.
  const states = new Float32Array(Math.max(1, Math.ceil(COLD_BYTES / 4 / size)) * size).fill(0.5);
  const turns = states.length / size;
  let turn = 0;
  const next = (): Float32Array => {
    turn = (turn + 1) % turns;
    return states.subarray(turn * size, (turn + 1) * size);
  };
  const input = { x, dt, A, B, C, D, z, dtBias };
  const options = { batch, dim, state, dtSoftplus: true, threads, out };
  const check = (run: (state: Float32Array) => unknown): Check => {
    const own = new Float32Array(size);
    out.fill(NaN);
    run(own);
    // From a state of zeros a step is a scan of one step: the first row of each channel looked at.
    const shape = { ...spec, batch: 1, length: 1 };
    const arrays = { u: x, delta: dt, A, B, C, D, z, deltaBias: dtBias };
    const pairs = checkedChannels(dim, 64).map((d): [number, number] => [
      out[d],
      channelOf(shape, arrays, d, true)[0],
    ]);
    return compared(pairs, ALLOWED);
  };
  const own = isas
    .filter((isa) => wanted('step', isa))
    .map((isa): CaseContender => {
      const run = (at: Float32Array) => selectiveStateUpdate(at, input, options);
      return {
        name: 'step',
        parameters: parametersOf(spec, isa),
        work: stepWork(spec),
        before: () => void setIsa(isa),
        run: () => run(next()),
        check: () => check(run),
      };
    });
  if (!stepNames(spec).includes('javascript') || !wanted('javascript', isas[0])) return own;
  const plain = (at: Float32Array) => stepJavaScript(at, input, { rows: batch, dim, n: state }, out);
  return [
    ...own,
    {
      name: 'javascript',
      peer: true,
      parameters: parametersOf(spec, isas[0]),
      work: stepWork(spec),
      run: () => plain(next()),
      check: () => check(plain),
    },
  ];
}
