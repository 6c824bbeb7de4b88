/** `softlane barycenter DATA` */
import { Option, type Command } from 'commander';
import type { BarycenterFlags } from '../elastic/barycenter.js';
import { addInputOptions, addMetricOptions, addSoftOptions } from '../elastic/options.js';
import { nonNegativeInteger, nonNegativeNumber, npyName, positiveInteger, svgName } from '../options.js';

const HELP = `
dba and mba are one method, every point becomes the mean of what is matched to it: dba under dtw, mba under msm, each also
under another --metric. subgradient goes down the subgradient of squared, dtw or adtw. soft minimises a soft loss by
L-BFGS. C.npy holds one series, [1, length] or [1, channels, length]. The objective is the sum of the distances to all
members, printed for the start and after each iteration; dba and mba end at one that is worse, and do not keep it.

Examples:
  $ softlane barycenter data.ts --class 1 --method soft --loss msm --gamma 0.1 --plot barycentre.svg
  $ softlane barycenter data.csv --method dba --window 0.1 -o barycentre.npy`;

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command('barycenter')
    .description('average of time series under an elastic distance or a soft loss')
    .argument('<DATA>', 'series: .ts, .csv, .tsv or .npy')
    .option('--class <LABEL>', 'only the series with this label')
    .addOption(
      new Option('--method <name>', 'how').choices(['dba', 'mba', 'subgradient', 'soft']).default('dba'),
    )
    .addOption(
      new Option('--init <where>', 'where to start').choices(['mean', 'medoid', 'random']).default('mean'),
    )
    .option('--max-iter <n>', 'most iterations', positiveInteger, 30)
    .option('--tol <change>', 'end below this change of the objective (default: 1e-5)', nonNegativeNumber)
    .option('--seed <n>', 'seed of every random choice (default: 0)', nonNegativeInteger);
  addMetricOptions(command);
  addSoftOptions(command, 'loss');
  addInputOptions(command)
    .option('-o, --output <C.npy>', 'write the barycentre', npyName)
    .option('--plot <F.svg>', 'draw the barycentre over its members (needs vega and vega-lite)', svgName)
    .option('--threads <n>', 'threads to compute with', positiveInteger, 1)
    .option('--json', 'print JSON', false)
    .addHelpText('after', HELP)
    .action(async (data: string, flags: BarycenterFlags) => {
      // Loaded here, so that help and usage errors do not need the native addon.
      const { barycenter } = await import('../elastic/barycenter.js');
      await barycenter(data, flags);
    });
}
