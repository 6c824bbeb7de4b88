/** `softlane classify TRAIN TEST` */
import { Option, type Command } from 'commander';
import type { ClassifyFlags } from '../elastic/classify.js';
import { addInputOptions, addMetricOptions, addSoftOptions } from '../elastic/options.js';
import { nonNegativeNumber, positiveInteger } from '../options.js';

const HELP = `
Where TEST has labels, the errors are counted. Neighbours under a metric are found with lower bounds and early
abandoning: pairs that cannot be among the nearest are pruned, and the answer is that of the full matrix.

Examples:
  $ softlane classify train.ts test.ts --metric dtw --window 0.1
  $ softlane classify train.ts test.ts --method centroid --soft msm --gamma 0.1 --max-iter 100 --tol 1e-3
  $ softlane classify train.csv test.csv --labels train.txt -k 3 --metric msm -o predictions.csv`;

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command('classify')
    .description('classes of time series by nearest neighbours or centroids')
    .argument('<TRAIN>', 'series with labels: .ts, .csv, .tsv or .npy')
    .argument('<TEST>', 'series to be classified')
    .addOption(new Option('--method <name>', 'how').choices(['knn', 'centroid']).default('knn'))
    .option('-k <n>', 'knn: neighbours that vote (default: 1)', positiveInteger);
  addMetricOptions(command);
  addSoftOptions(command, 'soft');
  addInputOptions(command)
    .option('--test-labels <FILE>', 'labels of TEST')
    .option('--no-prune', 'knn: compute every distance to its end')
    .option('--max-iter <n>', 'centroid: most iterations of an average (default: 30)', positiveInteger)
    .option(
      '--tol <change>',
      'centroid: an average ends below this change (default: 1e-5)',
      nonNegativeNumber,
    )
    .option('-o, --output <PRED.csv>', 'write the predictions')
    .option('--threads <n>', 'threads to compute with', positiveInteger, 1)
    .option('--json', 'print JSON', false)
    .addHelpText('after', HELP)
    .action(async (train: string, test: string, flags: ClassifyFlags) => {
      // Loaded here, so that help and usage errors do not need the native addon.
      const { classify } = await import('../elastic/classify.js');
      await classify(train, test, flags);
    });
}
