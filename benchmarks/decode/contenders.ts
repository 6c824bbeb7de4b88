/** The contenders: texts written together by an engine, one by a session, and a reading of the weights alone. */
import { setIsa, type Isa, type PackedWeights } from '../../lib/index.js';
import { decodeLimits, type LlamaModel } from '../../lib/llm/index.js';
import { native } from '../../lib/native.js';
import { BYTES } from '../gemm/weights.js';
import { readsOf } from '../harness/pages.js';
import type { CaseContender, Check, Work } from '../harness/question.js';
import type { CaseParameters } from '../harness/results.js';
import type { CaseSpec } from './cases.js';
import { configOf, sizeOf } from './models.js';

/** Storage of keys and values. */
export const CACHE = 'bf16';
/** Names that a contender may have; the last is what memory alone takes. */
const FLOOR = 'streaming-read';
/** Beside other instruction sets the plain loops are run on at most this many multiply-adds a step. */
const SCALAR_LARGEST = 2 ** 26;

/** Every name that a contender of the case may have, before anything is allocated. */
export function namesFor({ model, batch }: CaseSpec, isa: Isa, isas: readonly Isa[]): string[] {
  const hopeless = isa === 'scalar' && isas.length > 1 && sizeOf(model) * batch > SCALAR_LARGEST;
  const own = batch === 1 ? ['engine', 'session'] : ['engine'];
  return [...(hopeless ? [] : own), FLOOR];
}

/** The case as result rows name it. */
export function parametersOf(spec: CaseSpec, isa: Isa): CaseParameters {
  const { model, batch, tokens, dtype, threads } = spec;
  return { model, batch, tokens, dtype, cache: CACHE, isa, threads };
}

/**
 * The work of `tokens` steps: each reads all matrices once (the tied embedding as the output matrix) and the cache of
 * each sequence as far as it goes; a multiply-add is two operations. Matrices from 4 MiB on and the slabs of the cache lie
 * on large pages.
 */
export function workOf(spec: CaseSpec): Work {
  const { model, batch, tokens, dtype } = spec;
  const config = configOf(model);
  const bytesAt = (lengths: number[]): number =>
    decodeLimits({ config, lengths, bandwidthGBps: 1, weights: dtype, cache: CACHE }).bytes;
  let read = 0;
  for (let length = 1; length <= tokens; length++) read += bytesAt(new Array<number>(batch).fill(length));
  const weights = tokens * bytesAt([]);
  const large = readsOf(matrixBytes(spec), tokens).largeBytes ?? 0;
  return {
    elements: batch * tokens,
    unit: 'token',
    bytes: read,
    flops: 2 * sizeOf(model) * batch * tokens,
    memory: { readBytes: weights - large, largeBytes: large + (read - weights), copyBytes: 0 },
  };
}

/** Bytes of each matrix of a model, without the scales of int8, as they are stacked: q, k, v and the two halves of the gate. */
function matrixBytes({ model, dtype }: CaseSpec): number[] {
  const { hiddenSize, intermediateSize, headDim, ...config } = configOf(model);
  const queries = config.numAttentionHeads * headDim;
  const projected = queries + 2 * config.numKeyValueHeads * headDim;
  const layer = [projected * hiddenSize, hiddenSize * queries];
  layer.push(2 * intermediateSize * hiddenSize, hiddenSize * intermediateSize);
  const layers = Array.from({ length: config.numHiddenLayers }, () => layer).flat();
  return [...layers, config.vocabSize * hiddenSize].map((elements) => elements * BYTES[dtype]);
}

/** The prompt of a sequence: one token, so that every forward pass is a step of decoding. */
const promptOf = (sequence: number, vocab: number): number[] => [(1 + 7 * sequence) % vocab];

