/** `softlane verify` */
import type { Command } from 'commander';
import type { Fingerprint } from '../../verify.js';
import { CliError } from '../errors.js';
import { positiveInteger } from '../options.js';

const counts = (text: string): number[] => text.split(',').map(positiveInteger);

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('verify')
    .description(
      'print a hash of the results of every kernel and instruction set, equal for any number of threads',
    )
    .option('--isa <names>', 'instruction sets, separated by commas; default those available')
    .option(
      '--threads <counts>',
      'thread counts, separated by commas; their hashes are compared',
      counts,
      [1, 2, 3, 8],
    )
    .option('--json', 'print JSON instead of a table', false)
    .action(run);
}

async function run(flags: { isa?: string; threads: number[]; json: boolean }): Promise<void> {
  const softlane = await import('../../index.js');
  const isas = (flags.isa?.split(',') ?? softlane.availableIsas()) as ReturnType<
    typeof softlane.availableIsas
  >;
  const [first, ...others] = flags.threads.map((threads) => softlane.verify({ isas, threads }));
  const differing = new Set<Fingerprint>();
  for (const other of others) first.forEach((line, i) => line.hash !== other[i].hash && differing.add(line));

  if (flags.json) {
    process.stdout.write(`${JSON.stringify(first, null, 2)}\n`);
  } else {
    const names = [...new Set(first.map((line) => line.kernel))];
    const width = Math.max(...names.map((name) => name.length));
    const head = isas.map((isa) => isa.padEnd(18)).join('');
    process.stdout.write(`${'kernel'.padEnd(width + 2)}${head}\n`);
    for (const name of names) {
      const hashes = isas.map((isa) => {
        const line = first.find((each) => each.kernel === name && each.isa === isa) as Fingerprint;
        return `${line.hash}${differing.has(line) ? '!' : ' '} `;
      });
      process.stdout.write(`${name.padEnd(width + 2)}${hashes.join('')}\n`);
    }
    if (differing.size === 0) process.stdout.write(`Equal for ${flags.threads.join(', ')} threads.\n`);
  }
  if (differing.size > 0) {
    throw new CliError(
      `results differ between ${flags.threads.join(', ')} threads in ${differing.size} kernels (marked !)`,
      1,
    );
  }
}
