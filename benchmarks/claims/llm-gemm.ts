/**
 * softlane's figures for products of a few rows with weights that lie in memory: against the ceilings of this machine,
 * against onnxruntime-node, and what the heuristic dataflow of "FlashDecoding++" (Hong et al., MLSys 2024) gains here.
 *
 * Ratios to onnxruntime-node were stated for another machine (39 GB/s, 250 Gflop/s with AVX-512). Where the ceilings
 * measured in the same run do not allow one, it is not expected.
 */
import {
  availableIsas,
  chooseKernel,
  dataflowTable,
  tuneDataflow,
  useDataflow,
  type DataflowTable,
  type GemmKernel,
  type Isa,
} from '../../lib/index.js';
import { MAIN_SHAPES, ROWS, type CaseSpec, type Weights } from '../gemm/cases.js';
import type { WeightType } from '../gemm/weights.js';
import { planOf } from '../gemm.js';
import type { Ceilings, ResultRow } from '../harness/results.js';
import { runCases } from '../harness/run.js';
import { formatDigits } from '../harness/sizes.js';
import type { Claim } from './claim.js';

type Show = (line: string) => void;

/** The shape of the figures that are stated one by one. */
const STATED: Weights = { n: 4096, k: 4096 };
const TYPES = ['f32', 'bf16'] as const;
/** How many times faster than onnxruntime-node, by rows of activations. */
const GOALS: readonly (readonly [m: number, goal: number])[] = [
  [1, 1.3],
  [4, 3.5],
  [8, 3.5],
  [16, 2.8],
];
const KERNELS: readonly GemmKernel[] = ['gemv', 'flat', 'blocked'];

/** The contenders that claims speak of; onnxruntime-node at one shape, since each session packs weights of its own. */
const FILTER =
  /^(packed (f32|bf16)|gemv f32|flat f32|blocked f32|no-prefetch (f32|bf16)) |^onnxruntime-node gemm m=\d+, weights \[4 Ki, 4 Ki\]/;

/**
 * Measures all of it, about three minutes.
 *
 * @param show receives what is measured beside the claims
 * @param signal ends the measuring; what is missing then counts as not measured
 * @throws Error where an answer is wrong
 */
export async function gemmClaims(show: Show, signal: AbortSignal, ceilings: Ceilings): Promise<Claim[]> {
  const [isa] = availableIsas();
  const specs = MAIN_SHAPES.flatMap((shape) => ROWS.map((m): CaseSpec => ({ ...shape, m, threads: 1 })));
  const table = signal.aborted ? null : await tuned(isa, signal);
  const { cases, remarks } = await planOf(specs, { isas: [isa], filter: FILTER });
  for (const remark of remarks) show(remark);
  const { cases: done } = await runCases(cases, {
    question: 'gemm',
    ceilings,
    signal,
    filter: FILTER,
    onCase: ({ label }) => show(`measured ${label}`),
  });
  const failures = done.flatMap((one) => one.failures.map((failure) => `${one.label}: ${failure}`));
  if (failures.length > 0) throw new Error(failures.join('; '));
  const find = rowsBy(done.flatMap((one) => one.rows.map(({ result }) => result)));
  for (const line of [...kernelLines(find, table), ...prefetchLines(find)]) show(line);
  return [
    ...ceilingClaims(find),
    ...peerClaims(find),
    ...typeClaims(find),
    ...rowClaims(find),
    ...dataflowClaims(find, table),
    ...prefetchClaims(find),
  ];
}

/** Inflection points measured for the shapes of the claims, used by none of the contenders; null where interrupted. */
async function tuned(isa: Isa, signal: AbortSignal): Promise<DataflowTable | null> {
  const before = dataflowTable();
  try {
    const options = { type: 'f32', layouts: ['packed'], isas: [isa], save: false, signal } as const;
    return await tuneDataflow(MAIN_SHAPES, options);
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    useDataflow(before);
  }
}

/** Finds the row of a contender. */
export type Find = (contender: string, m: number, shape: Weights) => ResultRow | undefined;

/** The lookup over rows of one instruction set. */
export function rowsBy(rows: readonly ResultRow[]): Find {
  const keyOf = (contender: string, m: number, n: number, k: number): string => `${contender} ${m} ${n} ${k}`;
  const known = new Map(
    rows.map((row) => {
      const { m, n, k } = row.case;
      return [keyOf(row.contender, Number(m), Number(n), Number(k)), row];
    }),
  );
  return (contender, m, { n, k }) => known.get(keyOf(contender, m, n, k));
}

/** Time that the ceilings allow for a row. */
const floorOf = (row: ResultRow | undefined): number => (row?.ofCeiling ?? NaN) * (row?.medianNs ?? NaN);

const measuredOr = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);
const nameOf = ({ n, k }: Weights): string => `[${n}, ${k}]`;

/** No ratio is expected that the ceilings do not allow, even of a call that reaches them. */
function unlessAllowed(allowed: number, goal: number): string | undefined {
  if (!(allowed < goal)) return undefined;
  return `the ceilings of this machine allow ${formatDigits(allowed)} x`;
}

/** Every shape at its worst number of rows. */
export function ceilingClaims(find: Find): Claim[] {
  return MAIN_SHAPES.flatMap((shape) =>
    TYPES.map((type): Claim => {
      const multiples = ROWS.map((m) => 1 / (find(`packed ${type}`, m, shape)?.ofCeiling ?? NaN));
      return {
        source: 'softlane',
        text: `weights ${nameOf(shape)} ${type}, m = 1 to 64, worst: time / max(bytes / read, operations / fma)`,
        stated: '<= 1.25 x',
        // Math.max hands NaN on: all rows must be there.
        measured: measuredOr(Math.max(...multiples)),
        unit: 'x',
        atMost: 1.25,
      };
    }),
  );
}

