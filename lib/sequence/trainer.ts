/** A small trainer: Adam with a schedule and clipped gradients, over a loss that is computed anew each step. */
import * as check from '../check.js';
import {
  adamW,
  backward,
  clipGradNorm,
  constantSchedule,
  crossEntropy,
  noGrad,
  scope,
  type Parameters,
  type Schedule,
  type Tensor,
} from '../autograd/index.js';
import { requireAsync } from '../native.js';
import { sequenceLogits, type Block } from './blocks/model.js';
import { NO_TARGET, type TaskExamples } from './tasks.js';

/** How parameters are trained. */
export interface TrainOptions {
  /** Steps, at least 1. */
  steps: number;
  /** Default 1e-3. */
  learningRate?: number;
  /** Factor of the learning rate at each step, from 0. Default: always 1. */
  schedule?: Schedule;
  /** Largest norm of all gradients together; longer ones are scaled down. Default 1; Infinity: never. */
  clip?: number;
  /** Decoupled weight decay of matrices (parameters of two axes or more, except A_log). Default 0. */
  weightDecay?: number;
  /** Called after each step with its number, from 0, and its loss. */
  onStep?: (step: number, loss: number) => void;
  /** Ends the training after the step in hand. */
  signal?: AbortSignal;
}

/** What training gave beside the parameters, which it changed in place. */
export interface TrainResult {
  /** Loss of each step. */
  losses: Float64Array;
  /** Time of all steps. */
  milliseconds: number;
}

/** Milliseconds of work between two turns of the event loop. */
const TURN = 50;

/**
 * Trains parameters in place.
 *
 * @param params the leaves that are trained
 * @param lossOf the loss of a step, a tensor of one element; runs in a scope of its own
 * @throws the abort reason; what lossOf throws; RangeError ERR_OUT_OF_RANGE, TypeError ERR_INVALID_ARG_TYPE
 */
export async function train(
  params: Readonly<Parameters>,
  lossOf: (step: number) => Tensor,
  options: TrainOptions,
): Promise<TrainResult> {
  const o = check.options(options);
  requireAsync({ signal: o.signal });
  const steps = check.positiveInteger('steps', o.steps);
  const rate = check.positiveNumber('learningRate', o.learningRate ?? 1e-3);
  const schedule = o.schedule ?? constantSchedule();
  const clip = o.clip ?? 1;
  const isDecayed = ([name, { shape }]: [string, Tensor]): boolean =>
    shape.length > 1 && !name.endsWith('A_log');
  const entries = Object.entries(params);
  const groups = [
    { params: Object.fromEntries(entries.filter(isDecayed)), weightDecay: o.weightDecay ?? 0 },
    { params: Object.fromEntries(entries.filter((each) => !isDecayed(each))), weightDecay: 0 },
  ];
  const optimizer = adamW(groups, { learningRate: rate });
  const losses = new Float64Array(steps);
  const started = performance.now();
  let turned = started;
  for (let step = 0; step < steps; step++) {
    o.signal?.throwIfAborted();
    optimizer.zeroGrad();
    losses[step] = scope(() => {
      const loss = lossOf(step);
      backward(loss);
      return loss.item();
    });
    if (clip < Infinity) clipGradNorm(params, clip);
    optimizer.learningRate = rate * schedule(step);
    optimizer.step();
    o.onStep?.(step, losses[step]);
    if (performance.now() - turned < TURN) continue;
    await new Promise(setImmediate);
    turned = performance.now();
  }
  return { losses, milliseconds: performance.now() - started };
}

/** Positions of a batch that have a target, and the targets. */
function wantedOf({ targets }: TaskExamples): { rows: Int32Array; wanted: Int32Array } {
  const rows = Int32Array.from(targets.keys()).filter((i) => targets[i] !== NO_TARGET);
  return { rows, wanted: rows.map((i) => targets[i]) };
}

/** Mean cross-entropy of a model at the targets of examples. */
export function taskLoss(
  params: Readonly<Parameters>,
  blocks: readonly Block[],
  examples: TaskExamples,
): Tensor {
  const { rows, wanted } = wantedOf(examples);
  const { tokens, count: batch, length } = examples;
  return crossEntropy(sequenceLogits(params, blocks, tokens, { batch, length, rows }), wanted);
}

/**
 * Share of the targets of examples that a model gives the largest logit.
 *
 * @param examples all in one batch: memory grows with their number
 */
export function taskAccuracy(
  params: Readonly<Parameters>,
  blocks: readonly Block[],
  examples: TaskExamples,
): number {
  const { rows, wanted } = wantedOf(examples);
  const { tokens, count: batch, length } = examples;
  return noGrad(() =>
    scope(() => {
      const { data, shape } = sequenceLogits(params, blocks, tokens, { batch, length, rows });
      const vocab = shape[1];
      let right = 0;
      wanted.forEach((target, row) => {
        const logits = data.subarray(row * vocab, (row + 1) * vocab);
        if (logits.every((logit, i) => i === target || logit < logits[target])) right++;
      });
      return right / wanted.length;
    }),
  );
}
