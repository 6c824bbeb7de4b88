/**
 * The forward pass of a Llama-family decoder over rows of tokens: one native call for a step of any number of sequences.
 * Native: native/llama/forward.cc.
 */
import * as check from '../check.js';
import { dataflowFor } from '../kernels/dataflow.js';
import { WEIGHT_TYPES } from '../kernels/weights.js';
import type { PackedWeights, WeightType } from '../kernels/weights.js';
import type { Prepared } from '../native.js';

/** Weights of one layer. */
export interface LayerWeights {
  /** RMSNorm before attention: hidden. */
  inputNorm: Float32Array;
  /** Rows of q, k and v stacked: [(queryHeads + 2 kvHeads) headDim, hidden]. */
  qkv: PackedWeights;
  /** As many elements as qkv has rows. */
  qkvBias?: Float32Array;
  /** [hidden, queryHeads * headDim]. */
  output: PackedWeights;
  /** hidden elements. */
  outputBias?: Float32Array;
  /** RMSNorm before the feed-forward part: hidden. */
  postNorm: Float32Array;
  /** Rows of gate and up stacked: [2 intermediate, hidden]. */
  gateUp: PackedWeights;
  /** [hidden, intermediate]. */
  down: PackedWeights;
}

/** Weights of a decoder. */
export interface LlamaWeights {
  layers: LayerWeights[];
  finalNorm: Float32Array;
  /** [vocab, hidden]. */
  head: PackedWeights;
  /** [vocab, hidden]; the same object as head where the two are tied. */
  embedding: PackedWeights;
}

/** Sizes of a decoder, and what its layers have in common. */
export interface LlamaShape {
  hidden: number;
  layers: number;
  queryHeads: number;
  /** Divides queryHeads; query head h reads head floor(h / (queryHeads / kvHeads)). */
  kvHeads: number;
  /** Even. */
  headDim: number;
  intermediate: number;
  vocab: number;
  /** Of the RMSNorms. */
  eps: number;
  /** A token sees itself and the window - 1 before it; 0: all before it. */
  window: number;
  /** Angle of each pair of a head's elements for one position, scaled: headDim / 2 of them (half-split pairs). */
  inverseFrequencies: Float64Array;
}

/** Rows of one forward pass. */
export interface ForwardBatch {
  /** Token of each row. */
  tokens: Int32Array;
  /** The row of pageTable of each row's sequence; rows of one sequence are adjacent, their positions consecutive. */
  sequences: Int32Array;
  /** Position of each row in its sequence, from 0. */
  positions: Int32Array;
  /** [sequences, maxPages]: the pages that hold positions 0 to 15, 16 to 31, ...; -1 where there is none. */
  pageTable: Int32Array;
  maxPages: number;
  /** Rows whose logits are wanted, ascending. */
  logitRows: Int32Array;
}

/** Options of a forward pass. */
export interface ForwardOptions {
  /** Default 1. */
  threads?: number;
  /** How partial softmaxes of attention are joined; default 'online'. */
  softmax?: 'online' | 'unified' | 'pair';
  /** The unified maximum: for all layers, or one a layer; default 0. */
  phi?: number | Float64Array;
  /** Where given, each layer's sum over rows and heads of the largest score is added: layers elements. */
  scoreMaxima?: Float64Array;
}

/** What a forward pass gives. */
export interface ForwardResult {
  /** [logitRows.length, vocab]. */
  logits: Float32Array;
  /** Rows of attention (row x layer x query head) that left the range of the unified maximum and were redone. */
  fallbackRows: number;
}

/** Storage of cached keys and values; int8 has a scale for each key and each value of a head. */
export type CacheType = WeightType;

/** Tokens in a page of the cache: kPageTokens of native/attention/attention.h. */
export const PAGE_TOKENS = 16;

const BYTES: Record<CacheType, number> = { f32: 4, bf16: 2, f16: 2, int8: 1 };

/** Bytes of a page: PAGE_TOKENS tokens of all layers, heads, keys and values, and the scales of int8. */
export function pageBytes(
  shape: { layers: number; kvHeads: number; headDim: number },
  type: CacheType,
): number {
  const scales = type === 'int8' ? 4 : 0;
  return shape.layers * shape.kvHeads * 2 * PAGE_TOKENS * (shape.headDim * BYTES[type] + scales);
}

