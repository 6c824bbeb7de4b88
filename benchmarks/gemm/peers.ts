/** The contenders that are not softlane: plain JavaScript, and onnxruntime-node where it is installed. */
import { coldCopies } from '../../lib/tuning-dataflow.js';
import type { CaseContender } from '../harness/question.js';
import { formatCount } from '../harness/sizes.js';
import { gemmJavaScript } from '../peers/llm-javascript.js';
import { onnxMatMul, type OnnxRuntime } from '../peers/onnxruntime.js';
import type { CaseSpec } from './cases.js';
import { ALLOWANCE } from './check.js';
import { parametersOf, workOf, type Bench } from './contenders.js';
import { bytesOf } from './weights.js';

/** Names of the peers. */
export const PEERS: readonly string[] = ['onnxruntime-node', 'javascript'];

/** Multiply-adds that plain JavaScript is timed on at most; what is left is scaled up. */
const JAVASCRIPT_LARGEST = 2 ** 25;
/** Larger models are not made: their bytes are held several times over while a session packs them. */
const ONNX_LARGEST = 2 ** 29;

/** Whether a peer of that name takes part. */
export function takesPart(name: string, spec: CaseSpec): boolean {
  return name === 'javascript' ? spec.threads === 1 : bytesOf(spec, 'f32') <= ONNX_LARGEST;
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
  return { name, peer: true, parameters: parametersOf(spec, 'f32', isas[0]) };
}

async function onnx(bench: Bench, runtime: OnnxRuntime) {
  const { spec, a, out, weights } = bench;
  const copies = coldCopies(bytesOf(spec, 'f32'));
  const { threads } = spec;
  const sessions = await onnxMatMul(runtime, a, weights.transposed(), spec, out, { threads, copies });
  let turn = 0;
  const run = () => sessions.run((turn = (turn + 1) % copies));
  const contender: CaseContender = {
    ...sharedBy(bench, 'onnxruntime-node'),
    // Each session packs the weights into memory of its own.
    work: workOf(spec, 'f32', 'ordinary'),
    run,
    check: async () => {
      out.fill(NaN);
      await run();
      return bench.check('f32', ALLOWANCE.peer);
    },
  };
  return { contender, release: sessions.release };
}

/** Rows of w that are timed lie one after the other; the next call goes on behind them, so that they come from memory. */
function javaScript(bench: Bench): CaseContender {
  const { spec, a, out, weights } = bench;
  const { m, n, k } = spec;
  const copies = weights.copies('f32').map(({ w }) => w as Float32Array);
  const rows = Math.max(1, Math.min(n, Math.floor(JAVASCRIPT_LARGEST / (m * k))));
  const parts = Math.floor(n / rows);
  let turn = 0;
  const run = (part: number): void => {
    const whole = copies[Math.floor(part / parts) % copies.length];
    gemmJavaScript(a, whole.subarray((part % parts) * rows * k), { m, n, k, rows }, out);
  };
  return {
    ...sharedBy(bench, 'javascript'),
    work: workOf(spec, 'f32'),
    run: () => run(turn++),
    ...(rows < n && { scale: n / rows, note: `${formatCount(rows)} columns timed` }),
    check: () => {
      out.fill(NaN);
      run(0);
      return bench.check('f32', ALLOWANCE.own, rows);
    },
  };
}
