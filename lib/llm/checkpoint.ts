/** Loading the weights of a Llama-family checkpoint tensor by tensor into packed matrices. */
import type { SafetensorsFile } from '../io/safetensors.js';
import type { WeightType } from '../kernels/weights.js';
import { requireAsync } from '../native.js';
import type { LlamaConfig } from './config.js';
import type { LayerWeights, LlamaWeights } from './forward.js';
import { Progress } from './progress.js';
import { checkTensor, Loader, oddities, type LoadWeightsOptions, type Stack } from './tensor-loader.js';
import { allTensors, EMBEDDING_NAME, HEAD_NAME, llamaTensors, type LayerTensors } from './tensors.js';

export type { LoadWeightsOptions } from './tensor-loader.js';

/** The weights of a model, and what was odd about their files. */
export interface LoadedWeights {
  weights: LlamaWeights;
  warnings: string[];
}

/**
 * Loads all weights of a model. Names, shapes and dtypes of every tensor are checked before the first is read.
 *
 * @param file an open checkpoint
 * @param config what its `config.json` says
 * @throws CheckpointError ERR_BAD_CHECKPOINT for a tensor that is missing, of another shape or of a dtype that is not
 *   read, or not finite where 'int8' is wanted; the abort reason; what onProgress throws
 */
export async function loadWeights(
  file: SafetensorsFile,
  config: LlamaConfig,
  options: LoadWeightsOptions = {},
): Promise<LoadedWeights> {
  requireAsync(options);
  options.signal?.throwIfAborted();
  const tensors = llamaTensors(config);
  const expected = allTensors(tensors);
  for (const each of expected) checkTensor(file, each);
  const bytes = expected.reduce((sum, { name }) => sum + file.tensors[name].bytes, 0);
  const progress = new Progress(bytes, options.onProgress);
  const loader = new Loader(file, options, progress);

  const embedding = await loader.matrix(tensors.embedding, loader.typeOf(tensors.embedding));
  const types = layerTypes(loader, tensors.layers);
  const layers: LayerWeights[] = [];
  for (const layer of tensors.layers) layers.push(await loadLayer(loader, layer, types));
  const finalNorm = await loader.vector([tensors.finalNorm]);
  const head = config.tieWordEmbeddings
    ? embedding
    : await loader.matrix(tensors.head, loader.typeOf(tensors.head));
  const warnings = await oddities(file, {
    used: expected.map(({ name }) => name),
    vocabSize: config.vocabSize,
    eosTokenIds: config.eosTokenIds,
    tied: config.tieWordEmbeddings ? [HEAD_NAME, EMBEDDING_NAME] : undefined,
    passedOver: (name) => name.endsWith('rotary_emb.inv_freq'),
    signal: options.signal,
  });
  progress.finish();
  return { weights: { layers, finalNorm, head, embedding }, warnings };
}

/** Types in memory of a layer's matrices. */
type LayerTypes = Record<'qkv' | 'output' | 'gateUp' | 'down', WeightType>;

/** The forward pass wants the same type for a matrix in all layers. */
function layerTypes(loader: Loader, layers: readonly LayerTensors[]): LayerTypes {
  const over = (key: keyof LayerTypes): WeightType => loader.typeOf(layers.flatMap((layer) => layer[key]));
  return { qkv: over('qkv'), output: over('output'), gateUp: over('gateUp'), down: over('down') };
}

async function loadLayer(loader: Loader, tensors: LayerTensors, types: LayerTypes): Promise<LayerWeights> {
  const bias = async (stack: Stack): Promise<Float32Array | undefined> =>
    stack.length > 0 ? loader.vector(stack) : undefined;
  return {
    inputNorm: await loader.vector([tensors.inputNorm]),
    qkv: await loader.matrix(tensors.qkv, types.qkv),
    qkvBias: await bias(tensors.qkvBias),
    output: await loader.matrix(tensors.output, types.output),
    outputBias: await bias(tensors.outputBias),
    postNorm: await loader.vector([tensors.postNorm]),
    gateUp: await loader.matrix(tensors.gateUp, types.gateUp),
    down: await loader.matrix(tensors.down, types.down),
  };
}
