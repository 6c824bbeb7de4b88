/** `softlane tune` */
import { InvalidArgumentError, type Command } from 'commander';
import type { DataflowEntry } from '../../kernels/dataflow.js';
import type { TuneDataflowOptions, TunedShape } from '../../tuning-dataflow.js';
import type { TuneOptions } from '../../tuning.js';
import { CliError } from '../errors.js';
import { interruptible } from '../interrupt.js';
import { positiveInteger } from '../options.js';
import { startProgress } from '../progress.js';
import { formatBytes } from './info.js';

/** What can be measured. */
const PARTS = ['softmax', 'gemm'] as const;
type Part = (typeof PARTS)[number];

/** Options that one of them alone has. */
const OWN: Record<Part, readonly (keyof Flags)[]> = {
  softmax: ['dtype', 'maxLength'],
  gemm: ['shapes', 'type', 'threads'],
};

/** Fewer timings have no median to rely on for the time to come. */
const LEAST_SAMPLES = 5;

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('tune')
    .description(
      'measure which form of softmax and which kernel of products is fastest from which size on, and keep it in the cache folder',
    )
    .option('--what <names>', `what to measure, separated by commas: ${PARTS.join(', ')}; default all`, parts)
    .option(
      '--isa <names>',
      'instruction sets, separated by commas; default those available (gemm: the best)',
    )
    .option('--dtype <names>', 'softmax: storage types, separated by commas; default f32,f64,bf16,f16')
    .option('--max-length <elements>', 'softmax: longest row to measure; default 33554432', positiveInteger)
    .option(
      '--shapes <list>',
      'gemm: weight shapes NxK, separated by commas; default those of Llama 2 7B',
      shapes,
    )
    .option(
      '--type <names>',
      'gemm: storage types of weights, separated by commas; default f32,bf16,f16,int8',
    )
    .option('--threads <count>', 'gemm: threads of a call; default 1', positiveInteger)
    .option(
      '--samples <count>',
      `timings of which the median counts; default 7 (gemm: 15); below ${LEAST_SAMPLES} nothing is kept`,
      positiveInteger,
    )
    .option('--no-save', 'measure only: do not keep the result')
    .action(run);
}

interface Flags {
  what?: Part[];
  isa?: string;
  dtype?: string;
  maxLength?: number;
  shapes?: TunedShape[];
  type?: string;
  threads?: number;
  samples?: number;
  save: boolean;
}

function parts(text: string): Part[] {
  return text.split(',').map((name) => {
    if (!PARTS.includes(name as Part)) throw new InvalidArgumentError(`It must be of ${PARTS.join(', ')}.`);
    return name as Part;
  });
}

function shapes(text: string): TunedShape[] {
  return text.split(',').map((item) => {
    const [, n, k] = (/^(\d{1,9})[x×](\d{1,9})$/.exec(item) ?? []).map(Number);
    if (!(n >= 1 && k >= 1)) throw new InvalidArgumentError('It must be NxK, such as 4096x4096.');
    return { n, k };
  });
}

/** What is measured needs the options that are given. @throws CliError */
function requireUse(flags: Flags, wanted: readonly Part[]): void {
  for (const part of PARTS.filter((each) => !wanted.includes(each)))
    for (const option of OWN[part])
      if (flags[option] !== undefined) {
        const name = option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
        throw new CliError(`--${name} belongs to ${part}, and --what asks for ${wanted.join(',')} alone`, 2);
      }
}

async function run(given: Flags): Promise<void> {
  const wanted = given.what ?? PARTS;
  requireUse(given, wanted);
  const tooFew = (given.samples ?? LEAST_SAMPLES) < LEAST_SAMPLES;
  const flags = { ...given, save: given.save && !tooFew };
  const softlane = await import('../../index.js');
  if (wanted.includes('softmax')) await tuneSoftmax(flags);
  if (wanted.includes('gemm')) await tuneGemm(flags);
  const path = softlane.info().tuning;
  if (given.save && tooFew) process.stdout.write(`Not kept: that takes at least ${LEAST_SAMPLES} samples.\n`);
  if (flags.save && path !== null) process.stdout.write(`Kept in ${path}.\n`);
}

/** Measures with a progress bar, until it is done or interrupted. */
async function watched<R>(
  title: string,
  work: (watch: { signal: AbortSignal; onProgress: (done: number) => void }) => Promise<R>,
): Promise<R> {
  const bar = startProgress(title, 1);
  const onProgress = (done: number): void => bar.update(done);
  return interruptible((signal) => work({ signal, onProgress })).finally(() => bar.stop());
}

async function tuneSoftmax(flags: Flags): Promise<void> {
  const softlane = await import('../../index.js');
  const { DTYPES } = await import('../../kernels/arguments.js');
  const options: TuneOptions = {
    isas: flags.isa?.split(',') as TuneOptions['isas'],
    dtypes: flags.dtype?.split(',') as TuneOptions['dtypes'],
    maxLength: flags.maxLength,
    samples: flags.samples,
    save: flags.save,
  };
  const calibration = await watched('tuning softmax', (watch) => softlane.tune({ ...options, ...watch }));
  const since = (bytes: number | null | undefined): string => {
    if (bytes === undefined) return 'not in these lengths';
    return bytes === null ? 'never' : `from ${formatBytes(bytes)}`;
  };
  process.stdout.write(
    `${'isa'.padEnd(9)}${'dtype'.padEnd(7)}${'two passes (row)'.padEnd(22)}streaming stores (call)\n`,
  );
  for (const isa of options.isas ?? softlane.availableIsas()) {
    for (const dtype of options.dtypes ?? DTYPES) {
      const twoPass = since(calibration.twoPassFrom[isa]?.[dtype]);
      const stream = since(calibration.streamFrom[isa]?.[dtype]);
      process.stdout.write(`${isa.padEnd(9)}${dtype.padEnd(7)}${twoPass.padEnd(22)}${stream}\n`);
    }
  }
}

async function tuneGemm(flags: Flags): Promise<void> {
  const { tuneDataflow } = await import('../../tuning-dataflow.js');
  const options: TuneDataflowOptions = {
    isas: flags.isa?.split(',') as TuneDataflowOptions['isas'],
    type: flags.type?.split(',') as TuneDataflowOptions['type'],
    threads: flags.threads,
    samples: flags.samples,
    save: flags.save,
  };
  const { entries } = await watched('tuning products', (watch) =>
    tuneDataflow(flags.shapes, { ...options, ...watch }),
  );
  const head: string[] = ['isa', 'weights', 'layout', 'type', 'flat from', 'blocked from'];
  const lines = [head, ...entries.map(lineOf)];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i].length)) + 2);
  for (const line of lines) {
    process.stdout.write(
      `${line
        .map((text, i) => text.padEnd(widths[i]))
        .join('')
        .trimEnd()}\n`,
    );
  }
}

function lineOf({ isa, n, k, packed, type, m1, m2 }: DataflowEntry): string[] {
  return [isa, `[${n}, ${k}]`, packed ? 'packed' : 'unpacked', type, `m=${m1}`, `m=${m2}`];
}
