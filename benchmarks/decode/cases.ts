/** The list of cases: a decode step of a model for batches of several sizes. */
import { MODEL_NAMES, nearestModel, type ModelName } from './models.js';

/** Storage of weights, in the order of tables. */
export const WEIGHT_TYPES = ['bf16', 'f16', 'int8', 'f32'] as const;
export type WeightType = (typeof WEIGHT_TYPES)[number];

/** One case before anything is allocated for it. */
export interface CaseSpec {
  model: ModelName;
  /** Sequences that are decoded together. */
  batch: number;
  /** Tokens of each text; prompts are one token, so that there are as many forward passes. */
  tokens: number;
  dtype: WeightType;
  threads: number;
}

/** Sizes of batches. */
export const BATCHES: readonly number[] = [1, 2, 4, 8];
/** Short texts: the question is what the weights cost, `attention` is about the cache. */
const TOKENS = 8;

/** What decides the list. */
export interface CaseChoice {
  /** Default one thread. */
  threads?: readonly number[];
  /** Numbers of parameters: each stands for the nearest model. */
  sizes?: readonly number[];
  /** With a filter the list is of every model (unless sizes are given) and storage type: the filter says which. */
  filter?: RegExp;
  quick?: boolean;
}

/** The cases in the order in which they run: batches of a model follow each other, since its weights are made once. */
export function listCases({ threads = [1], sizes, filter, quick }: CaseChoice): CaseSpec[] {
  const defaults: readonly ModelName[] = filter ? MODEL_NAMES : [quick ? 'smollm2-135m' : 'llama-3.2-1b'];
  const models = sizes ? [...new Set(sizes.map(nearestModel))] : defaults;
  const types = filter ? WEIGHT_TYPES : (['bf16'] as const);
  return models.flatMap((model) =>
    types.flatMap((dtype) =>
      threads.flatMap((count) =>
        BATCHES.map((batch) => ({ model, batch, tokens: TOKENS, dtype, threads: count })),
      ),
    ),
  );
}

/** The heading of a case: `decode llama-3.2-1b, batch 4, 8 tokens each, bf16, 1 thread`. */
export function labelOf({ model, batch, tokens, dtype, threads }: CaseSpec): string {
  const count = `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  return `decode ${model}, batch ${batch}, ${tokens} tokens each, ${dtype}, ${count}`;
}
