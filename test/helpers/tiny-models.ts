/** The small models of the fixtures, and what each must give. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseNpy } from '../../lib/io/npy.js';
import type { ReferenceConfig } from '../reference/llama.js';
import type { Tolerance } from './compare.js';
import { FLASH_FIXTURES, spelledJson } from './flash-fixtures.js';

/** A model of the fixtures with one file of weights. */
export interface TinyModel {
  name: string;
  folder: string;
  /** Name of the file of weights; where there is no such file, of the shards. */
  weightsFile: string;
  logitsFile: string;
  /** Key of expected.json under which the greedy continuation stands; none where it stands at the top. */
  variant?: 'F32' | 'BF16';
}

const model = (
  name: string,
  weightsFile: string,
  logitsFile: string,
  variant?: 'F32' | 'BF16',
): TinyModel => ({ name, folder: join(FLASH_FIXTURES, name), weightsFile, logitsFile, variant });

/** All of them: GQA 4 on 2; shards, llama3 scaling, tied, heads wider than hidden / heads; biases, 7 on 1, f16. */
export const TINY_MODELS: readonly TinyModel[] = [
  model('tiny-llama', 'model-f32.safetensors', 'logits-f32.npy', 'F32'),
  model('tiny-llama', 'model-bf16.safetensors', 'logits-bf16.npy', 'BF16'),
  model('tiny-scaled-sharded', 'model.safetensors', 'logits.npy'),
  model('tiny-bias-f16', 'model.safetensors', 'logits.npy'),
];

interface Greedy {
  greedy: number[];
}

/** What a model must give: logits [tokens, vocab], row t after the tokens 0..t, and how it goes on. */
export interface Expected {
  tokens: number[];
  greedy: number[];
  logits: Float64Array[];
}

/** The logits of a fixture, row by row. */
export function expectedOf({ folder, logitsFile, variant }: TinyModel): Expected {
  const json = spelledJson<{ tokens: number[] } & Greedy & Record<'F32' | 'BF16', Greedy>>(
    join(folder, 'expected.json'),
  );
  const { data, shape } = parseNpy(readFileSync(join(folder, logitsFile)));
  const [rows, vocab] = shape;
  const values = Float64Array.from(data as Float64Array);
  const logits = Array.from({ length: rows }, (_, t) => values.subarray(t * vocab, (t + 1) * vocab));
  return { tokens: json.tokens, greedy: (variant ? json[variant] : json).greedy, logits };
}

/** config.json as the reference needs it. */
export const configOf = (folder: string): ReferenceConfig =>
  spelledJson<ReferenceConfig>(join(folder, 'config.json'));

/** score-ranges.json of tiny-llama with float32 weights: scaled scores over the given tokens. */
export interface ScoreRange {
  layer: number;
  meanRowMax: number;
  maxScore: number;
  minScore: number;
}

export const scoreRanges = (): ScoreRange[] =>
  spelledJson<ScoreRange[]>(join(FLASH_FIXTURES, 'tiny-llama', 'score-ranges.json'));

/** What the trained model must give: logits after each prompt, how it goes on, its loss on a text it has not seen. */
export interface KjvReference {
  cases: { prompt: string; lastLogits: number[]; greedy: string }[];
  window: number;
  heldOutText: string;
  heldOutNatsPerByte: number;
}

export const kjvReference = (): KjvReference =>
  spelledJson<KjvReference>(join(__dirname, '..', 'fixtures', 'llama-kjv', 'reference.json'));

/** Folder of the trained model that comes with the package. */
export const KJV_FOLDER = join(__dirname, '..', '..', 'models', 'llama-kjv');

/** Text as the trained model takes it: one token a byte. */
export const bytesOf = (text: string): number[] => [...Buffer.from(text, 'utf8')];

/** The largest logit in magnitude, at least 1: what errors of logits are measured by. */
export const scaleOf = (logits: ArrayLike<number>): number =>
  Array.from(logits).reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);

/** A tolerance: a share of the largest logit of a row. */
export function shareOf(share: number, logits: ArrayLike<number>): Tolerance {
  const tolerance = share * scaleOf(logits);
  return () => tolerance;
}

/** The lowest id with the largest logit. */
export function argmax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < logits.length; i += 1) if (logits[i] > logits[best]) best = i;
  return best;
}
