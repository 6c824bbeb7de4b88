/** A claim, what was measured here, and whether the two agree. */
import { formatDigits } from '../harness/sizes.js';
import { renderColumns } from '../harness/table.js';

/** A statement about speed that a number can confirm or refute. */
export interface Claim {
  /** Who says so: `paper` or `softlane`. */
  source: string;
  /** What is compared, for example `two-pass / (read + copy), 64 Mi, avx512`. */
  text: string;
  /** What the source says, in its own units: `up to 28 %`, `<= 1.08`. */
  stated: string;
  /** The measured number; undefined where it could not be measured. */
  measured: number | undefined;
  unit: string;
  /** The number must be at least or at most this. */
  atLeast?: number;
  atMost?: number;
  /** Undefined where the claim is meant to hold on this machine, else the hardware figure that says why it is not. */
  notExpected?: string;
}

export type Verdict = 'pass' | 'miss' | 'not expected here' | 'not measured';

/** A claim holds where its number is on the right side; one that is not meant for this machine never fails. */
export function verdictOf({ measured, atLeast, atMost, notExpected }: Claim): Verdict {
  if (notExpected !== undefined) return 'not expected here';
  if (measured === undefined || Number.isNaN(measured)) return 'not measured';
  return measured >= (atLeast ?? -Infinity) && measured <= (atMost ?? Infinity) ? 'pass' : 'miss';
}

/** A line per claim: verdict, source, text, what is stated, what was measured, and the reason where none is expected. */
export function renderClaims(claims: readonly Claim[]): string {
  const lines = claims.map((claim) => [
    verdictOf(claim),
    claim.source,
    claim.text,
    claim.stated,
    claim.measured === undefined ? '-' : `${formatDigits(claim.measured)} ${claim.unit}`.trim(),
    claim.notExpected ?? '',
  ]);
  return renderColumns(['verdict', 'source', 'claim', 'stated', 'measured', ''], lines, [0, 1, 2, 5]);
}
