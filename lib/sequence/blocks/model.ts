/** Language models on the tape: an embedding, blocks one after the other, an output matrix. */
import * as check from '../../check.js';
import {
  add,
  embedding,
  linear,
  normal,
  reshape,
  rmsNorm,
  subset,
  under,
  type Parameters,
  type Tensor,
} from '../../autograd/index.js';
import { normWeight, NORM_EPS, projection, type InitOptions } from './shared.js';

/** A block: how its parameters start, and how it is applied. */
export interface Block {
  init(options: InitOptions): Parameters;
  /** x is [batch, length, dModel], and so is the result. */
  apply(params: Readonly<Parameters>, x: Tensor): Tensor;
}

/** Sizes of a model. */
export interface SequenceModelOptions extends InitOptions {
  vocabSize: number;
  /** Positions that have a learnt vector of their own. Default 0: the model knows no positions. */
  positions?: number;
  /** Whether the residual stream is normed before the output matrix. Default true. */
  finalNorm?: boolean;
}

/**
 * Parameters `embedding` [vocabSize, dModel] (normal), `positions` (deviation 0.02), `blocks.N.*`, `norm.weight`,
 * `head.weight` [vocabSize, dModel].
 */
export function initSequenceModel(blocks: readonly Block[], options: SequenceModelOptions): Parameters {
  const o = check.options(options);
  const vocab = check.positiveInteger('vocabSize', o.vocabSize);
  const positions = check.nonNegativeInteger('positions', o.positions ?? 0);
  const { dModel, generator, dtype } = o;
  const random = { generator, dtype };
  return {
    'embedding.weight': normal([vocab, dModel], random),
    ...(positions > 0 && { 'positions.weight': normal([positions, dModel], { ...random, deviation: 0.02 }) }),
    ...Object.fromEntries(blocks.flatMap((each, i) => Object.entries(under(`blocks.${i}`, each.init(o))))),
    ...((o.finalNorm ?? true) && { 'norm.weight': normWeight(dModel, o) }),
    'head.weight': projection(vocab, dModel, o),
  };
}

/**
 * Logits of a batch.
 *
 * @param params as initSequenceModel names them
 * @param tokens [batch, length] ids
 * @param rows numbers of the positions (of all batch x length) whose logits are wanted; default all
 * @returns [rows, vocabSize]
 */
export function sequenceLogits(
  params: Readonly<Parameters>,
  blocks: readonly Block[],
  tokens: Int32Array,
  { batch, length, rows }: { batch: number; length: number; rows?: Int32Array },
): Tensor {
  let x = embedding(params['embedding.weight'], tokens, [batch, length]);
  const positions = params['positions.weight'];
  if (positions !== undefined) {
    const own = embedding(
      positions,
      Int32Array.from({ length }, (_, i) => i),
      [1, length],
    );
    x = add(x, own);
  }
  blocks.forEach((block, i) => (x = block.apply(subset(params, `blocks.${i}`), x)));
  const flat = reshape(x, [batch * length, x.shape[2]]);
  const wanted = rows === undefined ? flat : embedding(flat, rows);
  const norm = params['norm.weight'];
  return linear(norm === undefined ? wanted : rmsNorm(wanted, norm, NORM_EPS), params['head.weight']);
}
