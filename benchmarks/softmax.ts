/**
 * The question: which form of softmax is fastest, at which size and on which instruction set?
 *
 * Contenders are softlane's five algorithms and its own choice among them, plain JavaScript, and packages from npm where they are installed. All
 * instruction sets of a case are sampled together, in rounds; what does not obey softlane's choice of instruction set
 * (the peers) is measured once and stands under the best one.
 */
import {
  crossEntropy,
  explain,
  info,
  logSumExp,
  setIsa,
  softmax,
  type Isa,
  type SoftmaxAlgorithm,
} from '../lib/index.js';
import { BenchError } from './harness/errors.js';
import {
  isWanted,
  type Case,
  type CaseContender,
  type OpenCase,
  type Plan,
  type Question,
  type QuestionOptions,
} from './harness/question.js';
import { formatCount } from './harness/sizes.js';
import { BUFFERS, parametersOf, poisoned, workFor, type Bench } from './softmax/bench.js';
import { labelOf, listCases, type CaseSpec } from './softmax/cases.js';
import { checkRowValues, checkSoftmax, OWN_ALLOWANCE, referenceRows } from './softmax/check.js';
import { floorContenders } from './softmax/floors.js';
import { BYTES, DISTRIBUTIONS, Pool, type Distribution, type FloatArray } from './softmax/inputs.js';
import type { Form } from './softmax/model.js';
import { loadPeers, peerContenders, type Peers } from './softmax/peers.js';
import { FLOORS, PEERS, plot, summarise } from './softmax/summary.js';

const ALGORITHMS: SoftmaxAlgorithm[] = [
  'two-pass',
  'three-pass-recompute',
  'three-pass-reload',
  'online',
  'blocked',
  'auto',
];
/** Forms that treat a batch of short rows as one; the others work row by row and only repeat the loop over rows. */
const SHORT_ROW_ALGORITHMS: SoftmaxAlgorithm[] = ['two-pass', 'three-pass-reload', 'blocked', 'auto'];
/** Forms of logSumExp and of the loss that differ: the maximum first or not, and what the package chooses. */
const SUM_ALGORITHMS: SoftmaxAlgorithm[] = ['two-pass', 'three-pass-recompute', 'online', 'auto'];
/**
 * Beside other instruction sets the scalar loops are not run on more elements than this: arithmetic binds them at every
 * size, so that larger ones would tell nothing new at a second a call.
 */
const SCALAR_LARGEST = 2 ** 20;

/** The loop of one call per row is timed on at most this many rows and scaled up. */
const MOST_CALLS = 2 ** 16;

export const question: Question = {
  name: 'softmax',
  summary:
    'two-pass, three-pass, online and blocked softmax, against plain JavaScript, onnxruntime-node and TensorFlow.js',
  plan,
  summarise,
  plot,
};

/**
 * Lists the cases that the options ask for and that memory holds.
 *
 * @throws BenchError for an unknown distribution
 */
async function plan(options: QuestionOptions): Promise<Plan> {
  return planOf(listCases({ ...options, distribution: distributionOf(options.distribution) }), options);
}

/** The plan of any list of cases: those left out that the filter empties or that memory does not hold. */
export async function planOf(specs: readonly CaseSpec[], options: QuestionOptions): Promise<Plan> {
  const { isas, filter } = options;
  const remarks: string[] = [];
  const peers = await loadPeers(remarks);
  const kept = specs.filter((spec) => {
    const label = labelOf(spec);
    const wanted = isas.some((isa) =>
      namesFor(spec, isa, isas).some((name) => isWanted(filter, name, label, isa)),
    );
    const bytes = bytesOf(spec);
    const fits = bytes <= availableBytes() * 0.8;
    if (wanted && !fits) {
      remarks.push(`${label} is left out: its arrays take ${(bytes / 1e9).toFixed(1)} GB, more than is free`);
    }
    return wanted && fits;
  });
  const pool = new Pool();
  const largest = Math.max(...kept.map(({ rows, cols }) => rows * cols));
  const cases = kept.map((spec): Case => {
    return { label: labelOf(spec), open: () => open(spec, options, pool, largest, peers) };
  });
  return { cases, remarks };
}

function distributionOf(name: string | undefined): Distribution | undefined {
  if (name === undefined || Object.hasOwn(DISTRIBUTIONS, name)) return name as Distribution | undefined;
  throw new BenchError(`unknown distribution "${name}"; there are: ${Object.keys(DISTRIBUTIONS).join(', ')}`);
}

/** Inputs of both types and the outputs. */
function bytesOf({ rows, cols, dtype, operation }: CaseSpec): number {
  const inputs = BYTES.f32 + (dtype === 'f32' ? 0 : BYTES[dtype]);
  return rows * cols * (inputs + (operation === 'softmax' ? BUFFERS * BYTES[dtype] : 0));
}

function availableBytes(): number {
  // Node older than 20.13 does not tell; then nothing is left out.
  return process.availableMemory?.() ?? Infinity;
}

