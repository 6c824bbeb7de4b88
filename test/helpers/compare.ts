/** Where two sequences differ most, in units of the allowed difference. */
export interface Worst {
  /** Largest |actual - expected| / tolerance; above 1 the sequences differ. */
  ratio: number;
  index: number;
  actual: number;
  expected: number;
}

/** The allowed |actual - expected| at an index. */
export type Tolerance = (index: number, expected: number) => number;

/** Equality for values that a tolerance cannot speak of: NaN equals NaN, infinities must match in sign. */
function ratioOf(actual: number, expected: number, tolerance: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  const difference = Math.abs(actual - expected);
  return Number.isFinite(difference) ? difference / tolerance : Infinity;
}

/** Compares elementwise and returns the worst place; sequences of different length throw. */
export function worstOf(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance): Worst {
  if (actual.length !== expected.length) {
    throw new Error(`expected ${expected.length} values, received ${actual.length}`);
  }
  const worst: Worst = { ratio: 0, index: -1, actual: NaN, expected: NaN };
  for (let i = 0; i < expected.length; i += 1) {
    const ratio = ratioOf(actual[i], expected[i], tolerance(i, expected[i]));
    if (ratio > worst.ratio || Number.isNaN(ratio)) {
      Object.assign(worst, { ratio, index: i, actual: actual[i], expected: expected[i] });
    }
  }
  return worst;
}

/** Fails where any value is further from its expectation than the tolerance allows, and says where. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
  label = '',
): Worst {
  const worst = worstOf(actual, expected, tolerance);
  if (!(worst.ratio <= 1)) {
    const times = worst.ratio.toPrecision(3);
    throw new Error(
      `${label}[${worst.index}]: expected ${worst.expected}, received ${worst.actual}, ${times} times the tolerance`,
    );
  }
  return worst;
}

/** Fails unless the absolute difference stays within `tolerance`; NaN and infinities must match. */
export function expectNear(actual: number, expected: number, tolerance: number, label = 'value'): void {
  expectClose([actual], [expected], () => tolerance, label);
}

/** Fails unless both arrays hold the same bits, and says where the first difference is. */
export function expectSameBits(actual: ArrayBufferView, expected: ArrayBufferView, label = ''): void {
  const view = (a: ArrayBufferView): Buffer => Buffer.from(a.buffer, a.byteOffset, a.byteLength);
  const [left, right] = [view(actual), view(expected)];
  if (left.equals(right)) return;
  const step = 'BYTES_PER_ELEMENT' in expected ? Number(expected.BYTES_PER_ELEMENT) : 1;
  const index = Math.floor(left.findIndex((byte, i) => byte !== right[i]) / step);
  const values = [actual, expected].map((a) => (ArrayBuffer.isView(a) && 'at' in a ? at(a, index) : '?'));
  throw new Error(
    `${label}: bits differ at element ${index} of ${right.length / step}: received ${values[0]}, expected ${values[1]}`,
  );
}

/** Element of a typed array that is only known as a view. */
function at(view: ArrayBufferView & { at: unknown }, index: number): string {
  return String((view as Float64Array).at(index));
}
