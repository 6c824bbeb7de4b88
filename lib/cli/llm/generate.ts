/** What `softlane generate` does: loads a model, writes texts after a prompt. */
import { randomInt } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { embeddedModelPath, type CacheType, type GenerateOptions } from '../../llm/index.js';
import type { WeightType } from '../../kernels/weights.js';
import { CliError } from '../errors.js';
import { threads as poolThreads } from '../../machine.js';
import { interruptible } from '../interrupt.js';
import { watched } from '../watched.js';
import { requireModelFolder } from './folder.js';
import { logprobLine, OrderedWriter, timingOf, tokenReport, type Sample } from './output.js';
import { messagesOf, readPrompt, type PromptFlags } from './prompt.js';
import { statLines } from './stats.js';
import { loadTextModel, readFacts, type ModelFacts, type TextModel } from './text-model.js';
import { loadTokenizer, type TextCodec } from './tokenizer.js';

/** The flags of `softlane generate`. */
export interface GenerateFlags extends PromptFlags {
  maxTokens?: number;
  temperature: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  seed?: number;
  stop?: string[];
  n: number;
  weights?: WeightType;
  cache: CacheType;
  threads?: number;
  logprobs?: number;
  stream: boolean;
  stats: boolean;
  json: boolean;
}

/** A prompt as the model takes it. @throws CliError where it does not fit the model */
function promptTokens(prompt: string, flags: GenerateFlags, codec: TextCodec, facts: ModelFacts): number[] {
  const tokens = flags.chat ? codec.encodeChat(messagesOf(prompt, flags.system)) : codec.encode(prompt);
  const { vocabSize, maxLength: context } = facts;
  const foreign = tokens.find((id) => !(id >= 0 && id < vocabSize));
  if (foreign !== undefined)
    throw new CliError(
      `the tokenizer does not belong to the model: expected ids below ${vocabSize}, received ${foreign}`,
    );
  if (tokens.length >= context)
    throw new CliError(
      `the prompt is too long: expected fewer than the ${context} tokens of the model's context, received ${tokens.length}`,
    );
  return tokens;
}

/** What of the command line depends on the model. @throws CliError with the exit code of a wrong command line */
function requireFlags({ logprobs }: GenerateFlags, { vocabSize }: ModelFacts): void {
  if (logprobs !== undefined && logprobs > vocabSize)
    throw new CliError(
      `option '--logprobs <n>' argument '${logprobs}' is invalid. It must be at most ${vocabSize}, the model's tokens.`,
      2,
    );
}

/** The ids that end a text: the model's, and those of the files about generation as far as the model has them. */
function stopTokens(model: TextModel, { vocabSize }: ModelFacts, codec: TextCodec): number[] {
  return [...new Set([...model.eosTokenIds, ...codec.endTokens])].filter((id) => id >= 0 && id < vocabSize);
}

/** A job: what to write, with what, and where to. */
interface Job {
  model: TextModel;
  prompt: number[];
  options: GenerateOptions & { signal: AbortSignal };
  decode: TextCodec['decode'];
  flags: GenerateFlags;
  seed: number;
  writer: OrderedWriter;
}

/** Adds the tokens of a text to a sample, and shows them. Where the signal aborts, the sample is as far as it came. */
async function fill(sample: Sample, { model, prompt, options, ...job }: Job, started: number): Promise<void> {
  const { flags, writer, decode } = job;
  try {
    for await (const token of model.generate(prompt, { ...options, stream: sample.index })) {
      sample.lastTokenMs = performance.now() - started;
      if (sample.tokens.length === 0) sample.firstTokenMs = sample.lastTokenMs;
      sample.tokens.push(token.token);
      sample.text += token.text ?? '';
      sample.finishReason = token.finishReason;
      const report = flags.logprobs === undefined ? undefined : tokenReport(token, decode);
      if (report) sample.logprobs.push(report);
      if (!flags.json)
        await writer.write(
          sample.index,
          report ? `${logprobLine(report)}\n` : (token.text ?? ''),
          options.signal,
        );
    }
  } catch (error) {
    if (!options.signal.aborted) throw error;
    sample.finishReason ??= 'interrupted';
  }
}

