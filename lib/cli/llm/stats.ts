/** What `softlane generate --stats` prints. */
import { counted } from '../elastic/output.js';
import type { Sample } from './output.js';
import type { TextModel } from './text-model.js';

/** What is known when all texts are written, or as far as they are. */
export interface Facts {
  model: TextModel;
  /** Longest context in tokens. */
  maxLength: number;
  samples: readonly Sample[];
  /** Tokens of the prompt. */
  prompt: number;
  seed: number;
  /** Milliseconds until the model was loaded. */
  loadMs: number;
}

const time = (ms: number): string => (ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`);

/** Where the time went: loading, the prompt (up to the first token), the rest of the texts. One line each. */
export function statLines({ model, maxLength, samples: all, prompt, seed, loadMs }: Facts): string[] {
  // Texts that were interrupted before their first token have no times.
  const samples = all.filter(({ tokens }) => tokens.length > 0);
  if (samples.length === 0)
    return [
      `loading  ${time(loadMs)}`,
      `prompt   ${counted(prompt, 'token')}`,
      `ended    before the first token`,
    ];
  const promptMs = Math.min(...samples.map(({ firstTokenMs }) => firstTokenMs));
  const totalMs = Math.max(...samples.map(({ lastTokenMs }) => lastTokenMs));
  const decodeMs = totalMs - promptMs;
  const tokens = samples.reduce((sum, each) => sum + each.tokens.length, 0);
  const share = (ms: number): string => `${((100 * ms) / (loadMs + totalMs)).toFixed(0)} %`;
  const lines = [
    `loading  ${time(loadMs)}, ${share(loadMs)} of the time`,
    `prompt   ${counted(prompt, 'token')}${samples.length > 1 ? ` x ${samples.length}` : ''}, ` +
      `${time(promptMs)} to the first token, ${share(promptMs)}`,
  ];
  // The first token of each text came with its prompt.
  const further = tokens - samples.length;
  const rate = further > 0 ? `, ${((further * 1000) / decodeMs).toFixed(1)} tokens per second` : '';
  lines.push(`text     ${counted(tokens, 'token')}, ${time(decodeMs)}, ${share(decodeMs)}${rate}`);
  const megabytes = (model.weightBytes / 1e6).toFixed(1);
  lines.push(
    `model    ${megabytes} MB of weights, ${counted(model.threads, 'thread')}, ` +
      `${counted(model.passes, 'forward pass', 'forward passes')}, seed ${seed}`,
  );
  lines.push(`ended    ${samples.map((sample) => reason(sample, prompt, maxLength)).join(', ')}`);
  return lines;
}

/** Why a text ended, in words where the context was full. */
function reason({ finishReason, tokens }: Sample, prompt: number, maxLength: number): string {
  const full = prompt + tokens.length === maxLength;
  const context = `the context of ${maxLength} tokens is full`;
  return finishReason === 'length' && full ? `length (${context})` : (finishReason ?? 'unknown');
}
