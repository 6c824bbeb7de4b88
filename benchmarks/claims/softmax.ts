/**
 * The claims about softmax: those of "The Two-Pass Softmax Algorithm" (Dukhan and Ablavatski, 2020, arXiv 2001.04438) and
 * softlane's own figures. Each is a ratio within one run, and most within one case, whose contenders are sampled in turn.
 *
 * A claim says on which hardware it is meant to hold. That is decided by figures measured in the same run, never by the
 * name of the processor: whether 512-bit fused multiply-adds run at full width, and the roofline of each form.
 */
import { availableIsas, type Isa } from '../../lib/index.js';
import { ceilingLines, measureCeilings } from '../harness/ceilings.js';
import { describeMachine, machineLines } from '../harness/machine.js';
import type { QuestionOptions } from '../harness/question.js';
import type { Ceilings, ResultRow } from '../harness/results.js';
import { runCases } from '../harness/run.js';
import { formatCount, formatDigits } from '../harness/sizes.js';
import type { CaseSpec } from '../softmax/cases.js';
import { planOf } from '../softmax.js';
import type { Claim } from './claim.js';

const LARGE = 2 ** 26;
/** Sizes out of cache, for claims of the form "up to". */
const OUT_OF_CACHE = [2 ** 24, 2 ** 25, LARGE];
const IN_CACHE = [2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18, 2 ** 20];
const FORMS = ['two-pass', 'three-pass-recompute', 'three-pass-reload', 'online', 'blocked'];

const plain = {
  operation: 'softmax',
  rows: 1,
  dtype: 'f32',
  distribution: 'uniform-10',
  threads: 1,
} as const satisfies Partial<CaseSpec>;

const SPECS: CaseSpec[] = [
  ...[1000, ...IN_CACHE].map((cols) => ({ ...plain, cols, lean: true })),
  { ...plain, cols: 32000 },
  ...OUT_OF_CACHE.map((cols) => ({ ...plain, cols, lean: cols < LARGE })),
  { ...plain, cols: LARGE, distribution: 'uniform-1000', lean: true },
  { ...plain, rows: 64, cols: 1000 },
  { ...plain, rows: 4096, cols: 4096 },
  { ...plain, rows: 2 ** 20, cols: 10, perRowCalls: true, lean: true },
  { ...plain, rows: 2 ** 16, cols: 64, perRowCalls: true, lean: true },
  { ...plain, cols: LARGE, dtype: 'bf16', lean: true },
  { ...plain, operation: 'logSumExp', cols: LARGE, lean: true },
  { ...plain, operation: 'crossEntropy', cols: LARGE, lean: true },
];

/** Finds the median of a contender in a case; undefined where it was not measured. */
type Lookup = (contender: string, isa: Isa, parameters: Partial<CaseSpec>) => ResultRow | undefined;

/**
 * Measures what the claims speak of, about a minute and a half.
 *
 * @param show receives the machine, its ceilings and each case as it ends
 * @param signal ends the measuring; what is missing then counts as not measured
 * @returns the claims, and a line for each contender that failed or gave a wrong answer
 */
export async function measureSoftmaxClaims(
  show: (line: string) => void,
  signal: AbortSignal,
): Promise<{ claims: Claim[]; failures: string[] }> {
  const available = availableIsas();
  const vector = available.filter((isa) => isa !== 'scalar');
  const isas = vector.length > 0 ? vector : available;
  const ceilings = measureCeilings(available);
  for (const line of [...machineLines(describeMachine()), ...ceilingLines(ceilings)]) show(line);

  // Plain JavaScript and TensorFlow.js are no part of any claim and take most of a second a call.
  const options: QuestionOptions = { isas, threads: [1], filter: /^(?!javascript|@tensorflow)/ };
  const { cases, remarks } = await planOf(SPECS, options);
  for (const remark of remarks) show(remark);
  const { cases: done } = await runCases(cases, {
    question: 'softmax',
    ceilings,
    signal,
    filter: options.filter,
    onCase: ({ label }) => show(`measured ${label}`),
  });
  const rows = done.flatMap((one) => one.rows.map((row) => row.result));
  return {
    claims: softmaxClaims(ceilings, isas[0], lookupIn(rows)),
    failures: done.flatMap((one) => one.failures.map((failure) => `${one.label}: ${failure}`)),
  };
}

