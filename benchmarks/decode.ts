/**
 * The question: how many tokens a second does a Llama-family model of a given size write, for one text and for several
 * together, and how near is that to reading its weights once a step?
 *
 * Weights are random and made on the spot; sizes are those of published models, by default one of 1.2 billion parameters in
 * bf16. Prompts are one token, so that every forward pass is a step of decoding; drawing of tokens is part of the time.
 */
import { info, setIsa } from '../lib/index.js';
import { LlamaModel } from '../lib/llm/index.js';
import { labelOf, listCases, type CaseSpec } from './decode/cases.js';
import { CACHE, contendersOf, namesFor } from './decode/contenders.js';
import { configOf, sizeOf } from './decode/models.js';
import { plot, summarise } from './decode/summary.js';
import { BYTES } from './gemm/weights.js';
import { BenchError } from './harness/errors.js';
import {
  isWanted,
  type OpenCase,
  type Plan,
  type Question,
  type QuestionOptions,
} from './harness/question.js';

export const question: Question = {
  name: 'decode',
  summary:
    'tokens per second of a random Llama of 1.2 billion parameters (--sizes: smaller ones), batches of 1 to 8',
  plan,
  summarise,
  plot,
};

/**
 * Lists the cases that the options ask for and that memory holds.
 *
 * @throws BenchError for a distribution (weights are normal) and for shapes (models are asked for by --sizes)
 */
async function plan(options: QuestionOptions): Promise<Plan> {
  for (const name of ['distribution', 'shapes'] as const) {
    if (options[name] !== undefined) throw new BenchError(`the question decode has no --${name}`);
  }
  return planOf(listCases(options), options);
}

/** The plan of any list of cases: those left out that the filter empties or that memory does not hold. */
export async function planOf(specs: readonly CaseSpec[], options: QuestionOptions): Promise<Plan> {
  const { isas, filter } = options;
  const remarks: string[] = [];
  const kept = specs.filter((spec) => {
    const wanted = isas.some((isa) =>
      namesFor(spec, isa, isas).some((name) => isWanted(filter, name, labelOf(spec), isa)),
    );
    const bytes = BYTES[spec.dtype] * sizeOf(spec.model);
    const fits = bytes <= availableBytes() * 0.8;
    if (wanted && !fits) {
      remarks.push(
        `${labelOf(spec)} is left out: its weights take ${(bytes / 1e9).toFixed(1)} GB, more than is free`,
      );
    }
    return wanted && fits;
  });
  const pool = new ModelPool();
  const cases = kept.map((spec) => ({ label: labelOf(spec), open: () => open(spec, options, pool) }));
  return { cases, remarks };
}

function availableBytes(): number {
  // Node older than 20.13 does not tell; then nothing is left out.
  return process.availableMemory?.() ?? Infinity;
}

/** Keeps one model: the cases of a model follow each other. */
class ModelPool {
  #key = '';
  #model: LlamaModel | undefined;

  async of({ model, dtype }: CaseSpec): Promise<LlamaModel> {
    const key = `${model} ${dtype}`;
    if (this.#model && this.#key === key) return this.#model;
    this.#model?.dispose(); // lets go of the old weights before new ones are made
    this.#model = await LlamaModel.random(configOf(model), { seed: 1, weights: dtype, cache: CACHE });
    this.#key = key;
    return this.#model;
  }
}

async function open(spec: CaseSpec, { isas, filter }: QuestionOptions, pool: ModelPool): Promise<OpenCase> {
  const chosen = info().isa;
  const model = await pool.of(spec);
  const label = labelOf(spec);
  const contenders = contendersOf(spec, model, isas, (name, isa) => isWanted(filter, name, label, isa));
  return { contenders, close: () => void setIsa(chosen) };
}
