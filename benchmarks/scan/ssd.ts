/** Contenders of the scan of Mamba-2: products of matrices by chunks, and step by step. */
import { setIsa, ssdScan, type Isa } from '../../lib/index.js';
import type { CaseContender, Work } from '../harness/question.js';
import { ssdJavaScript } from '../peers/scan-javascript.js';
import { HEAD_DIM, updatesOf, type CaseSpec } from './cases.js';
import { checkedChannels, compared } from './check.js';
import { arraysOf, turned } from './inputs.js';
import { isHopeless } from './scans.js';

/** The forms of the call. */
const METHODS = ['chunked', 'recurrent'] as const;
const PLAIN = 'javascript';
/** Plain JavaScript is timed on as many channels as have this many state updates, and scaled up. */
const PLAIN_UPDATES = 2 ** 24;

/** Every name that a contender of the case may have. */
export const ssdNames = ({ threads }: CaseSpec): string[] => [...METHODS, ...(threads === 1 ? [PLAIN] : [])];

const ALLOWED = 1e-5;

/** Multiply-adds of the products of a chunk of 64 steps, for each state update of the recurrence about two. */
function ssdWork(spec: CaseSpec): Work {
  const { dim, length } = spec;
  const read = 4 * dim * length;
  return {
    elements: updatesOf(spec),
    bytes: 2 * read,
    flops: 4 * updatesOf(spec),
    memory: { readBytes: 0, copyBytes: 2 * read },
  };
}

export function ssdContenders(
  spec: CaseSpec,
  isas: readonly Isa[],
  wanted: (name: string, isa: Isa) => boolean,
): CaseContender[] {
  const { dim, state, length, threads } = spec;
  const heads = dim / HEAD_DIM;
  const { u: x, delta, B, C } = arraysOf(spec);
  const dt = delta.slice(0, length * heads);
  const A = Float32Array.from({ length: heads }, (_, h) => -1 - (15 * h) / heads);
  const out = new Float32Array(x.length);
  const shape = { batch: 1, length, heads, headDim: HEAD_DIM, state, threads, out };
  const channels = checkedChannels(dim);
  /** A channel of the recurrence in float64: all states of it decay alike. */
  const exact = (d: number): Float64Array => {
    const head = Math.floor(d / HEAD_DIM);
    const h = new Float64Array(state);
    return new Float64Array(length).map((_, t) => {
      const s = dt[t * heads + head];
      const decay = Math.exp(s * A[head]);
      let y = 0;
      for (let n = 0; n < state; n++) {
        h[n] = decay * h[n] + s * x[t * dim + d] * B[t * state + n];
        y += h[n] * C[t * state + n];
      }
      return y;
    });
  };
  const own = METHODS.flatMap((method) =>
    isas
      .filter((isa) => wanted(method, isa) && !isHopeless(spec, isa, isas))
      .map((isa): CaseContender => {
        const run = () => ssdScan({ x, dt, A, B, C }, { ...shape, method });
        return {
          name: method,
          parameters: { task: spec.task, batch: 1, dim, state, length, isa, threads },
          work: ssdWork(spec),
          before: () => void setIsa(isa),
          run,
          check: () => {
            out.fill(NaN);
            run();
            const pairs = channels.flatMap((d) =>
              Array.from(exact(d), (value, t): [number, number] => [out[t * dim + d], value]),
            );
            return compared(pairs, ALLOWED);
          },
        };
      }),
  );
  if (!ssdNames(spec).includes(PLAIN) || !wanted(PLAIN, isas[0])) return own;
  const timed = Math.max(1, Math.min(dim, Math.floor(PLAIN_UPDATES / (length * state))));
  const turnedInput = { x: turned(x, length, dim), dt: turned(dt, length, heads), A, B, C };
  const plain = new Float32Array(timed * length);
  const run = () => ssdJavaScript(turnedInput, { channels: timed, headDim: HEAD_DIM, length, state }, plain);
  return [
    ...own,
    {
      name: PLAIN,
      peer: true,
      parameters: { task: spec.task, batch: 1, dim, state, length, isa: isas[0], threads },
      work: ssdWork(spec),
      run,
      ...(timed < dim && { scale: dim / timed, note: `${timed} channels timed` }),
      check: () => {
        plain.fill(NaN);
        run();
        const pairs = checkedChannels(timed, 2).flatMap((d) =>
          Array.from(exact(d), (value, t): [number, number] => [plain[d * length + t], value]),
        );
        return compared(pairs, ALLOWED);
      },
    },
  ];
}
