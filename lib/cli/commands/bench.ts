/** `softlane bench` */
import type { Command } from 'commander';
import type { BenchOptions } from '../bench.js';
import { positiveNumber } from '../options.js';

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('bench')
    .description("time softlane against its peers and this machine's own ceilings")
    .argument('[question]', 'what to measure; without it the questions are listed')
    .option(
      '--sizes <list>',
      'sizes of the sweep (elastic: lengths of series; gemm: rows; attention: cached tokens; decode: parameters): ' +
        '1000,64Ki,2^20 or a range such as 1e3..1e8 or 1Ki..64Mi',
    )
    .option(
      '--shapes <list>',
      'matrices beside the sweep, ROWSxCOLS (elastic: series by length; gemm: weights NxK): 64x1000,4096x4096',
    )
    .option('--isa <names>', 'instruction sets, separated by commas, or "all" (default: the best one)')
    .option(
      '--threads <counts>',
      'thread counts, separated by commas (default: 1; elastic adds some cases on all cores)',
    )
    .option(
      '--distribution <name>',
      'distribution of the inputs (softmax: uniform-10, uniform-1000, normal-4)',
    )
    .option(
      '--kind <names>',
      'attention: whole sequences of other kinds of attention, separated by commas: linear, pla, soft',
    )
    .option('--filter <regex>', 'only the contenders for which "contender case isa" matches')
    .option('--budget <seconds>', 'end after about this time (default: 230, with --quick 25)', positiveNumber)
    .option('--quick', 'fewer and smaller cases, in under half a minute')
    .option('--json <file>', 'write the results as JSON')
    .option('--plot <file>', 'draw the sweep as SVG (needs vega and vega-lite)')
    .option(
      '--plot-value <what>',
      'what to draw: ns or GBps (softmax), Mcells or ns (elastic), ms, GBps or ofCeiling (gemm, attention), tokens or ofCeiling (decode)',
    )
    .option('--against <file>', 'compare with a run that --json saved on this machine')
    .action(async (question: string | undefined, options: BenchOptions) => {
      // Loaded here, so that help and usage errors do not need the native addon.
      const { bench } = await import('../bench.js');
      await bench(question, options);
    });
}
