/** Gradients of the selective scan against central differences, and what they must not depend on. */
import fc from 'fast-check';

import { selectiveScan, selectiveScanBackward, selectiveScanBackwardAsync } from '../../lib/index.js';
import type { SelectiveScanInput, SelectiveScanShape } from '../../lib/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import {
  ALL_ARRAYS,
  caseName,
  makeScan,
  type ScanCase,
  typed,
  typedInput,
  workScan,
} from '../helpers/scan.js';
import { GRADIENTS, scaledTolerance } from '../helpers/scan-fixtures.js';

/** sum(out gout) + sum(lastState glast). */
function loss(
  input: SelectiveScanInput,
  shape: SelectiveScanShape,
  gout: ArrayLike<number>,
  glast: ArrayLike<number>,
): number {
  const { out, lastState = [] } = selectiveScan(input, { ...shape, returnLastState: true });
  let sum = 0;
  for (let i = 0; i < out.length; i += 1) sum += out[i] * gout[i];
  for (let i = 0; i < glast.length; i += 1) sum += lastState[i] * glast[i];
  return sum;
}

const SMALL = { batch: 2, dim: 4, length: 7, state: 2, groups: 2 };

/** Every option on and off, alone and with others. */
const DIFFERENCES: ScanCase[] = [
  SMALL,
  { ...SMALL, deltaSoftplus: true, ...ALL_ARRAYS },
  ...(['D', 'z', 'deltaBias', 'initialState', 'deltaSoftplus'] as const).map((name) => ({
    ...{ ...SMALL, [name]: true },
  })),
  { ...SMALL, segments: 3, ...ALL_ARRAYS },
  { ...SMALL, layout: 'time-first', ...ALL_ARRAYS },
  { ...SMALL, variableB: false, ...ALL_ARRAYS },
  { ...SMALL, variableC: false, layout: 'time-first', z: true },
  { ...SMALL, variableB: false, variableC: false },
  ...(['zoh', 'bilinear'] as const).flatMap((discretization): ScanCase[] => [
    { ...SMALL, discretization, deltaSoftplus: true, ...ALL_ARRAYS },
    { ...SMALL, discretization, complex: true, segments: 2, ...ALL_ARRAYS },
  ]),
  { ...SMALL, complex: true, deltaSoftplus: true, ...ALL_ARRAYS },
  { ...SMALL, complex: true, variableB: false, variableC: false, ...ALL_ARRAYS },
  { batch: 1, dim: 1, length: 1, state: 1, ...ALL_ARRAYS },
];

