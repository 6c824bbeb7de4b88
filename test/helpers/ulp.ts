/** Spacing of float32 numbers at |value|: 2^-23 times its power of two, 2^-149 among the subnormals. */
export function ulpOfFloat32(value: number): number {
  const exponent = value === 0 ? -Infinity : Math.floor(Math.log2(Math.abs(value)));
  return 2 ** (Math.max(exponent, -126) - 23);
}

/**
 * A gauge of how far a float32 result is from a positive float64 expectation, in spacings of float32 at the
 * expectation. It remembers the last spacing, which neighbouring expectations share.
 */
export function ulpGauge(): (actual: number, expected: number) => number {
  let [low, high, spacing] = [0, 0, NaN];
  return (actual, expected) => {
    if (!(expected >= low && expected < high)) {
      low = 2 ** Math.floor(Math.log2(expected));
      high = 2 * low;
      spacing = ulpOfFloat32(expected);
    }
    return Math.abs(actual - expected) / spacing;
  };
}

/** Steps between two 16-bit patterns of one format along the number line; -0 and +0 are the same place. */
export function halfSteps(a: number, b: number): number {
  const place = (bits: number): number => (bits & 0x8000 ? -(bits & 0x7fff) : bits);
  return Math.abs(place(a) - place(b));
}

/** Every float32 in [low, high] whose bit pattern is a multiple of `step`, in ascending magnitude by sign. */
export function* float32Range(
  low: number,
  high: number,
  step: number,
  chunk: number,
): Generator<Float32Array> {
  const bits = new Uint32Array(chunk);
  const values = new Float32Array(bits.buffer);
  let filled = 0;
  for (const [sign, end] of [
    [0, high],
    [0x80000000, -low],
  ]) {
    const last = new Uint32Array(Float32Array.of(Math.fround(end)).buffer)[0];
    for (let pattern = 0; pattern <= last; pattern += step) {
      bits[filled] = (sign + pattern) >>> 0;
      filled += 1;
      if (filled === chunk) {
        yield values;
        filled = 0;
      }
    }
  }
  if (filled > 0) yield values.slice(0, filled);
}
