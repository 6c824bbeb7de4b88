/** The tensors of a Mamba checkpoint by their public names, and how the kernels want them. */
import type { ExpectedTensor, TensorRows } from '../llm/tensor-loader.js';
import type { MambaConfig } from './mamba-config.js';

/** The tensors of one layer. Parts of one tensor share its name. */
export interface MambaLayerTensors {
  readonly norm: ExpectedTensor;
  /** Of LayerNorm. */
  readonly normBias?: ExpectedTensor;
  /** Rows of in_proj that make the input of the convolution, and those that make the gate. */
  readonly x: TensorRows;
  readonly z: TensorRows;
  readonly inBias?: ExpectedTensor;
  /** [dInner, 1, width]. */
  readonly conv: ExpectedTensor;
  readonly convBias?: ExpectedTensor;
  /** Rows of x_proj: time step in its low rank, B, C. */
  readonly lowRank: TensorRows;
  readonly b: TensorRows;
  readonly c: TensorRows;
  readonly timeStep: ExpectedTensor;
  readonly timeStepBias: ExpectedTensor;
  readonly aLog: ExpectedTensor;
  readonly d: ExpectedTensor;
  readonly out: ExpectedTensor;
  readonly outBias?: ExpectedTensor;
}

/** All tensors of a model. */
export interface MambaTensors {
  readonly embedding: TensorRows;
  readonly layers: readonly MambaLayerTensors[];
  readonly finalNorm: ExpectedTensor;
  readonly finalNormBias?: ExpectedTensor;
  /** Absent where the embedding serves. */
  readonly head?: TensorRows;
}

/** Name of the output matrix, which a checkpoint may hold although the configuration ties it to the embedding. */
export const HEAD_NAME = 'lm_head.weight';
/** Names of the embedding: that of the `mamba_ssm` package and that of transformers. */
export const EMBEDDING_NAMES = ['backbone.embedding.weight', 'backbone.embeddings.weight'] as const;

/**
 * The tensors that a model of this configuration has. Matrices are [out, in].
 *
 * @param config see parseMambaConfig
 * @param embedding name of the embedding in the file
 */
export function mambaTensors(config: MambaConfig, embedding: string = EMBEDDING_NAMES[0]): MambaTensors {
  const { dModel, vocabSize, paddedVocabSize, tieEmbeddings } = config;
  // Rows of padding are not loaded: no token is drawn from them.
  const vocabulary = (name: string): TensorRows => ({
    name,
    shape: [paddedVocabSize, dModel],
    rows: vocabSize,
  });
  const norm = 'backbone.norm_f.';
  return {
    embedding: vocabulary(embedding),
    layers: Array.from({ length: config.numLayers }, (_, i) => layerTensors(config, `backbone.layers.${i}.`)),
    finalNorm: { name: `${norm}weight`, shape: [dModel] },
    ...(!config.rmsNorm && { finalNormBias: { name: `${norm}bias`, shape: [dModel] } }),
    ...(!tieEmbeddings && { head: vocabulary(HEAD_NAME) }),
  };
}

function layerTensors(config: MambaConfig, prefix: string): MambaLayerTensors {
  const { dModel, dInner, stateSize, convWidth, timeStepRank: rank } = config;
  const mixer = (name: string, ...shape: number[]): ExpectedTensor => ({
    name: `${prefix}mixer.${name}`,
    shape,
  });
  const input = mixer('in_proj.weight', 2 * dInner, dModel);
  const selection = mixer('x_proj.weight', rank + 2 * stateSize, dInner);
  return {
    norm: { name: `${prefix}norm.weight`, shape: [dModel] },
    ...(!config.rmsNorm && { normBias: { name: `${prefix}norm.bias`, shape: [dModel] } }),
    x: { ...input, first: 0, rows: dInner },
    z: { ...input, first: dInner, rows: dInner },
    ...(config.projectionBias && {
      inBias: mixer('in_proj.bias', 2 * dInner),
      outBias: mixer('out_proj.bias', dModel),
    }),
    conv: mixer('conv1d.weight', dInner, 1, convWidth),
    ...(config.convBias && { convBias: mixer('conv1d.bias', dInner) }),
    lowRank: { ...selection, first: 0, rows: rank },
    b: { ...selection, first: rank, rows: stateSize },
    c: { ...selection, first: rank + stateSize, rows: stateSize },
    timeStep: mixer('dt_proj.weight', dInner, rank),
    timeStepBias: mixer('dt_proj.bias', dInner),
    aLog: mixer('A_log', dInner, stateSize),
    d: mixer('D', dInner),
    out: mixer('out_proj.weight', dModel, dInner),
  };
}

/** The tensors of a model, each once, in the order in which they are used. */
export function allMambaTensors({
  embedding,
  layers,
  finalNorm,
  finalNormBias,
  head,
}: MambaTensors): ExpectedTensor[] {
  const listed = [
    embedding,
    ...layers.flatMap((each): (ExpectedTensor | undefined)[] => [
      each.norm,
      each.normBias,
      each.x,
      each.inBias,
      each.conv,
      each.convBias,
      each.lowRank,
      each.timeStep,
      each.timeStepBias,
      each.aLog,
      each.d,
      each.out,
      each.outBias,
    ]),
    finalNorm,
    finalNormBias,
    head,
  ];
  return listed.filter((each) => each !== undefined).map(({ name, shape }) => ({ name, shape }));
}

/** Number of weights of a model, padding included; a tied output matrix counts once. */
export function mambaParameterCount(config: MambaConfig): number {
  return allMambaTensors(mambaTensors(config)).reduce(
    (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
}
