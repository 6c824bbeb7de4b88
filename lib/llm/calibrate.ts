/** Unified maxima for a model's attention, measured on prompts. */
import * as check from '../check.js';
import { promised, type AsyncOptions } from '../native.js';
import { PAGE_TOKENS, pageBytes, prepareForward, type LlamaShape, type LlamaWeights } from './forward.js';
import { Progress } from './progress.js';

/** Rows of a forward pass. */
const ROWS = 256;

/**
 * The mean over tokens and query heads of each layer's largest attention score, on prompts that are like those to come:
 * a unified maximum phi for `softmax: 'unified'` that keeps the error of the scores' rounding small and makes fallbacks
 * rare ("FlashDecoding++", section 3; per layer and by the mean: ours).
 *
 * @param prompts token ids, one array a prompt; at least one token in all
 * @param options threads, default 1; signal and progress
 * @returns one number a layer
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE (no tokens, tokens outside the vocabulary), the
 *   abort reason
 */
export async function meanScoreMaxima(
  shape: LlamaShape,
  weights: LlamaWeights,
  prompts: Iterable<ArrayLike<number>>,
  options: AsyncOptions & { threads?: number } = {},
): Promise<number[]> {
  const { threads, signal, onProgress } = options;
  const texts = tokensOf(prompts, shape.vocab);
  const total = texts.reduce((sum, { length }) => sum + length, 0);
  if (total === 0) throw check.rangeError('prompts', 'at least one token', 'none');
  const progress = new Progress(total, onProgress);
  const pages = Math.ceil(Math.max(...texts.map(({ length }) => length)) / PAGE_TOKENS);
  const slabs = [new Uint8Array(pages * pageBytes(shape, 'f32'))];
  const pageTable = Int32Array.from({ length: pages }, (_, page) => page);
  const scoreMaxima = new Float64Array(shape.layers);
  for (const text of texts) {
    for (let first = 0; first < text.length; first += ROWS) {
      const tokens = text.slice(first, first + ROWS);
      const batch = {
        tokens,
        sequences: new Int32Array(tokens.length),
        positions: tokens.map((_, i) => first + i),
        pageTable,
        maxPages: pages,
        logitRows: new Int32Array(0),
      };
      const pass = prepareForward(shape, weights, slabs, 'f32', batch, { threads, scoreMaxima });
      await promised(pass, { signal });
      progress.advance(tokens.length);
    }
  }
  progress.finish();
  return Array.from(scoreMaxima, (sum) => sum / (total * shape.queryHeads));
}

function tokensOf(prompts: Iterable<ArrayLike<number>>, vocab: number): Int32Array[] {
  if (typeof prompts !== 'object' || prompts === null || !(Symbol.iterator in prompts))
    throw check.typeError('prompts', 'a list of arrays of token ids', prompts);
  return Array.from(prompts, (prompt, i) => {
    if (typeof prompt !== 'object' || prompt === null)
      throw check.typeError(`prompts[${i}]`, 'an array of token ids', prompt);
    return Int32Array.from(prompt, (token) => {
      if (Number.isInteger(token) && token >= 0 && token < vocab) return token;
      throw check.rangeError(`prompts[${i}]`, `token ids from 0 to ${vocab - 1}`, token);
    });
  });
}
