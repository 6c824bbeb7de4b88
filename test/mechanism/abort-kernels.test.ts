/** Aborts of the kernels that work on matrices and caches; abort.test.ts has what all promise forms share. */
import { setTimeout as pause } from 'node:timers/promises';

import {
  decodeAttentionAsync,
  gemmAsync,
  isa,
  type Isa,
  memory,
  mergeAttentionAsync,
  packWeights,
  packWeightsAsync,
  prefillAttentionAsync,
  setIsa,
  swigluAsync,
  unifiedSoftmaxAsync,
} from '../../lib/index.js';
import { Philox } from '../../lib/random.js';
import { expectSameBits } from '../helpers/compare.js';
import { normalRow, POISON } from '../helpers/rows.js';

const [M, N, K] = [96, 2048, 1024];
const a = normalRow(M * K, 1, 1);
const w = new Float32Array(N * K).map((_, i) => ((i * 31) % 113) / 56 - 1);
const packed = packWeights(w, { n: N, k: K });
const out = new Float32Array(M * N);

/** How a promise ended. */
async function ending(promise: Promise<unknown>): Promise<{ rejected: boolean; reason?: unknown }> {
  return promise.then(
    () => ({ rejected: false }),
    (reason: unknown) => ({ rejected: true, reason }),
  );
}

// A cache of 8192 tokens with 4 heads of 64, 16 query heads; a prompt of 256 tokens.
const heads = { batch: 1, queryHeads: 16, kvHeads: 4, headDim: 64 };
const cache = { ...heads, maxLength: 8192, lengths: Int32Array.of(8192) };
const prompt = { ...heads, kvHeads: 16, headDim: 32, length: 256 };
const token = w.subarray(0, 256 * 16 * 32);
const query = w.subarray(0, 16 * 64);

interface Call {
  name: string;
  run: (options: { signal?: AbortSignal; onProgress?: (done: number) => void }) => Promise<unknown>;
}

const CALLS: Call[] = [
  ...(['flat', 'blocked', 'gemv'] as const).map((kernel) => ({
    name: `gemm, ${kernel}`,
    run: (o: object) => gemmAsync(a, packed, { m: M, kernel, out, ...o }),
  })),
  {
    name: 'gemm of stored weights on two threads',
    run: (o: object) => gemmAsync(a, w, { m: M, n: N, k: K, threads: 2, out, ...o }),
  },
  ...([1, 2] as const).map((threads) => ({
    name: `decodeAttention on ${threads} threads`,
    run: (o: object) =>
      decodeAttentionAsync(query, w, w, { ...cache, threads, out: out.subarray(0, query.length), ...o }),
  })),
  {
    name: 'prefillAttention',
    run: (o: object) =>
      prefillAttentionAsync(token, token, token, { ...prompt, out: out.subarray(0, token.length), ...o }),
  },
  {
    name: 'mergeAttention',
    run: (o: object) =>
      mergeAttentionAsync(w, w.subarray(0, N * 16), { count: 16, rows: N, headDim: K / 16, ...o }),
  },
  {
    name: 'unifiedSoftmax',
    run: (o: object) => unifiedSoftmaxAsync(w, { rows: N, cols: K, ...o }),
  },
  { name: 'swiglu', run: (o: object) => swigluAsync(w, w, o) },
  { name: 'packWeights', run: (o: object) => packWeightsAsync(w, { n: N, k: K, to: 'bf16', ...o }) },
];

let before: Isa;
beforeAll(() => {
  // The plainest instruction set leaves the most time to abort in.
  before = isa();
  setIsa('scalar');
});
afterAll(() => setIsa(before));

it.each(CALLS)('$name: at a random moment', async ({ run }) => {
  const started = performance.now();
  await run({});
  const whole = performance.now() - started;
  const random = new Philox(6, 0);
  const delay = new Float64Array(1);
  let aborted = 0;
  for (let attempt = 0; attempt < 6; attempt += 1) {
    out.fill(POISON);
    const controller = new AbortController();
    const reason = new Error(`attempt ${attempt}`);
    const end = ending(run({ signal: controller.signal }));
    await pause(random.uniform(delay, 0, attempt === 0 ? 0.1 : whole)[0]);
    controller.abort(reason);
    const { rejected, reason: received } = await end;
    if (rejected) {
      aborted += 1;
      expect(received).toBe(reason);
      const atRejection = out.slice();
      await pause(20);
      expectSameBits(out, atRejection, 'written to after the rejection');
    }
    expect(memory().pendingCalls).toBe(0);
  }
  expect(aborted).toBeGreaterThan(0);
});

it.each(CALLS)('$name: aborted before, it does nothing', async ({ run }) => {
  out.fill(POISON);
  const reason = { why: 'any value' };
  expect(await ending(run({ signal: AbortSignal.abort(reason) }))).toEqual({ rejected: true, reason });
  await pause(10);
  const poison = Math.fround(POISON);
  expect(out.every((value) => value === poison)).toBe(true);
});

it.each(CALLS)('$name: progress rises to 1', async ({ run }) => {
  const seen: number[] = [];
  await run({ onProgress: (done) => seen.push(done) });
  expect(seen.length).toBeGreaterThan(0);
  expect(seen[seen.length - 1]).toBe(1);
  expect(seen.every((done, i) => done >= 0 && done <= 1 && (i === 0 || done >= seen[i - 1]))).toBe(true);
});
