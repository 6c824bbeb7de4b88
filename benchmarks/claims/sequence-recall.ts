/**
 * Set disjointness in both orders: causal linear attention has to keep the first list before it knows the second, so that
 * it depends on which of the two is short; prefix linear attention, of the same state, reads both before it answers.
 */
import {
  initAttentionBlock,
  initPrefixLinearAttentionBlock,
  linearAttentionBlock,
  prefixLinearAttentionBlock,
  type Block,
} from '../../lib/sequence/blocks/index.js';
import { makeDisjointSets, type TaskExamples } from '../../lib/sequence/tasks.js';
import type { Claim } from './claim.js';
import { runExperiment, together, type Experiment, type Outcome, type Show } from './sequence-training.js';

const D_MODEL = 64;
const HEADS = 2;
const HEAD_DIM = 8;
const LAYERS = 2;
const VOCAB = 256;
const SHORT = 4;
const LONG = 32;
/** Numbers of state: for each layer and head, features of 8 variables up to order 2, times values and their weights. */
const STATE = LAYERS * HEADS * 45 * (D_MODEL / HEADS + 1);

const sizes = { heads: HEADS, headDim: HEAD_DIM };
const causal: Block = {
  init: (options) => initAttentionBlock({ ...options, ...sizes }),
  apply: (params, x) => linearAttentionBlock(params, x, { heads: HEADS }),
};
const prefix: Block = {
  init: (options) => initPrefixLinearAttentionBlock({ ...options, ...sizes }),
  apply: (params, x) => prefixLinearAttentionBlock(params, x, { heads: HEADS }),
};

/** Lists of 4 and 32 of which the short one comes first, or the long one. */
function lists(shortFirst: boolean, count: number, seed: number, first = 0): TaskExamples {
  const [shortLength, longLength] = shortFirst ? [SHORT, LONG] : [LONG, SHORT];
  return makeDisjointSets({ vocabSize: VOCAB, shortLength, longLength, count, seed, first });
}

/** Two layers of either attention; half of the examples in either order. */
export function recallExperiment(steps: number): Experiment {
  const seed = 1;
  const repeated = (block: Block): Block[] => Array.from({ length: LAYERS }, () => block);
  return {
    title: `disjoint sets of ${SHORT} and ${LONG} among ${VOCAB} tokens`,
    contenders: [
      { name: 'causal linear', blocks: repeated(causal), state: STATE },
      { name: 'prefix linear (PLA)', blocks: repeated(prefix), state: STATE },
    ],
    dModel: D_MODEL,
    vocabSize: VOCAB,
    task: (step) => together(lists(true, 32, seed, 32 * step), lists(false, 32, seed + 1, 32 * step)),
    tests: [
      { name: 'short first', examples: lists(true, 1000, seed + 2) },
      { name: 'long first', examples: lists(false, 1000, seed + 3) },
    ],
    steps,
    learningRate: 3e-3,
    warmUpSteps: 100,
    seed,
  };
}

/** Trains both and compares what the order costs them. */
export async function recallClaims(show: Show, signal: AbortSignal, quick: boolean): Promise<Claim[]> {
  return claimsOf(await runExperiment(recallExperiment(quick ? 600 : 3000), show, signal));
}

/** The claims, from the accuracies of the two. */
export function claimsOf([linear, pla]: readonly Outcome[]): Claim[] {
  const gap = ({ accuracies: [short, long] }: Outcome): number => 100 * (short - long);
  return [
    {
      source: 'paper',
      text: 'causal linear attention, accuracy short list first - long first',
      stated: '> 0 points',
      measured: gap(linear),
      unit: 'points',
      atLeast: 1,
    },
    {
      source: 'softlane',
      text: 'the same gap of prefix linear attention / that of causal',
      stated: '<= 0.5',
      measured: Math.abs(gap(pla)) / gap(linear),
      unit: 'x',
      atMost: 0.5,
    },
    {
      source: 'paper',
      text: 'long list first, accuracy of prefix / causal linear attention',
      stated: '>= 1.2 x',
      measured: pla.accuracies[1] / linear.accuracies[1],
      unit: 'x',
      atLeast: 1.2,
    },
  ];
}
