/** Weights drawn at random: models of any size for benchmarks and tests, without a file. */
import { totalmem } from 'node:os';
import * as check from '../check.js';
import { f32ToBf16Async, f32ToF16Async } from '../kernels/convert.js';
import { PackedWeights, packWeightRowsAsync, WEIGHT_TYPES, type WeightType } from '../kernels/weights.js';
import { requireAsync, type AsyncOptions } from '../native.js';
import { Philox } from '../random.js';
import type { LlamaConfig } from './config.js';
import type { LayerWeights, LlamaWeights } from './forward.js';
import { Progress } from './progress.js';
import { allTensors, llamaTensors, parameterCount, type ExpectedTensor, type Stack } from './tensors.js';

/** How weights are drawn. */
export interface RandomWeightsOptions extends AsyncOptions {
  /** Integer from 0 to 2^53 - 1. Default 0. */
  seed?: number;
  /** What matrices are stored as. Default 'bf16'. */
  weights?: WeightType;
  /** Standard deviation of weights and biases, greater than 0; norms are 1. Default 0.02. */
  deviation?: number;
  /** Most threads that pack. Default 1. */
  threads?: number;
}

/** Numbers drawn once: a prime, so that a place in the pool is seldom the same column of a matrix twice. */
const POOL = 2_097_143;
/** Numbers drawn without letting other events through. */
const TURN = 1 << 16;
/** Most elements packed at a time, unless a row has more. */
const BLOCK = 1 << 20;
/** Rows of a panel of packed weights. */
const PANEL_ROWS = 32;
const BYTES: Readonly<Record<WeightType, number>> = { f32: 4, bf16: 2, f16: 2, int8: 1 };

/**
 * Normal weights of mean 0. Drawing a billion numbers would take minutes, so 2,097,143 are drawn once (Philox; the seed
 * alone decides), and each block of a matrix, up to 2^20 elements, is copied from that pool from a random place on. Memory
 * is filled at the speed of packing. Within a block no number comes twice; in a matrix of many blocks a row may.
 *
 * @param config a model's configuration
 * @throws RangeError for a model that is larger than the machine's memory, before anything is allocated; the abort reason; what onProgress throws
 */
export async function randomWeights(
  config: LlamaConfig,
  options: RandomWeightsOptions = {},
): Promise<LlamaWeights> {
  const { seed = 0, weights = 'bf16', deviation = 0.02, threads, signal, onProgress } = options;
  requireAsync(options);
  check.oneOf('weights', weights, WEIGHT_TYPES);
  check.positiveNumber('deviation', deviation);
  const tensors = llamaTensors(config);
  const bytes = parameterCount(config) * BYTES[weights];
  if (!(bytes <= totalmem()))
    throw check.rangeError(
      'config',
      `that of a model which ${totalmem()} bytes of memory hold`,
      `${bytes} bytes`,
    );
  const widest = Math.max(...allTensors(tensors).map(({ shape }) => shape[shape.length - 1]));
  const pool = await poolOf(new Philox(seed), deviation, weights, Math.max(BLOCK, widest), signal);
  const places = new Philox(seed, 1);
  const progress = new Progress(parameterCount(config), onProgress);

  const matrix = async (stack: Stack): Promise<PackedWeights> => {
    const n = stack.reduce((sum, { shape }) => sum + shape[0], 0);
    const k = stack[0].shape[1];
    const target = PackedWeights.allocate({ n, k, type: weights });
    const fitting = Math.max(1, Math.floor(BLOCK / k));
    const step = fitting > PANEL_ROWS ? fitting - (fitting % PANEL_ROWS) : fitting;
    for (let row = 0; row < n; row += step) {
      signal?.throwIfAborted();
      const rows = Math.min(step, n - row);
      const from = places.uint32() % POOL;
      const block = pool.data.subarray(from, from + rows * k);
      await packWeightRowsAsync(target, block, { row, rows, type: pool.type, threads });
      progress.advance(rows * k);
    }
    return target;
  };
  const bias = (stack: Stack): Float32Array | undefined => {
    if (stack.length === 0) return undefined;
    const drawn = new Philox(places.uint32()).normal(
      new Float32Array(stack.reduce((sum, { shape }) => sum + shape[0], 0)),
    );
    return drawn.map((each) => each * deviation);
  };
  const norm = ({ shape }: ExpectedTensor): Float32Array => new Float32Array(shape[0]).fill(1);

  const embedding = await matrix(tensors.embedding);
  const layers: LayerWeights[] = [];
  for (const layer of tensors.layers)
    layers.push({
      inputNorm: norm(layer.inputNorm),
      qkv: await matrix(layer.qkv),
      qkvBias: bias(layer.qkvBias),
      output: await matrix(layer.output),
      outputBias: bias(layer.outputBias),
      postNorm: norm(layer.postNorm),
      gateUp: await matrix(layer.gateUp),
      down: await matrix(layer.down),
    });
  const head = config.tieWordEmbeddings ? embedding : await matrix(tensors.head);
  progress.finish();
  return { layers, finalNorm: norm(tensors.finalNorm), head, embedding };
}

/** The pool in the type that is stored (int8 is rounded from bf16), gone on with from its start for `reach` numbers more. */
async function poolOf(
  philox: Philox,
  deviation: number,
  weights: WeightType,
  reach: number,
  signal: AbortSignal | undefined,
): Promise<{ data: Float32Array | Uint16Array; type: Exclude<WeightType, 'int8'> }> {
  const pool = new Float32Array(POOL + reach);
  for (let at = 0; at < POOL; at += TURN) {
    signal?.throwIfAborted();
    const piece = philox.normal(pool.subarray(at, Math.min(POOL, at + TURN)));
    for (let i = 0; i < piece.length; i++) piece[i] *= deviation;
    await new Promise(setImmediate);
  }
  for (let at = POOL; at < pool.length; at += POOL) pool.copyWithin(at, 0, Math.min(POOL, pool.length - at));
  if (weights === 'f32') return { data: pool, type: 'f32' };
  if (weights === 'f16') return { data: await f32ToF16Async(pool), type: 'f16' };
  return { data: await f32ToBf16Async(pool), type: 'bf16' };
}
