/** `softlane softmax IN.npy -o OUT.npy` */
import { Option, type Command } from 'commander';
import type { SoftmaxOptions } from '../../index.js';
import { interruptible } from '../interrupt.js';
import { integer, positiveInteger, positiveNumber } from '../options.js';
import { startProgress, type Progress } from '../progress.js';
import { softmaxFile } from '../softmax-file.js';
import type { TwoByteFloat } from '../../io/npy.js';

const ALGORITHMS = ['auto', 'two-pass', 'online', 'blocked', 'three-pass-recompute', 'three-pass-reload'];

interface Flags {
  output: string;
  axis: number;
  log?: boolean;
  temperature: number;
  algorithm: NonNullable<SoftmaxOptions['algorithm']>;
  dtype?: TwoByteFloat;
  emptyRow: 'zero' | 'nan';
  threads: number;
}

const HELP = `
The element type and the memory order (C or Fortran) of the output are those of the input; float16 and bfloat16
are summed in wider precision and rounded once. OUT.npy appears only when it is complete, and may be IN.npy.

Memory: the file is worked through in blocks. Along the last axis (in Fortran order: the first) about 4 MiB, or
one row if that is longer. Along any other axis up to two copies of a 64 MiB strip, or of one line along the
axis if that is longer.

Examples:
  $ softlane softmax logits.npy -o probabilities.npy
  $ softlane softmax logits.npy -o logp.npy --log --temperature 0.7 --threads 2`;

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('softmax')
    .description('softmax or log-softmax of an .npy file along one axis')
    .argument('<IN.npy>', 'float16, float32, float64 or bfloat16 array of any shape')
    .requiredOption('-o, --output <OUT.npy>', 'file to write')
    .option('--axis <k>', 'axis to normalise along; negative counts from the last', integer, -1)
    .option('--log', 'log-probabilities instead of probabilities')
    .option('--temperature <T>', 'divide the logits by T > 0 first', positiveNumber, 1)
    .addOption(new Option('--algorithm <name>', 'how rows are computed').choices(ALGORITHMS).default('auto'))
    .addOption(
      new Option('--dtype <name>', "what two-byte void ('|V2') or uint16 elements hold").choices([
        'bf16',
        'f16',
      ]),
    )
    .addOption(
      new Option('--empty-row <value>', 'result of a row that is -Infinity throughout')
        .choices(['zero', 'nan'])
        .default('zero'),
    )
    .option('--threads <n>', 'threads to compute with', positiveInteger, 1)
    .addHelpText('after', HELP)
    .action(run);
}

async function run(input: string, flags: Flags): Promise<void> {
  // Loaded here, so that help and usage errors do not need the native addon.
  const { logSoftmaxAsync, softmaxAsync } = await import('../../index.js');
  const compute = flags.log ? logSoftmaxAsync : softmaxAsync;
  const { algorithm, emptyRow, temperature, threads } = flags;
  const started = performance.now();
  let bar: Progress | undefined;
  try {
    const { shape, dtype, axis } = await interruptible((signal) =>
      softmaxFile({
        input,
        output: flags.output,
        axis: flags.axis,
        dtype: flags.dtype,
        signal,
        apply: (data, rows, type) =>
          compute(data, {
            rows,
            out: data,
            dtype: type,
            outDtype: type,
            algorithm,
            emptyRow,
            temperature,
            threads,
            signal,
          }),
        onProgress: (done, total) => {
          bar ??= startProgress(flags.log ? 'log-softmax' : 'softmax', total);
          bar.update(done);
        },
      }),
    );
    bar?.stop();
    const seconds = ((performance.now() - started) / 1000).toFixed(2);
    process.stdout.write(
      `${flags.output}: ${flags.log ? 'log-softmax' : 'softmax'} of ${dtype} [${shape.join(', ')}] along axis ${axis}, ${seconds} s\n`,
    );
  } finally {
    bar?.stop();
  }
}
