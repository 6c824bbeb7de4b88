import { info } from '../../lib/index.js';
import type { Machine, StoredResults } from './results.js';
import { formatCount } from './sizes.js';

/** Describes this machine and process in the words of the result file. */
export function describeMachine(): Machine {
  const { cpu, isas, usableCores, caches } = info();
  return { cpu, isa: isas[0], threads: usableCores, node: process.version, caches };
}

/** The parts of a machine that must agree before times are compared, by the names that an error shows. */
export function fingerprint(results: Pick<StoredResults, 'machine' | 'ceilings'>): Record<string, string> {
  const { machine, ceilings } = results;
  return {
    cpu: machine.cpu,
    cores: String(machine.threads),
    'instruction sets': Object.keys(ceilings.fmaGflops).sort().join(', '),
    'Node major version': /^v?(\d+)/.exec(machine.node)?.[1] ?? machine.node,
  };
}

/** Two lines for the head of a report: processor and caches, then what runs. */
export function machineLines(machine: Machine): string[] {
  const { l1d, l2, l3 } = machine.caches;
  const size = (bytes: number) => (bytes > 0 ? `${formatCount(bytes)}B` : 'unknown');
  return [
    `${machine.cpu}, ${machine.threads} ${machine.threads === 1 ? 'core' : 'cores'}; L1d ${size(l1d)}, L2 ${size(l2)}, L3 ${size(l3)}`,
    `Node ${machine.node}, best instruction set ${machine.isa}`,
  ];
}
