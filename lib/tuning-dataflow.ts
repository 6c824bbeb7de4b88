/**
 * Measures the inflection points of the heuristic dataflow (lib/kernels/dataflow.ts) for weight shapes on this machine.
 */
import * as check from './check.js';
import { f32ToBf16, f32ToF16 } from './kernels/convert.js';
import {
  dataflowTable,
  entriesOf,
  inflectionPoints,
  useDataflow,
  type DataflowEntry,
  type DataflowTable,
  type GemmKernel,
  type KernelTimes,
} from './kernels/dataflow.js';
import { gemm } from './kernels/gemm.js';
import {
  packWeights,
  quantizeWeights,
  WEIGHT_TYPES,
  type WeightArray,
  type WeightType,
} from './kernels/weights.js';
import { isaList, native } from './native.js';
import { Philox } from './random.js';
import { lastLevelCache, machineKey, writeTuning } from './tuning-file.js';

/** The weights of Llama 2 7B: queries with keys and values, output projection, gated network there and back. */
export const DATAFLOW_SHAPES: readonly TunedShape[] = [
  { n: 12288, k: 4096 },
  { n: 4096, k: 4096 },
  { n: 11008, k: 4096 },
  { n: 4096, k: 11008 },
];

/** A weight matrix: n outputs, k inputs. */
export interface TunedShape {
  n: number;
  k: number;
}

type IsaName = DataflowEntry['isa'];

/** Options of `tuneDataflow`. */
export interface TuneDataflowOptions {
  /** Storage types of the weights, one or several; default all four. */
  type?: WeightType | readonly WeightType[];
  /** Layouts: panels of `packWeights`, rows as checkpoints store them; default both. */
  layouts?: readonly ('packed' | 'unpacked')[];
  /** Instruction sets; default the one in use. */
  isas?: readonly IsaName[];
  /** Threads of a call; default 1. */
  threads?: number;
  /** Rows of activations at which the kernels are compared, ascending; default 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64. */
  rows?: readonly number[];
  /** Timings of which the median counts; default 15. */
  samples?: number;
  /** Stops between measurements. */
  signal?: AbortSignal;
  /** Called with the share that is done, in [0, 1], and what is being measured. */
  onProgress?: (done: number, what: string) => void;
  /** Keep the result for later processes; default true. */
  save?: boolean;
}

const ROWS: readonly number[] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const WARM_UPS = 3;
/** Where the matrix-vector form takes more than this times as long as the flat product, more rows are not tried. */
const HOPELESS = 2;
const MOST_COPIES = 64;

/**
 * How many copies of a matrix calls have to take turns with so that it is in no cache when its turn comes again: the others
 * fill the last-level cache twice, as the weights of other layers do. At most 64.
 */
export function coldCopies(bytes: number): number {
  return Math.min(MOST_COPIES, 1 + Math.ceil((2 * lastLevelCache()) / bytes));
}

/**
 * Measures for each weight shape, storage type, layout and instruction set from how many rows on the flat product beats
 * the matrix-vector form and the blocked product the flat one (medians of interleaved timings, copies of the weights in
 * turn so that they come from memory, 3 % of hysteresis). Uses the answer from now on, and keeps it for later processes on
 * this kind of machine. Takes some seconds per shape and type; run it on an otherwise idle machine. Blocks the event loop
 * for one number of rows at a time, and switches the instruction set of the whole process for as long.
 *
 * @param shapes default those of Llama 2 7B
 * @returns the points that were measured, as plain JSON
 * @throws TypeError or RangeError for shapes, types, layouts, instruction sets and rows that are none; the signal's reason
 */
export async function tuneDataflow(
  shapes: readonly TunedShape[] = DATAFLOW_SHAPES,
  options: TuneDataflowOptions = {},
): Promise<DataflowTable> {
  const plan = checked(shapes, options);
  const entries: DataflowEntry[] = [];
  const count = plan.shapes.length * plan.types.length * plan.layouts.length * plan.isas.length;
  for (const shape of plan.shapes) {
    for (const type of plan.types) {
      const source = weightsOf(shape, type);
      for (const layout of plan.layouts) {
        const multiply = productOf(shape, type, source, layout === 'packed', plan.threads);
        for (const isa of plan.isas) {
          const times = await curvesOf(shape, multiply, isa, plan, async (m, share) => {
            options.signal?.throwIfAborted();
            const what = `${isa} ${layout} ${type} [${shape.n}, ${shape.k}] m=${m}`;
            options.onProgress?.((entries.length + share) / count, what);
            await new Promise(setImmediate);
          });
          const points = inflectionPoints(times);
          entries.push({
            ...shape,
            type,
            isa,
            packed: layout === 'packed',
            threads: plan.threads,
            ...points,
          });
        }
      }
    }
  }
  keep(entries, plan.save);
  return { device: machineKey(), entries };
}

/** Times of the kernels over the rows; `before` runs ahead of each number of rows, with the share that is done. */
async function curvesOf(
  shape: TunedShape,
  multiply: Multiply,
  isa: IsaName,
  { rows, samples }: { rows: readonly number[]; samples: number },
  before: (m: number, share: number) => Promise<void>,
): Promise<KernelTimes[]> {
  const times: KernelTimes[] = [];
  for (const m of rows) {
    await before(m, times.length / rows.length);
    const last = times.at(-1);
    const hopeless = last !== undefined && !(last.gemv < HOPELESS * last.flat);
    const chosen = native('isa')() as IsaName;
    native('setIsa')(isa);
    try {
      times.push({ m, ...timesAt(m, shape, multiply, samples, hopeless) });
    } finally {
      native('setIsa')(chosen);
    }
  }
  return times;
}

