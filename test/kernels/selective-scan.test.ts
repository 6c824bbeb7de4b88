import { selectiveScan, selectiveScanAsync, selectiveScanBackward } from '../../lib/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import {
  ALL_ARRAYS,
  caseName,
  optionsOf,
  type ScanCase,
  typed,
  typedInput,
  workScan,
} from '../helpers/scan.js';
import { GRADIENTS, scaledTolerance, scanFixtures } from '../helpers/scan-fixtures.js';

const TYPES = ['f64', 'f32'] as const;
const VALUES = { f64: 1e-12, f32: 2e-6 };
const SLOPES = { f64: 1e-11, f32: 2e-5 };

/** Shapes beyond those of the fixtures: lengths round tiles and splits, channels round vectors, every form. */
const CASES: ScanCase[] = [
  ...[0, 1, 2, 15, 16, 17, 31, 63, 64, 65, 127, 129, 257].map((length) => ({
    ...{ batch: 2, dim: 5, length, state: 3, deltaSoftplus: true, ...ALL_ARRAYS },
  })),
  ...[1, 7, 8, 9, 15, 16, 17, 31, 33, 65, 129].map((dim) => ({
    ...{ batch: 1, dim, length: 37, state: 4, D: true, z: true },
  })),
  ...[1, 2, 5, 8, 15, 16, 17, 32, 33, 64, 130].map((state) => ({
    ...{ batch: 1, dim: 18, length: 21, state, deltaSoftplus: true },
  })),
  // Time is split where there are few channels.
  ...[2047, 2048, 2049, 3001, 5000].map((length) => ({
    ...{ batch: 1, dim: 3, length, state: 2, deltaSoftplus: true, ...ALL_ARRAYS },
  })),
  { batch: 2, dim: 17, length: 2500, state: 16, s4d: true, deltaSoftplus: true, z: true },
  { batch: 1, dim: 4, length: 4099, state: 3, segments: 9, initialState: true, layout: 'time-first' },
  { batch: 1, dim: 2, length: 2222, state: 2, complex: true, deltaSoftplus: true },
  // Groups smaller than a vector, and ones that end within one.
  { batch: 2, dim: 12, length: 33, state: 4, groups: 4, D: true },
  { batch: 1, dim: 40, length: 19, state: 5, groups: 2, layout: 'time-first', z: true },
  { batch: 1, dim: 6, length: 20, state: 2, groups: 6 },
  { batch: 1, dim: 520, length: 70, state: 4, groups: 2, deltaSoftplus: true, ...ALL_ARRAYS },
  { batch: 1, dim: 12, length: 30, state: 3, groups: 3, complex: true, layout: 'time-first', ...ALL_ARRAYS },
  ...(['euler', 'zoh', 'bilinear'] as const).flatMap((discretization) =>
    [false, true].map((complex): ScanCase => ({
      ...{ batch: 2, dim: 19, length: 75, state: 3, discretization, complex, deltaSoftplus: true },
      ...{ ...ALL_ARRAYS, segments: 4, layout: 'time-first' },
    })),
  ),
  ...[false, true].flatMap((variableB) =>
    [false, true].map((complex): ScanCase => ({
      ...{ batch: 2, dim: 9, length: 66, state: 4, variableB, variableC: !variableB, complex },
      ...{ groups: 3, ...ALL_ARRAYS },
    })),
  ),
  { batch: 2, dim: 17, length: 40, state: 3, variableB: false, variableC: false, layout: 'time-first' },
  { batch: 3, dim: 20, length: 50, state: 4, segments: 6, ...ALL_ARRAYS, deltaSoftplus: true },
  { batch: 1, dim: 33, length: 200, state: 16, s4d: true, segments: 3, D: true },
];

onEveryIsa(() => {
  describe.each(TYPES)('%s', (type) => {
    it.each(scanFixtures())('fixture $name', ({ input, shape, ...expected }) => {
      const arrays = typedInput(input, type);
      const got = selectiveScan(arrays, {
        ...shape,
        returnLastState: true,
        segmentStates: expected.segmentStates !== undefined,
      });
      expectClose(got.out, expected.out, scaledTolerance(expected.out, VALUES[type]), 'out');
      expectClose(
        got.lastState ?? [],
        expected.lastState,
        scaledTolerance(expected.lastState, VALUES[type]),
        'lastState',
      );
      if (expected.segmentStates)
        expectClose(
          got.segmentStates ?? [],
          expected.segmentStates,
          scaledTolerance(expected.segmentStates, VALUES[type]),
          'segmentStates',
        );
      if (!expected.upstream) return;
      const gradients = selectiveScanBackward(arrays, typed(expected.upstream.out, type), {
        ...shape,
        glast: typed(expected.upstream.lastState, type),
      });
      for (const [key, values] of expected.gradients)
        expectClose(
          gradients[GRADIENTS[key]] ?? [],
          values,
          scaledTolerance(values, SLOPES[type]),
          GRADIENTS[key],
        );
      expect(Object.keys(gradients).sort()).toEqual(expected.gradients.map(([key]) => GRADIENTS[key]).sort());
    });

    it.each(CASES.map((c) => [caseName(c), c] as const))('%s', (_, c) => {
      const work = workScan(c);
      const { expected, input, shape } = work;
      const arrays = typedInput(input, type);
      const segments = input.segmentIds !== undefined;
      const got = selectiveScan(arrays, {
        ...optionsOf(work),
        ...{ returnLastState: true, saveCheckpoints: true, segmentStates: segments },
      });
      const near = (actual: ArrayLike<number> | undefined, values: ArrayLike<number>, name: string) =>
        expectClose(actual ?? [], values, scaledTolerance(values, 2 * VALUES[type]), name);
      near(got.out, expected.out, 'out');
      near(got.lastState, expected.lastState, 'lastState');
      near(got.checkpoints, expected.checkpoints, 'checkpoints');
      if (segments)
        near(
          got.segmentStates,
          expected.segmentStates.flat().flatMap((each) => [...each]),
          'segmentStates',
        );
      const gradients = work.gradients();
      const back = selectiveScanBackward(arrays, typed(work.gout, type), {
        ...shape,
        glast: typed(work.glast, type),
        checkpoints: got.checkpoints,
      });
      for (const [key, name] of Object.entries(GRADIENTS))
        if (key in input)
          expectClose(
            back[name] ?? [],
            gradients[name],
            scaledTolerance(gradients[name], SLOPES[type]),
            name,
          );
        else expect(back[name]).toBeUndefined();
    });
  });
});

it('returns what was asked for, in the array that was given', async () => {
  const work = workScan({ batch: 1, dim: 3, length: 70, state: 2 });
  const arrays = typedInput(work.input, 'f32');
  const out = new Float32Array(210);
  const plain = selectiveScan(arrays, { ...work.shape, out });
  expect(plain.out).toBe(out);
  expect(Object.keys(plain).sort()).toEqual(['out', 'sharedPowers']);
  const wishes = { returnLastState: true, saveCheckpoints: true };
  const full = await selectiveScanAsync(arrays, { ...work.shape, ...wishes });
  expectSameBits(full.out, out);
  expect([full.lastState?.length, full.checkpoints?.length]).toEqual([6, 12]);
});
