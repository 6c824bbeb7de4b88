#!/usr/bin/env node
/** The command line: `softlane COMMAND`. Each command is a file in `commands/` that registers itself. */
import { Command, CommanderError } from 'commander';
import { register as registerAlign } from './commands/align.js';
import { register as registerBarycenter } from './commands/barycenter.js';
import { register as registerBench } from './commands/bench.js';
import { register as registerClassify } from './commands/classify.js';
import { register as registerCluster } from './commands/cluster.js';
import { register as registerDistances } from './commands/distances.js';
import { register as registerGather } from './commands/gather.js';
import { register as registerGenerate } from './commands/generate.js';
import { register as registerInfo } from './commands/info.js';
import { register as registerSearch } from './commands/search.js';
import { register as registerSoftmax } from './commands/softmax.js';
import { register as registerTune } from './commands/tune.js';
import { register as registerVerify } from './commands/verify.js';
import { report } from './errors.js';
import { packageVersion } from './version.js';

function createProgram(): Command {
  const program = new Command('softlane')
    .description(
      'Softmax, elastic distances of time series, text of language models: accelerated kernels, and benchmarks of them',
    )
    .version(packageVersion())
    .option('--debug', 'print the stack of an error')
    // Errors are thrown, and reported in one place in one form; only help that was asked for is printed by commander.
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    // Arguments are in the help of each command: beside the name alone a description has room for its line.
    .configureHelp({ subcommandTerm: (command) => command.name() });
  registerInfo(program);
  registerSoftmax(program);
  registerDistances(program);
  registerGather(program);
  registerClassify(program);
  registerCluster(program);
  registerBarycenter(program);
  registerAlign(program);
  registerSearch(program);
  registerGenerate(program);
  registerBench(program);
  registerTune(program);
  registerVerify(program);
  return program;
}

async function main(argv: string[]): Promise<number> {
  const program = createProgram();
  if (argv.length <= 2) {
    program.outputHelp();
    return 0;
  }
  try {
    await program.parseAsync(argv);
    return 0;
  } catch (error) {
    // --help and --version end this way too.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    // Read from the arguments themselves: parsing may have failed before it came to this flag.
    return report(error, argv.includes('--debug'));
  }
}

// `softlane info | head -1` closes the pipe early; that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.exit(report(error, process.argv.includes('--debug')));
});

void main(process.argv).then((code) => {
  process.exitCode = code;
});
