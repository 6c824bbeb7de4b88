/** `softlane cluster DATA -k 3` */
import { Option, type Command } from 'commander';
import type { ClusterFlags } from '../elastic/cluster.js';
import { addInputOptions, addMetricOptions, addSoftOptions } from '../elastic/options.js';
import { nonNegativeInteger, nonNegativeNumber, positiveInteger, svgName } from '../options.js';

const HELP = `
kmeans averages under a metric (dtw: DBA, msm: MBA), soft-kmeans under a soft loss; kmedoids and linkage take any metric,
or with --loss a soft loss. Clusters of linkage are represented by their medoids. Where the series have labels, the adjusted
Rand index says how well the clusters agree with them.

Examples:
  $ softlane cluster data.ts -k 3 --metric msm --plot clusters.svg
  $ softlane cluster data.csv -k 4 --method soft-kmeans --loss msm --gamma 0.1 -o clusters.csv
  $ softlane cluster data.npy -k 5 --method linkage --linkage complete --metric twe`;

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command('cluster')
    .description('clusters of time series by k-means, k-medoids or linkage')
    .argument('<DATA>', 'series: .ts, .csv, .tsv or .npy')
    .addOption(new Option('-k <n>', 'clusters').argParser(positiveInteger).makeOptionMandatory())
    .addOption(
      new Option('--method <name>', 'how')
        .choices(['kmeans', 'kmedoids', 'soft-kmeans', 'linkage'])
        .default('kmeans'),
    )
    .addOption(
      new Option('--linkage <kind>', 'linkage: distance of two clusters (default: average)').choices([
        'single',
        'complete',
        'average',
        'weighted',
      ]),
    )
    .option(
      '--restarts <n>',
      'kmeans, soft-kmeans: starts, of which the best is kept (default: 1)',
      positiveInteger,
    )
    .option('--max-iter <n>', 'most iterations (default: 300)', positiveInteger)
    .option('--tol <change>', 'kmeans, soft-kmeans: end below this change (default: 1e-6)', nonNegativeNumber)
    .option('--seed <n>', 'seed of every random choice (default: 0)', nonNegativeInteger);
  addMetricOptions(command);
  addSoftOptions(command, 'loss');
  addInputOptions(command)
    .option('-o, --output <LABELS.csv>', 'write the cluster of each series')
    .option('--plot <F.svg>', 'draw a panel per cluster (needs vega and vega-lite)', svgName)
    .option('--threads <n>', 'threads to compute with', positiveInteger, 1)
    .option('--json', 'print JSON', false)
    .addHelpText('after', HELP)
    .action(async (data: string, flags: ClusterFlags) => {
      // Loaded here, so that help and usage errors do not need the native addon.
      const { cluster } = await import('../elastic/cluster.js');
      await cluster(data, flags);
    });
}
