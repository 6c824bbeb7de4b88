import { normal } from '../../../benchmarks/harness/numbers.js';

describe('normal', () => {
  it('draws from a stream, and begins a longer array like a shorter one', () => {
    const [a, b, other] = [normal(5000, 1), normal(50, 1), normal(50, 2)];
    expect([...a.subarray(0, 50)]).toEqual([...b]);
    expect([...b]).not.toEqual([...other]);
    const mean = a.reduce((sum, value) => sum + value, 0) / a.length;
    const square = a.reduce((sum, value) => sum + value * value, 0) / a.length;
    expect(Math.abs(mean)).toBeLessThan(0.06);
    expect(Math.abs(square - 1)).toBeLessThan(0.08);
    expect(normal(50, 1, 0.5)[7]).toBe(b[7] / 2);
  });

  it('repeats itself beyond the first million, to the very end', () => {
    const long = normal(2_500_000, 3);
    const period = 1_000_003;
    for (const at of [0, 1, 499_993, 499_994, 999_999]) {
      expect(long[at + period]).toBe(long[at]);
      if (at + 2 * period < long.length) expect(long[at + 2 * period]).toBe(long[at]);
    }
    expect(long[long.length - 1]).toBe(long[long.length - 1 - period]);
  });
});
