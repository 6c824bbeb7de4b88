/**
 * Calibration of what `auto` chooses: measured once by `tune`, kept in the user's cache folder for each machine, read
 * when the package is loaded. Without it, built-in defaults serve.
 */
import * as check from './check.js';
import type { Floats } from './check.js';
import { allocate, DTYPES } from './kernels/arguments.js';
import type { Dtype } from './kernels/arguments.js';
import { softmax } from './kernels/softmax.js';
import { isaList, native } from './native.js';
import { Philox } from './random.js';
import { entriesOf, useDataflow } from './kernels/dataflow.js';
import { lastLevelCache, machineKey, readTuning, tuningPath, writeTuning } from './tuning-file.js';

export { machineKey, tuningFile, tuningPath } from './tuning-file.js';

const ISAS = ['scalar', 'avx2', 'avx512'] as const;
type IsaName = (typeof ISAS)[number];

/** A size in bytes from which something pays, for each instruction set and storage type; null: never. */
export type Thresholds = Partial<Record<IsaName, Partial<Record<Dtype, number | null>>>>;

/** What `tune` finds. */
export interface Calibration {
  /** Bytes of a row, in and out together, from which two passes beat the blocked form. */
  twoPassFrom: Thresholds;
  /** Bytes of a call, in and out together, from which non-temporal stores pay. */
  streamFrom: Thresholds;
}

const TABLES = ['twoPassFrom', 'streamFrom'] as const;

let measured = false;

/** The file whose thresholds `auto` goes by in softmax, or null for the built-in ones. */
export function thresholdsPath(): string | null {
  return measured ? tuningPath() : null;
}

function apply(calibration: Partial<Calibration>): void {
  for (const table of TABLES) {
    ISAS.forEach((isa, i) =>
      DTYPES.forEach((dtype, d) => {
        const bytes = calibration[table]?.[isa]?.[dtype];
        const known = bytes === null ? Infinity : bytes;
        if (typeof known !== 'number' || !(known >= 0)) return;
        native('setTuning')(table, i, d, known);
        measured = true;
      }),
    );
  }
}

/** Reads the calibration of this machine, if there is one. Called when the package is loaded. */
export function loadTuning(): void {
  const entry = readTuning();
  if (!entry) return;
  apply(entry as Partial<Calibration>);
  const entries = entriesOf(entry.dataflow);
  if (entries.length > 0) useDataflow({ device: machineKey(), entries });
}

/** Options of `tune`. */
export interface TuneOptions {
  /** Instruction sets to calibrate; default those available. */
  isas?: IsaName[];
  /** Storage types; default all. */
  dtypes?: Dtype[];
  /**
   * Longest row, in elements; default 2^25 (two arrays of that length are allocated). Where it does not reach four times
   * the last-level cache, only gains that were seen are kept, not that there is none.
   */
  maxLength?: number;
  /** Timings of each form at each length, of which the median counts; default 7. */
  samples?: number;
  /** Stops between measurements. */
  signal?: AbortSignal;
  /** Called with the share that is done, in [0, 1], and what is being measured. */
  onProgress?: (done: number, what: string) => void;
  /** Keep the result for later processes; default true. */
  save?: boolean;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];

/** The contenders of a length: two passes with each kind of store, and the blocked form. */
const CONTENDERS = [
  { algorithm: 'two-pass', streamingStores: false },
  { algorithm: 'two-pass', streamingStores: true },
  { algorithm: 'blocked', streamingStores: false },
] as const;

/** Median time of each contender, their timings interleaved. */
function timesAt(length: number, dtype: Dtype, x: Floats, y: Floats, samples: number): number[] {
  const rounds = Math.max(1, Math.floor(2 ** 18 / length));
  const times: number[][] = CONTENDERS.map(() => []);
  const options = { out: y.subarray(0, length), dtype };
  const input = x.subarray(0, length);
  for (let s = 0; s <= samples; s++) {
    CONTENDERS.forEach((contender, i) => {
      const start = process.hrtime.bigint();
      for (let r = 0; r < rounds; r++) softmax(input, { ...options, ...contender });
      if (s > 0) times[i].push(Number(process.hrtime.bigint() - start)); // the first round warms up
    });
  }
  return times.map(median);
}

