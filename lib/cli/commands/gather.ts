/** `softlane gather D.npy` */
import type { Command } from 'commander';
import type { GatherFlags } from '../elastic/distances.js';

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('gather')
    .description('merge the tiles of a matrix that distances --piece has made')
    .argument('<D.npy>', 'the file that the tiles are for')
    .option('--keep', 'leave the tiles where they are')
    .option('--json', 'print JSON', false)
    .action(async (out: string, flags: GatherFlags) => {
      const { gatherFile } = await import('../elastic/distances.js');
      await gatherFile(out, flags);
    });
}
