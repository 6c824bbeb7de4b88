import { availableIsas, isa, type Isa, setIsa } from '../../lib/index.js';

/** Every instruction set that the package is compiled for on this architecture, plainest first. */
export const ISAS: readonly Isa[] = ['scalar', 'avx2', 'avx512'];

/** Whether the tests may use an instruction set: the CPU has it, and SOFTLANE_ISA does not hold another. */
export function usable(name: Isa): boolean {
  const held = process.env.SOFTLANE_ISA;
  return availableIsas().includes(name) && (!held || held === name);
}

/**
 * Declares the tests of `body` once per instruction set, in a block that switches to it and back. A set
 * that this machine cannot run shows up as skipped. Under SOFTLANE_ISA only the named set runs, so that
 * the whole suite can be run as an older CPU would.
 */
export function onEveryIsa(body: (name: Isa) => void): void {
  for (const name of ISAS) {
    const describeIf = usable(name) ? describe : describe.skip;
    describeIf(`on ${name}`, () => {
      let before: Isa;
      beforeAll(() => {
        before = isa();
        setIsa(name);
      });
      afterAll(() => setIsa(before));
      body(name);
    });
  }
}
