/** The weights of a Mamba model in memory, and how they are read from a checkpoint. */
import { CheckpointError } from '../io/checkpoint-error.js';
import type { SafetensorsFile } from '../io/safetensors.js';
import type { PackedWeights } from '../kernels/weights.js';
import { Progress } from '../llm/progress.js';
import {
  checkTensor,
  Loader,
  oddities,
  type ExpectedTensor,
  type LoadWeightsOptions,
  type TensorRows,
} from '../llm/tensor-loader.js';
import { requireAsync } from '../native.js';
import type { MambaConfig } from './mamba-config.js';
import {
  allMambaTensors,
  EMBEDDING_NAMES,
  HEAD_NAME,
  mambaTensors,
  type MambaLayerTensors,
  type MambaTensors,
} from './mamba-tensors.js';

/** The weights of one layer. Vectors, the convolution, A and D are float32 whatever the matrices are. */
export interface MambaLayerWeights {
  norm: Float32Array;
  normBias?: Float32Array;
  /** [dInner, dModel] each: input of the convolution, and gate. */
  x: PackedWeights;
  z: PackedWeights;
  xBias?: Float32Array;
  zBias?: Float32Array;
  /** [dInner, convWidth], the newest input last. */
  conv: Float32Array;
  convBias?: Float32Array;
  /** [rank, dInner], [stateSize, dInner], [stateSize, dInner]. */
  lowRank: PackedWeights;
  b: PackedWeights;
  c: PackedWeights;
  /** [dInner, rank]. */
  timeStep: PackedWeights;
  timeStepBias: Float32Array;
  /** [dInner, stateSize]: -exp(A_log). */
  a: Float32Array;
  d: Float32Array;
  /** [dModel, dInner]. */
  out: PackedWeights;
  outBias?: Float32Array;
}

/** The weights of a model. */
export interface MambaWeights {
  layers: readonly MambaLayerWeights[];
  finalNorm: Float32Array;
  finalNormBias?: Float32Array;
  /** [vocabSize, dModel]; the same object as the embedding where they are tied. */
  head: PackedWeights;
  embedding: PackedWeights;
}

/** Where the parts of a layer come from: a checkpoint or a random generator. */
export interface WeightSource {
  vector(tensor: ExpectedTensor): Promise<Float32Array>;
  /** `small`: one of the projections that decide the time step, B and C, which are not rounded to int8. */
  matrix(tensor: TensorRows, small?: boolean): Promise<PackedWeights>;
}

/**
 * Loads all weights of a model. Names, shapes and dtypes of every tensor are checked before the first is read. With
 * `weights: 'int8'` the small projections x_proj and dt_proj keep the type of the file: a few percent of the bytes, and
 * the decay of the state depends on them.
 *
 * @param file an open checkpoint
 * @param config what its `config.json` says
 * @throws CheckpointError ERR_BAD_CHECKPOINT for a tensor that is missing, of another shape or of a dtype that is not
 *   read, or not finite where 'int8' is wanted; the abort reason; what onProgress throws
 */
export async function loadMambaWeights(
  file: SafetensorsFile,
  config: MambaConfig,
  options: LoadWeightsOptions = {},
): Promise<{ weights: MambaWeights; warnings: string[] }> {
  requireAsync(options);
  options.signal?.throwIfAborted();
  const tensors = mambaTensors(config, embeddingName(file));
  const expected = allMambaTensors(tensors);
  for (const each of expected) checkTensor(file, each);
  const bytes = expected.reduce((sum, { name }) => sum + file.tensors[name].bytes, 0);
  const progress = new Progress(bytes, options.onProgress);
  const loader = new Loader(file, options, progress);
  const asStored = new Loader(file, { ...options, weights: 'as-stored' }, progress);
  const source: WeightSource = {
    vector: async (tensor) => loader.vector([tensor]),
    matrix: async (tensor, small = false) => {
      const from = small && options.weights === 'int8' ? asStored : loader;
      return from.matrix([tensor], from.typeOf([tensor]));
    },
  };
  const weights = await assemble(tensors, source);
  const { vocabSize, eosTokenIds } = config;
  const warnings = await oddities(file, {
    used: expected.map(({ name }) => name),
    vocabSize,
    eosTokenIds,
    tied: config.tieEmbeddings ? [HEAD_NAME, tensors.embedding.name] : undefined,
    signal: options.signal,
  });
  progress.finish();
  return { weights, warnings };
}

function embeddingName(file: SafetensorsFile): string {
  const found = EMBEDDING_NAMES.filter((name) => file.tensors[name] !== undefined);
  if (found.length === 1) return found[0];
  throw new CheckpointError(file.path, {
    tensor: EMBEDDING_NAMES[0],
    expected: `one of ${EMBEDDING_NAMES.join(' and ')}`,
    found: found.length === 0 ? `none among ${Object.keys(file.tensors).length}` : 'both',
  });
}

/** All parts of a model, in the order of mambaTensors. */
export async function assemble(tensors: MambaTensors, source: WeightSource): Promise<MambaWeights> {
  const embedding = await source.matrix(tensors.embedding);
  const layers: MambaLayerWeights[] = [];
  for (const layer of tensors.layers) layers.push(await assembleLayer(layer, source));
  return {
    embedding,
    layers,
    finalNorm: await source.vector(tensors.finalNorm),
    finalNormBias: tensors.finalNormBias && (await source.vector(tensors.finalNormBias)),
    head: tensors.head ? await source.matrix(tensors.head) : embedding,
  };
}

async function assembleLayer(tensors: MambaLayerTensors, source: WeightSource): Promise<MambaLayerWeights> {
  const optional = async (tensor: ExpectedTensor | undefined): Promise<Float32Array | undefined> =>
    tensor && source.vector(tensor);
  const inBias = await optional(tensors.inBias);
  const inner = tensors.d.shape[0];
  const aLog = await source.vector(tensors.aLog);
  return {
    norm: await source.vector(tensors.norm),
    normBias: await optional(tensors.normBias),
    x: await source.matrix(tensors.x),
    z: await source.matrix(tensors.z),
    xBias: inBias?.slice(0, inner),
    zBias: inBias?.slice(inner),
    conv: await source.vector(tensors.conv),
    convBias: await optional(tensors.convBias),
    lowRank: await source.matrix(tensors.lowRank, true),
    b: await source.matrix(tensors.b, true),
    c: await source.matrix(tensors.c, true),
    timeStep: await source.matrix(tensors.timeStep, true),
    timeStepBias: await source.vector(tensors.timeStepBias),
    a: aLog.map((each) => -Math.exp(each)),
    d: await source.vector(tensors.d),
    out: await source.matrix(tensors.out),
    outBias: await optional(tensors.outBias),
  };
}
