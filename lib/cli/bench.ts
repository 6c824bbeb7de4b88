/** What `softlane bench QUESTION` does: prints ceilings and tables, writes results and plots, compares with a saved run. */
import { ceilingLines, measureCeilings } from '../../benchmarks/harness/ceilings.js';
import { assertSameMachine, compareRows, renderComparison } from '../../benchmarks/harness/compare.js';
import { BenchError, messageOf } from '../../benchmarks/harness/errors.js';
import { describeMachine, machineLines } from '../../benchmarks/harness/machine.js';
import { plotPoints, plotSpec } from '../../benchmarks/harness/plot.js';
import type { Plan, Question, QuestionOptions } from '../../benchmarks/harness/question.js';
import {
  readResults,
  writeResults,
  writeWhole,
  type Results,
  type StoredResults,
} from '../../benchmarks/harness/results.js';
import { runCases, type RunResult } from '../../benchmarks/harness/run.js';
import { parseShapes, parseSizes } from '../../benchmarks/harness/sizes.js';
import { renderCase } from '../../benchmarks/harness/table.js';
import { findQuestion, questionLines } from '../../benchmarks/questions.js';
import { availableIsas, isa as currentIsa, type Isa } from '../index.js';
import { drawSvg, loadVega } from '../report/vega.js';
import { CliError } from './errors.js';
import { interruptible } from './interrupt.js';
import { startProgress, type Progress } from './progress.js';

/** Options as the command line hands them over: mostly text, checked below. */
export interface BenchOptions {
  sizes?: string;
  shapes?: string;
  isa?: string;
  threads?: string;
  distribution?: string;
  kind?: string;
  filter?: string;
  /** Seconds, > 0. */
  budget?: number;
  quick?: boolean;
  json?: string;
  plot?: string;
  plotValue?: string;
  against?: string;
}

const BUDGET_SECONDS = 230;
const QUICK_BUDGET_SECONDS = 25;
/** Exit status of a program that an interrupt ended, as shells count it. */
const INTERRUPTED = 130;

/**
 * Runs a question and prints what it finds.
 *
 * @param name of the question; undefined lists the questions
 * @throws BenchError for what the user can mend, CliError with code 130 after an interrupt
 */
export async function bench(name: string | undefined, options: BenchOptions): Promise<void> {
  if (name === undefined) {
    print(['questions:', ...questionLines()].join('\n'));
    return;
  }
  const question = findQuestion(name);
  const asked = parseOptions(options);
  // Whatever can fail for the user's doing fails now, not after minutes of measuring.
  const before = options.against === undefined ? undefined : readResults(options.against);
  const plotValue = parsePlotValue(question, options.plotValue);
  if (options.plot !== undefined) await loadVega();
  if (asked.kinds && name !== 'attention') throw new BenchError(`the question ${name} has no --kind`);
  const plan = await question.plan(asked);

  const results: Results = {
    machine: describeMachine(),
    ceilings: measureCeilings(availableIsas()),
    rows: [],
  };
  if (before) assertSameMachine(before, results, options.against!);
  print([...machineLines(results.machine), ...ceilingLines(results.ceilings)].join('\n'));
  for (const remark of plan.remarks) print(remark);

  const { run, interrupted } = await runWatched(plan, results, name, asked, options.budget);
  await report(question, results, run, { ...options, plotValue }, before);
  if (interrupted) throw new CliError('interrupted; what was done by then is above', INTERRUPTED);
  if (run.cases.some((one) => one.failures.length > 0)) {
    throw new BenchError('some contenders failed or gave wrong answers, marked FAILED above');
  }
  if (results.rows.length === 0) {
    throw new BenchError('nothing was measured: no contender matches, or the budget is too small');
  }
}

/** Runs the cases with a progress bar, prints the table of each as it ends, and adds its rows to `results`. */
async function runWatched(
  plan: Plan,
  results: Results,
  question: string,
  { filter, quick }: QuestionOptions,
  budget: number | undefined,
): Promise<{ run: RunResult; interrupted: boolean }> {
  let progress: Progress | undefined;
  let shown = '';
  const hide = (): void => {
    progress?.stop();
    shown = '';
  };
  try {
    return await interruptible(async (signal) => {
      const run = await runCases(plan.cases, {
        question,
        ceilings: results.ceilings,
        budgetSeconds: budget ?? (quick ? QUICK_BUDGET_SECONDS : BUDGET_SECONDS),
        caseMs: quick ? 150 : 500,
        signal,
        filter,
        onProgress: ({ index, count, label, done }) => {
          if (label !== shown) {
            hide();
            progress = startProgress(`${index + 1}/${count} ${label}`, 1);
            shown = label;
          }
          progress?.update(done);
        },
        onCase: ({ label, rows, failures }) => {
          hide();
          results.rows.push(...rows.map((row) => row.result));
          if (rows.length > 0) print(`\n${renderCase(label, rows)}`);
          for (const failure of failures) print(`FAILED ${label}: ${failure}`);
        },
      });
      return { run, interrupted: signal.aborted };
    });
  } finally {
    hide();
  }
}

/** What follows the tables of the cases: summary, files, comparison. */
async function report(
  question: Question,
  results: Results,
  run: RunResult,
  options: BenchOptions & { plotValue: string },
  before: StoredResults | undefined,
): Promise<void> {
  for (const table of question.summarise(results.rows)) print(`\n${table}`);
  for (const label of run.leftOut) print(`not done: ${label}`);
  if (options.json !== undefined) {
    writeResults(options.json, results);
    print(`\nresults: ${options.json}`);
  }
  if (options.plot !== undefined) {
    const { plotValue } = options;
    const points = plotPoints(results.rows, question.plot, plotValue);
    if (points.length === 0) {
      print('plot: nothing of the sweep was measured');
    } else {
      const { cpu, node } = results.machine;
      const title = `${question.name}: ${cpu}, Node ${node}`;
      writeWhole(options.plot, await drawSvg(plotSpec(title, points, question.plot, plotValue)));
      print(`plot: ${options.plot}`);
    }
  }
  if (before) print(`\n${renderComparison(options.against!, compareRows(before.rows, results.rows))}`);
}

function parseOptions(options: BenchOptions): QuestionOptions {
  return {
    isas: parseIsas(options.isa),
    threads: options.threads?.split(',').map(parseThreads),
    sizes: options.sizes === undefined ? undefined : parseSizes(options.sizes),
    shapes: options.shapes === undefined ? undefined : parseShapes(options.shapes),
    distribution: options.distribution,
    kinds: options.kind?.split(',').map((name) => name.trim()),
    filter: options.filter === undefined ? undefined : parseFilter(options.filter),
    quick: options.quick,
  };
}

function parseIsas(text: string | undefined): Isa[] {
  const available = availableIsas();
  if (text === undefined) return [currentIsa()];
  if (text === 'all') return available;
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (!available.includes(name as Isa)) {
      throw new BenchError(
        `instruction set "${name}" is unknown or not available here; there are: ${available.join(', ')}`,
      );
    }
  }
  return available.filter((isa) => names.includes(isa));
}

function parsePlotValue({ name, plot }: Question, text: string | undefined): string {
  const values = Object.keys(plot.values);
  if (text === undefined) return values[0];
  if (!values.includes(text)) {
    throw new BenchError(`--plot-value "${text}" is none of ${name}'s; there are: ${values.join(', ')}`);
  }
  return text;
}

function parseThreads(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1024) {
    throw new BenchError(`--threads must be whole numbers from 1 to 1024, received "${text}"`);
  }
  return count;
}

function parseFilter(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new BenchError(`--filter is not a regular expression: ${messageOf(error)}`);
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
