/**
 * The claims about sequence models, each by training small ones here: recall of "Just read twice" (S. Arora et al., 2024),
 * orders and norms of "On the Expressiveness of Softmax Attention" (G. Mongaras and E. C. Larson, 2025), landmarks of
 * "Softmax-free Linear Transformers" (J. Lu et al., 2022), selection of "Mamba" (A. Gu and T. Dao, 2023).
 */
import { availableParallelism } from 'node:os';
import { setThreads } from '../../lib/autograd/index.js';
import { describeMachine, machineLines } from '../harness/machine.js';
import { messageOf } from '../harness/errors.js';
import type { Claim } from './claim.js';
import { copyingClaims } from './sequence-copying.js';
import { orderClaims } from './sequence-orders.js';
import { recallClaims } from './sequence-recall.js';
import { softClaims } from './sequence-soft.js';

/** A group of claims: trains what they speak of, and reports the reader as it goes. */
type Part = (show: (line: string) => void, signal: AbortSignal, quick: boolean) => Promise<Claim[]>;

/** In the order of the table. */
const PARTS: readonly Part[] = [recallClaims, orderClaims, softClaims, copyingClaims];

/** Most threads: the models are small. Accuracies do not depend on their number. */
const MOST_THREADS = 2;

/**
 * Trains and tests everything: about ten minutes, or with `quick` a minute and a half of smaller runs.
 *
 * @param show receives settings, progress and tables
 * @param signal ends the training; what is missing then counts as not measured
 * @returns the claims, and a line for each part that failed
 */
export async function measureSequenceClaims(
  show: (line: string) => void,
  signal: AbortSignal,
  { quick = false }: { quick?: boolean } = {},
): Promise<{ claims: Claim[]; failures: string[] }> {
  for (const line of machineLines(describeMachine())) show(line);
  setThreads(Math.min(availableParallelism(), MOST_THREADS));
  const claims: Claim[] = [];
  const failures: string[] = [];
  for (const part of PARTS) {
    if (signal.aborted) break;
    try {
      claims.push(...(await part(show, signal, quick)));
    } catch (error) {
      if (!signal.aborted) failures.push(`${part.name}: ${messageOf(error)}`);
    }
  }
  return { claims, failures };
}
