import * as javascript from '../../../benchmarks/peers/elastic-javascript.js';
import { METHODS, METHOD_NAMES, methodOf } from '../../../benchmarks/elastic/methods.js';
import { Philox } from '../../../lib/random.js';
import { distance } from '../../reference/elastic/distances.js';
import { softLoss } from '../../reference/elastic/soft.js';

const random = new Philox(7);
const series = (length: number): Float64Array => random.normal(new Float64Array(length));

describe.each([
  [1, 1],
  [1, 4],
  [9, 9],
  [13, 8],
])('plain JavaScript on series of %d and %d points', (n, m) => {
  it.each(METHOD_NAMES)('gives what the reference gives for %s', (name) => {
    const { options, soft } = METHODS[name];
    const [x, y] = [series(n), series(m)];
    const expected = soft ? softLoss(x, y, options) : distance(x, y, options);
    // Whatever the row held before does not count.
    expect(methodOf(name).javascript(x, y, new Float64Array(m + 3).fill(NaN))).toBeCloseTo(expected, 10);
  });
});

it('keeps to a band', () => {
  const [x, y] = [series(20), series(20)];
  const row = new Float64Array(21);
  for (const windowAbs of [0, 1, 5, 19]) {
    const expected = distance(x, y, { metric: 'dtw', windowAbs });
    expect(javascript.dtw(x, y, row, windowAbs)).toBeCloseTo(expected, 10);
  }
  expect(javascript.dtw(x, y, row, 0)).toBeGreaterThan(javascript.dtw(x, y, row));
});

it('does not overflow where costs are large', () => {
  const [x, y] = [Float64Array.of(0, 300, 0, -300), Float64Array.of(300, -300, 300, 0)];
  for (const name of ['soft-dtw', 'soft-msm'] as const) {
    const { options } = METHODS[name];
    const expected = softLoss(x, y, options);
    expect(methodOf(name).javascript(x, y, new Float64Array(5)) / expected).toBeCloseTo(1, 12);
  }
});