/** Beside onnxruntime-node. */
export function peerClaims(find: Find): Claim[] {
  return GOALS.map(([m, goal]): Claim => {
    const own = find('packed f32', m, STATED);
    const peer = find('onnxruntime-node', m, STATED)?.medianNs ?? NaN;
    return {
      source: 'softlane',
      text: `onnxruntime-node / packed f32, ${nameOf(STATED)}, m = ${m}`,
      stated: `>= ${goal} x`,
      measured: measuredOr(peer / (own?.medianNs ?? NaN)),
      unit: 'x',
      atLeast: goal,
      notExpected: unlessAllowed(peer / floorOf(own), goal),
    };
  });
}

/** Half the bytes: twice as fast, to two digits, where memory binds both. */
export function typeClaims(find: Find): Claim[] {
  return [1, 2, 4, 8].map((m): Claim => {
    const [wide, half] = TYPES.map((type) => find(`packed ${type}`, m, STATED));
    return {
      source: 'softlane',
      text: `f32 / bf16 weights, ${nameOf(STATED)}, m = ${m}`,
      stated: '2 x',
      measured: measuredOr((wide?.medianNs ?? NaN) / (half?.medianNs ?? NaN)),
      unit: 'x',
      atLeast: 1.9,
      notExpected: unlessAllowed(floorOf(wide) / floorOf(half), 1.9),
    };
  });
}

/** Four rows for the price of one. */
export function rowClaims(find: Find): Claim[] {
  const [one, four] = [1, 4].map((m) => find('packed f32', m, STATED));
  const floors = floorOf(four) / floorOf(one);
  return [
    {
      source: 'softlane',
      text: `packed f32, ${nameOf(STATED)}: m = 4 / m = 1`,
      stated: '<= 1.15 x',
      measured: measuredOr((four?.medianNs ?? NaN) / (one?.medianNs ?? NaN)),
      unit: 'x',
      atMost: 1.15,
      notExpected:
        floors > 1.15 ? `the ceilings of this machine allow ${formatDigits(floors)} x at best` : undefined,
    },
  ];
}

/** How much longer than the best of the three kernels a choice takes, at its worst. */
export function worstLoss(find: Find, choose: (m: number, shape: Weights) => GemmKernel): number {
  const losses = MAIN_SHAPES.flatMap((shape) =>
    ROWS.map((m) => {
      const times = KERNELS.map((kernel) => find(`${kernel} f32`, m, shape)?.medianNs ?? Infinity);
      const chosen = times[KERNELS.indexOf(choose(m, shape))];
      const best = Math.min(...times);
      return best === Infinity ? NaN : chosen / best;
    }),
  );
  return Math.max(...losses);
}

/** The choice of a table, or (null) of the built-in points. */
const choiceOf =
  (table: DataflowTable | null) =>
  (m: number, { n, k }: Weights): GemmKernel =>
    chooseKernel(m, { n, k, isa: availableIsas()[0] }, table);

/** Choices against the best of the three kernels, measured apart from each other. */
export function dataflowClaims(find: Find, table: DataflowTable | null): Claim[] {
  const claim = (text: string, measured: number): Claim => ({
    source: 'softlane',
    text: `${text} / best of the three kernels, f32, m = 1 to 64, four shapes, worst`,
    stated: '<= 1.10 x',
    measured: measuredOr(measured),
    unit: 'x',
    atMost: 1.1,
  });
  return [
    claim('choice after softlane tune', table === null ? NaN : worstLoss(find, choiceOf(table))),
    claim('built-in choice', worstLoss(find, choiceOf(null))),
  ];
}

/** What a single kernel for everything would lose, and what the choice does. */
function kernelLines(find: Find, table: DataflowTable | null): string[] {
  const loss = (name: string, worst: number): string =>
    `${name} ${Number.isFinite(worst) ? `${formatDigits(worst)} x` : 'not for every m'}`;
  const fixed = KERNELS.map((kernel) =>
    loss(
      `always ${kernel}`,
      worstLoss(find, () => kernel),
    ),
  );
  const chosen = [loss('built-in', worstLoss(find, choiceOf(null)))];
  if (table) chosen.push(loss('tuned', worstLoss(find, choiceOf(table))));
  return [
    `worst time over the best kernel's (paper: a fixed choice loses up to 50.25 % on GPUs): ${[...fixed, ...chosen].join(', ')}`,
  ];
}

/** Time without prefetching over time with it, geometric mean over shapes. */
function prefetchGain(find: Find, type: WeightType, rows: readonly number[]): number {
  const gains = MAIN_SHAPES.flatMap((shape) =>
    rows.map((m) => {
      const [without, present] = ['no-prefetch', 'packed'].map((name) => find(`${name} ${type}`, m, shape));
      return Math.log((without?.medianNs ?? NaN) / (present?.medianNs ?? NaN));
    }),
  );
  return Math.exp(gains.reduce((sum, gain) => sum + gain, 0) / gains.length);
}

function prefetchLines(find: Find): string[] {
  return TYPES.map((type) => {
    const gains = ROWS.map((m) => `m = ${m} ${formatDigits(prefetchGain(find, type, [m]))} x`);
    return `software double buffering, ${type}, time without / with, mean of four shapes: ${gains.join(', ')}`;
  });
}

/** The switch is on because it does not lose. */
export function prefetchClaims(find: Find): Claim[] {
  return TYPES.map((type): Claim => {
    return {
      source: 'softlane',
      text: `software double buffering, ${type}, m = 1 to 64, four shapes, mean: time without / with`,
      stated: '>= 1 x',
      measured: measuredOr(prefetchGain(find, type, ROWS)),
      unit: 'x',
      atLeast: 0.99,
    };
  });
}
