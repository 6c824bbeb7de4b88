/**
 * The claims about selective scans: how near they are to the same loop without exponentials, what two threads and a gradient
 * cost, and what products of matrices gain for Mamba-2. "Mamba" (Gu, Dao, arXiv 2312.00752, section 4.5) finds its fused scan
 * 20 to 40 x faster than a standard scan in PyTorch, "Transformers are SSMs" (Dao, Gu, arXiv 2405.21060) SSD 2 to 8 x faster
 * than that scan, both on an A100; here plain JavaScript stands for the standard one.
 */
import { availableIsas } from '../../lib/index.js';
import { ceilingLines, measureCeilings } from '../harness/ceilings.js';
import { messageOf } from '../harness/errors.js';
import { describeMachine, machineLines } from '../harness/machine.js';
import type { Ceilings, ResultRow } from '../harness/results.js';
import { runCases } from '../harness/run.js';
import type { CaseSpec } from '../scan/cases.js';
import { summarise } from '../scan/summary.js';
import { planOf } from '../scan.js';
import type { Claim } from './claim.js';

type Show = (line: string) => void;

/** The case of the stated figures, and the one whose time is split. */
const STATED: CaseSpec = { task: 'scan', batch: 1, dim: 2048, state: 16, length: 4096, threads: 1 };
const SPLIT: CaseSpec = { ...STATED, dim: 64, length: 65_536 };
const STEP: CaseSpec = { ...STATED, task: 'step', batch: 64, length: 1 };
const SSD: CaseSpec = { ...STATED, task: 'ssd', state: 128, length: 2048 };
const CASES: readonly CaseSpec[] = [
  STATED,
  { ...STATED, threads: 2 },
  SPLIT,
  { ...SPLIT, threads: 2 },
  STEP,
  SSD,
];
/** Time of the stated case with an exponential for every state. */
const STATED_MS = 18;
/** Rate of fused multiply-adds of the machine of the stated time, which its loop without exponentials half reaches. */
const STATED_GFLOPS = 200;

/**
 * Measures what the claims speak of, about two minutes.
 *
 * @param show receives the machine, its ceilings and a line as each case ends
 * @param signal ends the measuring; what is missing then counts as not measured
 * @returns the claims, and a line for each contender that failed
 */
export async function measureScanClaims(
  show: Show,
  signal: AbortSignal,
): Promise<{ claims: Claim[]; failures: string[] }> {
  const [isa] = availableIsas();
  const ceilings = measureCeilings(availableIsas());
  for (const line of [...machineLines(describeMachine()), ...ceilingLines(ceilings)]) show(line);
  const failures: string[] = [];
  const rows: ResultRow[] = [];
  try {
    const { cases } = await planOf(CASES, { isas: [isa] });
    const { cases: done } = await runCases(cases, {
      question: 'scan',
      ceilings,
      signal,
      onCase: ({ label }) => show(`measured ${label}`),
    });
    failures.push(...done.flatMap((one) => one.failures.map((failure) => `${one.label}: ${failure}`)));
    rows.push(...done.flatMap((one) => one.rows.map(({ result }) => result)));
  } catch (error) {
    failures.push(messageOf(error));
  }
  for (const table of summarise(rows)) show(`\n${table}`);
  return { claims: scanClaims(rows, ceilings, isa), failures };
}

/** Median time of a contender in a case; NaN where it was not measured. */
function timeOf(rows: readonly ResultRow[], contender: string, spec: CaseSpec): number {
  const found = rows.find(
    (row) =>
      row.contender === contender &&
      (['task', 'dim', 'length', 'threads', 'batch'] as const).every((name) => row.case[name] === spec[name]),
  );
  return found?.medianNs ?? NaN;
}

const measuredOr = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);

/** Bytes of the states of a decode step, read and written. */
const copied = ({ batch, dim, state }: CaseSpec): number => 8 * batch * dim * state;

/** The claims, from the rows of a run. */
export function scanClaims(rows: readonly ResultRow[], ceilings: Ceilings, isa: string): Claim[] {
  const time = (contender: string, spec = STATED): number => timeOf(rows, contender, spec);
  const ratio = (text: string, value: number, bound: Partial<Claim>): Claim => {
    const stated = bound.atMost === undefined ? `>= ${bound.atLeast} x` : `<= ${bound.atMost} x`;
    return { source: 'softlane', text, stated, measured: measuredOr(value), unit: 'x', ...bound };
  };
  const rate = ceilings.fmaGflops[isa];
  const slower =
    isa !== 'avx512' || rate < STATED_GFLOPS
      ? `stated for AVX-512 at ${STATED_GFLOPS} Gflop/s or more, here ${isa} at ${rate?.toFixed(0)}`
      : undefined;
  const name = 'scan, 2048 channels x 16, 4096 steps, f32';
  return [
    {
      source: 'softlane',
      text: `${name}: sixteen exponentials a step, one core`,
      stated: `<= ${STATED_MS} ms`,
      measured: measuredOr(time('direct') / 1e6),
      unit: 'ms',
      atMost: STATED_MS,
      notExpected: slower,
    },
    ratio(`${name}: shared powers / loop without exponentials`, time('powers') / time('no-exp'), {
      atMost: 1.25,
    }),
    ratio(
      `${name}: one thread / two, shared powers`,
      time('powers') / time('powers', { ...STATED, threads: 2 }),
      {
        atLeast: 1.8,
      },
    ),
    ratio(
      `${name}: one thread / two, sixteen exponentials`,
      time('direct') / time('direct', { ...STATED, threads: 2 }),
      {
        atLeast: 1.8,
      },
    ),
    ratio(
      'scan, 64 channels x 16, 65536 steps in chunks of time: one thread / two',
      time('direct', SPLIT) / time('direct', { ...SPLIT, threads: 2 }),
      { atLeast: 1.2 },
    ),
    ratio(
      `${name}: plain JavaScript / softplus, gate and sixteen exponentials`,
      time('javascript gated') / time('gated direct'),
      {
        atLeast: 60,
        notExpected: slower,
      },
    ),
    ratio(`${name}: gradient / forward, sixteen exponentials`, time('backward direct') / time('direct'), {
      atMost: 3,
    }),
    ratio(`${name}: gradient / forward, shared powers`, time('backward') / time('powers'), { atMost: 3 }),
    {
      source: 'softlane',
      text: 'decode step, 64 rows of 2048 channels x 16, one core: share of the copy ceiling',
      stated: '>= 50 %',
      measured: measuredOr((100 * copied(STEP)) / ceilings.copyGBps / time('step', STEP)),
      unit: '%',
      atLeast: 50,
    },
    ratio(
      'Mamba-2, 32 heads of 64 x 128, 2048 steps: step by step / by chunks',
      time('recurrent', SSD) / time('chunked', SSD),
      {
        atLeast: 2,
      },
    ),
    {
      source: 'paper',
      text: `${name}: standard scan (here plain JavaScript) / fused`,
      stated: '20 to 40 x (A100, against PyTorch)',
      measured: measuredOr(time('javascript') / time('direct')),
      unit: 'x',
      atLeast: 20,
    },
  ];
}
