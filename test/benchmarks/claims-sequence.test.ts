import { verdictOf, type Claim } from '../../benchmarks/claims/claim.js';
import {
  claimsOf as copyingClaims,
  QUICK,
  copyingExperiment,
} from '../../benchmarks/claims/sequence-copying.js';
import { ATTENTIONS, readDigits } from '../../benchmarks/claims/sequence-digits.js';
import { claimsOf as orderClaims, ordersExperiment } from '../../benchmarks/claims/sequence-orders.js';
import { claimsOf as recallClaims, recallExperiment } from '../../benchmarks/claims/sequence-recall.js';
import {
  claimsOf as softClaims,
  lengthPlot,
  renderTimes,
  timeLengths,
} from '../../benchmarks/claims/sequence-soft.js';
import {
  renderOutcomes,
  runExperiment,
  together,
  type Outcome,
} from '../../benchmarks/claims/sequence-training.js';
import { makeSelectiveCopying } from '../../lib/sequence/tasks.js';

const outcome = (name: string, ...accuracies: number[]): Outcome => ({
  contender: { name, blocks: [] },
  parameters: 10,
  loss: 1,
  accuracies,
  millisecondsPerStep: 2,
});
const verdicts = (claims: readonly Claim[]): string[] => claims.map(verdictOf);

describe('runExperiment', () => {
  it('trains all contenders alike, shows settings and a table', async () => {
    const experiment = { ...copyingExperiment({ ...QUICK, length: 10, data: 2 }), steps: 3 };
    const shown: string[] = [];
    const outcomes = await runExperiment(
      experiment,
      (line) => shown.push(line),
      new AbortController().signal,
    );
    expect(outcomes.map(({ contender }) => contender.name)).toEqual(['S6 (selective)', 'LTI']);
    expect(outcomes.every(({ accuracies }) => accuracies[0] >= 0 && accuracies[0] <= 1)).toBe(true);
    expect(shown[0]).toMatch(/width 32, 3 steps of 64 fresh examples of 12 tokens, Adam 0\.003, seed 1$/);
    expect(shown.at(-1)).toMatch(
      /model +weights +state +loss +half by +accuracy +ms a step\nS6 \(selective\) +17472 +1408 /,
    );
  });

  it('every experiment takes a step', async () => {
    for (const experiment of [recallExperiment(1), ordersExperiment(1, 2, [1, 2])]) {
      const tests = experiment.tests.map((each) => ({ ...each, examples: experiment.task(7) }));
      const small = { ...experiment, warmUpSteps: undefined, tests };
      const outcomes = await runExperiment(small, () => {}, new AbortController().signal);
      expect(outcomes.every(({ loss }) => loss > 3 && loss < 8)).toBe(true);
    }
  });

  it('ends by its signal', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(runExperiment(recallExperiment(500), () => {}, signal)).rejects.toThrow('enough');
  });
});

it('a state that grows is said to', () => {
  const text = renderOutcomes(
    { tests: [{ name: 'a', examples: makeSelectiveCopying({ length: 2, data: 1, count: 1 }) }] },
    [outcome('softmax', 0.5)],
  );
  expect(text.split('\n')[1]).toMatch(/^softmax +10 +grows +1\.000 +- +50\.0 % +2\.0$/);
});

it('together puts one set of examples behind the other', () => {
  const [a, b] = [1, 2].map((count) => makeSelectiveCopying({ length: 4, data: 1, count, seed: count }));
  const joined = together(a, b);
  expect([joined.count, joined.tokens.length]).toEqual([3, 15]);
  expect([...joined.targets]).toEqual([...a.targets, ...b.targets]);
});

describe('claims', () => {
  it('recall: the order costs causal attention more', () => {
    expect(verdicts(recallClaims([outcome('causal', 0.4, 0.1), outcome('pla', 0.6, 0.5)]))).toEqual(
      Array(3).fill('pass'),
    );
    expect(verdicts(recallClaims([outcome('causal', 0.4, 0.395), outcome('pla', 0.6, 0.4)]))).toEqual(
      Array(3).fill('miss'),
    );
  });

  it('orders: each brings the recurrence nearer', () => {
    const all = (first: number, second: number, l2: number, softmax: number, length: number): Claim[] =>
      orderClaims([
        outcome('order 1, l2 norm', first),
        outcome('order 2, l2 norm', second),
        { ...outcome('l2norm', l2), halfway: 100 },
        outcome('softmax', softmax),
        { ...outcome('div_s', length), halfway: length < l2 ? 120 : 90 },
      ]);
    expect(verdicts(all(0.4, 0.9, 1, 0.99, 0.95))).toEqual(Array(5).fill('pass'));
    expect(verdicts(all(0.9, 0.9, 0.8, 0.85, 0.95))).toEqual(Array(5).fill('miss'));
    expect(verdicts(orderClaims([outcome('softmax', 1)]))).toEqual(Array(5).fill('not measured'));
  });

  it('copying: selection makes the difference', () => {
    expect(verdicts(copyingClaims(QUICK, [outcome('s6', 0.9), outcome('lti', 0.7)]))).toEqual([
      'pass',
      'pass',
    ]);
    expect(verdicts(copyingClaims(QUICK, [outcome('s6', 0.8), outcome('lti', 0.75)]))).toEqual([
      'miss',
      'miss',
    ]);
  });

  it('SOFT: near the others, in linear time', () => {
    const [a, b, c] = [0.95, 0.955, 0.945].map((accuracy, i) => ({
      name: String(i),
      parameters: 1,
      loss: 1,
      accuracy,
      millisecondsPerStep: 1,
    }));
    const times = [4096, 16384].map((length) => ({ length, softmax: length ** 2, soft: length }));
    expect(verdicts(softClaims([a, b, c], times, 1.5))).toEqual(['pass', 'pass', 'pass']);
    expect(verdicts(softClaims([a, b, { ...c, accuracy: 0.9 }], [], 1.5))).toEqual([
      'miss',
      'miss',
      'not measured',
    ]);
  });
});

describe('digits', () => {
  it('are 1,797 images of ten digits', async () => {
    const { pixels, labels } = await readDigits();
    expect([pixels.length, labels.length]).toEqual([1797 * 64, 1797]);
    expect(new Set(labels)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
    expect(pixels.every((x) => x >= 0 && x <= 1)).toBe(true);
    expect(Object.keys(ATTENTIONS)).toHaveLength(3);
  });
});

it('times of both attentions are positive, and drawn', () => {
  const times = timeLengths([64, 128], new AbortController().signal);
  expect(times.every(({ softmax, soft }) => softmax > 0 && soft > 0)).toBe(true);
  expect(renderTimes(times).split('\n')).toHaveLength(3);
  expect(lengthPlot(times)).toMatchObject({ data: { values: { length: 4 } } });
});
