/**
 * Associative recall by the exponential cut off after some terms: each order brings the recurrence nearer to softmax; and
 * what may stand in the place of softmax's denominator.
 */
import {
  attentionVariantBlock,
  initAttentionBlock,
  initShortConvolutionBlock,
  recurrentSoftmaxBlock,
  shortConvolutionBlock,
  softmaxAttentionBlock,
  type Block,
  type PlainVariant,
} from '../../lib/sequence/blocks/index.js';
import { makeMqar } from '../../lib/sequence/tasks.js';
import type { Claim } from './claim.js';
import {
  runExperiment,
  type Contender,
  type Experiment,
  type Outcome,
  type Show,
} from './sequence-training.js';

const D_MODEL = 32;
const HEADS = 2;
const VOCAB = 64;

/** Binds a value to the key before it. */
const convolution: Block = {
  init: (options) => initShortConvolutionBlock(options),
  apply: shortConvolutionBlock,
};
const init: Block['init'] = (options) => initAttentionBlock({ ...options, heads: HEADS });

/** Features of 16 variables up to an order, times values and their weights, for each head. */
function stateOf(order: number): number {
  let features = 1;
  for (let n = 1; n <= order; n++) features = (features * (D_MODEL / HEADS + n)) / n;
  return HEADS * features * (D_MODEL / HEADS + 1);
}

const order = (n: number): Contender => ({
  name: `order ${n}, l2 norm`,
  blocks: [
    convolution,
    {
      init,
      apply: (params, x) => recurrentSoftmaxBlock(params, x, { heads: HEADS, order: n, normalization: 'l2' }),
    },
  ],
  state: stateOf(n),
});

const variant = (name: PlainVariant): Contender => ({
  name,
  blocks: [
    convolution,
    { init, apply: (params, x) => attentionVariantBlock(params, x, { heads: HEADS, variant: name }) },
  ],
});

/** Softmax attention by its fast kernel. */
const softmax: Contender = {
  name: 'softmax',
  blocks: [convolution, { init, apply: (params, x) => softmaxAttentionBlock(params, x, { heads: HEADS }) }],
};

/** One short convolution and one attention layer of two heads of 16. */
export function ordersExperiment(steps: number, pairs: number, orders: readonly number[]): Experiment {
  const seed = 1;
  const task = { vocabSize: VOCAB, pairs, length: 4 * pairs };
  return {
    title: `associative recall of ${pairs} pairs among ${VOCAB} tokens`,
    contenders: [...orders.map(order), softmax, variant('l2norm'), variant('div_s')],
    dModel: D_MODEL,
    vocabSize: VOCAB,
    task: (step) => makeMqar({ ...task, count: 64, seed, first: 64 * step }),
    tests: [{ name: 'accuracy', examples: makeMqar({ ...task, count: 1000, seed: seed + 1 }) }],
    steps,
    learningRate: 5e-3,
    warmUpSteps: 100,
    seed,
  };
}

/** Trains all and compares them. */
export async function orderClaims(show: Show, signal: AbortSignal, quick: boolean): Promise<Claim[]> {
  const experiment = quick ? ordersExperiment(450, 8, [1, 2]) : ordersExperiment(800, 16, [1, 2, 3]);
  return claimsOf(await runExperiment(experiment, show, signal));
}

/** The claims, from the accuracies by name. */
export function claimsOf(outcomes: readonly Outcome[]): Claim[] {
  const accuracy = (name: string): number => {
    const found = outcomes.find(({ contender }) => contender.name === name);
    return found === undefined ? NaN : 100 * found.accuracies[0];
  };
  const halfway = (name: string): number =>
    outcomes.find(({ contender }) => contender.name === name)?.halfway ?? Infinity;
  const points = (
    text: string,
    stated: string,
    measured: number,
    bounds: Pick<Claim, 'atLeast' | 'atMost'>,
  ): Claim => ({
    source: 'paper',
    text: `recall, ${text}`,
    stated,
    measured,
    unit: 'points',
    ...bounds,
  });
  const [first, second] = [accuracy('order 1, l2 norm'), accuracy('order 2, l2 norm')];
  const [l2, whole, byLength] = ['l2norm', 'softmax', 'div_s'].map(accuracy);
  return [
    points('order 2 - order 1', '> 0', second - first, { atLeast: 0.5 }),
    points('softmax - order 2', '>= 0', whole - second, { atLeast: -0.5 }),
    points('|l2norm - softmax|', '<= 2', Math.abs(l2 - whole), { atMost: 2 }),
    points('l2norm - div_s, once both are trained', '>= 0', l2 - byLength, { atLeast: -0.5 }),
    {
      source: 'paper',
      text: 'recall, steps to half of the first loss, div_s / l2norm',
      stated: '> 1 x',
      measured: halfway('div_s') / halfway('l2norm'),
      unit: 'x',
      atLeast: 1,
    },
  ];
}
