/** Weights of a Mamba model drawn at random: models for tests, benchmarks and a start of training, without a file. */
import { totalmem } from 'node:os';
import * as check from '../check.js';
import { packWeightsAsync, WEIGHT_TYPES, type WeightType } from '../kernels/weights.js';
import { Progress } from '../llm/progress.js';
import type { TensorRows } from '../llm/tensor-loader.js';
import { requireAsync, type AsyncOptions } from '../native.js';
import { Philox } from '../random.js';
import type { MambaConfig } from './mamba-config.js';
import { EMBEDDING_NAMES, HEAD_NAME, mambaParameterCount, mambaTensors } from './mamba-tensors.js';
import { assemble, type MambaWeights } from './mamba-weights.js';

/** How random weights are drawn. */
export interface RandomMambaOptions extends AsyncOptions {
  /** Integer from 0 to 2^53 - 1. Default 0. */
  seed?: number;
  /** What matrices are stored as. Default 'f32'. */
  weights?: WeightType;
  /** Most threads that pack. Default 1. */
  threads?: number;
}

/** Standard deviation of the embedding. */
const EMBEDDING_DEVIATION = 0.02;

/**
 * Random weights by the initialisation of the paper's code: A_log[n] = log(n + 1), D = 1, norms 1, the time step's bias so
 * that softplus of it is log-uniform in [0.001, 0.1], its projection uniform within rank^-1/2, the embedding normal of
 * deviation 0.02, everything else uniform within (columns)^-1/2, the output projection divided by the square root of the
 * number of layers. The seed and the tensor's place alone decide.
 *
 * @throws RangeError for a model that is larger than the machine's memory, before anything is allocated; the abort reason;
 *   what onProgress throws
 */
export async function randomMambaWeights(
  config: MambaConfig,
  options: RandomMambaOptions = {},
): Promise<MambaWeights> {
  const { seed = 0, weights: type = 'f32', threads, signal, onProgress } = options;
  requireAsync(options);
  check.oneOf('weights', type, WEIGHT_TYPES);
  const count = mambaParameterCount(config);
  if (!(4 * count <= totalmem()))
    throw check.rangeError(
      'config',
      `that of a model which ${totalmem()} bytes of memory hold`,
      `${count} weights`,
    );
  const progress = new Progress(count, onProgress);
  let stream = 0;
  const draw = async (tensor: TensorRows): Promise<Float32Array> => {
    signal?.throwIfAborted();
    await new Promise(setImmediate); // drawing blocks; other events come between tensors
    const values = drawn(tensor, config, new Philox(seed, stream++));
    progress.advance(values.length);
    return values;
  };
  const weights = await assemble(mambaTensors(config), {
    vector: draw,
    matrix: async (tensor, small = false) => {
      const values = await draw(tensor);
      const [n, k] = [values.length / tensor.shape[1], tensor.shape[1]];
      return packWeightsAsync(values, { n, k, to: small && type === 'int8' ? 'f32' : type, threads });
    },
  });
  progress.finish();
  return weights;
}

/** A tensor, or rows of one, of a model that has not been trained. */
function drawn(
  { name, shape, first = 0, rows = shape[0] - first }: TensorRows,
  config: MambaConfig,
  random: Philox,
): Float32Array {
  const rowLength = shape.slice(1).reduce((product, n) => product * n, 1);
  const values = new Float32Array(rows * rowLength);
  if (name.endsWith('A_log')) return values.map((_, i) => Math.log((i % config.stateSize) + 1));
  if (name.endsWith('.D') || /norm(_f)?\.weight$/.test(name)) return values.fill(1);
  if (/norm(_f)?\.bias$/.test(name)) return values;
  if (name.endsWith('dt_proj.bias')) return timeStepBias(values, random);
  if (name.endsWith('dt_proj.weight')) return within(values, config.timeStepRank ** -0.5, random);
  if ((EMBEDDING_NAMES as readonly string[]).includes(name) || name === HEAD_NAME)
    return random.normal(values).map((each) => EMBEDDING_DEVIATION * each);
  const columns = {
    'conv1d.bias': config.convWidth,
    'in_proj.bias': config.dModel,
    'out_proj.bias': config.dInner,
  };
  const own = Object.entries(columns).find(([ending]) => name.endsWith(ending));
  const bound = (own ? own[1] : rowLength) ** -0.5;
  return within(
    values,
    name.endsWith('out_proj.weight') ? bound / Math.sqrt(config.numLayers) : bound,
    random,
  );
}

const within = (values: Float32Array, bound: number, random: Philox): Float32Array =>
  random.uniform(values, -bound, bound);

/** The inverse of softplus at time steps that are log-uniform in [0.001, 0.1], at least 1e-4. */
function timeStepBias(values: Float32Array, random: Philox): Float32Array {
  return random.uniform(values, Math.log(0.001), Math.log(0.1)).map((logStep) => {
    const step = Math.max(Math.exp(logStep), 1e-4);
    return step + Math.log(-Math.expm1(-step));
  });
}
