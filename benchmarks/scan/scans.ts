/** Contenders of a whole scan: forms of the forward pass, the gradient, the loop without exponentials, plain JavaScript. */
import { selectiveScan, selectiveScanBackward, setIsa, type Isa } from '../../lib/index.js';
import { native } from '../../lib/native.js';
import type { CaseContender, Check, Work } from '../harness/question.js';
import { scanJavaScript } from '../peers/scan-javascript.js';
import { updatesOf, type CaseSpec } from './cases.js';
import { channelOf, checkedChannels, compared } from './check.js';
import { arraysOf, shortened, turned, type ScanArrays } from './inputs.js';

/** Names of the contenders on every instruction set, in the order of tables. */
export const SCANS = [
  'powers',
  'direct',
  'channels-first',
  'gated',
  'gated direct',
  'bf16',
  'backward',
  'backward direct',
];
const CEILING = 'no-exp';
const PLAIN = ['javascript', 'javascript gated'];
/** The loop without exponentials has tiles of so many channels, and so many states. */
const CEILING_CHANNELS = 64;
const CEILING_STATES = 16;
/** Plain JavaScript is timed on as many channels as have this many state updates, and scaled up. */
const PLAIN_UPDATES = 2 ** 22;
/** Beside other instruction sets the plain loops are run on at most this many state updates. */
const SCALAR_LARGEST = 2 ** 25;

/** What a contender may be off, of the largest value. */
const ALLOWED = 1e-5;
/** Results in bf16 are rounded to 8 bits. */
const ALLOWED_BF16 = 2 ** -8;

export const isHopeless = (spec: CaseSpec, isa: Isa, isas: readonly Isa[]): boolean =>
  isa === 'scalar' && isas.length > 1 && updatesOf(spec) > SCALAR_LARGEST;

/** Every name that a contender of the case may have, before anything is allocated. */
export function scanNames({ dim, state, threads }: CaseSpec): string[] {
  const tiles = dim % CEILING_CHANNELS === 0 && state === CEILING_STATES;
  return [...SCANS, ...(tiles ? [CEILING] : []), ...(threads === 1 ? PLAIN : [])];
}

/** Arrays read and written once; multiply-adds of a forward pass, or of a gradient with its second forward pass. */
export function workOf(spec: CaseSpec, { gate = false, bytes = 4, backward = false } = {}): Work {
  const { dim, length, state } = spec;
  const values = dim * length;
  const read = values * (2 + Number(gate) + Number(backward)) + 2 * length * state;
  const written = values * (backward ? 2 : 1);
  return {
    elements: updatesOf(spec),
    bytes: bytes * (read + written),
    flops: (backward ? 16 : 5) * updatesOf(spec),
    memory: { readBytes: bytes * (read - written), copyBytes: bytes * 2 * written },
  };
}

/** Compares some channels of a result, [length, dim] or turned over, with float64. */
function checker(spec: CaseSpec, arrays: ScanArrays) {
  const known = new Map<string, Float64Array>();
  return (
    out: Float32Array,
    gated: boolean,
    channels: readonly number[],
    first = false,
    allowed = ALLOWED,
  ): Check =>
    compared(
      channels.flatMap((d) => {
        const key = `${d} ${gated}`;
        const expected = known.get(key) ?? channelOf(spec, arrays, d, gated);
        known.set(key, expected);
        return Array.from(expected, (value, t): [number, number] => [
          out[first ? d * spec.length + t : t * spec.dim + d],
          value,
        ]);
      }),
      allowed,
    );
}

/** Gradients of some channels alone, in float64. */
function slopesOf(spec: CaseSpec, { u, delta, A, B, C }: ScanArrays, gout: Float32Array, channels: number[]) {
  const { dim, length, state } = spec;
  const few = channels.length;
  const pick = (x: Float32Array): Float64Array =>
    Float64Array.from({ length: few * length }, (_, i) => x[Math.floor(i / few) * dim + channels[i % few]]);
  const rows = Float64Array.from(
    { length: few * state },
    (_, i) => A[channels[Math.floor(i / state)] * state + (i % state)],
  );
  return selectiveScanBackward(
    { u: pick(u), delta: pick(delta), A: rows, B: Float64Array.from(B), C: Float64Array.from(C) },
    pick(gout),
    { batch: 1, dim: few, length, state, layout: 'time-first' },
  );
}

/**
 * The contenders of a scan.
 *
 * @param wanted tells from its name and instruction set whether a contender is asked for: arrays of the others are not made
 */
