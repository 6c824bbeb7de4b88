/** `softlane info` */
import type { Command } from 'commander';

/** Bytes in the largest binary unit that leaves a number of at least 1: 49152 gives '48 KiB'. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command('info')
    .description('print version, CPU, instruction set, threads, caches and memory in use')
    .option('--json', 'print JSON instead of a table', false)
    .action(run);
}

async function run(flags: { json: boolean }): Promise<void> {
  // Loaded here, so that help and usage errors do not need the native addon.
  const softlane = await import('../../index.js');
  const facts = softlane.info();
  const memory = softlane.memory();
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ ...facts, memory }, null, 2)}\n`);
    return;
  }
  const size = (bytes: number): string => (bytes > 0 ? formatBytes(bytes) : 'unknown');
  const rows: [string, string][] = [
    ['softlane', facts.version],
    ['node', `v${facts.node} on ${facts.platform}${facts.libc ? ` (${facts.libc})` : ''}`],
    ['cpu', facts.cpu],
    ['cores', `${facts.cores} physical, ${facts.usableCores} usable by this process`],
    ['threads', String(facts.threads)],
    ['instruction set', `${facts.isa} (available: ${facts.isas.join(', ')})`],
    ['caches', `L1d ${size(facts.caches.l1d)}, L2 ${size(facts.caches.l2)}, L3 ${size(facts.caches.l3)}`],
    ['addon', facts.addon],
    ['tuning', facts.tuning ?? 'defaults (run softlane tune to measure this machine)'],
    [
      'scratch memory',
      `${formatBytes(memory.scratchBytes)} now, ${formatBytes(memory.scratchPeakBytes)} at most`,
    ],
    ['pending calls', String(memory.pendingCalls)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  process.stdout.write(rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(''));
}
