/**
 * Training of small sequence models for the claims: contenders that differ in one block see the same examples in the same
 * order, start from the same seed and have the same learning rate, and are tested on the same fresh examples.
 */
import { countElements } from '../../lib/autograd/index.js';
import { Philox } from '../../lib/random.js';
import { renderColumns } from '../../lib/report/columns.js';
import { initSequenceModel, type Block } from '../../lib/sequence/blocks/index.js';
import type { TaskExamples } from '../../lib/sequence/tasks.js';
import { taskAccuracy, taskLoss, train } from '../../lib/sequence/trainer.js';
import { cosineSchedule, warmUp } from '../../lib/autograd/index.js';

export type Show = (line: string) => void;

/** A model that takes part. */
export interface Contender {
  name: string;
  blocks: readonly Block[];
  /** Numbers of state that decoding keeps per sequence; undefined where they grow with the length. */
  state?: number;
}

/** What is trained and tested. */
export interface Experiment {
  title: string;
  contenders: readonly Contender[];
  dModel: number;
  vocabSize: number;
  /** Positions with a learnt vector. Default 0. */
  positions?: number;
  /** Default true. */
  finalNorm?: boolean;
  /** Examples of a step. */
  task: (step: number) => TaskExamples;
  tests: readonly { name: string; examples: TaskExamples }[];
  steps: number;
  learningRate: number;
  /** Steps of a linear warm-up, after which the rate falls by a cosine to a tenth. Default: constant. */
  warmUpSteps?: number;
  seed: number;
}

/** What became of a contender. */
export interface Outcome {
  contender: Contender;
  parameters: number;
  /** Mean loss of the last steps. */
  loss: number;
  /** Steps until the mean of 50 losses was half of the first loss; undefined where it never was. */
  halfway?: number;
  /** Share of right answers in each test. */
  accuracies: number[];
  millisecondsPerStep: number;
}

/** Steps whose losses are averaged. */
const LAST_STEPS = 50;
/** Milliseconds between two lines about a training. */
const BETWEEN_LINES = 10_000;
/** Examples that are tested at a time. */
const TEST_BATCH = 100;

/**
 * Trains and tests every contender.
 *
 * @param show receives a line about every ten seconds, and a table at the end
 * @param signal ends the training; the abort reason is thrown
 */
export async function runExperiment(
  experiment: Experiment,
  show: Show,
  signal: AbortSignal,
): Promise<Outcome[]> {
  show(settingsLine(experiment));
  const outcomes: Outcome[] = [];
  for (const contender of experiment.contenders)
    outcomes.push(await runOne(experiment, contender, show, signal));
  show(renderOutcomes(experiment, outcomes));
  return outcomes;
}

function settingsLine({ title, steps, learningRate, warmUpSteps, seed, dModel, task }: Experiment): string {
  const { count, length } = task(0);
  const schedule = warmUpSteps === undefined ? '' : `, ${warmUpSteps} of them warm-up, cosine to a tenth`;
  return (
    `\n${title}: width ${dModel}, ${steps} steps of ${count} fresh examples of ${length} tokens${schedule}, ` +
    `Adam ${learningRate}, seed ${seed}`
  );
}

async function runOne(
  experiment: Experiment,
  contender: Contender,
  show: Show,
  signal: AbortSignal,
): Promise<Outcome> {
  const { vocabSize, dModel, positions, finalNorm, seed, steps, learningRate, warmUpSteps, tests } =
    experiment;
  const { blocks, name } = contender;
  const options = { vocabSize, dModel, positions, finalNorm, generator: new Philox(seed) };
  const params = initSequenceModel(blocks, options);
  let shown = performance.now();
  const recent: number[] = [];
  let first = Infinity;
  let halfway: number | undefined;
  const { milliseconds } = await train(params, (step) => taskLoss(params, blocks, experiment.task(step)), {
    steps,
    learningRate,
    schedule:
      warmUpSteps === undefined
        ? undefined
        : warmUp(warmUpSteps, cosineSchedule(steps - warmUpSteps, { from: 1, to: 0.1 })),
    signal,
    onStep: (step, loss) => {
      recent.push(loss);
      if (recent.length > LAST_STEPS) recent.shift();
      if (step === 0) first = loss;
      if (halfway === undefined && recent.length === LAST_STEPS && meanOf(recent) < first / 2)
        halfway = step + 1;
      if (performance.now() - shown < BETWEEN_LINES) return;
      shown = performance.now();
      show(`  ${name}: step ${step + 1} of ${steps}, loss ${meanOf(recent).toFixed(3)}`);
    },
  });
  return {
    contender,
    parameters: countElements(params),
    loss: meanOf(recent),
    halfway,
    accuracies: tests.map(({ examples }) =>
      accuracyInParts(examples, (part) => taskAccuracy(params, blocks, part)),
    ),
    millisecondsPerStep: milliseconds / steps,
  };
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

/** The accuracy over all examples, some at a time: parts are alike, since each example has as many targets. */
function accuracyInParts(examples: TaskExamples, accuracyOf: (part: TaskExamples) => number): number {
  const { tokens, targets, count, length } = examples;
  let right = 0;
  for (let first = 0; first < count; first += TEST_BATCH) {
    const size = Math.min(TEST_BATCH, count - first);
    const [from, to] = [first * length, (first + size) * length];
    const part = {
      ...examples,
      count: size,
      tokens: tokens.subarray(from, to),
      targets: targets.subarray(from, to),
    };
    right += size * accuracyOf(part);
  }
  return right / count;
}

/** A line per contender: size, state, loss, the step by which it was half of the first, accuracies in percent, time of a step. */
export function renderOutcomes({ tests }: Pick<Experiment, 'tests'>, outcomes: readonly Outcome[]): string {
  const head = [
    'model',
    'weights',
    'state',
    'loss',
    'half by',
    ...tests.map(({ name }) => name),
    'ms a step',
  ];
  const lines = outcomes.map(({ contender, parameters, loss, halfway, accuracies, millisecondsPerStep }) => [
    contender.name,
    String(parameters),
    contender.state === undefined ? 'grows' : String(contender.state),
    loss.toFixed(3),
    halfway === undefined ? '-' : String(halfway),
    ...accuracies.map(percent),
    millisecondsPerStep.toFixed(1),
  ]);
  return renderColumns(head, lines);
}

/** A share as it reads in tables. */
export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Examples of two tasks of one length and vocabulary, one after the other. */
export function together(a: TaskExamples, b: TaskExamples): TaskExamples {
  const joined = (x: Int32Array, y: Int32Array): Int32Array => Int32Array.from([...x, ...y]);
  return {
    ...a,
    count: a.count + b.count,
    tokens: joined(a.tokens, b.tokens),
    targets: joined(a.targets, b.targets),
  };
}
