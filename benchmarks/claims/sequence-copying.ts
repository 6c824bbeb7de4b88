/** Selective copying: a scan whose steps depend on what it reads against one whose do not. */
import { initMambaBlock, mambaBlock, type Block, type MambaForm } from '../../lib/sequence/blocks/index.js';
import { makeSelectiveCopying } from '../../lib/sequence/tasks.js';
import type { Claim } from './claim.js';
import { percent, runExperiment, type Experiment, type Outcome, type Show } from './sequence-training.js';

/** A size of the task, with the accuracy that the selective scan is to reach, and its lead. */
export interface CopyingSize {
  length: number;
  data: number;
  steps: number;
  atLeast: number;
  lead: number;
}

/** The size of `--quick`, and the whole: its figures are those of the specification of the task. */
export const QUICK: CopyingSize = { length: 40, data: 6, steps: 1000, atLeast: 0.85, lead: 0.1 };
export const WHOLE: CopyingSize = { length: 96, data: 8, steps: 2000, atLeast: 0.95, lead: 0.2 };

const D_MODEL = 32;
const D_INNER = 64;
const STATE = 8;
const CONV_WIDTH = 4;
const LAYERS = 2;

function blocks(form: MambaForm): Block[] {
  const sizes = { form, dInner: D_INNER, stateSize: STATE, convWidth: CONV_WIDTH, timeStepRank: 2 };
  return Array.from({ length: LAYERS }, () => ({
    init: (options) => initMambaBlock({ ...options, ...sizes }),
    apply: mambaBlock,
  }));
}

/** Two Mamba blocks of width 32 with 64 channels of 8 numbers of state, and the same without selection. */
export function copyingExperiment({ length, data, steps }: CopyingSize): Experiment {
  const seed = 1;
  const state = LAYERS * D_INNER * (STATE + CONV_WIDTH - 1);
  const tests = [
    { name: 'accuracy', examples: makeSelectiveCopying({ length, data, count: 1000, seed: seed + 1 }) },
  ];
  return {
    title: `selective copying, ${data} tokens among ${length}`,
    contenders: [
      { name: 'S6 (selective)', blocks: blocks('selective'), state },
      { name: 'LTI', blocks: blocks('lti'), state },
    ],
    dModel: D_MODEL,
    vocabSize: 10,
    finalNorm: false,
    task: (step) => makeSelectiveCopying({ length, data, count: 64, seed, first: 64 * step }),
    tests,
    steps,
    learningRate: 3e-3,
    seed,
  };
}

/** Trains both and says whether selection makes the difference. */
export async function copyingClaims(show: Show, signal: AbortSignal, quick: boolean): Promise<Claim[]> {
  const size = quick ? QUICK : WHOLE;
  return claimsOf(size, await runExperiment(copyingExperiment(size), show, signal));
}

/** The claims, from the accuracies of the two. */
export function claimsOf(size: CopyingSize, [selective, fixed]: readonly Outcome[]): Claim[] {
  const [s6, lti] = [selective, fixed].map(({ accuracies }) => accuracies[0]);
  const task = `selective copying, ${size.data} of ${size.length}, ${size.steps} steps`;
  return [
    {
      source: 'paper',
      text: `S6, ${task}`,
      stated: `>= ${percent(size.atLeast)}`,
      measured: 100 * s6,
      unit: '%',
      atLeast: 100 * size.atLeast,
    },
    {
      source: 'paper',
      text: `S6 above LTI, ${task}`,
      stated: `>= ${100 * size.lead} points`,
      measured: 100 * (s6 - lti),
      unit: 'points',
      atLeast: 100 * size.lead,
    },
  ];
}
