/** The contenders: the step on the tape, its matrix products alone, and TensorFlow.js. */
import { setThreads } from '../../lib/autograd/index.js';
import { matmul, setIsa, type Isa } from '../../lib/index.js';
import type { CaseContender, Check, Work } from '../harness/question.js';
import { batchOf, productFlops, productsOf, tapeStep, type Batch, type Sizes } from './model.js';
import { loadBackend, tfjsStep, type Backend } from './tfjs.js';

/** One case: sizes of the network, and threads. */
export interface CaseSpec {
  sizes: Sizes;
  threads: number;
}

/** Steps whose losses are compared with those of float64: parameters have moved, and gradients with them. */
const CHECKED_STEPS = 3;
/** Largest relative difference of a loss: what float32 does to it, a hundred times over. */
const ALLOWANCE = 1e-5;

const batchesOf = (sizes: Sizes): Batch[] => [1, 2, 3, 4].map((seed) => batchOf(sizes, seed));

/** Runs fresh steps in float32 and float64, on the instruction set in use. */
function checkLosses(sizes: Sizes, step: (batch: Batch) => number): Check {
  const reference = tapeStep(sizes, 'f64');
  let worst = 0;
  for (const batch of batchesOf(sizes).slice(0, CHECKED_STEPS)) {
    const expected = reference(batch);
    const off = Math.abs(step(batch) - expected) / expected;
    worst = Number.isNaN(off) ? NaN : Math.max(worst, off);
  }
  return { worst: worst / ALLOWANCE, detail: `losses off by ${worst.toExponential(1)} of float64` };
}

const workOf = (sizes: Sizes): Work => ({
  elements: sizes.batch * sizes.length,
  unit: 'product',
  bytes: 0,
  flops: productFlops(sizes),
});

const parametersOf = ({ sizes, threads }: CaseSpec, isa: string): CaseContender['parameters'] => ({
  ...sizes,
  isa,
  threads,
});

/** The whole step. */
export function tapeContender(spec: CaseSpec, isa: Isa): CaseContender {
  const { sizes, threads } = spec;
  const step = tapeStep(sizes);
  const batches = batchesOf(sizes);
  let i = 0;
  return {
    name: 'tape',
    parameters: parametersOf(spec, isa),
    work: workOf(sizes),
    before: () => {
      setIsa(isa);
      setThreads(threads);
    },
    run: () => step(batches[i++ % batches.length]),
    check: () => checkLosses(sizes, tapeStep(sizes)),
  };
}

/** The matrix products of a step one after the other, each from arrays of its own: what they take outside of a network. */
export function productsContender(spec: CaseSpec, isa: Isa): CaseContender {
  const { sizes, threads } = spec;
  const calls = productsOf(sizes).map(({ m, n, k, count }) => {
    // The layers have weights of their own; heads are a batch.
    const batch = m === sizes.length ? sizes.batch * sizes.heads : 1;
    const array = (rows: number, cols: number): Float32Array =>
      new Float32Array(batch * rows * cols).map((_, i) => ((i * 7) % 13) / 13 - 0.5);
    const [a, b, c] = [array(m, k), array(k, n), array(m, n)];
    const options = { batch, threads };
    const [da, db, y] = [new Float32Array(a.length), new Float32Array(b.length), new Float32Array(c.length)];
    return () => {
      for (let i = 0; i < count / batch; i++) {
        matmul(a, b, { ...options, m, n, k, out: y });
        matmul(c, b, { ...options, m, n: k, k: n, transposeB: true, out: da });
        matmul(a, c, { ...options, m: k, n, k: m, transposeA: true, out: db });
      }
      return { a, b, y, m, n, k };
    };
  });
  return {
    name: 'products',
    parameters: parametersOf(spec, isa),
    work: workOf(sizes),
    before: () => setIsa(isa),
    run: () => {
      for (const call of calls) call();
    },
    check: () => {
      let worst = 0;
      for (const call of calls) {
        const { a, b, y, n, k } = call();
        let dot = 0;
        for (let i = 0; i < k; i++) dot += a[k + i] * b[i * n + 1];
        worst = Math.max(worst, Math.abs(y[n + 1] - dot));
      }
      return { worst: worst / 1e-5, detail: `an element off by ${worst.toExponential(1)}` };
    },
  };
}

/** Rows of the batch that the plain backend gets: a whole step takes it ten seconds and more. */
const PLAIN_ROWS = 2;

/** The name under which a backend of TensorFlow.js is listed. */
export const peerName = (backend: Backend): string => `tfjs ${backend}`;

/**
 * TensorFlow.js on a backend; on the plain one with a part of the batch, to which its time is proportional.
 *
 * @returns the contender and how to free its memory, or a line that says why it is left out
 */
export async function peerContender(
  spec: CaseSpec,
  isa: Isa,
  backend: Backend,
): Promise<{ contender: CaseContender; release: () => void } | string> {
  const tf = await loadBackend(backend);
  if (typeof tf === 'string') return tf;
  const sizes =
    backend === 'cpu' ? { ...spec.sizes, batch: Math.min(PLAIN_ROWS, spec.sizes.batch) } : spec.sizes;
  const { step, release } = tfjsStep(tf, backend, sizes);
  const batches = batchesOf(sizes);
  let i = 0;
  const contender: CaseContender = {
    name: peerName(backend),
    parameters: parametersOf({ ...spec, threads: 1 }, isa),
    work: workOf(spec.sizes),
    peer: true,
    scale: spec.sizes.batch / sizes.batch,
    before: () => {
      // Loaded backends stay loaded: choosing one again is immediate.
      if (tf.getBackend() !== backend) void tf.setBackend(backend);
    },
    run: () => step(batches[i++ % batches.length]),
    check: () => checkLosses(sizes, step),
  };
  return { contender, release };
}
