import {
  batchOf,
  parametersOf,
  productFlops,
  productsOf,
  SIZES,
  tapeStep,
} from '../../../benchmarks/train/model.js';
import { productsContender, tapeContender } from '../../../benchmarks/train/contenders.js';
import { summarise } from '../../../benchmarks/train/summary.js';
import { labelOf, planOf, question } from '../../../benchmarks/train.js';
import { availableIsas } from '../../../lib/index.js';
import { runModule } from '../run-module.js';

const small = { ...SIZES, width: 32, hidden: 64, vocabulary: 30, batch: 4, length: 24 };
const [isa] = availableIsas();

describe('the step that is timed', () => {
  it('learns', () => {
    const step = tapeStep(small);
    const losses = Array.from({ length: 60 }, () => step(batchOf(small, 1)));
    expect(losses[0]).toBeCloseTo(Math.log(small.vocabulary), -1);
    expect(losses[59]).toBeLessThan(losses[0] * 0.9);
  });

  it('starts from the same parameters every time', () => {
    expect(parametersOf(small)).toEqual(parametersOf(small));
    expect(tapeStep(small)(batchOf(small, 2))).toBe(tapeStep(small)(batchOf(small, 2)));
  });

  it('has its products counted: 2 m n k each, forward once and backward twice', () => {
    const { batch, length, width } = SIZES;
    const tokens = batch * length;
    const layer = 12 * width * width + 2 * length * width;
    expect(productFlops(SIZES)).toBe(6 * tokens * (2 * layer + width * SIZES.vocabulary));
    expect(productsOf(SIZES)).toHaveLength(7);
  });

  it('agrees with TensorFlow.js, written in its ops, on both of its backends', async () => {
    const { code, stdout } = await runModule(`
      import model from './dist/cjs/benchmarks/train/model.js';
      import peer from './dist/cjs/benchmarks/train/tfjs.js';
      const sizes = ${JSON.stringify(small)};
      const own = model.tapeStep(sizes);
      const batches = [1, 2, 3].map((seed) => model.batchOf(sizes, seed));
      const losses = [batches.map((batch) => own(batch))];
      for (const backend of ['wasm', 'cpu']) {
        const tf = await peer.loadBackend(backend);
        if (typeof tf === 'string') throw new Error(tf);
        const { step, release } = peer.tfjsStep(tf, backend, sizes);
        losses.push(batches.map((batch) => step(batch)));
        release();
      }
      process.stdout.write(JSON.stringify(losses) + '\\n');
    `);
    expect(code).toBe(0);
    const [own, ...others] = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as number[][];
    for (const losses of others) losses.forEach((loss, i) => expect(loss).toBeCloseTo(own[i], 4));
  }, 60_000);
});

describe('the train question', () => {
  it('checks losses against float64, and elements of products', async () => {
    for (const make of [tapeContender, productsContender]) {
      const contender = make({ sizes: small, threads: 1 }, isa);
      contender.before?.();
      expect((await contender.check()).worst).toBeLessThanOrEqual(1);
    }
  });

  it('plans a case for each number of threads, and TensorFlow.js unless quick', async () => {
    const { cases } = await question.plan({ isas: [isa], threads: [1, 2], quick: true });
    expect(cases.map(({ label }) => label)).toEqual([
      'train 2 layers of 64, batch 24 x 128, 1 thread',
      'train 2 layers of 64, batch 24 x 128, 2 threads',
    ]);
    const open = await cases[1].open();
    expect(open.contenders.map(({ name }) => name)).toEqual(['tape', 'products']);
    await open.close?.();
    const spec = { sizes: SIZES, threads: 1 };
    expect((await planOf([spec], { isas: [isa], filter: /nothing/ })).cases).toEqual([]);
    expect(labelOf(spec)).toContain('batch 24');
    await expect(question.plan({ isas: [isa], shapes: [{ rows: 1, cols: 1 }] })).rejects.toThrow(
      'no --shapes',
    );
  });

  it('tells how many times the products at the ceiling a step takes', () => {
    const row = (contender: string, ms: number) => ({
      question: 'train',
      contender,
      case: { ...SIZES, isa: 'avx2', threads: 1 },
      medianNs: ms * 1e6,
      spread: 0,
      samples: 15,
      ofCeiling: 20 / ms,
    });
    const [table] = summarise([row('tape', 30), row('tfjs wasm', 1200)]);
    expect(table).toMatch(/tape, avx2, threads 1 .*30\.0 .*1\.50 .*1\.00/);
    expect(table).toMatch(/tfjs wasm, .*1200 .*60\.0 .*40\.0/);
  });
});
