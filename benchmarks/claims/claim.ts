/** A claim, what was measured here, and whether the two agree. */
import { formatDigits } from '../harness/sizes.js';
import { renderColumns } from '../../lib/report/columns.js';

/** A statement that a number can confirm or refute. */
export interface Claim {
  /** Who says so: `paper`, `softlane`, or the library whose figure it is. */
  source: string;
  /** What is compared, for example `two-pass / (read + copy), 64 Mi, avx512`. */
  text: string;
  /** What the source says, in its own units: `up to 28 %`, `<= 1.08`. */
  stated: string;
  /** The measured number; undefined where it could not be measured. */
  measured: number | undefined;
  /** Unit of the number; '' for counts and sums. */
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

/** Three digits and the unit; without a unit a count in full, or one decimal. */
function measuredText(measured: number, unit: string): string {
  if (unit !== '') return `${formatDigits(measured)} ${unit}`;
  return Number.isInteger(measured) ? String(measured) : measured.toFixed(1);
}

/** A line per claim: verdict, source, text, what is stated, what was measured, and the reason where none is expected. */
export function renderClaims(claims: readonly Claim[]): string {
  const lines = claims.map((claim) => [
    verdictOf(claim),
    claim.source,
    claim.text,
    claim.stated,
    claim.measured === undefined ? '-' : measuredText(claim.measured, claim.unit),
    claim.notExpected ?? '',
  ]);
  return renderColumns(['verdict', 'source', 'claim', 'stated', 'measured', ''], lines, [0, 1, 2, 5]);
}