/** Writes one of the texts, as its turn comes, and gives what became of it. */
async function writeSample(job: Job, index: number, started: number): Promise<Sample> {
  const { flags, writer, options } = job;
  const sample: Sample = { index, tokens: [], text: '', logprobs: [], firstTokenMs: 0, lastTokenMs: 0 };
  await fill(sample, job, started);
  // Of texts that were cut short, those that had not begun are left out, but there is always an object for the first.
  if (sample.finishReason !== 'interrupted') {
    await writer.end(index, options.signal, flags.json ? `${JSON.stringify(jsonOf(sample, job))}\n` : '');
  } else if (flags.json) {
    const shown = sample.tokens.length > 0 || index === 0;
    await writer.end(index, options.signal, shown ? `${JSON.stringify(jsonOf(sample, job))}\n` : '');
  }
  return sample;
}

function jsonOf(sample: Sample, { flags, prompt, seed }: Job): Record<string, unknown> {
  const { index, tokens, text, logprobs, finishReason } = sample;
  return {
    index,
    seed,
    promptTokens: prompt.length,
    tokens,
    text,
    ...(flags.logprobs !== undefined && { logprobs }),
    finishReason,
    timing: timingOf(sample),
  };
}

/** A line above each of several texts. */
function headings({ n, json }: GenerateFlags): string[] {
  return Array.from({ length: n }, (_, i) => (n > 1 && !json ? `--- ${i + 1} of ${n} ---\n` : ''));
}

/** Runs the command. @throws CliError, and what the library throws */
export async function generate(folder: string | undefined, flags: GenerateFlags): Promise<void> {
  const started = performance.now();
  const path = folder ?? embeddedModelPath();
  await requireModelFolder(path);
  const text = await interruptible((signal) => readPrompt(flags, signal));
  const codec = await loadTokenizer(path);
  // What is wrong with the prompt is said before gigabytes are loaded.
  const facts = await readFacts(path);
  requireFlags(flags, facts);
  const prompt = promptTokens(text, flags, codec, facts);
  const { weights, cache, threads = poolThreads(), n } = flags;
  const model = await watched('loading', async (watch) =>
    loadTextModel(path, facts, { weights, cache, threads, sequences: n, ...watch }),
  );
  for (const warning of model.warnings) process.stderr.write(`softlane: warning: ${warning}\n`);

  const writer = new OrderedWriter(process.stdout, headings(flags), flags.stream && !flags.json);
  const seed = flags.seed ?? randomInt(2 ** 31);
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, stop } = flags;
  const sampling = { maxTokens, temperature, topK, topP, minP, repetitionPenalty, stop };
  const loaded = performance.now();
  try {
    await interruptible(async (signal) => {
      setMaxListeners(0, signal); // one a text
      const options = {
        ...sampling,
        seed,
        stopTokens: stopTokens(model, facts, codec),
        detokenize: (tokens: readonly number[]) => codec.decode(tokens),
        topLogProbs: flags.logprobs,
        signal,
      };
      const job: Job = { model, prompt, options, decode: (ids) => codec.decode(ids), flags, seed, writer };
      const indices = Array.from({ length: n }, (_, i) => i);
      const samples = await Promise.all(indices.map(async (index) => writeSample(job, index, loaded)));
      if (flags.stats) {
        writer.closeLine();
        const loadMs = loaded - started;
        const { maxLength } = facts;
        const lines = statLines({ model, maxLength, samples, prompt: prompt.length, seed, loadMs });
        process.stderr.write(lines.join('\n') + '\n');
      }
      if (samples.some(({ finishReason }) => finishReason === 'interrupted')) signal.throwIfAborted();
    });
  } finally {
    writer.closeLine(); // a text that was cut short is not to share its line with what the shell prints
    await model.dispose();
  }
}
