/** `softlane search QUERY STREAM` */
import { Option, type Command } from 'commander';
import type { SearchFlags } from '../elastic/search.js';
import { nonNegativeInteger, positiveInteger, share } from '../options.js';

const HELP = `
Prints where in STREAM the windows begin that are nearest to QUERY under dynamic time warping, the best first. A STREAM
that is an .npy array of one axis is read in parts and may be larger than memory; other files hold one series, or one number
a line. Distances are sums of squares, without a root.

Examples:
  $ softlane search query.csv stream.npy --k 3 --znorm --window 0.05
  $ softlane search data.ts stream.npy --query 7 --json`;

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('search')
    .description('where in a long series a short one occurs')
    .argument('<QUERY>', 'series: .npy, .ts, .csv or .tsv')
    .argument('<STREAM>', 'long series: .npy, .ts, .csv or .tsv')
    .option('-k, --k <n>', 'matches wanted', positiveInteger, 1)
    .option('--znorm', 'compare query and windows with mean 0 and deviation 1')
    .option(
      '--window <share>',
      'Sakoe-Chiba radius as a share of the query, 0 to 1 (default: no band)',
      share,
    )
    .addOption(
      new Option('--window-abs <points>', 'Sakoe-Chiba radius in time points')
        .argParser(nonNegativeInteger)
        .conflicts('window'),
    )
    .option(
      '--exclusion <points>',
      'least distance of two matches (default: the length of the query)',
      positiveInteger,
    )
    .option('--query <i>', 'which series of QUERY, from 0', nonNegativeInteger)
    .option('--series <i>', 'which series of STREAM, from 0', nonNegativeInteger)
    .addOption(
      new Option(
        '--label-column <where>',
        '.csv, .tsv: column of labels (default: .tsv first, .csv none)',
      ).choices(['first', 'last', 'none']),
    )
    .option('--header', '.csv, .tsv: the first line is a header')
    .option('-o, --output <MATCHES.csv>', 'write the matches')
    .option('--threads <n>', 'threads to compute with', positiveInteger, 1)
    .option('--json', 'print JSON', false)
    .addHelpText('after', HELP)
    .action(async (query: string, stream: string, flags: SearchFlags) => {
      // Loaded here, so that help and usage errors do not need the native addon.
      const { search } = await import('../elastic/search.js');
      await search(query, stream, flags);
    });
}
