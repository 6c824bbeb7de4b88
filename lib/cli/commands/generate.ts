/** `softlane generate [MODEL_DIR] --prompt TEXT` */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { GenerateFlags } from '../llm/generate.js';
import {
  nonNegativeInteger,
  positiveInteger,
  positiveNumber,
  positiveShare,
  samplingTemperature,
  share,
} from '../options.js';

const WEIGHTS = ['f32', 'bf16', 'f16', 'int8'];

/** Collects texts of an option that may be given several times. */
function collect(text: string, before: string[] = []): string[] {
  if (text === '') throw new InvalidArgumentError('It must be a text of at least one character.');
  return [...before, text];
}

const HELP = `
MODEL_DIR holds config.json, tokenizer.json and safetensors (Llama 2 and 3, Mistral, Qwen2, Mamba; in one file or in shards).
Without it the model that comes with the package writes: 955,776 parameters, trained on the King James Bible, a token is a
byte. Without --prompt and --prompt-file the prompt is read from stdin; one line break at the end of a file is dropped.

A text ends with the reason 'stop' at an end-of-text token or a --stop string, else with 'length': at --max-tokens, or
where the context is full, prompt included (256 tokens with the model that comes with the package). A Mamba model has no
context that could be full, and no cache: without an end-of-text token --max-tokens is what ends it.

Ctrl-C ends the texts where they are: with --json the object says finishReason "interrupted", and --stats counts as usual.

The same --seed gives the same text, whatever --n and --threads are: text i of several takes stream i of the seed.

Examples:
  $ softlane generate --prompt 'In the beginning' --temperature 0.7 --seed 1
  $ softlane generate Qwen2.5-0.5B-Instruct --chat --prompt 'Why is the sky blue?' --weights int8 --stats
  $ softlane generate --prompt-file prompt.txt --n 4 --max-tokens 64 --logprobs 3 --json`;

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('generate')
    .description('text of a language model, written as it comes')
    .argument('[MODEL_DIR]', 'folder of a model (default: the one that comes with the package)')
    .option('-p, --prompt <TEXT>', 'text to go on from')
    .addOption(new Option('--prompt-file <F>', 'file with the text to go on from').conflicts('prompt'))
    .option('--chat', "the prompt is what a user says: put it into the model's chat template", false)
    .option('--system <TEXT>', '--chat: what the system says before')
    .option(
      '-m, --max-tokens <n>',
      'most tokens of a text (default: what the context holds)',
      positiveInteger,
    )
    .option('-t, --temperature <T>', '0 always takes the most probable token', samplingTemperature, 1)
    .option('--top-k <k>', 'only the k most probable tokens (default: all)', positiveInteger)
    .option(
      '--top-p <p>',
      'only the most probable tokens that make up p together, above 0, at most 1',
      positiveShare,
    )
    .option('--min-p <p>', 'only tokens at least p times as probable as the best, 0 to 1', share)
    .option('--repetition-penalty <x>', 'above 1: less of what the text has already', positiveNumber)
    .option('--seed <n>', 'seed of every random choice (default: a fresh one)', nonNegativeInteger)
    .option('--stop <TEXT>', 'end before this text; may be given several times', collect)
    .option('--n <count>', 'texts to write, all in one batch', positiveInteger, 1)
    .addOption(
      new Option('--weights <type>', 'hold weights as (default: as they are stored)').choices(WEIGHTS),
    )
    .addOption(new Option('--cache <type>', 'hold keys and values as').choices(WEIGHTS).default('f32'))
    .option(
      '--threads <n>',
      "threads to compute with (default: the size of softlane's pool, as `softlane info` shows it)",
      positiveInteger,
    )
    .option(
      '--logprobs <n>',
      'print a line a token with its log-probability and the n most probable tokens',
      nonNegativeInteger,
    )
    .option('--no-stream', 'print a text when it is complete')
    .option('--stats', 'print times and tokens per second on stderr', false)
    .option('--json', 'print a JSON object a line, one for each text', false)
    .addHelpText('after', HELP)
    .action(async (folder: string | undefined, flags: GenerateFlags) => {
      // Loaded here, so that help and usage errors do not need the native addon.
      const { generate } = await import('../llm/generate.js');
      await generate(folder, flags);
    });
}
