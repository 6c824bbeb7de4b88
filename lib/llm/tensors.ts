/** The tensors of a Llama-family checkpoint by their Hugging Face names, and how they are stacked for the kernels. */
import * as check from '../check.js';
import { MAX_LAYERS, type LlamaConfig } from './config.js';
import type { LlamaShape } from './forward.js';
import { inverseFrequencies } from '../kernels/rope.js';
import type { ExpectedTensor, Stack } from './tensor-loader.js';

export type { ExpectedTensor, Stack } from './tensor-loader.js';

/** The tensors of one layer, grouped as the kernels take them. */
export interface LayerTensors {
  readonly inputNorm: ExpectedTensor;
  /** Query, key and value projections. */
  readonly qkv: Stack;
  /** Their biases, where the model has any. */
  readonly qkvBias: Stack;
  readonly output: Stack;
  readonly outputBias: Stack;
  readonly postNorm: ExpectedTensor;
  /** Gate and up projections. */
  readonly gateUp: Stack;
  readonly down: Stack;
}

/** All tensors of a model. */
export interface LlamaTensors {
  readonly embedding: Stack;
  readonly layers: readonly LayerTensors[];
  readonly finalNorm: ExpectedTensor;
  /** Empty where the embedding serves. */
  readonly head: Stack;
}

/** Name of the output matrix, which a checkpoint may hold although the configuration ties it to the embedding. */
export const HEAD_NAME = 'lm_head.weight';
/** Name of the embedding. */
export const EMBEDDING_NAME = 'model.embed_tokens.weight';

/**
 * The tensors that a model of this configuration has. Weights are [out, in].
 *
 * @param config see parseConfig
 * @throws RangeError ERR_OUT_OF_RANGE for more than 10,000 layers, in a configuration that parseConfig has not seen
 */
export function llamaTensors(config: LlamaConfig): LlamaTensors {
  const { hiddenSize: hidden, vocabSize: vocab, numHiddenLayers: layers } = config;
  if (check.positiveInteger('numHiddenLayers', layers) > MAX_LAYERS)
    throw check.rangeError('numHiddenLayers', `at most ${MAX_LAYERS}`, layers);
  return {
    embedding: [{ name: EMBEDDING_NAME, shape: [vocab, hidden] }],
    layers: Array.from({ length: layers }, (_, i) => layerTensors(config, `model.layers.${i}.`)),
    finalNorm: { name: 'model.norm.weight', shape: [hidden] },
    head: config.tieWordEmbeddings ? [] : [{ name: HEAD_NAME, shape: [vocab, hidden] }],
  };
}

function layerTensors(config: LlamaConfig, prefix: string): LayerTensors {
  const { hiddenSize: hidden, intermediateSize: wide, headDim } = config;
  const queries = config.numAttentionHeads * headDim;
  const keys = config.numKeyValueHeads * headDim;
  const norm = (name: string): ExpectedTensor => ({ name: `${prefix}${name}.weight`, shape: [hidden] });
  const matrix = (name: string, rows: number, columns: number): ExpectedTensor => ({
    name: `${prefix}${name}_proj.weight`,
    shape: [rows, columns],
  });
  const bias = (name: string, rows: number): ExpectedTensor => ({
    name: `${prefix}${name}_proj.bias`,
    shape: [rows],
  });
  const projections: [string, number][] = [
    ['self_attn.q', queries],
    ['self_attn.k', keys],
    ['self_attn.v', keys],
  ];
  return {
    inputNorm: norm('input_layernorm'),
    qkv: projections.map(([name, rows]) => matrix(name, rows, hidden)),
    qkvBias: config.attentionBias ? projections.map(([name, rows]) => bias(name, rows)) : [],
    output: [matrix('self_attn.o', hidden, queries)],
    outputBias: config.outputBias ? [bias('self_attn.o', hidden)] : [],
    postNorm: norm('post_attention_layernorm'),
    gateUp: [matrix('mlp.gate', wide, hidden), matrix('mlp.up', wide, hidden)],
    down: [matrix('mlp.down', hidden, wide)],
  };
}

/** The tensors of a model one after the other, in the order in which they are used. */
export function allTensors({ embedding, layers, finalNorm, head }: LlamaTensors): ExpectedTensor[] {
  const ofLayer = (each: LayerTensors): ExpectedTensor[] => [
    each.inputNorm,
    ...each.qkv,
    ...each.qkvBias,
    ...each.output,
    ...each.outputBias,
    each.postNorm,
    ...each.gateUp,
    ...each.down,
  ];
  return [...embedding, ...layers.flatMap(ofLayer), finalNorm, ...head];
}

/** Number of weights of a model; a tied output matrix counts once. */
export function parameterCount(config: LlamaConfig): number {
  return allTensors(llamaTensors(config)).reduce(
    (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
}

/** The sizes and constants that the forward pass takes. */
export function shapeOf(config: LlamaConfig): LlamaShape {
  return {
    hidden: config.hiddenSize,
    layers: config.numHiddenLayers,
    queryHeads: config.numAttentionHeads,
    kvHeads: config.numKeyValueHeads,
    headDim: config.headDim,
    intermediate: config.intermediateSize,
    vocab: config.vocabSize,
    eps: config.rmsNormEps,
    window: config.slidingWindow ?? 0,
    inverseFrequencies: inverseFrequencies(config.headDim, config.ropeTheta, config.ropeScaling),
  };
}