/** The least size from which a contender wins at every length up to the longest, between two lengths their middle. */
class Threshold {
  bytes: number | null = null;
  #previous = 0;

  add(bytes: number, wins: boolean): void {
    if (!wins) this.bytes = null;
    else this.bytes ??= this.#previous === 0 ? 0 : Math.round(Math.sqrt(bytes * this.#previous));
    this.#previous = bytes;
  }
}

/**
 * Measures from which size on two passes beat the blocked form and non-temporal stores pay, for each instruction set and
 * storage type, uses the answer from now on and keeps it for later processes on this kind of machine. Takes about a
 * minute; run it on an otherwise idle machine. Blocks the event loop for one measurement at a time, and switches the
 * instruction set of the whole process for as long.
 * @returns the calibration, in bytes
 */
export async function tune(options: TuneOptions = {}): Promise<Calibration> {
  const isas = options.isas ?? ([...isaList] as IsaName[]);
  const dtypes = options.dtypes ?? [...DTYPES];
  const maxLength = check.positiveInteger('maxLength', options.maxLength ?? 2 ** 25);
  const samples = check.positiveInteger('samples', options.samples ?? 7);
  isas.forEach((isa) => check.oneOf('isas', isa, isaList as IsaName[]));
  dtypes.forEach((dtype) => check.oneOf('dtypes', dtype, DTYPES));
  const before = native('isa')() as IsaName;
  const lengths: number[] = [];
  for (let n = 2 ** 15; n <= maxLength; n *= 2) lengths.push(n);
  const result: Calibration = { twoPassFrom: {}, streamFrom: {} };
  let done = 0;
  try {
    for (const dtype of dtypes) {
      const x = allocate(dtype, maxLength);
      const y = allocate(dtype, maxLength);
      if (x instanceof Uint16Array) x.fill(0x3c00);
      else new Philox(1).uniform(x, -10, 10);
      for (const isa of isas) {
        const twoPass = new Threshold();
        const stream = new Threshold();
        for (const length of lengths) {
          options.signal?.throwIfAborted();
          const share = done++ / (isas.length * dtypes.length * lengths.length);
          options.onProgress?.(share, `${isa} ${dtype} ${length}`);
          await new Promise(setImmediate);
          native('setIsa')(isa);
          const [ordinary, streamed, blocked] = timesAt(length, dtype, x, y, samples);
          native('setIsa')(before);
          const bytes = 2 * length * x.BYTES_PER_ELEMENT;
          stream.add(bytes, streamed < 0.97 * ordinary);
          twoPass.add(bytes, Math.min(streamed, ordinary) < 0.99 * blocked);
        }
        // That something never pays is known only where the longest row was far past the caches.
        const decisive = 2 * maxLength * x.BYTES_PER_ELEMENT >= 4 * lastLevelCache();
        for (const [table, found] of [
          ['twoPassFrom', twoPass.bytes],
          ['streamFrom', stream.bytes],
        ] as const) {
          if (decisive || found !== null) (result[table][isa] ??= {})[dtype] = found;
        }
      }
    }
  } finally {
    native('setIsa')(before);
  }
  apply(result);
  if (options.save ?? true) save(result);
  return result;
}

/** Merges the thresholds of this machine into the file. */
function save(calibration: Calibration): void {
  writeTuning((known) => {
    const tables = TABLES.map((table) => {
      const merged: Thresholds = { ...(known[table] as Thresholds | null | undefined) };
      for (const isa of ISAS) {
        if (calibration[table][isa]) merged[isa] = { ...merged[isa], ...calibration[table][isa] };
      }
      return [table, merged] as const;
    });
    return { ...known, ...Object.fromEntries(tables) };
  });
}
