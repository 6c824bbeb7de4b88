/**
 * Handwritten digits of 8 x 8 pixels as sequences of 64 tokens, read by one block of attention: softmax attention, the
 * Gaussian kernel of tied queries and keys, and SOFT, which approximates that kernel through 16 landmarks.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import {
  add,
  countElements,
  crossEntropy,
  embedding,
  exp,
  linear,
  matmul,
  mean,
  mul,
  noGrad,
  normal,
  reshape,
  rmsNorm,
  square,
  sub,
  subset,
  sum,
  tensor,
  transpose,
  under,
  uniform,
  zeros,
  cosineSchedule,
  warmUp,
  type Parameters,
  type Tensor,
} from '../../lib/autograd/index.js';
import { Philox } from '../../lib/random.js';
import {
  initAttentionBlock,
  initMlpBlock,
  initSoftAttentionBlock,
  mlpBlock,
  softAttentionBlock,
  softmaxAttentionBlock,
  type Block,
} from '../../lib/sequence/blocks/index.js';
import { distinct, range } from '../../lib/sequence/draw.js';
import { train } from '../../lib/sequence/trainer.js';
import type { Show } from './sequence-training.js';

/** Side of an image, and its pixels. */
const SIDE = 8;
const PIXELS = SIDE * SIDE;
const D_MODEL = 32;
const HEADS = 2;
/** 8 x 8 tokens and windows of 2 x 2: 16 landmarks. */
const RATIO = 2;
const TRAINING = 1297;
const BATCH = 64;

/** Images in rows of 64 pixels in [0, 1], and the digits that they show. */
export interface Digits {
  pixels: Float32Array;
  labels: Int32Array;
}

/**
 * The 1,797 images of the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine
 * Learning Repository, CC BY 4.0): for each 64 pixels from 0 to 16 and the digit, a byte each, compressed.
 *
 * @throws Error that says where the file is looked for
 */
export async function readDigits(): Promise<Digits> {
  const path = join('benchmarks', 'claims', 'data', 'digits.bin.gz');
  let bytes: Buffer;
  try {
    bytes = gunzipSync(await readFile(path));
  } catch (cause) {
    throw new Error(`${path} could not be read: the claims run in softlane's repository`, { cause });
  }
  const count = bytes.length / (PIXELS + 1);
  const pixels = new Float32Array(count * PIXELS);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const row = bytes.subarray(i * (PIXELS + 1), (i + 1) * (PIXELS + 1));
    pixels.set(
      Float32Array.from(row.subarray(0, PIXELS), (value) => value / 16),
      i * PIXELS,
    );
    labels[i] = row[PIXELS];
  }
  return { pixels, labels };
}

/** Images by their numbers. */
function select({ pixels, labels }: Digits, indices: Int32Array): Digits {
  const chosen = new Float32Array(indices.length * PIXELS);
  indices.forEach((index, i) =>
    chosen.set(pixels.subarray(index * PIXELS, (index + 1) * PIXELS), i * PIXELS),
  );
  return { pixels: chosen, labels: indices.map((index) => labels[index]) };
}

const heads = (x: Tensor, weight: Tensor): Tensor => {
  const y = linear(x, weight);
  const [batch, length, width] = y.shape;
  return transpose(reshape(y, [batch, length, HEADS, width / HEADS]), [0, 2, 1, 3]);
};

/** Attention by the whole Gaussian kernel exp(-|q_i - q_j|^2 / 2) of the scaled queries, in quadratic time. */
function gaussianBlock(params: Readonly<Parameters>, x: Tensor): Tensor {
  const normed = rmsNorm(x, params['norm.weight'], 1e-5);
  const raw = heads(normed, params['q.weight']);
  const q = mul(raw, raw.shape[3] ** -0.25);
  const v = heads(normed, params['v.weight']);
  const norms = sum(square(q), -1, { keepDims: true });
  const distances = sub(
    add(norms, transpose(norms, [0, 1, 3, 2])),
    mul(matmul(q, q, { transposeB: true }), 2),
  );
  const y = matmul(exp(mul(distances, -0.5)), v);
  const [batch, , length] = y.shape;
  return add(x, linear(reshape(transpose(y, [0, 2, 1, 3]), [batch, length, D_MODEL]), params['out.weight']));
}

