#!/usr/bin/env node
/** The command line: `softlane COMMAND`. Each command is a file in `commands/` that registers itself. */
import { Command, CommanderError } from 'commander';
import { register as registerBench } from './commands/bench.js';
import { register as registerInfo } from './commands/info.js';
import { register as registerSoftmax } from './commands/softmax.js';
import { register as registerTune } from './commands/tune.js';
import { register as registerVerify } from './commands/verify.js';
import { report } from './errors.js';
import { packageVersion } from './version.js';

function createProgram(): Command {
  const program = new Command('softlane')
    .description('Softmax and other accelerated kernels on .npy files, and benchmarks of them')
    .version(packageVersion())
    .option('--debug', 'print the stack of an error')
    // Errors are thrown, and reported in one place in one form; only help that was asked for is printed by commander.
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  registerInfo(program);
  registerSoftmax(program);
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
  throw error;
});

void main(process.argv).then((code) => {
  process.exitCode = code;
});