/** The contenders on every instruction set that are wanted. */
export function contendersOf(
  spec: CaseSpec,
  model: LlamaModel,
  isas: readonly Isa[],
  wanted: (name: string, isa: Isa) => boolean,
): CaseContender[] {
  const own = isas.flatMap((isa) =>
    namesFor(spec, isa, isas)
      .filter((name) => name !== FLOOR && wanted(name, isa))
      .map((name): CaseContender => {
        const run = name === 'engine' ? engineRun(spec, model) : sessionRun(spec, model);
        return {
          name,
          parameters: parametersOf(spec, isa),
          work: workOf(spec),
          before: () => setIsa(isa),
          run,
          check: async () => sameTexts(await run(), await expectedTexts(spec, model)),
        };
      }),
  );
  return wanted(FLOOR, isas[0]) ? [...own, floor(spec, model, isas[0])] : own;
}

/** Greedy texts of a length. */
const optionsFor = ({ tokens }: CaseSpec) => ({ maxTokens: tokens, temperature: 0, stopTokens: [] });

/** All texts of the batch, written together. */
function engineRun(spec: CaseSpec, model: LlamaModel): () => Promise<number[][]> {
  const engine = model.createEngine({ cache: CACHE, threads: spec.threads });
  return async () =>
    Promise.all(
      Array.from({ length: spec.batch }, async (_, s) => {
        const text: number[] = [];
        const prompt = promptOf(s, model.config.vocabSize);
        for await (const { token } of engine.generate(prompt, optionsFor(spec))) text.push(token);
        return text;
      }),
    );
}

/** The first text of the batch alone. */
function sessionRun(spec: CaseSpec, model: LlamaModel): () => Promise<number[][]> {
  const session = model.createSession({ cache: CACHE, threads: spec.threads });
  return async () => {
    session.rewind(0);
    const text: number[] = [];
    const prompt = promptOf(0, model.config.vocabSize);
    for await (const { token } of session.generate(prompt, optionsFor(spec))) text.push(token);
    return [text];
  };
}

/** The texts one after the other, each token the largest of the logits after those before it. */
async function expectedTexts(spec: CaseSpec, model: LlamaModel): Promise<number[][]> {
  const texts: number[][] = [];
  const session = model.createSession({ cache: CACHE, threads: spec.threads });
  for (let s = 0; s < spec.batch; s++) {
    session.rewind(0);
    const text: number[] = [];
    let logits = await session.prefill(promptOf(s, model.config.vocabSize));
    while (text.length < spec.tokens) {
      if (text.length > 0) logits = await session.step(text[text.length - 1]);
      text.push(logits.reduce((best, logit, id) => (logit > logits[best] ? id : best), 0));
    }
    texts.push(text);
  }
  session.dispose();
  return texts;
}

/** Texts are equal or not: every token depends on those before it. */
export function sameTexts(texts: readonly number[][], expected: readonly number[][]): Check {
  for (const [s, text] of expected.entries()) {
    const differs = text.findIndex((token, i) => texts[s]?.[i] !== token);
    if (differs >= 0 || texts[s].length !== text.length) {
      return { worst: Infinity, detail: `text ${s} differs at token ${differs}` };
    }
  }
  return { worst: 0, detail: 'the tokens of each text alone' };
}

/** What memory alone takes for the weights, sampled in the same rounds. */
function floor(spec: CaseSpec, model: LlamaModel, isa: Isa): CaseContender {
  const views = matricesOf(model).map(({ data }) => {
    return new Float32Array(data.buffer, data.byteOffset, Math.floor(data.byteLength / 4));
  });
  const memory = readsOf(
    matricesOf(model).map(({ data }) => data.byteLength),
    spec.tokens,
  );
  return {
    name: FLOOR,
    peer: true,
    parameters: parametersOf(spec, isa),
    work: {
      elements: 0,
      unit: 'product',
      bytes: memory.readBytes + (memory.largeBytes ?? 0),
      flops: 0,
      memory,
    },
    scale: spec.tokens,
    note: 'the weights once timed',
    run: () => views.map((view) => native('measureRead')(view)),
    check: () => ({ worst: 0, detail: 'reads only' }),
  };
}

/** Every matrix of a model once. */
function matricesOf({ weights: { layers, head, embedding } }: LlamaModel): PackedWeights[] {
  const matrices = layers.flatMap(({ qkv, output, gateUp, down }) => [qkv, output, gateUp, down]);
  return [...new Set([...matrices, head, embedding])];
}
