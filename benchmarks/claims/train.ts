/**
 * The claims about training on the tape: what a step of a small transformer costs beside its matrix products at the rate of
 * fused multiply-adds, and beside TensorFlow.js. The profile by op says where the rest goes.
 */
import { profile } from '../../lib/autograd/index.js';
import { availableIsas, setIsa, type Isa } from '../../lib/index.js';
import { renderColumns } from '../../lib/report/columns.js';
import { ceilingLines, measureCeilings } from '../harness/ceilings.js';
import { messageOf } from '../harness/errors.js';
import { describeMachine, machineLines } from '../harness/machine.js';
import type { TimedRow } from '../harness/question.js';
import type { ResultRow } from '../harness/results.js';
import { runCases } from '../harness/run.js';
import { peerName } from '../train/contenders.js';
import { batchOf, SIZES, tapeStep } from '../train/model.js';
import { summarise } from '../train/summary.js';
import { planOf } from '../train.js';
import type { Claim } from './claim.js';

type Show = (line: string) => void;

/** Steps of the profile; the shortest time of each op counts, so that a busy neighbour does not. */
const PROFILED_STEPS = 40;

/**
 * Measures what the claims speak of, about five minutes, most of it TensorFlow.js on its plain backend.
 *
 * @param show receives the machine, its ceilings, the profile and tables
 * @param signal ends the measuring; what is missing then counts as not measured
 * @returns the claims, and a line for each contender that failed
 */
export async function measureTrainClaims(
  show: Show,
  signal: AbortSignal,
): Promise<{ claims: Claim[]; failures: string[] }> {
  const [isa] = availableIsas();
  const ceilings = measureCeilings(availableIsas());
  for (const line of [...machineLines(describeMachine()), ...ceilingLines(ceilings)]) show(line);
  for (const line of profileLines(isa)) show(line);
  const failures: string[] = [];
  const rows: ResultRow[] = [];
  const best: ResultRow[] = [];
  try {
    // The tape by itself: beside TensorFlow.js every sample would begin with cold caches.
    for (const filter of [/^tape /, /^products /, /^tfjs /]) {
      if (signal.aborted) break;
      const { cases, remarks } = await planOf([{ sizes: SIZES, threads: 1 }], { isas: [isa], filter });
      for (const remark of remarks) show(remark);
      const { cases: done } = await runCases(cases, {
        question: 'train',
        ceilings,
        signal,
        filter,
        caseMs: 8000,
        measure: { maxSamples: 200 },
        onCase: ({ label }) => show(`measured ${label}`),
      });
      failures.push(...done.flatMap((one) => one.failures.map((failure) => `${one.label}: ${failure}`)));
      const timed = done.flatMap((one) => one.rows);
      rows.push(...timed.map(({ result }) => result));
      best.push(...timed.map(atBest));
    }
  } catch (error) {
    failures.push(messageOf(error));
  }
  for (const table of summarise(rows)) show(`\n${table}`);
  return { claims: trainClaims(best), failures };
}

/** A row of the shortest call instead of the median: what it is held against, a ceiling, is a best of many calls too. */
function atBest({ result, measurement: { medianNs, minNs } }: TimedRow): ResultRow {
  const { ofCeiling } = result;
  return { ...result, medianNs: minNs, ...(ofCeiling && { ofCeiling: (ofCeiling * medianNs) / minNs }) };
}

/** Where the time of a step goes, by op. */
export function profileLines(isa: Isa, sizes = SIZES, steps = PROFILED_STEPS): string[] {
  setIsa(isa);
  const step = tapeStep(sizes);
  const batch = batchOf(sizes, 1);
  const least = new Map<string, { calls: number; milliseconds: number }>();
  let whole = Infinity;
  step(batch);
  for (let i = 0; i < steps; i++) {
    const { ops, milliseconds } = profile(() => step(batch));
    whole = Math.min(whole, milliseconds);
    for (const { name, calls, milliseconds: time } of ops) {
      const before = least.get(name)?.milliseconds ?? Infinity;
      least.set(name, { calls, milliseconds: Math.min(before, time) });
    }
  }
  const total = [...least.values()].reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const lines = [...least]
    .sort(([, a], [, b]) => b.milliseconds - a.milliseconds)
    .map(([name, { calls, milliseconds }]) => [
      name,
      String(calls),
      milliseconds.toFixed(2),
      `${((100 * milliseconds) / total).toFixed(1)} %`,
    ]);
  return [
    `a step of ${whole.toFixed(1)} ms at best, its ops at their best of ${steps} steps:`,
    renderColumns(['op', 'calls', 'ms', 'share'], lines, [0]),
  ];
}

const measuredOr = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);

/** The claims, from rows of the shortest calls of a run. */
export function trainClaims(rows: readonly ResultRow[]): Claim[] {
  const find = (name: string): ResultRow | undefined => rows.find(({ contender }) => contender === name);
  const tape = find('tape');
  const name = '2 layers of 64, batch 24 x 128, one core, calls at their best';
  const against = (backend: 'cpu' | 'wasm', atLeast: number): Claim => ({
    source: 'softlane',
    text: `training step, ${name}: TensorFlow.js on its ${backend} backend / tape`,
    stated: `>= ${atLeast} x`,
    measured: measuredOr((find(peerName(backend))?.medianNs ?? NaN) / (tape?.medianNs ?? NaN)),
    unit: 'x',
    atLeast,
  });
  return [
    {
      source: 'softlane',
      text: `training step, ${name}: tape / its matrix products at the rate of fused multiply-adds`,
      stated: '<= 1.5 x',
      measured: measuredOr(1 / (tape?.ofCeiling ?? NaN)),
      unit: 'x',
      atMost: 1.5,
    },
    against('cpu', 20),
    against('wasm', 1),
  ];
}
