import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mul, saveParameters, square, sub, sum, tensor } from '../../lib/autograd/index.js';
import { Philox } from '../../lib/random.js';
import {
  initMambaBlock,
  initSequenceModel,
  mambaBlock,
  sequenceLogits,
  type Block,
} from '../../lib/sequence/blocks/index.js';
import { MambaModel } from '../../lib/sequence/index.js';
import { makeMqar, makeSelectiveCopying } from '../../lib/sequence/tasks.js';
import { taskAccuracy, taskLoss, train } from '../../lib/sequence/trainer.js';
import { expectClose } from '../helpers/compare.js';
import { expectRejected } from '../helpers/refused.js';

const mamba: Block = {
  init: (o) => initMambaBlock({ ...o, stateSize: 4 }),
  apply: mambaBlock,
};

describe('train', () => {
  it('finds the minimum of a parabola, and tells the losses', async () => {
    const x = tensor([3, -2], { requiresGrad: true });
    const target = tensor([1, 1]);
    const seen: number[] = [];
    const { losses, milliseconds } = await train({ x }, () => sum(square(sub(x, target))), {
      steps: 300,
      learningRate: 0.1,
      clip: Infinity,
      schedule: (step) => 1 - step / 300,
      onStep: (_step, loss) => seen.push(loss),
    });
    expectClose(x.data, [1, 1], () => 1e-2);
    expect(Array.from(losses)).toEqual(seen);
    expect(losses[0]).toBe(13);
    expect(milliseconds).toBeGreaterThan(0);
  });

  it('decays matrices, but neither vectors nor A_log', async () => {
    const leaf = (shape: number[]) => tensor(new Float32Array(4).fill(1), { shape, requiresGrad: true });
    const params = { matrix: leaf([2, 2]), vector: leaf([4]), 'mixer.A_log': leaf([2, 2]) };
    const still = tensor([0, 0, 0, 0]);
    const loss = () =>
      sum(
        Object.values(params)
          .map((each) => sum(mul(each, 0)))
          .reduce((a, b) => sub(a, b), sum(still)),
      );
    await train(params, loss, { steps: 2, learningRate: 0.1, weightDecay: 0.5 });
    expect([params.vector.data[0], params['mixer.A_log'].data[0]]).toEqual([1, 1]);
    expect(params.matrix.data[0]).toBeCloseTo(0.95 ** 2, 6);
  });

  it('learns a task, bit for bit the same for the same seed', async () => {
    const run = async (): Promise<{ losses: Float64Array; accuracy: number }> => {
      const params = initSequenceModel([mamba], { vocabSize: 10, dModel: 16, generator: new Philox(1) });
      const task = (step: number) =>
        makeSelectiveCopying({ length: 8, data: 2, count: 16, first: 16 * step });
      const { losses } = await train(params, (step) => taskLoss(params, [mamba], task(step)), {
        steps: 60,
        learningRate: 0.01,
      });
      const examples = makeSelectiveCopying({ length: 8, data: 2, count: 100, seed: 9 });
      return { losses, accuracy: taskAccuracy(params, [mamba], examples) };
    };
    const first = await run();
    const mean = (values: Float64Array): number => values.reduce((s, x) => s + x, 0) / values.length;
    expect(mean(first.losses.subarray(-10))).toBeLessThan(0.8 * mean(first.losses.subarray(0, 10)));
    expect(first.accuracy).toBeGreaterThan(0.2);
    expect(await run()).toEqual(first);
  });

  it('ends by its signal, and refuses bad options', async () => {
    const x = tensor([1], { requiresGrad: true });
    const controller = new AbortController();
    const stop = async (): Promise<unknown> =>
      train({ x }, () => sum(square(x)), {
        steps: 1000,
        signal: controller.signal,
        onStep: (step) => step === 3 && controller.abort(new Error('enough')),
      });
    await expect(stop()).rejects.toThrow('enough');
    await expectRejected(async () => train({ x }, () => sum(x), { steps: 0 }), 'range', 'steps');
    await expectRejected(
      async () => train({ x }, () => sum(x), { steps: 1, learningRate: -1 }),
      'range',
      'learningRate',
    );
  });
});

test('accuracy counts the largest logit, and a tie as wrong', () => {
  const params = initSequenceModel([], { vocabSize: 16, dModel: 2, generator: new Philox(1) });
  const examples = makeMqar({ vocabSize: 16, pairs: 2, count: 20 });
  params['head.weight'].data.fill(0);
  expect(taskAccuracy(params, [], examples)).toBe(0);
});

test('what is trained here is a checkpoint that MambaModel reads', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'softlane-trained-'));
  try {
    const generator = new Philox(4);
    const blocks = [mamba, mamba];
    const params = initSequenceModel(blocks, { vocabSize: 24, dModel: 16, generator });
    const tokens = Int32Array.from({ length: 12 }, (_, i) => (7 * i) % 24);
    const renamed = Object.fromEntries(
      Object.entries(params).map(([name, value]) => [
        name
          .replace(/^blocks\./, 'backbone.layers.')
          .replace(/^norm\./, 'backbone.norm_f.')
          .replace(/^embedding\./, 'backbone.embedding.')
          .replace(/^head\./, 'lm_head.'),
        value,
      ]),
    );
    await saveParameters(join(folder, 'model.safetensors'), renamed);
    const config = {
      d_model: 16,
      n_layer: 2,
      vocab_size: 24,
      ssm_cfg: { d_state: 4 },
      tie_embeddings: false,
    };
    await writeFile(join(folder, 'config.json'), JSON.stringify(config));
    const model = await MambaModel.load(folder);
    expect(model.warnings).toEqual([]);
    const expected = sequenceLogits(params, blocks, tokens, { batch: 1, length: 12 }).data;
    const largest = Math.max(...Array.from(expected, Math.abs));
    const logits = await model.prefill(model.createState(), tokens, { logits: 'all' });
    expectClose(logits, expected, () => 1e-4 * largest);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
