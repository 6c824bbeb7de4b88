/** The contenders that are not softlane: plain JavaScript, and onnxruntime-node where it is installed; both float32. */
import type { CaseContender } from '../harness/question.js';
import { formatCount } from '../harness/sizes.js';
import { attentionJavaScript } from '../peers/llm-javascript.js';
import { onnxAttention, type OnnxRuntime } from '../peers/onnxruntime.js';
import type { CaseSpec } from './cases.js';
import { ALLOWANCE } from './check.js';
import { parametersOf, workOf, type Bench } from './contenders.js';

/** Names of the peers. */
export const PEERS: readonly string[] = ['onnxruntime-node', 'javascript'];

/** Multiply-adds that plain JavaScript is timed on at most, whole heads of keys; what is left is scaled up. */
const JAVASCRIPT_LARGEST = 2 ** 25;

/** Whether a peer of that name takes part; plain JavaScript not where one head takes more than some tenths of a second. */
export function takesPart(name: string, { dtype, threads, length, group, headDim }: CaseSpec): boolean {
  if (dtype !== 'f32') return false;
  return name !== 'javascript' || (threads === 1 && length * group * headDim <= JAVASCRIPT_LARGEST);
}

/** The peers that can take part in a case and are wanted, and how to release what they hold. */
export async function peerContenders(
  bench: Bench,
  onnxRuntime: OnnxRuntime | undefined,
  wanted: (name: string) => boolean,
): Promise<{ contenders: CaseContender[]; release: () => Promise<void> }> {
  const contenders: CaseContender[] = [];
  let release = (): Promise<void> => Promise.resolve();
  const isIn = (name: string): boolean => wanted(name) && takesPart(name, bench.spec);
  if (onnxRuntime && isIn('onnxruntime-node')) {
    const made = await onnx(bench, onnxRuntime);
    contenders.push(made.contender);
    ({ release } = made);
  }
  if (isIn('javascript')) contenders.push(javaScript(bench));
  return { contenders, release };
}

function sharedBy({ spec, isas }: Bench, name: string) {
  return { name, peer: true, parameters: parametersOf(spec, isas[0]), work: workOf(spec) };
}

const floats = ({ caches }: Bench) =>
  caches.of('HND').map(({ keys, values }) => {
    return { keys: keys.data as Float32Array, values: values.data as Float32Array };
  });

async function onnx(bench: Bench, runtime: OnnxRuntime) {
  const { spec, q, out } = bench;
  const caches = floats(bench);
  const session = await onnxAttention(runtime, { ...spec, q, caches, out });
  let turn = 0;
  const run = () => session.run((turn = (turn + 1) % caches.length));
  const contender: CaseContender = {
    ...sharedBy(bench, 'onnxruntime-node'),
    run,
    check: async () => {
      out.fill(NaN);
      await run();
      return bench.check(ALLOWANCE.peer);
    },
  };
  return { contender, release: session.release };
}

function javaScript(bench: Bench): CaseContender {
  const { spec, q, out } = bench;
  const { length, group, kvHeads, headDim } = spec;
  const caches = floats(bench);
  const scores = new Float64Array(length);
  const wanted = Math.floor(JAVASCRIPT_LARGEST / (length * group * headDim));
  const heads = Math.min(kvHeads, wanted);
  let turn = 0;
  const run = (): void => {
    const { keys, values } = caches[(turn = (turn + 1) % caches.length)];
    attentionJavaScript(q, keys, values, { ...spec, heads }, out, scores);
  };
  return {
    ...sharedBy(bench, 'javascript'),
    run,
    ...(heads < kvHeads && {
      scale: kvHeads / heads,
      note: `${formatCount(heads)} ${heads === 1 ? 'head' : 'heads'} timed`,
    }),
    check: () => {
      out.fill(NaN);
      run();
      return bench.check(ALLOWANCE.own, heads * group);
    },
  };
}
