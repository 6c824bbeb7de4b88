/**
 * A float64 sum with Neumaier's compensation: its error is about one rounding of the result whatever
 * the number of terms, so that the reference stays exact enough for rows of 64 Mi elements.
 */
export class CompensatedSum {
  private total = 0;
  private lost = 0;

  /** Adds one term; infinities and NaN behave as in a plain sum. */
  add(term: number): void {
    const next = this.total + term;
    this.lost += Math.abs(this.total) >= Math.abs(term) ? this.total - next + term : term - next + this.total;
    this.total = next;
  }

  /** The sum so far. */
  get value(): number {
    // Once the total is infinite the lost part is NaN and means nothing.
    return Number.isFinite(this.total) ? this.total + this.lost : this.total;
  }
}

/** The compensated sum of `term(0) ... term(count - 1)`. */
export function sumOver(count: number, term: (index: number) => number): number {
  const sum = new CompensatedSum();
  for (let i = 0; i < count; i += 1) sum.add(term(i));
  return sum.value;
}
