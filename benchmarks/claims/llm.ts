/**
 * The claims about products of few rows, attention of one token and whole decoders: those of "FlashDecoding++: Faster Large
 * Language Model Inference with Asynchronization, Flat GEMM Optimization, and Heuristics" (Hong et al., MLSys 2024, arXiv
 * 2311.01282), and softlane's own figures.
 */
import { availableIsas } from '../../lib/index.js';
import { ceilingLines, measureCeilings } from '../harness/ceilings.js';
import { messageOf } from '../harness/errors.js';
import { describeMachine, machineLines } from '../harness/machine.js';
import type { Ceilings } from '../harness/results.js';
import type { Claim } from './claim.js';
import { attentionClaims } from './llm-attention.js';
import { decodeClaims, fallbackClaims } from './llm-decode.js';
import { gemmClaims } from './llm-gemm.js';

/** A group of claims: measures them against the ceilings, and reports the reader as it goes. */
type Part = (show: (line: string) => void, signal: AbortSignal, ceilings: Ceilings) => Promise<Claim[]>;

/** In the order of the table. */
const PARTS: readonly Part[] = [gemmClaims, attentionClaims, decodeClaims, fallbackClaims];

/**
 * Measures what the claims speak of, about six minutes.
 *
 * @param show receives the machine, its ceilings and a line as each case ends
 * @param signal ends the measuring; what is missing then counts as not measured
 * @returns the claims, and a line for each part that failed
 */
export async function measureLlmClaims(
  show: (line: string) => void,
  signal: AbortSignal,
): Promise<{ claims: Claim[]; failures: string[] }> {
  const ceilings = measureCeilings(availableIsas());
  for (const line of [...machineLines(describeMachine()), ...ceilingLines(ceilings)]) show(line);
  const claims: Claim[] = [];
  const failures: string[] = [];
  for (const part of PARTS) {
    try {
      claims.push(...(await part(show, signal, ceilings)));
    } catch (error) {
      failures.push(`${part.name}: ${messageOf(error)}`);
    }
  }
  return { claims, failures };
}
