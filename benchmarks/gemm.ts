/**
 * The question: how fast is a product of a few rows of activations with a weight matrix that lies in memory, for the weight
 * shapes of language models; in which storage type, by which kernel; and what do packing and prefetching gain?
 *
 * Calls take turns with copies of the weights, so that these come from memory as in a decode step. Contenders are softlane,
 * plain JavaScript, and onnxruntime-node where it is installed.
 */
import { info, setIsa } from '../lib/index.js';
import { coldCopies } from '../lib/tuning-dataflow.js';
import { ALL_SHAPES, labelOf, listCases, type CaseSpec } from './gemm/cases.js';
import { checker, namesFor, ownContenders, type Bench } from './gemm/contenders.js';
import { PEERS, peerContenders, takesPart } from './gemm/peers.js';
import { plot, summarise } from './gemm/summary.js';
import { bytesOf, TYPES, WeightSet, type WeightType } from './gemm/weights.js';
import { BenchError } from './harness/errors.js';
import { normal } from './harness/numbers.js';
import {
  isWanted,
  type OpenCase,
  type Plan,
  type Question,
  type QuestionOptions,
} from './harness/question.js';
import { loadOnnxRuntime, type OnnxRuntime } from './peers/onnxruntime.js';

export const question: Question = {
  name: 'gemm',
  summary: `products of 1 to 64 rows with weights of ${ALL_SHAPES.length} shapes, against onnxruntime-node and plain JavaScript`,
  plan,
  summarise,
  plot,
};

/**
 * Lists the cases that the options ask for.
 *
 * @throws BenchError for a distribution: weights are normal
 */
async function plan(options: QuestionOptions): Promise<Plan> {
  if (options.distribution !== undefined) throw new BenchError('the question gemm has no --distribution');
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
    const bytes = memoryFor(spec);
    const fits = bytes <= availableBytes() * 0.8;
    if (wanted && !fits) {
      const size = (bytes / 1e9).toFixed(1);
      remarks.push(`${labelOf(spec)} is left out: its weights take ${size} GB, more than is free`);
    }
    return wanted && fits;
  });
  const pool = new WeightPool();
  const cases = kept.map((spec) => ({
    label: labelOf(spec),
    open: () => open(spec, options, pool.of(spec), runtime),
  }));
  return { cases, remarks };
}

/** Copies of the weights in every type and layout, and those of onnxruntime-node with the model that they are read from. */
function memoryFor(spec: CaseSpec): number {
  const copies = (type: WeightType): number => coldCopies(bytesOf(spec, type)) * bytesOf(spec, type);
  const packed = TYPES.reduce((sum, type) => sum + copies(type) + bytesOf(spec, type), 0);
  const peer = takesPart('onnxruntime-node', spec) ? copies('f32') + 2 * bytesOf(spec, 'f32') : 0;
  return packed + copies('f32') + copies('bf16') + peer;
}

function availableBytes(): number {
  // Node older than 20.13 does not tell; then nothing is left out.
  return process.availableMemory?.() ?? Infinity;
}

/** Keeps the weights of one shape: the cases of a shape follow each other. */
class WeightPool {
  #set: WeightSet | undefined;

  of({ n, k }: CaseSpec): WeightSet {
    if (this.#set?.shape.n !== n || this.#set.shape.k !== k) {
      this.#set = undefined; // lets go of the old weights before new ones are made
      this.#set = new WeightSet({ n, k });
    }
    return this.#set;
  }
}

async function open(
  spec: CaseSpec,
  { isas, filter }: QuestionOptions,
  weights: WeightSet,
  runtime: OnnxRuntime | undefined,
): Promise<OpenCase> {
  const { m, n, k } = spec;
  const chosen = info().isa;
  const a = normal(m * k, 2);
  const out = new Float32Array(m * n);
  const bench: Bench = { spec, weights, a, out, isas, check: checker(spec, a, weights, out) };
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