/** The lookup over a list of rows; parameters that are not given are those of the sweep. */
export function lookupIn(rows: readonly ResultRow[]): Lookup {
  return (contender, isa, parameters) =>
    rows.find(
      (row) =>
        row.contender === contender &&
        row.case.isa === isa &&
        Object.entries({ ...plain, ...parameters }).every(([name, value]) => row.case[name] === value),
    );
}

/**
 * All claims, from measured rows.
 *
 * @param best the best instruction set that was measured; peers and floors stand under it
 */
export function softmaxClaims(ceilings: Ceilings, best: Isa, find: Lookup): Claim[] {
  const time: Time = (contender, isa, parameters) => find(contender, isa, parameters)?.medianNs ?? NaN;
  return [
    ...twoPassClaims(ceilings, best, time),
    ...avx2Claims(ceilings, best, time),
    ...cacheClaims(ceilings, best, time, find),
    ...peerClaims(best, time),
    ...shortRowClaims(best, time),
    ...trafficClaims(ceilings, best, time),
  ].map((claim) => ({ ...claim, measured: Number.isFinite(claim.measured) ? claim.measured : undefined }));
}

type Time = (contender: string, isa: Isa, parameters: Partial<CaseSpec>) => number;

/** Undefined where 512-bit fused multiply-adds run at full width, else the figure that says that they do not. */
function needsFullWidth512({ fmaGflops }: Ceilings): string | undefined {
  if (fmaGflops.avx512 === undefined) return 'no AVX-512 on this machine';
  const ratio = fmaGflops.avx512 / fmaGflops.avx2;
  if (ratio > 1.5) return undefined;
  return `needs full-width 512-bit arithmetic: fma avx512 / avx2 is ${formatDigits(ratio)}, must exceed 1.5`;
}

function betterThreePass(time: Time, isa: Isa, parameters: Partial<CaseSpec>): number {
  return Math.min(time('three-pass-recompute', isa, parameters), time('three-pass-reload', isa, parameters));
}

/** The largest gain of two-pass over the better three-pass form out of cache, in percent. */
function largestGain(time: Time, isa: Isa): number {
  const gains = OUT_OF_CACHE.map(
    (cols) => betterThreePass(time, isa, { cols }) / time('two-pass', isa, { cols }),
  );
  return (Math.max(...gains) - 1) * 100;
}

/** AVX-512 out of cache: the paper's claim and softlane's own figures. */
function twoPassClaims(ceilings: Ceilings, best: Isa, time: Time): Claim[] {
  const notExpected = needsFullWidth512(ceilings);
  const large = { cols: LARGE };
  const paperInput = { cols: LARGE, distribution: 'uniform-1000' } as const;
  const floor = time('streaming-read', best, large) + time('copy', best, large);
  return [
    {
      source: 'paper',
      text: 'two-pass gains over the better three-pass form, out of cache, avx512',
      stated: 'up to 28 % (Skylake-X)',
      measured: largestGain(time, 'avx512'),
      unit: '%',
      atLeast: 10,
      notExpected,
    },
    {
      source: 'paper',
      text: "the same on the paper's input, uniform (-1000, 1000), 64 Mi",
      stated: 'up to 28 % (Skylake-X)',
      measured:
        (betterThreePass(time, 'avx512', paperInput) / time('two-pass', 'avx512', paperInput) - 1) * 100,
      unit: '%',
      atLeast: 10,
      notExpected,
    },
    {
      source: 'softlane',
      text: 'two-pass / (streaming read + copy), 64 Mi, avx512',
      stated: '<= 1.08 x',
      measured: time('two-pass', 'avx512', large) / floor,
      unit: 'x',
      atMost: 1.08,
      notExpected,
    },
    {
      source: 'softlane',
      text: 'better three-pass form / two-pass, 64 Mi, avx512',
      stated: '>= 1.25 x',
      measured: betterThreePass(time, 'avx512', large) / time('two-pass', 'avx512', large),
      unit: 'x',
      atLeast: 1.25,
      notExpected,
    },
  ];
}

