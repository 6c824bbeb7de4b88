/** The contenders that are not softlane: plain JavaScript, and packages from npm where they are installed. */
import type { Check, CaseContender } from '../harness/question.js';
import { crossEntropyJavaScript, logSumExpJavaScript, softmaxJavaScript } from '../peers/javascript.js';
import { loadOnnxRuntime, onnxSoftmax, type OnnxRuntime, type OnnxRun } from '../peers/onnxruntime.js';
import { loadTfjs, TFJS, tfjsSoftmax, type Tfjs, type TfjsSoftmax } from '../peers/tfjs.js';
import { parametersOf, poisoned, workFor, type Bench } from './bench.js';
import { checkRowValues, checkSoftmax, OWN_ALLOWANCE, PEER_ALLOWANCE } from './check.js';

/** Packages that could be loaded. */
export interface Peers {
  onnxRuntime?: OnnxRuntime;
  tfjs?: Tfjs;
}

/** Beyond this number of elements a call of TensorFlow.js takes most of a second and a gigabyte. */
const TFJS_LARGEST = 2 ** 24;

/** Loads the packages; each that cannot be had adds a line to `remarks`. */
export async function loadPeers(remarks: string[]): Promise<Peers> {
  const peers: Peers = {};
  const onnxRuntime = await loadOnnxRuntime();
  if (typeof onnxRuntime === 'string') remarks.push(onnxRuntime);
  else peers.onnxRuntime = onnxRuntime;
  const tfjs = await loadTfjs();
  if (typeof tfjs === 'string') remarks.push(tfjs);
  else peers.tfjs = tfjs;
  return peers;
}

/** The contenders that can take part in a case, and how to release what they hold. */
export async function peerContenders(
  bench: Bench,
  { onnxRuntime, tfjs }: Peers,
): Promise<{ contenders: CaseContender[]; release: () => Promise<void> }> {
  const { x, spec, outs } = bench;
  const { rows, cols, threads, operation } = spec;
  const contenders: CaseContender[] = [];
  const releases: (() => void | Promise<void>)[] = [];
  if (!(x instanceof Uint16Array)) {
    if (threads === 1) contenders.push(javaScript(bench, x));
    if (onnxRuntime && operation === 'softmax') {
      const session = await onnxSoftmax(onnxRuntime, x, rows, cols, outs as (typeof x)[], threads);
      contenders.push(onnx(bench, session));
      releases.push(session.release);
    }
    if (
      tfjs &&
      operation === 'softmax' &&
      x instanceof Float32Array &&
      threads === 1 &&
      x.length <= TFJS_LARGEST
    ) {
      const matrix = tfjsSoftmax(tfjs, x, rows, cols);
      contenders.push(tensorFlow(bench, matrix));
      releases.push(matrix.release);
    }
  }
  const release = async (): Promise<void> => {
    for (const one of releases) await one();
  };
  return { contenders, release };
}

/** Peers write and rewrite their output as three-pass-reload does. */
function sharedBy(bench: Bench, name: string) {
  return {
    name,
    peer: true,
    parameters: parametersOf(bench.spec, bench.isas[0]),
    work: workFor(bench.spec, 'three-pass-reload'),
  };
}

function javaScript(bench: Bench, x: Float32Array | Float64Array): CaseContender {
  const { spec, targets, references } = bench;
  const { operation, rows, cols, dtype } = spec;
  const outs = bench.outs as (typeof x)[];
  const shared = sharedBy(bench, 'javascript');
  if (operation === 'softmax') {
    let turn = 0;
    return {
      ...shared,
      run: () => softmaxJavaScript(x, rows, cols, outs[(turn = (turn + 1) % outs.length)]),
      check: () => {
        softmaxJavaScript(x, rows, cols, poisoned(outs[0]));
        return checkSoftmax(x, outs[0], cols, references, OWN_ALLOWANCE[dtype]);
      },
    };
  }
  const values = new Float64Array(rows);
  const run =
    operation === 'logSumExp'
      ? () => logSumExpJavaScript(x, rows, cols, values)
      : () => crossEntropyJavaScript(x, rows, cols, targets, values);
  const check = () => {
    run();
    return checkRowValues(
      x,
      values,
      cols,
      references,
      2e-6,
      operation === 'crossEntropy' ? targets : undefined,
    );
  };
  return { ...shared, run, check };
}

function onnx(bench: Bench, session: OnnxRun): CaseContender {
  const { spec, x, outs, references } = bench;
  let turn = 0;
  return {
    ...sharedBy(bench, 'onnxruntime-node'),
    run: () => session.run((turn = (turn + 1) % outs.length)),
    check: async () => {
      poisoned(outs[0]);
      await session.run(0);
      return checkSoftmax(x, outs[0], spec.cols, references, PEER_ALLOWANCE);
    },
  };
}

function tensorFlow(bench: Bench, { run }: TfjsSoftmax): CaseContender {
  const { spec, x, references } = bench;
  const check = (): Check => checkSoftmax(x, run(), spec.cols, references, PEER_ALLOWANCE);
  return { ...sharedBy(bench, TFJS), run, check };
}
