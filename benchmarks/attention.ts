/**
 * The question: how fast is one query token against a long cache of keys and values; what do the forms of a split softmax
 * cost, the layouts of a cache and its storage types; and how near is it to reading the cache alone? With `--kind`: how
 * fast are whole sequences where linear attention or another kind takes softmax's place?
 *
 * Calls take turns with copies of the cache, so that it comes from memory as in a decode step. Contenders are softlane,
 * plain JavaScript, and onnxruntime-node where it is installed.
 */
import { info, setIsa } from '../lib/index.js';
import { coldCopies } from '../lib/tuning-dataflow.js';
import { labelOf, listCases, type CaseSpec } from './attention/cases.js';
import { benchOf, namesFor, ownContenders } from './attention/contenders.js';
import { cacheBytes, CacheSet } from './attention/inputs.js';
import { PEERS, peerContenders, takesPart } from './attention/peers.js';
import { kindCases } from './attention/kinds/kind.js';
import { findKinds } from './attention/kinds/list.js';
import { plot, summarise } from './attention/summary.js';
import { BenchError } from './harness/errors.js';
import {
  isWanted,
  type OpenCase,
  type Plan,
  type Question,
  type QuestionOptions,
} from './harness/question.js';
import { loadOnnxRuntime, type OnnxRuntime } from './peers/onnxruntime.js';

export const question: Question = {
  name: 'attention',
  summary:
    'a query token against 1 Ki to 128 Ki cached tokens, against onnxruntime-node and plain JavaScript',
  plan,
  summarise,
  plot,
};

/**
 * Lists the cases that the options ask for and that memory holds; with `--kind`, those of other kinds of attention.
 *
 * @throws BenchError for a distribution (keys and values are normal) and for shapes (contexts are asked for as sizes)
 */
async function plan(options: QuestionOptions): Promise<Plan> {
  for (const name of ['distribution', 'shapes'] as const) {
    if (options[name] !== undefined) throw new BenchError(`the question attention has no --${name}`);
  }
  if (options.kinds) return { cases: kindCases(findKinds(options.kinds), options), remarks: [] };
  return planOf(listCases(options), options);
}

/** The plan of any list of cases: those left out that the filter empties or that memory does not hold. */
export async function planOf(specs: readonly CaseSpec[], options: QuestionOptions): Promise<Plan> {
  const { isas, filter } = options;
  const remarks: string[] = [];
  const loaded = await loadOnnxRuntime();
  if (typeof loaded === 'string') remarks.push(loaded);
  const runtime = typeof loaded === 'string' ? undefined : loaded;
  const kept = specs.filter((spec) => {
    const peers = PEERS.filter((name) => takesPart(name, spec));
    const wanted = isas.some((isa) =>
      [...namesFor(spec, isa, isas), ...peers].some((name) => isWanted(filter, name, labelOf(spec), isa)),
    );
    const fits = bytesOf(spec) <= availableBytes() * 0.8;
    if (wanted && !fits) {
      remarks.push(
        `${labelOf(spec)} is left out: its caches take ${(bytesOf(spec) / 1e9).toFixed(1)} GB, more than is free`,
      );
    }
    return wanted && fits;
  });
  const pool = new CachePool();
  const cases = kept.map((spec) => ({
    label: labelOf(spec),
    open: () => open(spec, options, pool.of(spec), runtime),
  }));
  return { cases, remarks };
}

/** Copies in each of the four layouts, and the float32 numbers that they are made of. */
function bytesOf(spec: CaseSpec): number {
  const bytes = cacheBytes(spec);
  return 4 * coldCopies(bytes) * bytes + 2 * cacheBytes({ ...spec, dtype: 'f32' });
}

function availableBytes(): number {
  // Node older than 20.13 does not tell; then nothing is left out.
  return process.availableMemory?.() ?? Infinity;
}

/** Keeps the caches of one length and type: the cases of all group sizes follow each other. */
class CachePool {
  #set: CacheSet | undefined;

  of({ length, kvHeads, headDim, dtype }: CaseSpec): CacheSet {
    const shape = this.#set?.shape;
    const same =
      shape?.length === length &&
      shape.kvHeads === kvHeads &&
      shape.headDim === headDim &&
      shape.dtype === dtype;
    if (!same) {
      this.#set = undefined; // lets go of the old caches before new ones are made
      this.#set = new CacheSet({ length, kvHeads, headDim, dtype });
    }
    return this.#set!;
  }
}

async function open(
  spec: CaseSpec,
  { isas, filter }: QuestionOptions,
  caches: CacheSet,
  runtime: OnnxRuntime | undefined,
): Promise<OpenCase> {
  const chosen = info().isa;
  const bench = benchOf(spec, caches, isas);
  const label = labelOf(spec);
  const own = ownContenders(bench, (name, isa) => isWanted(filter, name, label, isa));
  const rivals = await peerContenders(bench, runtime, (name) => isWanted(filter, name, label, isas[0]));
  return {
    contenders: [...own, ...rivals.contenders],
    close: async () => {
      setIsa(chosen);
      await rivals.release();
    },
  };
}
