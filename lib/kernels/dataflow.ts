/**
 * Heuristic dataflow: which of three kernels multiplies a few rows by a weight matrix. Following "FlashDecoding++: Faster
 * Large Language Model Inference with Asynchronization, Flat GEMM Optimization, and Heuristics" (Hong et al., MLSys 2024),
 * section 5: for each [n, k] there are two inflection points. Below m1 rows the matrix-vector form is fastest, from m1 the
 * flat product, from m2 the blocked one. They are measured by `tuneDataflow`; without a table built-in ones serve.
 */
import * as check from '../check.js';
import { isaList, native } from '../native.js';
import { machineKey } from '../tuning-file.js';
import { WEIGHT_TYPES } from './weights.js';
import type { WeightType } from './weights.js';

/** The instruction sets that points can be measured for. */
const ISAS = ['scalar', 'avx2', 'avx512'] as const;

/** A kernel of the product: matrix-vector, a few rows at a time, or blocked in all three directions. */
export type GemmKernel = 'gemv' | 'flat' | 'blocked';

/** Inflection points: m < m1 takes 'gemv', m1 <= m < m2 'flat', m >= m2 'blocked'. */
export interface InflectionPoints {
  /** Least number of rows for which the flat product is used, at least 1; 1: the matrix-vector form never is. */
  m1: number;
  /** Least number of rows for which the blocked product is used, at least m1. */
  m2: number;
}

/** The points of one weight shape. */
export interface DataflowEntry extends InflectionPoints {
  /** Rows of the weight matrix: outputs. */
  n: number;
  /** Columns of the weight matrix: inputs. */
  k: number;
  type: WeightType;
  isa: (typeof ISAS)[number];
  /** Panels of `packWeights`, or rows as checkpoints have them. */
  packed: boolean;
  /** Threads of the measured calls. */
  threads: number;
}

/** What `tuneDataflow` finds: plain JSON, to be kept wherever the caller likes. */
export interface DataflowTable {
  /** CPU, caches and instruction sets of the machine that the points were measured on. */
  device: string;
  entries: DataflowEntry[];
}

/** A weight matrix as the choice sees it. */
export interface DataflowShape {
  n: number;
  k: number;
  /** Default 'f32'. */
  type?: WeightType;
  /** Default true. */
  packed?: boolean;
  /** Default: the instruction set in use. */
  isa?: (typeof ISAS)[number];
  /** Default 1. */
  threads?: number;
}

/** Inflection points and where they come from. */
export interface Dataflow extends InflectionPoints {
  /** 'built-in' for the defaults, 'measured' for this very [n, k], 'nearest' for that of the measured shape `like`. */
  source: 'built-in' | 'measured' | 'nearest';
  /** The measured shape whose points these are; absent for built-in ones. */
  like?: { n: number; k: number; threads: number };
}

/**
 * The choice without a table, measured at [4096, 4096] (benchmarks/README.md). Packed panels: two at a time (gemv) while
 * the accumulators of all rows fit the registers, then one panel after another; blocks of k outermost from some hundred
 * rows on, when the activations leave the second-level cache. Rows as they are stored: dot products until turning them into
 * panels pays.
 */
const PACKED_FLAT_FROM = { scalar: 1, avx2: 2, avx512: 5 } as const;
const BLOCKED_FROM = 384;
const ROWS_FLAT_FROM = 96;

function builtIn(packed: boolean, isa: DataflowEntry['isa']): Dataflow {
  return { m1: packed ? PACKED_FLAT_FROM[isa] : ROWS_FLAT_FROM, m2: BLOCKED_FROM, source: 'built-in' };
}

let inUse: DataflowTable | null = null;
/** Points by shape: the table is searched once for each. */
let known = new Map<string, Dataflow>();

/** The table that `chooseKernel` goes by, or null for the built-in points. */
export function dataflowTable(): DataflowTable | null {
  return inUse;
}

/**
 * Chooses by another table from the next call on, in the whole process.
 *
 * @param table of this machine, such as `tuneDataflow` gave; null goes back to the built-in points
 * @throws TypeError or RangeError for what is no table, with the entry and field; RangeError for one of another machine,
 *   naming both
 */
export function useDataflow(table: DataflowTable | null): void {
  if (table !== null) checkTable(table);
  inUse = table;
  known = new Map();
}

/** Checks a table of whatever origin; see `useDataflow` for what is thrown. */
export function checkTable(table: unknown): DataflowTable {
  if (typeof table !== 'object' || table === null || !Array.isArray((table as DataflowTable).entries)) {
    throw check.typeError('table', 'an object with device and entries, as tuneDataflow gives', table);
  }
  const { device, entries } = table as DataflowTable;
  if (typeof device !== 'string') throw check.typeError('table.device', 'a string', device);
  if (device !== machineKey()) {
    throw check.rangeError('table.device', `that of this machine, '${machineKey()}'`, device);
  }
  entries.forEach((entry: unknown, i) => checkEntry(`table.entries[${i}]`, entry));
  return table as DataflowTable;
}