export function scanContenders(
  spec: CaseSpec,
  isas: readonly Isa[],
  wanted: (name: string, isa: Isa) => boolean,
): CaseContender[] {
  const { dim, length, state, threads } = spec;
  const arrays = arraysOf(spec);
  const { u, delta, A, B, C, D, z, deltaBias } = arrays;
  const channels = checkedChannels(dim);
  const check = checker(spec, arrays);
  const out = new Float32Array(u.length);
  const shape = { batch: 1, dim, length, state, threads, layout: 'time-first' as const };
  const input = { u, delta, A, B, C };
  const gated = { ...input, D, z, deltaBias };
  const parameters = (isa: Isa) => ({ task: spec.task, batch: 1, dim, state, length, isa, threads });

  /** A form on every instruction set; made only where it is asked for. */
  const form = (
    name: string,
    work: Work,
    make: () => { run: () => unknown; check: () => Check; note?: string },
    on: readonly Isa[] = isas.filter((isa) => !isHopeless(spec, isa, isas)),
  ): CaseContender[] => {
    const chosen = on.filter((isa) => wanted(name, isa));
    if (chosen.length === 0) return [];
    const made = make();
    return chosen.map((isa) => ({
      name,
      parameters: parameters(isa),
      work,
      before: () => void setIsa(isa),
      ...made,
    }));
  };
  const forward = (name: string, gate: boolean, powers: 'auto' | 'never') =>
    form(name, workOf(spec, { gate }), () => {
      const run = () => selectiveScan(gate ? gated : input, { ...shape, deltaSoftplus: gate, powers, out });
      return {
        run,
        check: () => {
          out.fill(NaN);
          run();
          return check(out, gate, channels);
        },
      };
    });
  const backward = (name: string, powers: 'auto' | 'never') =>
    form(name, workOf(spec, { backward: true }), () => {
      const { checkpoints } = selectiveScan(input, { ...shape, powers, out, saveCheckpoints: true });
      const gout = z;
      const slopes = selectiveScanBackward(input, gout, { ...shape, powers, checkpoints });
      const run = () => selectiveScanBackward(input, gout, { ...shape, powers, checkpoints, out: slopes });
      return {
        run,
        check: () => {
          for (const x of Object.values(slopes) as Float32Array[]) x.fill(NaN);
          run();
          const exact = slopesOf(spec, arrays, gout, channels);
          const few = channels.length;
          const pairs = (['du', 'ddelta'] as const).map((key) =>
            compared(
              Array.from(exact[key], (value, i): [number, number] => [
                slopes[key][Math.floor(i / few) * dim + channels[i % few]],
                value,
              ]),
              ALLOWED,
            ),
          );
          return pairs.reduce((a, b) => (a.worst >= b.worst ? a : b));
        },
      };
    });

  return [
    ...forward('powers', false, 'auto'),
    ...forward('direct', false, 'never'),
    ...form('channels-first', workOf(spec), () => {
      const turnedInput = { ...input, u: turned(u, length, dim), delta: turned(delta, length, dim) };
      const rows = { ...turnedInput, B: turned(B, length, state), C: turned(C, length, state) };
      const run = () => selectiveScan(rows, { ...shape, layout: 'channels-first', out });
      return {
        run,
        check: () => {
          out.fill(NaN);
          run();
          return check(out, false, channels, true);
        },
      };
    }),
    ...forward('gated', true, 'auto'),
    ...forward('gated direct', true, 'never'),
    ...form('bf16', workOf(spec, { bytes: 2 }), () => {
      const { short, wide } = shortened(arrays);
      const short16 = new Uint16Array(u.length);
      const run = () =>
        selectiveScan<Uint16Array>(
          { u: short.u, delta: short.delta, A, B: short.B, C: short.C },
          { ...shape, dtype: 'bf16', out: short16 },
        );
      const checkWide = checker(spec, wide);
      return {
        run,
        check: () => {
          short16.fill(0xffff);
          run();
          const bits = new Uint32Array(short16.length);
          for (let i = 0; i < bits.length; i++) bits[i] = short16[i] << 16;
          return checkWide(new Float32Array(bits.buffer), false, channels, false, ALLOWED_BF16);
        },
      };
    }),
    ...backward('backward', 'auto'),
    ...backward('backward direct', 'never'),
    ...(scanNames(spec).includes(CEILING)
      ? form(CEILING, workOf(spec), () => {
          const decay = 0.75;
          const run = () => native('scanCeiling')(u, delta, B, C, out, dim, length, decay, threads);
          return {
            run,
            check: () => {
              out.fill(NaN);
              run();
              // One constant decay: A such that exp(1 A) is it, and steps of 1 whose size is in the input.
              const steady = {
                ...arrays,
                u: u.map((x, i) => x * delta[i]),
                delta: new Float32Array(u.length).fill(1),
                A: new Float32Array(A.length).fill(Math.log(decay)),
              };
              return checker(spec, steady)(out, false, channels);
            },
          };
        })
      : []),
    ...PLAIN.flatMap((name) => {
      if (!scanNames(spec).includes(name)) return [];
      const gate = name !== 'javascript';
      const timed = Math.max(1, Math.min(dim, Math.floor(PLAIN_UPDATES / (length * state))));
      const contenders = form(
        name,
        workOf(spec, { gate }),
        () => {
          const part = (x: Float32Array): Float32Array => {
            const rows = new Float32Array(timed * length);
            for (let d = 0; d < timed; d++)
              for (let t = 0; t < length; t++) rows[d * length + t] = x[t * dim + d];
            return rows;
          };
          const plain = { A, B, C, u: part(u), delta: part(delta) };
          const scan = gate ? { ...plain, gate: { D, deltaBias, z: part(z) } } : plain;
          const own = new Float32Array(timed * length);
          const run = () => scanJavaScript(scan, { channels: timed, length, state }, own);
          return {
            run,
            check: () => {
              own.fill(NaN);
              run();
              return check(own, gate, checkedChannels(timed, 2), true);
            },
            ...(timed < dim && { note: `${timed} ${timed === 1 ? 'channel' : 'channels'} timed` }),
          };
        },
        isas.slice(0, 1),
      );
      return contenders.map((one) => ({ ...one, peer: true, ...(timed < dim && { scale: dim / timed }) }));
    }),
  ];
}
