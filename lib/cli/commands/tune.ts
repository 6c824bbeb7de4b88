/** `softlane tune` */
import type { Command } from 'commander';
import type { TuneOptions } from '../../tuning.js';
import { interruptible } from '../interrupt.js';
import { positiveInteger } from '../options.js';
import { startProgress } from '../progress.js';
import { formatBytes } from './info.js';

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('tune')
    .description(
      'measure from which size two passes and streaming stores win, and keep it for `auto` in the cache folder',
    )
    .option('--isa <names>', 'instruction sets, separated by commas; default those available')
    .option('--dtype <names>', 'storage types, separated by commas; default f32,f64,bf16,f16')
    .option('--max-length <elements>', 'longest row to measure', positiveInteger, 2 ** 25)
    .option('--samples <count>', 'timings of which the median counts', positiveInteger, 7)
    .option('--no-save', 'measure only: do not keep the result')
    .action(run);
}

interface Flags {
  isa?: string;
  dtype?: string;
  maxLength: number;
  samples: number;
  save: boolean;
}

async function run(flags: Flags): Promise<void> {
  const softlane = await import('../../index.js');
  const { DTYPES } = await import('../../kernels/arguments.js');
  const bar = startProgress('tuning', 1);
  const options: TuneOptions = {
    isas: flags.isa?.split(',') as TuneOptions['isas'],
    dtypes: flags.dtype?.split(',') as TuneOptions['dtypes'],
    maxLength: flags.maxLength,
    samples: flags.samples,
    save: flags.save,
    onProgress: (done) => bar.update(done),
  };
  const calibration = await interruptible((signal) => softlane.tune({ ...options, signal })).finally(() =>
    bar.stop(),
  );
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
  const path = softlane.info().tuning;
  if (flags.save && path !== null) process.stdout.write(`Kept in ${path}.\n`);
}