/** The three attentions, by name. */
export const ATTENTIONS: Readonly<Record<string, Block>> = {
  softmax: {
    init: (options) => initAttentionBlock({ ...options, heads: HEADS }),
    apply: (params, x) => softmaxAttentionBlock(params, x, { heads: HEADS, causal: false }),
  },
  'Gaussian kernel': {
    init: (options) => initSoftAttentionBlock({ ...options, heads: HEADS }),
    apply: gaussianBlock,
  },
  'SOFT, 16 landmarks': {
    init: (options) => initSoftAttentionBlock({ ...options, heads: HEADS }),
    apply: (params, x) => softAttentionBlock(params, x, { heads: HEADS, height: SIDE, ratio: RATIO }),
  },
};

/** Parameters of a classifier: pixel, row and column of a token, one block of attention, an MLP, the mean of all tokens. */
function initClassifier(block: Block, seed: number): Parameters {
  const generator = new Philox(seed);
  const options = { dModel: D_MODEL, generator };
  const place = { deviation: 0.5, generator };
  return {
    'pixel.weight': normal([D_MODEL, 1], { generator }),
    'row.weight': normal([SIDE, D_MODEL], place),
    'column.weight': normal([SIDE, D_MODEL], place),
    ...under('attention', block.init(options)),
    ...under('mlp', initMlpBlock({ ...options, hidden: 2 * D_MODEL })),
    'head.weight': uniform([10, D_MODEL], { low: -(D_MODEL ** -0.5), high: D_MODEL ** -0.5, generator }),
    'head.bias': zeros([10], { requiresGrad: true }),
  };
}

const ROWS = Int32Array.from({ length: PIXELS }, (_, i) => Math.floor(i / SIDE));
const COLUMNS = Int32Array.from({ length: PIXELS }, (_, i) => i % SIDE);

function classify(params: Readonly<Parameters>, block: Block, { pixels }: Digits): Tensor {
  const images = pixels.length / PIXELS;
  const place = add(
    embedding(params['row.weight'], ROWS, [1, PIXELS]),
    embedding(params['column.weight'], COLUMNS, [1, PIXELS]),
  );
  const tokens = linear(tensor(pixels, { shape: [images, PIXELS, 1] }), params['pixel.weight']);
  const x = mlpBlock(subset(params, 'mlp'), block.apply(subset(params, 'attention'), add(tokens, place)));
  return linear(rmsNorm(mean(x, 1)), params['head.weight'], params['head.bias']);
}

/** What became of an attention. */
export interface DigitsOutcome {
  name: string;
  parameters: number;
  loss: number;
  accuracy: number;
  millisecondsPerStep: number;
}

/**
 * Trains a classifier with each attention on the same batches and tests it on the 500 images left out.
 *
 * @param show receives a line for each attention
 */
export async function trainOnDigits(
  steps: number,
  seed: number,
  show: Show,
  signal: AbortSignal,
): Promise<DigitsOutcome[]> {
  const all = await readDigits();
  const order = distinct(range(0, all.labels.length), all.labels.length, new Philox(seed));
  const test = select(all, order.subarray(TRAINING));
  const outcomes: DigitsOutcome[] = [];
  for (const [name, block] of Object.entries(ATTENTIONS)) {
    const params = initClassifier(block, seed);
    const { losses, milliseconds } = await train(
      params,
      (step) => {
        const chosen = distinct(order.subarray(0, TRAINING), BATCH, new Philox(seed, 1 + step));
        const batch = select(all, chosen);
        return crossEntropy(classify(params, block, batch), batch.labels);
      },
      {
        steps,
        learningRate: 3e-3,
        schedule: warmUp(50, cosineSchedule(steps - 50, { from: 1, to: 0.02 })),
        signal,
      },
    );
    const last = losses.subarray(-50);
    const outcome = {
      name,
      parameters: countElements(params),
      loss: last.reduce((total, x) => total + x, 0) / last.length,
      accuracy: accuracyOf(params, block, test),
      millisecondsPerStep: milliseconds / steps,
    };
    show(`  ${name}: loss ${outcome.loss.toFixed(3)}, accuracy ${(100 * outcome.accuracy).toFixed(1)} %`);
    outcomes.push(outcome);
  }
  return outcomes;
}

function accuracyOf(params: Readonly<Parameters>, block: Block, test: Digits): number {
  const { data } = noGrad(() => classify(params, block, test));
  let right = 0;
  test.labels.forEach((label, i) => {
    const logits = data.subarray(10 * i, 10 * i + 10);
    if (logits.indexOf(Math.max(...logits)) === label) right++;
  });
  return right / test.labels.length;
}
