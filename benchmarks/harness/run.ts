/** Runs the cases of a question one after the other: open, check every answer, time, close. */
import { messageOf } from './errors.js';
import { clockNs, measure, type MeasureOptions } from './measure.js';
import { floorOf, isWanted, type Case, type CaseContender, type TimedRow } from './question.js';
import type { Ceilings } from './results.js';

/** One finished (or interrupted) case. */
export interface CaseResult {
  label: string;
  rows: TimedRow[];
  /** Contenders whose answer was wrong or that failed, one line each; they were not timed. */
  failures: string[];
  /** The largest error of each contender, in words. */
  checks: string[];
}

export interface RunOptions {
  question: string;
  ceilings: Ceilings;
  /** The whole run should not take longer than this many seconds (default no limit). */
  budgetSeconds?: number;
  /** Share of sampling time per case in milliseconds once the smallest number of samples is there (default 500). */
  caseMs?: number;
  signal?: AbortSignal;
  /** Keeps the contenders for which it matches `contender case-label isa`. */
  filter?: RegExp;
  measure?: Pick<MeasureOptions, 'minSamples' | 'maxSamples' | 'sampleNs'>;
  onProgress?: (progress: Progress) => void;
  /** Called as each case ends, so that an interrupted run has shown everything it did. */
  onCase?: (result: CaseResult) => void;
}

/** Where a run stands. */
export interface Progress {
  /** Position of the case, from 0, and how many there are. */
  index: number;
  count: number;
  label: string;
  /** Finished share of the case, 0 to 1. */
  done: number;
}

/** The results of a run in order, and the labels of cases that the budget or the signal left out. */
export interface RunResult {
  cases: CaseResult[];
  leftOut: string[];
}

/**
 * Runs all cases. Ends early, with what was measured so far, when the signal fires or the budget is spent.
 *
 * @throws what a case throws while it is opened; a contender that fails is only reported
 */
export async function runCases(cases: readonly Case[], options: RunOptions): Promise<RunResult> {
  const { signal, budgetSeconds = Infinity } = options;
  const deadlineNs = clockNs() + budgetSeconds * 1e9;
  const result: RunResult = { cases: [], leftOut: [] };
  for (const [index, one] of cases.entries()) {
    if (signal?.aborted || clockNs() >= deadlineNs) {
      result.leftOut.push(one.label);
      continue;
    }
    const show = (done: number): void =>
      options.onProgress?.({ index, count: cases.length, label: one.label, done });
    show(0);
    const finished = await runCase(one, deadlineNs, options, show);
    if (finished.rows.length + finished.failures.length === 0) {
      if (signal?.aborted || clockNs() >= deadlineNs) result.leftOut.push(one.label);
      continue;
    }
    result.cases.push(finished);
    options.onCase?.(finished);
  }
  return result;
}

async function runCase(
  one: Case,
  deadlineNs: number,
  options: RunOptions,
  onProgress: (done: number) => void,
): Promise<CaseResult> {
  const result: CaseResult = { label: one.label, rows: [], failures: [], checks: [] };
  const open = await one.open();
  try {
    const { filter, signal } = options;
    const wanted = open.contenders.filter((c) =>
      isWanted(filter, c.name, one.label, String(c.parameters.isa)),
    );
    const sound: CaseContender[] = [];
    for (const contender of wanted) {
      if (signal?.aborted || clockNs() >= deadlineNs) break;
      if (await passes(contender, result)) sound.push(contender);
      // Lets an interrupt through: a check holds the event loop for as long as its call takes.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const measurements = await measure(sound, {
      budgetMs: options.caseMs ?? 500,
      deadlineNs,
      signal,
      onProgress,
      ...options.measure,
    });
    // Contenders that got no sample are the last ones, so that the two lists run in step.
    result.rows = measurements.map((measurement, i) => toRow(sound[i], measurement, options));
  } finally {
    await open.close?.();
  }
  return result;
}

async function passes(contender: CaseContender, result: CaseResult): Promise<boolean> {
  const name = contender.peer ? contender.name : `${contender.name} (${contender.parameters.isa})`;
  try {
    contender.before?.();
    const { worst, detail } = await contender.check();
    result.checks.push(`${name}: ${detail}`);
    // Written so that NaN is wrong.
    if (worst <= 1) return true;
    result.failures.push(`${name}: wrong answer, ${detail}`);
  } catch (error) {
    result.failures.push(`${name}: ${messageOf(error)}`);
  }
  return false;
}

function toRow(
  contender: CaseContender,
  measurement: TimedRow['measurement'],
  { question, ceilings }: RunOptions,
): TimedRow {
  const { work, parameters, note, peer } = contender;
  const { medianNs, spread, samplesNs, flags } = measurement;
  const floor = floorOf(work, ceilings, String(parameters.isa), Number(parameters.threads));
  return {
    result: {
      question,
      contender: contender.name,
      case: parameters,
      medianNs,
      spread,
      samples: samplesNs.length,
      ...(work.bytes > 0 && { GBps: work.bytes / medianNs }),
      ...(work.flops > 0 && { Gflops: work.flops / medianNs }),
      ...(work.unit === 'cell' && { Mcells: (work.elements / medianNs) * 1e3 }),
      ...(work.unit === 'token' && { tokensPerSecond: (work.elements / medianNs) * 1e9 }),
      ...(floor.ns > 0 && { ofCeiling: floor.ns / medianNs }),
      ...(flags.length > 0 && { flags }),
    },
    measurement,
    work,
    binding: floor.binding,
    note,
    peer,
  };
}
