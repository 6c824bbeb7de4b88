/** `softlane align DATA I J` */
import type { Command } from 'commander';
import type { AlignFlags } from '../elastic/align.js';
import { addInputOptions, addMetricOptions } from '../elastic/options.js';
import { nonNegativeInteger, svgName } from '../options.js';

const HELP = `
Prints the distance and the path: pairs of time points, i of the first series, j of the second.

Examples:
  $ softlane align data.ts 0 7 --metric dtw --window 0.1 --plot alignment.svg
  $ softlane align data.npy 0 1 --metric msm --json`;

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command('align')
    .description('alignment of two time series: path, distance, drawing')
    .argument('<DATA>', 'series: .ts, .csv, .tsv or .npy')
    .argument('<I>', 'index of the first series, from 0', nonNegativeInteger)
    .argument('<J>', 'index of the second series', nonNegativeInteger);
  addMetricOptions(command);
  addInputOptions(command, false)
    .option('--plot <F.svg>', 'draw both series and the matrix of costs (needs vega and vega-lite)', svgName)
    .option('--json', 'print JSON', false)
    .addHelpText('after', HELP)
    .action(async (data: string, i: number, j: number, flags: AlignFlags) => {
      // Loaded here, so that help and usage errors do not need the native addon.
      const { align } = await import('../elastic/align.js');
      await align(data, i, j, flags);
    });
}