function checked(shapes: readonly TunedShape[], options: TuneDataflowOptions) {
  if (!Array.isArray(shapes) || shapes.length === 0) {
    throw check.typeError('shapes', 'a list of at least one { n, k }', shapes);
  }
  const sizes = shapes.map((shape: unknown, i) => {
    if (typeof shape !== 'object' || shape === null) {
      throw check.typeError(`shapes[${i}]`, 'an object with n and k', shape);
    }
    const { n, k } = shape as TunedShape;
    return {
      n: check.positiveInteger(`shapes[${i}].n`, n),
      k: check.positiveInteger(`shapes[${i}].k`, k),
    };
  });
  const o = check.options(options);
  const types = typeof o.type === 'string' ? [o.type] : (o.type ?? WEIGHT_TYPES);
  types.forEach((type) => check.oneOf('type', type, WEIGHT_TYPES));
  const layouts = o.layouts ?? (['packed', 'unpacked'] as const);
  layouts.forEach((layout) => check.oneOf('layouts', layout, ['packed', 'unpacked']));
  const isas = o.isas ?? [native('isa')() as IsaName];
  isas.forEach((isa) => check.oneOf('isas', isa, isaList as IsaName[]));
  const rows = o.rows ?? ROWS;
  rows.forEach((m, i) => {
    check.positiveInteger(`rows[${i}]`, m);
    if (i > 0 && m <= rows[i - 1]) throw check.rangeError('rows', 'in ascending order', m);
  });
  if (rows.length === 0) throw check.rangeError('rows', 'at least one number', rows);
  return {
    shapes: sizes,
    types,
    layouts,
    isas,
    rows,
    threads: check.positiveInteger('threads', o.threads ?? 1),
    samples: check.positiveInteger('samples', o.samples ?? 15),
    save: check.boolean('save', o.save ?? true),
  };
}

/** A matrix as it is stored. */
interface Stored {
  w: WeightArray;
  scales?: Float32Array;
}

function weightsOf(shape: TunedShape, type: WeightType): Stored {
  const w = new Philox(1).uniform(new Float32Array(shape.n * shape.k), -1, 1);
  if (type === 'f32') return { w };
  if (type !== 'int8') return { w: type === 'bf16' ? f32ToBf16(w) : f32ToF16(w) };
  const { data, scales } = quantizeWeights(w, shape);
  return { w: data, scales };
}

/** One call of a kernel with the next copy of the weights. */
type Multiply = (kernel: GemmKernel, a: Float32Array, m: number, out: Float32Array) => void;

function productOf(
  { n, k }: TunedShape,
  type: WeightType,
  { w, scales }: Stored,
  packed: boolean,
  threads: number,
): Multiply {
  const count = coldCopies(w.byteLength);
  let turn = 0;
  const next = <T>(copies: readonly T[]): T => copies[(turn = (turn + 1) % copies.length)];
  if (packed) {
    const copies = Array.from({ length: count }, () => packWeights(w, { n, k, type, scales }));
    return (kernel, a, m, out) => void gemm(a, next(copies), { m, n, k, kernel, threads, out });
  }
  const copies = Array.from({ length: count }, (_, i) => (i === 0 ? w : w.slice()));
  return (kernel, a, m, out) => {
    gemm(a, next(copies), { m, n, k, type, scales, kernel, threads, out });
  };
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];

/** Median times of the kernels at m rows, in nanoseconds, their timings interleaved. */
function timesAt(
  m: number,
  { n, k }: TunedShape,
  multiply: Multiply,
  samples: number,
  hopeless: boolean,
): Record<GemmKernel, number> {
  const a = new Philox(2, m).uniform(new Float32Array(m * k), -1, 1);
  const out = new Float32Array(m * n);
  const kernels: GemmKernel[] = hopeless ? ['flat', 'blocked'] : ['gemv', 'flat', 'blocked'];
  const times = new Map<GemmKernel, number[]>(kernels.map((kernel) => [kernel, []]));
  for (let s = -WARM_UPS; s < samples; s++) {
    for (const [kernel, list] of times) {
      const start = process.hrtime.bigint();
      multiply(kernel, a, m, out);
      if (s >= 0) list.push(Number(process.hrtime.bigint() - start));
    }
  }
  const of = (kernel: GemmKernel): number => median(times.get(kernel) ?? [Infinity]);
  return { gemv: of('gemv'), flat: of('flat'), blocked: of('blocked') };
}

const keyOf = ({ n, k, type, isa, packed, threads }: DataflowEntry): string =>
  `${n} ${k} ${type} ${isa} ${packed} ${threads}`;

/** Known entries with the new ones in place of, or behind, those of the same case. */
function merged(known: readonly DataflowEntry[], found: readonly DataflowEntry[]): DataflowEntry[] {
  return [...new Map([...known, ...found].map((entry) => [keyOf(entry), entry])).values()];
}

function keep(found: readonly DataflowEntry[], save: boolean): void {
  useDataflow({ device: machineKey(), entries: merged(dataflowTable()?.entries ?? [], found) });
  if (save) writeTuning((known) => ({ ...known, dataflow: merged(entriesOf(known.dataflow), found) }));
}