/** Arrays of a matrix as the native pass takes them. */
const matrix = (w: PackedWeights): [PackedWeights['data'], Float32Array] => [w.data, w.scales];
const NONE = new Float32Array(0);

/** The weights in the order of the native pass, and their types; found once for each model. */
interface Flat {
  arrays: (Float32Array | PackedWeights['data'])[];
  types: number[];
}
const flattened = new WeakMap<LlamaWeights, Flat>();

function flatten(weights: LlamaWeights): Flat {
  let flat = flattened.get(weights);
  if (flat) return flat;
  const [first] = weights.layers;
  const kinds = ['qkv', 'output', 'gateUp', 'down'] as const;
  weights.layers.forEach((layer, i) => {
    for (const kind of kinds) {
      if (layer[kind].type !== first[kind].type)
        throw check.rangeError(
          `layers[${i}].${kind}`,
          `of type '${first[kind].type}', as in layer 0`,
          layer[kind].type,
        );
    }
  });
  const arrays = weights.layers.flatMap((layer) => [
    layer.inputNorm,
    ...matrix(layer.qkv),
    layer.qkvBias ?? NONE,
    ...matrix(layer.output),
    layer.outputBias ?? NONE,
    layer.postNorm,
    ...matrix(layer.gateUp),
    ...matrix(layer.down),
  ]);
  arrays.push(weights.finalNorm, ...matrix(weights.head), ...matrix(weights.embedding));
  const all = [...kinds.map((kind) => first[kind]), weights.head, weights.embedding];
  flat = { arrays, types: all.map(({ type }) => WEIGHT_TYPES.indexOf(type)) };
  flattened.set(weights, flat);
  return flat;
}

/** Inflection points of the five products of a layer and the logits. */
function points(weights: LlamaWeights, threads: number): number[] {
  const [layer] = weights.layers;
  return [layer.qkv, layer.output, layer.gateUp, layer.down, weights.head].flatMap(({ n, k, type }) => {
    const { m1, m2 } = dataflowFor({ n, k, type, packed: true, threads });
    return [m1, m2];
  });
}

/**
 * Prepares a forward pass for `blocking` or `promised`. For every row the key (after rotation) and value of each layer are
 * written to the cache at the row's position, then attention runs over positions 0 to that of the row. A row's logits
 * depend on the tokens of its own sequence alone, bit for bit: not on other rows, on how a prompt is cut, or on threads.
 *
 * @param slabs the cache: page p lies at p * pageBytes of their concatenation; each holds whole pages, all the same number
 * @throws RangeError for tokens outside the vocabulary, positions without a page, pages outside the slabs
 */
export function prepareForward(
  shape: LlamaShape,
  weights: LlamaWeights,
  slabs: Uint8Array[],
  cacheType: CacheType,
  batch: ForwardBatch,
  options: ForwardOptions = {},
): Prepared<ForwardResult> {
  const threads = options.threads ?? 1;
  const { arrays, types } = flatten(weights);
  const sizes = Float64Array.of(
    shape.hidden,
    shape.layers,
    shape.queryHeads,
    shape.kvHeads,
    shape.headDim,
    shape.intermediate,
    shape.vocab,
    shape.eps,
    shape.window,
    batch.maxPages,
    ...types,
    ...points(weights, threads),
  );
  const phi =
    options.phi instanceof Float64Array ? options.phi : new Float64Array(shape.layers).fill(options.phi ?? 0);
  const logits = new Float32Array(batch.logitRows.length * shape.vocab);
  const args = [
    arrays,
    slabs,
    sizes,
    shape.inverseFrequencies,
    batch.tokens,
    batch.sequences,
    batch.positions,
    batch.pageTable,
    batch.logitRows,
    phi,
    options.scoreMaxima,
    logits,
    cacheType,
    options.softmax ?? 'online',
    threads,
  ];
  return {
    operation: 'llamaForward',
    args,
    result: (returned) => ({ logits, fallbackRows: returned as number }),
  };
}