async function open(
  spec: CaseSpec,
  { isas }: QuestionOptions,
  pool: Pool,
  largest: number,
  peers: Peers,
): Promise<OpenCase> {
  const { operation, rows, cols, dtype, distribution } = spec;
  const x = pool.input(dtype, rows * cols, distribution, largest);
  const bench: Bench = {
    spec,
    x,
    outs: operation === 'softmax' ? pool.outputs(dtype, rows * cols, BUFFERS) : [],
    targets: Int32Array.from(
      { length: operation === 'crossEntropy' ? rows : 0 },
      (_, row) => (row * 7919) % cols,
    ),
    references: referenceRows(x, rows, cols),
    isas,
  };
  const contenders: CaseContender[] = isas.flatMap((isa) =>
    algorithmsFor(spec, isa, isas).map((algorithm) => ownContender(bench, isa, algorithm)),
  );
  if (spec.perRowCalls) contenders.push(perRowCalls(bench));
  const work = workFor(spec, 'two-pass');
  if (work.memory && rows === 1)
    contenders.push(...floorContenders(x, bench.outs, parametersOf(spec, isas[0])));
  const rivals = spec.lean ? undefined : await peerContenders(bench, peers);
  if (rivals) contenders.push(...rivals.contenders);
  const chosen = info().isa;
  return {
    contenders,
    close: async () => {
      setIsa(chosen);
      await rivals?.release();
    },
  };
}

/** Every contender that the case may have, before anything is allocated. */
function namesFor(spec: CaseSpec, isa: Isa, isas: readonly Isa[]): string[] {
  const peers = spec.lean ? [] : PEERS;
  return [
    ...algorithmsFor(spec, isa, isas),
    ...(spec.perRowCalls ? ['per-row-calls'] : []),
    ...peers,
    ...FLOORS,
  ];
}

function algorithmsFor(
  { operation, rows, cols, lean, perRowCalls: shortRows }: CaseSpec,
  isa: Isa,
  isas: readonly Isa[],
): SoftmaxAlgorithm[] {
  const wide = operation === 'softmax' ? ALGORITHMS : SUM_ALGORITHMS;
  const all = shortRows ? SHORT_ROW_ALGORITHMS : wide;
  if (isa !== 'scalar' || isas.length === 1) return all;
  return lean || rows * cols > SCALAR_LARGEST ? [] : all;
}

/** softlane itself. Options are made beforehand, one set per output, so that the loop times the call alone. */
function ownContender(bench: Bench, isa: Isa, algorithm: SoftmaxAlgorithm): CaseContender {
  const { spec, x, outs, targets, references } = bench;
  const { operation, rows, cols, dtype, threads } = spec;
  const typed = dtype === 'bf16' ? ({ dtype, outDtype: dtype } as const) : {};
  const options = { rows, cols, algorithm, threads, ...typed };
  const chosen =
    algorithm === 'auto' ? explain('softmax', { rows, cols, isa, threads, ...typed }).algorithm : algorithm;
  const shared = {
    name: algorithm as string,
    parameters: parametersOf(spec, isa),
    work: workFor(spec, chosen as Form),
    note: algorithm === 'auto' && operation === 'softmax' ? `chose ${chosen}` : undefined,
    before: () => setIsa(isa),
  };
  if (operation === 'softmax') {
    const perOutput = outs.map((out) => ({ ...options, out }));
    let turn = 0;
    const run = () => softmax(x, perOutput[(turn = (turn + 1) % perOutput.length)]);
    return {
      ...shared,
      run,
      check: () => {
        const answer = poisoned(outs[(turn + 1) % outs.length]);
        run();
        return checkSoftmax(x, answer, cols, references, OWN_ALLOWANCE[dtype]);
      },
    };
  }
  const run =
    operation === 'logSumExp' ? () => logSumExp(x, options) : () => crossEntropy(x, targets, options);
  const targetsOrNone = operation === 'crossEntropy' ? targets : undefined;
  return { ...shared, run, check: () => checkRowValues(x, run(), cols, references, 2e-6, targetsOrNone) };
}

/** One call per row, over views made beforehand: what a program does that does not know of `rows`. */
function perRowCalls(bench: Bench): CaseContender {
  const { spec, x, outs, references } = bench;
  const { rows, cols, dtype, threads } = spec;
  const isa = bench.isas[0];
  const calls = Math.min(rows, MOST_CALLS);
  const view = (array: FloatArray, row: number) => array.subarray(row * cols, (row + 1) * cols);
  const xs = Array.from({ length: calls }, (_, row) => view(x, row));
  const options = Array.from({ length: calls }, (_, row) => ({ threads, out: view(outs[0], row) }));
  const run = () => {
    for (let row = 0; row < calls; row++) softmax(xs[row], options[row]);
  };
  return {
    name: 'per-row-calls',
    parameters: parametersOf(spec, isa),
    work: workFor(spec, 'three-pass-reload'),
    before: () => setIsa(isa),
    scale: rows / calls,
    note: calls < rows ? `${formatCount(calls)} rows timed` : undefined,
    run,
    check: () => {
      poisoned(outs[0]);
      run();
      const seen = references.filter(({ row }) => row < calls);
      return checkSoftmax(x, outs[0], cols, seen, OWN_ALLOWANCE[dtype]);
    },
  };
}
