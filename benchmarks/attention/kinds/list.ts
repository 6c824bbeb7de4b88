/** The kinds that `--kind` knows. A new one is a file beside this one and a line below. */
import { BenchError } from '../../harness/errors.js';
import type { AttentionKind } from './kind.js';
import { linear } from './linear.js';
import { prefix } from './prefix.js';
import { soft } from './soft.js';

export const KINDS: readonly AttentionKind[] = [linear, prefix, soft];

/**
 * The kinds of those names.
 *
 * @throws BenchError that lists the kinds
 */
export function findKinds(names: readonly string[]): AttentionKind[] {
  return names.map((name) => {
    const found = KINDS.find((kind) => kind.name === name);
    if (!found) {
      const known = KINDS.map((kind) => kind.name).join(', ');
      throw new BenchError(`unknown kind of attention "${name}"; there are: ${known}`);
    }
    return found;
  });
}