/** AVX2 out of cache, where the exponential rather than memory may bind: expected as far as the roofline allows it. */
function avx2Claims(ceilings: Ceilings, best: Isa, time: Time): Claim[] {
  const large = { cols: LARGE };
  const allows = rooflineOf(time, 'avx2', best);
  const threePass = Math.min(allows('three-pass-recompute'), allows('three-pass-reload'));
  const fastest = Math.min(threePass, allows('two-pass'), allows('blocked'));
  const unlessAllowed = (gain: number, needed: number): string | undefined => {
    if (ceilings.fmaGflops.avx2 === undefined) return 'no AVX2 on this machine';
    if (!(gain < needed)) return undefined;
    const forms = ['two-pass', 'blocked', 'three-pass-recompute', 'three-pass-reload'] as const;
    const times = forms.map((form) => `${form} ${formatDigits(allows(form))}`).join(', ');
    return `the roofline allows ${formatDigits(gain)} x: ${times} ns/element`;
  };
  return [
    {
      source: 'paper',
      text: 'two-pass gains over the better three-pass form, out of cache, avx2',
      stated: 'up to 18 % (Skylake-X)',
      measured: largestGain(time, 'avx2'),
      unit: '%',
      atLeast: 5,
      notExpected: unlessAllowed(threePass / allows('two-pass'), 1.05),
    },
    {
      source: 'softlane',
      text: 'better three-pass form / auto, 64 Mi, avx2',
      stated: '>= 1.08 x',
      measured: betterThreePass(time, 'avx2', large) / time('auto', 'avx2', large),
      unit: 'x',
      atLeast: 1.08,
      notExpected: unlessAllowed(threePass / fastest, 1.08),
    },
    {
      source: 'softlane',
      text: 'three-pass-recompute / two-pass, 64 Mi, avx2',
      stated: '>= 1.15 x',
      measured: time('three-pass-recompute', 'avx2', large) / time('two-pass', 'avx2', large),
      unit: 'x',
      atLeast: 1.15,
      notExpected: unlessAllowed(allows('three-pass-recompute') / allows('two-pass'), 1.15),
    },
  ];
}

/** Passes over memory: those that only read, and those that read and write. */
const PASSES: Record<string, { reads: number; copies: number }> = {
  'two-pass': { reads: 1, copies: 1 },
  'three-pass-recompute': { reads: 2, copies: 1 },
  'three-pass-reload': { reads: 1, copies: 2 },
  blocked: { reads: 0, copies: 2 },
};

/**
 * The roofline of a form out of cache, in nanoseconds an element: the longer of its arithmetic, which is its own time in
 * the first-level and second-level caches, and its traffic at the rates measured beside it.
 */
function rooflineOf(time: Time, isa: Isa, best: Isa): (form: string) => number {
  const inCache = 2 ** 14;
  const read = time('streaming-read', best, { cols: LARGE }) / LARGE;
  const copy = time('copy', best, { cols: LARGE }) / LARGE;
  return (form) => {
    const { reads, copies } = PASSES[form];
    return Math.max(time(form, isa, { cols: inCache }) / inCache, reads * read + copies * copy);
  };
}

