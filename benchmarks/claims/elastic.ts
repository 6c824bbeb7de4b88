/**
 * The claims about elastic distances and soft losses: error counts of other toolkits, the barycentre loss of "Soft-MSM:
 * Differentiable Context-Aware Elastic Alignment for Time Series" (arXiv 2605.00069), and softlane's own figures.
 */
import { messageOf } from '../harness/errors.js';
import type { Claim } from './claim.js';
import { centroidClaims } from './elastic-centroids.js';
import { neighborClaims } from './elastic-neighbors.js';
import { speedClaims } from './elastic-speed.js';

/** A group of claims: measures them, and reports the reader as it goes. */
type Part = (show: (line: string) => void, signal: AbortSignal) => Promise<Claim[]>;

/** In the order of the table. */
const PARTS: readonly Part[] = [speedClaims, neighborClaims, centroidClaims];

/**
 * Measures what the claims speak of.
 *
 * @param show receives a line as each part of the work ends
 * @param signal ends the measuring; what is missing then counts as not measured
 * @returns the claims, and a line for each part that failed
 */
export async function measureElasticClaims(
  show: (line: string) => void,
  signal: AbortSignal,
): Promise<{ claims: Claim[]; failures: string[] }> {
  const claims: Claim[] = [];
  const failures: string[] = [];
  for (const part of PARTS) {
    try {
      claims.push(...(await part(show, signal)));
    } catch (error) {
      failures.push(`${part.name}: ${messageOf(error)}`);
    }
  }
  return { claims, failures };
}
