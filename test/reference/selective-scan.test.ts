import { expectClose } from '../helpers/compare.js';
import { GRADIENTS, scaledTolerance, scanFixtures } from '../helpers/scan-fixtures.js';
import { selectiveScan, selectiveScanBackward } from './selective-scan.js';

it.each(scanFixtures())('$name', ({ input, shape, ...expected }) => {
  const got = selectiveScan(input, shape);
  for (const key of ['out', 'lastState'] as const)
    expectClose(got[key], expected[key], scaledTolerance(expected[key], 1e-12), key);
  if (expected.segmentStates) {
    const states = got.segmentStates.flat().flatMap((each) => [...each]);
    expectClose(states, expected.segmentStates, scaledTolerance(expected.segmentStates, 1e-12), 'segments');
  }
  if (!expected.upstream) return;
  const { out, lastState } = expected.upstream;
  const gradients = selectiveScanBackward(input, out, shape, lastState);
  expect(expected.gradients.length).toBeGreaterThan(4);
  for (const [key, values] of expected.gradients)
    expectClose(gradients[GRADIENTS[key]], values, scaledTolerance(values, 1e-11), GRADIENTS[key]);
});

it('reads what the layout time-first says', () => {
  const shape = { batch: 2, dim: 4, length: 3, state: 2, groups: 2, deltaSoftplus: true } as const;
  const numbers = (count: number, seed: number): number[] =>
    Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i));
  // Axes batch, channel, time and back: element (b, d, t).
  const swap = (x: ArrayLike<number>, rows: number, cols: number): number[] => {
    const result: number[] = [];
    for (let b = 0; b < shape.batch; b += 1)
      for (let col = 0; col < cols; col += 1)
        for (let row = 0; row < rows; row += 1) result.push(x[(b * rows + row) * cols + col]);
    return result;
  };
  const first = {
    u: numbers(24, 1),
    delta: numbers(24, 2),
    A: numbers(8, 3).map((x) => -1 - x),
    B: numbers(24, 4),
    C: numbers(24, 5),
    z: numbers(24, 6),
  };
  const time = {
    u: swap(first.u, 4, 3),
    delta: swap(first.delta, 4, 3),
    A: first.A,
    B: swap(first.B, 4, 3),
    C: swap(first.C, 4, 3),
    z: swap(first.z, 4, 3),
  };
  const a = selectiveScan(first, shape);
  const b = selectiveScan(time, { ...shape, layout: 'time-first' });
  expect([...b.out]).toEqual(swap(a.out, 4, 3));
  expect(b.lastState).toEqual(a.lastState);
  const gout = numbers(24, 7);
  const back = selectiveScanBackward(first, gout, shape);
  const timeBack = selectiveScanBackward(time, swap(gout, 4, 3), { ...shape, layout: 'time-first' });
  for (const key of ['du', 'ddelta', 'dB', 'dC', 'dz'] as const)
    expect([...timeBack[key]]).toEqual(swap(back[key], 4, 3));
  expect(timeBack.dA).toEqual(back.dA);
});
