import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ag from '../../lib/autograd/index.js';
import { Philox } from '../../lib/random.js';

const text = 'to be or not to be that is the question whether tis nobler in the mind to suffer ';
const letters = [...new Set(text)].sort();
const tokens = Int32Array.from(text, (letter) => letters.indexOf(letter));
const vocab = letters.length;

test('a model of pairs of letters trains to the entropy of a letter given the one before', () => {
  const [inputs, targets] = [tokens.slice(0, -1), tokens.slice(1)];
  const counts = new Map<number, Map<number, number>>();
  inputs.forEach((a, i) => {
    const row = counts.get(a) ?? new Map<number, number>();
    counts.set(a, row.set(targets[i], (row.get(targets[i]) ?? 0) + 1));
  });
  let entropy = 0;
  for (const row of counts.values()) {
    const total = [...row.values()].reduce((a, b) => a + b);
    for (const n of row.values()) entropy -= (n / inputs.length) * Math.log(n / total);
  }
  const params = { table: ag.zeros([vocab, vocab], { requiresGrad: true }) };
  const optimizer = ag.adam(params, { learningRate: 0.3 });
  const losses: number[] = [];
  for (let step = 0; step < 300; step++) {
    losses.push(
      ag.scope(() => {
        optimizer.zeroGrad();
        const loss = ag.crossEntropy(ag.embedding(params.table, inputs), targets);
        loss.backward();
        optimizer.step();
        return loss.item();
      }),
    );
  }
  expect(losses[0]).toBeCloseTo(Math.log(vocab), 5);
  // Nothing is below the entropy; what is left above it are the pairs that never occur.
  expect(losses[299]).toBeGreaterThan(entropy - 1e-6);
  expect(losses[299]).toBeLessThan(entropy + 1e-2);
});

test('a regression trains to the least squares solution', () => {
  const x = ag.randn([20, 2], { seed: 1, dtype: 'f64' });
  const y = ag.randn([20, 1], { seed: 2, dtype: 'f64' });
  // Normal equations of two unknowns.
  let [aa, ab, bb, ay, by] = [0, 0, 0, 0, 0];
  for (let i = 0; i < 20; i++) {
    const [a, b] = [x.data[2 * i], x.data[2 * i + 1]];
    [aa, ab, bb, ay, by] = [aa + a * a, ab + a * b, bb + b * b, ay + a * y.data[i], by + b * y.data[i]];
  }
  const determinant = aa * bb - ab * ab;
  const wanted = [(bb * ay - ab * by) / determinant, (aa * by - ab * ay) / determinant];
  const w = ag.zeros([1, 2], { dtype: 'f64', requiresGrad: true });
  const optimizer = ag.sgd([w], { learningRate: 0.1, momentum: 0.8, nesterov: true });
  for (let step = 0; step < 300; step++) {
    optimizer.zeroGrad();
    ag.mean(ag.square(ag.sub(ag.linear(x, w), y))).backward();
    optimizer.step();
  }
  w.data.forEach((value, i) => expect(value).toBeCloseTo(wanted[i], 10));
});

const [context, width, batch] = [6, 12, 16];

function initial(seed: number): ag.Parameters {
  const generator = new Philox(seed);
  return {
    embedding: ag.normal([vocab, width], { generator, deviation: 0.5 }),
    'norm.weight': ag.ones([width], { requiresGrad: true }),
    'mixer.log': ag.uniform([1, context, width], { generator, low: 0, high: 2 }),
    'up.weight': ag.kaiming([2 * width, width], { generator }),
    'up.bias': ag.zeros([2 * width], { requiresGrad: true }),
    'down.weight': ag.xavier([vocab, 2 * width], { generator }),
  };
}

/** Embedding, a gated recurrence over the context, norm, a hidden layer with dropout. */
function model(params: ag.Parameters, ids: Int32Array, generator: Philox): ag.Tensor {
  const embedded = ag.embedding(params.embedding, ids, [batch, context]);
  const gate = ag.sigmoid(ag.broadcastTo(params['mixer.log'], [batch, context, width]));
  const mixed = ag.linearRecurrence(gate, embedded, { form: 'gated' });
  const last = ag.reshape(ag.slice(mixed, 1, context - 1, context), [batch, width]);
  const normed = ag.rmsNorm(last, params['norm.weight']);
  const up = ag.gelu(ag.linear(normed, params['up.weight'], params['up.bias']));
  return ag.linear(ag.dropout(up, 0.1, generator), params['down.weight']);
}

interface Run {
  params: ag.Parameters;
  optimizer: ag.Optimizer;
  losses: number[];
}

const begin = (seed: number): Run => {
  const params = initial(seed);
  const groups = [
    { params: ag.subset(params, 'norm'), weightDecay: 0 },
    { params: Object.fromEntries(Object.entries(params).filter(([name]) => !name.startsWith('norm'))) },
  ];
  return { params, optimizer: ag.adamW(groups), losses: [] };
};

const schedule = ag.warmUp(5, ag.cosineSchedule(55, { to: 0.1 }));

/** Steps from one to another; what a step draws depends on its number, so that a resumed run draws the same. */
function train({ params, optimizer, losses }: Run, seed: number, from: number, to: number): void {
  for (let step = from; step < to; step++) {
    const generator = new Philox(seed, 1 + step);
    const starts = Array.from({ length: batch }, () => generator.uint32() % (tokens.length - context));
    const ids = Int32Array.from(starts.flatMap((start) => [...tokens.subarray(start, start + context)]));
    const targets = Int32Array.from(starts, (start) => tokens[start + context]);
    optimizer.learningRate = 0.02 * schedule(step);
    losses.push(
      ag.scope(() => {
        optimizer.zeroGrad();
        const loss = ag.crossEntropy(model(params, ids, generator), targets);
        loss.backward();
        ag.clipGradNorm(params, 1);
        optimizer.step();
        return loss.item();
      }),
    );
  }
}

const bits = ({ params }: Run) => Object.entries(params).map(([name, { data }]) => [name, [...data]]);

test('the same seed gives the same bits, whatever the threads, and another seed others', () => {
  const runs = [1, 1, 1, 2].map((seed, i) => {
    const run = begin(seed);
    ag.setThreads(i === 2 ? 2 : 1);
    try {
      train(run, seed, 0, 60);
    } finally {
      ag.setThreads(1);
    }
    return run;
  });
  expect(runs[0].losses[0]).toBeGreaterThan(2);
  expect(Math.min(...runs[0].losses.slice(-10))).toBeLessThan(1);
  expect(bits(runs[1])).toEqual(bits(runs[0]));
  expect(bits(runs[2])).toEqual(bits(runs[0]));
  expect(runs[1].losses).toEqual(runs[0].losses);
  expect(runs[3].losses).not.toEqual(runs[0].losses);
});

test('a run resumed from files has the bits of one that was never interrupted', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'softlane-training-'));
  try {
    const whole = begin(3);
    train(whole, 3, 0, 40);

    const first = begin(3);
    train(first, 3, 0, 17);
    await ag.saveParameters(join(folder, 'params.safetensors'), first.params);
    await ag.saveOptimizer(join(folder, 'optimizer.safetensors'), first.optimizer);

    const second = begin(4);
    ag.assignParameters(second.params, await ag.loadParameters(join(folder, 'params.safetensors')));
    await ag.loadOptimizer(join(folder, 'optimizer.safetensors'), second.optimizer);
    train(second, 3, 17, 40);
    expect(bits(second)).toEqual(bits(whole));
    expect([...first.losses, ...second.losses]).toEqual(whole.losses);
  } finally {
    await rm(folder, { recursive: true });
  }
});