/** In cache: the choice is as good as the best form, and fast. */
function cacheClaims(ceilings: Ceilings, best: Isa, time: Time, find: Lookup): Claim[] {
  const isas = Object.keys(ceilings.fmaGflops).filter((isa) => isa !== 'scalar') as Isa[];
  const choice = isas.map((isa): Claim => {
    // What auto can lose to sheer noise is taken off: half of its own interquartile range.
    const losses = [...IN_CACHE, ...OUT_OF_CACHE].map((cols) => {
      const auto = find('auto', isa, { cols });
      const quiet = auto === undefined ? NaN : auto.medianNs * (1 - auto.spread / 2);
      return quiet / Math.min(...FORMS.map((form) => time(form, isa, { cols })));
    });
    return {
      source: 'softlane',
      text: `auto / best single form, worst size of 4 Ki to 64 Mi, ${isa}`,
      stated: '<= 1.05 x',
      measured: Math.max(...losses),
      unit: 'x',
      atMost: 1.05,
    };
  });
  return [
    ...choice,
    {
      source: 'softlane',
      text: `auto, ${formatCount(2 ** 16)}, avx512`,
      stated: '<= 0.11 ns/element',
      measured: time('auto', 'avx512', { cols: 2 ** 16 }) / 2 ** 16,
      unit: 'ns',
      atMost: 0.11,
      notExpected: needsFullWidth512(ceilings),
    },
    {
      source: 'softlane',
      text: `one blocking call on 1000 elements, ${best}`,
      stated: '< 1.5 us',
      measured: time('auto', best, { cols: 1000 }) / 1000,
      unit: 'us',
      atMost: 1.5,
    },
  ];
}

/** Against onnxruntime-node, both through their JavaScript interfaces. */
function peerClaims(best: Isa, time: Time): Claim[] {
  const targets: [Partial<CaseSpec> & { cols: number }, number][] = [
    [{ rows: 1, cols: LARGE }, 5],
    [{ rows: 4096, cols: 4096 }, 5],
    [{ rows: 64, cols: 1000 }, 5],
    [{ rows: 1, cols: 32000 }, 1.5],
  ];
  return targets.map(([shape, ratio]) => ({
    source: 'softlane',
    text: `onnxruntime-node / auto, [${formatCount(shape.rows ?? 1)}, ${formatCount(shape.cols)}]`,
    stated: `>= ${ratio} x`,
    measured: time('onnxruntime-node', best, shape) / time('auto', best, shape),
    unit: 'x',
    atLeast: ratio,
  }));
}

/** Many short rows in one call. */
function shortRowClaims(best: Isa, time: Time): Claim[] {
  return [
    { rows: 2 ** 20, cols: 10 },
    { rows: 2 ** 16, cols: 64 },
  ].map((shape) => ({
    source: 'softlane',
    text: `one call per row / one call, [${formatCount(shape.rows)}, ${formatCount(shape.cols)}]`,
    stated: '>= 3 x',
    measured: time('per-row-calls', best, shape) / time('auto', best, shape),
    unit: 'x',
    atLeast: 3,
  }));
}

/** Halved words and fused sums. */
function trafficClaims(ceilings: Ceilings, best: Isa, time: Time): Claim[] {
  const large = { cols: LARGE };
  const sums = (['logSumExp', 'crossEntropy'] as const).map((operation): Claim => {
    const here = { operation, cols: LARGE };
    return {
      source: 'softlane',
      text: `${operation} / streaming read, 64 Mi, ${best}`,
      stated: '<= 1.25 x',
      measured: time('auto', best, here) / time('streaming-read', best, here),
      unit: 'x',
      atMost: 1.25,
      notExpected: needsFullWidth512(ceilings),
    };
  });
  return [
    {
      source: 'softlane',
      text: `float32 / bf16 in and out, 64 Mi, ${best}`,
      stated: '>= 1.6 x',
      measured: time('auto', best, large) / time('auto', best, { ...large, dtype: 'bf16' }),
      unit: 'x',
      atLeast: 1.6,
      notExpected: needsFullWidth512(ceilings),
    },
    ...sums,
  ];
}