function checkEntry(name: string, entry: unknown): void {
  if (typeof entry !== 'object' || entry === null) throw check.typeError(name, 'an object', entry);
  const fields = entry as DataflowEntry;
  for (const field of ['n', 'k', 'threads', 'm1', 'm2'] as const) {
    check.positiveInteger(`${name}.${field}`, fields[field]);
  }
  check.oneOf(`${name}.type`, fields.type, WEIGHT_TYPES);
  check.oneOf(`${name}.isa`, fields.isa, ISAS);
  check.boolean(`${name}.packed`, fields.packed);
  if (fields.m1 > fields.m2) throw check.rangeError(`${name}.m1`, `at most m2, ${fields.m2}`, fields.m1);
}

/**
 * The inflection points of a weight matrix: those measured for its [n, k], type, instruction set and layout, else those
 * of the nearest measured shape by the ratios of n and k (the number of threads nearest first), else the built-in ones.
 *
 * @param table to look in; default the one in use
 */
export function dataflowFor(shape: DataflowShape, table: DataflowTable | null = inUse): Dataflow {
  const { n, k, type = 'f32', packed = true, threads = 1 } = shape;
  const isa = shape.isa ?? (native('isa')() as DataflowEntry['isa']);
  const otherwise = builtIn(packed, isa);
  if (table === null || table.entries.length === 0) return otherwise;
  const wanted = { n, k, type, threads, isa, packed };
  if (table !== inUse) return nearest(table, wanted) ?? otherwise;
  const key = `${n} ${k} ${type} ${isa} ${packed} ${threads}`;
  let found = known.get(key);
  if (!found) known.set(key, (found = nearest(table, wanted) ?? otherwise));
  return found;
}

function nearest(table: DataflowTable, wanted: Omit<DataflowEntry, 'm1' | 'm2'>): Dataflow | undefined {
  let best: DataflowEntry | undefined;
  let bestThreads = Infinity;
  let bestShape = Infinity;
  for (const entry of table.entries) {
    if (entry.type !== wanted.type || entry.isa !== wanted.isa || entry.packed !== wanted.packed) continue;
    const ofThreads = Math.abs(Math.log(entry.threads / wanted.threads));
    const ofShape = Math.hypot(Math.log(entry.n / wanted.n), Math.log(entry.k / wanted.k));
    if (ofThreads > bestThreads || (ofThreads === bestThreads && ofShape >= bestShape)) continue;
    best = entry;
    bestThreads = ofThreads;
    bestShape = ofShape;
  }
  if (!best) return undefined;
  const { m1, m2, n, k, threads } = best;
  return { m1, m2, source: bestShape === 0 ? 'measured' : 'nearest', like: { n, k, threads } };
}

/**
 * The kernel for m rows times a weight matrix.
 *
 * @param m rows of the activations, at least 1
 * @param table to look in; default the one in use
 */
export function chooseKernel(m: number, shape: DataflowShape, table?: DataflowTable | null): GemmKernel {
  const { m1, m2 } = dataflowFor(shape, table === undefined ? inUse : table);
  if (m < m1) return 'gemv';
  return m < m2 ? 'flat' : 'blocked';
}

/** Median times of the three kernels at a number of rows, in any one unit; Infinity where one was not measured. */
export interface KernelTimes extends Record<GemmKernel, number> {
  m: number;
}

/** A kernel takes over where it is at least this much faster: smaller differences are noise. */
const HYSTERESIS = 0.03;

/**
 * Inflection points of measured times. A kernel takes over at the least m at which it is 3 % faster than the one before
 * it, unless it is 3 % slower again at the next m. Where the blocked product never takes over, m2 is one more than the
 * largest m.
 *
 * @param times ascending in m, at least one
 */
export function inflectionPoints(times: readonly KernelTimes[]): InflectionPoints {
  const takesOver = (i: number, next: GemmKernel, present: GemmKernel): boolean => {
    if (!(times[i][next] < (1 - HYSTERESIS) * times[i][present])) return false;
    const after = times[i + 1] as KernelTimes | undefined;
    return after === undefined || !(after[present] < (1 - HYSTERESIS) * after[next]);
  };
  const beyond = times[times.length - 1].m + 1;
  // Before any point the contest at one row is open: a tie there goes to the flat product, which needs no second kernel.
  const gemvWins = times[0].gemv < (1 - HYSTERESIS) * times[0].flat;
  let at = gemvWins ? times.findIndex((_, i) => takesOver(i, 'flat', 'gemv')) : 0;
  const m1 = at < 0 ? beyond : at === 0 ? 1 : times[at].m;
  if (at < 0) at = times.length;
  for (let i = at; i < times.length; i++) if (takesOver(i, 'blocked', 'flat')) return { m1, m2: times[i].m };
  return { m1, m2: Math.max(m1, beyond) };
}

/** Takes the entries for this machine out of a calibration file; what is damaged there is left out. */
export function entriesOf(stored: unknown): DataflowEntry[] {
  if (!Array.isArray(stored)) return [];
  return stored.filter((entry: unknown): entry is DataflowEntry => {
    try {
      checkEntry('entry', entry);
      return isaList.includes((entry as DataflowEntry).isa);
    } catch {
      return false; // a damaged cache is no reason to fail
    }
  });
}