onEveryIsa(() => {
  it.each(DIFFERENCES.map((c) => [caseName(c), c] as const))('central differences: %s', (_, c) => {
    const { input, shape, gout, glast } = makeScan(c);
    const arrays = typedInput(input, 'f64');
    const gradients = selectiveScanBackward(arrays, gout, { ...shape, glast });
    for (const [key, name] of Object.entries(GRADIENTS) as [keyof typeof GRADIENTS, 'du'][]) {
      const x = arrays[key];
      if (x === undefined) continue;
      const differences = Float64Array.from(x, (value, i) => {
        const sides = [1e-5, -1e-5].map((h) => {
          x[i] = value + h;
          return loss(arrays, shape, gout, glast);
        });
        x[i] = value;
        return (sides[0] - sides[1]) / 2e-5;
      });
      expectClose(gradients[name], differences, scaledTolerance(differences, 1e-6), name);
    }
  });

  it('gives the same bits with and without checkpoints', () => {
    const cases: ScanCase[] = [
      ...[1, 63, 64, 65, 128, 200].map((length) => ({
        ...{ batch: 2, dim: 19, length, state: 3, deltaSoftplus: true, ...ALL_ARRAYS },
      })),
      { batch: 1, dim: 33, length: 150, state: 16, s4d: true, segments: 4 },
      { batch: 1, dim: 2, length: 3000, state: 4, s4d: true, z: true },
      { batch: 1, dim: 270, length: 90, state: 2, groups: 3, layout: 'time-first', ...ALL_ARRAYS },
      { batch: 2, dim: 6, length: 140, state: 2, complex: true, discretization: 'zoh', ...ALL_ARRAYS },
    ];
    for (const c of cases) {
      const { input, shape, gout, glast } = makeScan(c);
      for (const type of ['f32', 'f64'] as const) {
        const arrays = typedInput(input, type);
        const { checkpoints } = selectiveScan(arrays, { ...shape, saveCheckpoints: true });
        const options = { ...shape, glast: typed(glast, type) };
        const bare = selectiveScanBackward(arrays, typed(gout, type), options);
        const helped = selectiveScanBackward(arrays, typed(gout, type), { ...options, checkpoints });
        for (const key of Object.keys(bare) as (keyof typeof bare)[])
          expectSameBits(helped[key] ?? gout, bare[key] ?? gout, `${key}, ${caseName(c)}`);
      }
    }
  });

  it('writes to the arrays that are given, whatever they held', () => {
    for (const length of [0, 70]) {
      const { input, shape, gout } = makeScan({ batch: 2, dim: 20, length, state: 3, ...ALL_ARRAYS });
      const arrays = typedInput(input, 'f32');
      const fresh = selectiveScanBackward(arrays, typed(gout, 'f32'), shape);
      const out = structuredClone(fresh);
      for (const x of Object.values(out)) x.fill(NaN);
      const got = selectiveScanBackward(arrays, typed(gout, 'f32'), { ...shape, out });
      for (const key of Object.keys(fresh) as (keyof typeof fresh)[]) {
        expect(got[key]).toBe(out[key]);
        expectSameBits(got[key] ?? gout, fresh[key] ?? gout, key);
      }
    }
  });

  it('without steps the gradient of the last state is that of the first', () => {
    const { input, shape, glast } = makeScan({ batch: 2, dim: 3, length: 0, state: 2, ...ALL_ARRAYS });
    const arrays = typedInput(input, 'f32');
    const got = selectiveScanBackward(arrays, new Float32Array(0), { ...shape, glast: typed(glast, 'f32') });
    expect(got.dInitialState).toEqual(typed(glast, 'f32'));
    expect([...got.dA, ...(got.dD ?? []), ...(got.ddeltaBias ?? [])]).toEqual(Array(12).fill(0));
  });

  it('a gradient of NaN reaches what lies before it, in its channel', () => {
    const { input, shape, gout } = makeScan({ batch: 1, dim: 20, length: 70, state: 3, z: true });
    const arrays = typedInput(input, 'f32');
    const clean = selectiveScanBackward(arrays, typed(gout, 'f32'), shape);
    gout[7 * 70 + 66] = NaN;
    const { du, ddelta } = selectiveScanBackward(arrays, typed(gout, 'f32'), shape);
    const [from, to] = [7 * 70, 7 * 70 + 67];
    expect(du).toEqual(clean.du.slice().fill(NaN, from, to));
    // The first step's delta has no state to decay, but an input.
    expect(ddelta).toEqual(clean.ddelta.slice().fill(NaN, from, to));
  });

  it('strong decay does not cost the digits of the gradient of A', () => {
    const { input, shape } = makeScan({ batch: 1, dim: 3, length: 65, state: 3, seed: 8 });
    const strong = { ...input, A: Float64Array.from(input.A, (x) => Math.fround(20 * x)) };
    const work = typedInput(strong, 'f32');
    const gout = new Float32Array(3 * 65).fill(1);
    const exact = selectiveScanBackward(typedInput(strong, 'f64'), Float64Array.from(gout), shape);
    const { dA } = selectiveScanBackward(work, gout, shape);
    expectClose(dA, exact.dA, (_, value) => 2e-5 * Math.abs(value) + 1e-7, 'dA');
  });

  it('any small shape agrees with the reference', () => {
    const shapes = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      width: fc.integer({ min: 1, max: 20 }),
      groups: fc.integer({ min: 1, max: 3 }),
      length: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 60, max: 140 })),
      state: fc.integer({ min: 1, max: 20 }),
      layout: fc.constantFrom('channels-first' as const, 'time-first' as const),
      discretization: fc.constantFrom('euler' as const, 'zoh' as const, 'bilinear' as const),
      ...Object.fromEntries(
        [
          'variableB',
          'variableC',
          'complex',
          'deltaSoftplus',
          'D',
          'z',
          'deltaBias',
          'initialState',
          's4d',
        ].map((name) => [name, fc.boolean()]),
      ),
      segments: fc.integer({ min: 0, max: 4 }),
      seed: fc.integer({ min: 1, max: 1000 }),
    });
    fc.assert(
      fc.property(shapes, ({ width, ...rest }) => {
        const c: ScanCase = { ...rest, dim: width * rest.groups };
        const work = workScan(c);
        const gradients = work.gradients();
        for (const type of ['f32', 'f64'] as const) {
          const arrays = typedInput(work.input, type);
          const near = (
            x: ArrayLike<number> | undefined,
            y: ArrayLike<number>,
            relative: number,
            name: string,
          ) => expectClose(x ?? [], y, scaledTolerance(y, type === 'f32' ? relative : relative * 1e-6), name);
          const got = selectiveScan(arrays, { ...work.shape, returnLastState: true });
          near(got.out, work.expected.out, 4e-6, 'out');
          near(got.lastState, work.expected.lastState, 4e-6, 'lastState');
          const upstream = { ...work.shape, glast: typed(work.glast, type) };
          const back = selectiveScanBackward(arrays, typed(work.gout, type), upstream);
          for (const [key, name] of Object.entries(GRADIENTS))
            if (key in work.input) near(back[name], gradients[name], 2e-5, name);
        }
      }),
      { numRuns: 60, seed: 20231201 },
    );
  });

  it('tells its progress once, though it scans first for the states that it was not given', async () => {
    const [dim, length] = [512, 1024];
    const values = new Float32Array(dim * length).fill(0.1);
    const weights = new Float32Array(length).fill(0.5);
    const seen: number[] = [];
    await selectiveScanBackwardAsync(
      { u: values, delta: values, A: new Float32Array(dim).fill(-1), B: weights, C: weights },
      values,
      { batch: 1, dim, length, state: 1, onProgress: (done) => seen.push(done) },
    );
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
  });
});
