/** `softlane distances TRAIN [TEST] -o D.npy` */
import { Option, type Command } from 'commander';
import type { DistancesFlags } from '../elastic/distances.js';
import { addInputOptions, addMetricOptions, addSoftOptions } from '../elastic/options.js';
import { indexRange, npyName, pieceShare, positiveInteger } from '../options.js';

const HELP = `
D.npy holds a row per series of TRAIN and a column per series of TEST, or of TRAIN itself without TEST. It appears only
when it is complete. Until then its tiles are in the folder D.npy.pieces: after an interruption of any kind the same
command goes on from those that are finished, and D.npy gets the same bytes. Memory: the series and one tile.

Several processes, also of several machines that see the same files, share the work with --piece; then gather once.

Examples:
  $ softlane distances train.ts test.ts --metric msm --c 0.5 -o D.npy
  $ softlane distances train.ts --soft dtw --gamma 0.1 --divergence -o D.npy
  $ for i in 1 2 3; do softlane distances train.ts -o D.npy --piece $i/3 & done; wait; softlane gather D.npy`;

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command('distances')
    .description('elastic distances of time series, as a matrix in an .npy file')
    .argument('<TRAIN>', 'series: .ts, .csv, .tsv or .npy')
    .argument('[TEST]', 'series; without it the distances of TRAIN to itself')
    .addOption(new Option('-o, --output <D.npy>', 'file to write').argParser(npyName).makeOptionMandatory());
  addMetricOptions(command);
  addSoftOptions(command, 'soft');
  addInputOptions(command, false);
  command
    .addOption(new Option('--dtype <type>', 'element type of D.npy').choices(['f32', 'f64']).default('f64'))
    .option('--tile <n>', 'rows and columns of a tile (default: some ten seconds of work)', positiveInteger)
    .option('--rows <a:b>', 'only these rows of the matrix, from a up to b', indexRange)
    .option('--cols <c:d>', 'only these columns', indexRange)
    .addOption(
      new Option('--piece <i/n>', 'compute this share of the tiles only, and do not gather')
        .argParser(pieceShare)
        .conflicts(['rows', 'cols', 'gather', 'restart']),
    )
    .addOption(
      new Option('--gather', 'merge the tiles that --piece has made').conflicts(['rows', 'cols', 'restart']),
    )
    .option('--keep', 'leave the tiles where they are')
    .option('--restart', 'drop tiles that are there, also those of other options')
    .option('--threads <n>', 'threads to compute with', positiveInteger, 1)
    .option('--json', 'print JSON', false)
    .addHelpText('after', HELP)
    .action(async (train: string, test: string | undefined, flags: DistancesFlags) => {
      // Loaded here, so that help and usage errors do not need the native addon.
      const { distances } = await import('../elastic/distances.js');
      await distances(train, test, flags);
    });
}
