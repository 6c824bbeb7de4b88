/**
 * The question: what does a training step of a small transformer over characters cost on the tape, beside its matrix
 * products at the rate of fused multiply-adds, and beside TensorFlow.js?
 *
 * A step is the forward pass, the backward pass and Adam, on batches that are made beforehand.
 */
import { setThreads, threads as threadsInUse } from '../lib/autograd/index.js';
import { info, setIsa } from '../lib/index.js';
import { BenchError } from './harness/errors.js';
import {
  isWanted,
  type CaseContender,
  type OpenCase,
  type Plan,
  type Question,
  type QuestionOptions,
} from './harness/question.js';
import {
  peerContender,
  peerName,
  productsContender,
  tapeContender,
  type CaseSpec,
} from './train/contenders.js';
import { SIZES } from './train/model.js';
import { plot, summarise } from './train/summary.js';
import { loadBackend } from './train/tfjs.js';

export const question: Question = {
  name: 'train',
  summary:
    'a training step of a small transformer on the tape, against its matrix products and TensorFlow.js',
  plan,
  summarise,
  plot,
};

/**
 * The case of the stated figure, for each number of threads (default 1); `quick` leaves TensorFlow.js out.
 *
 * @throws BenchError for sizes, shapes and a distribution: there is one network
 */
async function plan(options: QuestionOptions): Promise<Plan> {
  for (const name of ['distribution', 'sizes', 'shapes'] as const) {
    if (options[name] !== undefined) throw new BenchError(`the question train has no --${name}`);
  }
  return planOf(
    (options.threads ?? [1]).map((threads) => ({ sizes: SIZES, threads })),
    options,
  );
}

/** The heading of a case. */
export function labelOf({ sizes: { layers, width, batch, length }, threads }: CaseSpec): string {
  const count = `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  return `train ${layers} layers of ${width}, batch ${batch} x ${length}, ${count}`;
}

/** The plan of any list of cases. */
export async function planOf(specs: readonly CaseSpec[], options: QuestionOptions): Promise<Plan> {
  const { isas, filter, quick } = options;
  const wanted = (spec: CaseSpec, name: string, isa: string): boolean =>
    isWanted(filter, name, labelOf(spec), isa);
  const backends = (quick ? [] : (['wasm', 'cpu'] as const)).filter((backend) =>
    specs.some((spec) => wanted(spec, peerName(backend), isas[0])),
  );
  const remarks: string[] = [];
  const open = async (spec: CaseSpec): Promise<OpenCase> => {
    const before = { isa: info().isa, threads: threadsInUse() };
    const contenders: CaseContender[] = isas.flatMap((isa) => [
      ...(wanted(spec, 'tape', isa) ? [tapeContender(spec, isa)] : []),
      ...(wanted(spec, 'products', isa) ? [productsContender(spec, isa)] : []),
    ]);
    const releases: (() => void)[] = [];
    for (const backend of spec.threads === 1 ? backends : []) {
      const peer = await peerContender(spec, isas[0], backend);
      if (typeof peer === 'string') continue;
      contenders.push(peer.contender);
      releases.push(peer.release);
    }
    const close = (): void => {
      for (const release of releases) release();
      setIsa(before.isa);
      setThreads(before.threads);
    };
    return { contenders, close };
  };
  for (const backend of backends) {
    const missing = await loadBackend(backend);
    if (typeof missing === 'string') remarks.push(missing);
  }
  const names = ['tape', 'products', ...backends.map(peerName)];
  const cases = specs
    .filter((spec) => isas.some((isa) => names.some((name) => wanted(spec, name, isa))))
    .map((spec) => ({ label: labelOf(spec), open: async () => open(spec) }));
  return { cases, remarks };
}
