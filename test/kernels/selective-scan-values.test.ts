/** Values that are not finite, 16-bit values, shared powers. */
import { selectiveScan, selectiveScanBackward } from '../../lib/index.js';
import type { SelectiveScanInput } from '../../lib/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { ALL_ARRAYS, makeScan, typed, typedInput, workScan } from '../helpers/scan.js';
import { scaledTolerance, scanFixture } from '../helpers/scan-fixtures.js';
import { halfSteps } from '../helpers/ulp.js';
import { narrow, widen } from '../reference/convert.js';

const SIZES = [
  { batch: 2, dim: 21, length: 80, state: 4 },
  { batch: 1, dim: 3, length: 2200, state: 2 },
];

onEveryIsa((isa) => {
  describe.each(['f32', 'f64'] as const)('not finite, %s', (type) => {
    it.each(['u', 'delta', 'z'] as const)('NaN in %s spoils its channel from there on', (name) => {
      for (const size of SIZES) {
        const { input, shape } = makeScan({ ...size, ...ALL_ARRAYS, deltaSoftplus: true });
        const arrays = typedInput(input, type);
        const { out: clean } = selectiveScan(arrays, shape);
        const row = 2;
        const at = row * size.length + Math.floor(size.length / 3);
        const x = arrays[name] ?? new Float32Array(0);
        x[at] = NaN;
        const { out } = selectiveScan(arrays, shape);
        const end = name === 'z' ? at + 1 : (row + 1) * size.length;
        const expected = clean.slice().fill(NaN, at, end);
        expect(out).toEqual(expected);
      }
    });

    it('NaN in the state spoils its channel, in A also', () => {
      for (const name of ['initialState', 'A'] as const) {
        const { input, shape } = makeScan({ ...SIZES[0], batch: 1, ...ALL_ARRAYS, deltaSoftplus: true });
        const arrays = typedInput(input, type);
        const { out: clean } = selectiveScan(arrays, shape);
        const x = arrays[name] ?? new Float32Array(0);
        x[5 * 4 + 1] = NaN;
        const { out } = selectiveScan(arrays, shape);
        expect(out).toEqual(clean.slice().fill(NaN, 400, 480));
      }
    });

    it('a growing state may overflow to Infinity', () => {
      const { input, shape } = makeScan({ batch: 1, dim: 2, length: 64, state: 1 });
      const arrays = typedInput(input, type);
      arrays.A.fill(20);
      for (const x of [arrays.u, arrays.B, arrays.C, arrays.delta]) x.fill(1);
      const { out } = selectiveScan(arrays, shape);
      expect(out[0]).toBe(1);
      expect(out[1]).toBeCloseTo(485_165_196.4, type === 'f32' ? -3 : 1);
      expect([out[63], out[127]]).toEqual([Infinity, Infinity]);
    });

    it('-Infinity in delta freezes, +Infinity propagates', () => {
      const { input, shape } = makeScan({ batch: 1, dim: 17, length: 20, state: 2, deltaSoftplus: true });
      const arrays = typedInput(input, type);
      const frozen = arrays.delta.subarray(5 * 20 + 10, 6 * 20).fill(-Infinity);
      expect(frozen).toHaveLength(10);
      const steady: SelectiveScanInput = { ...arrays, C: arrays.C.slice().fill(1) };
      const { out } = selectiveScan(steady, shape);
      for (let t = 10; t < 20; t += 1) expect(out[5 * 20 + t]).toBe(out[5 * 20 + 9]);
      arrays.delta[10 * 20 + 3] = Infinity;
      arrays.u.fill(1);
      arrays.B.fill(1);
      const wild = selectiveScan({ ...steady, u: arrays.u, B: arrays.B, delta: arrays.delta }, shape).out;
      expect(wild[10 * 20 + 3]).toBe(Infinity);
      expect(wild.subarray(0, 10 * 20).every(Number.isFinite)).toBe(true);
      expect(wild.subarray(11 * 20).every(Number.isFinite)).toBe(true);
    });

    it('a negative step grows the state, as the reference says', () => {
      const { input, shape, expected } = workScan({ batch: 1, dim: 17, length: 24, state: 3, seed: 4 });
      const delta = Float64Array.from(input.delta, (x) => -x);
      const opposite = Float64Array.from(input.A, (x) => -x);
      // exp(s A) is the same where both change sign; the input then enters with the other sign.
      const { out } = selectiveScan(typedInput({ ...input, delta, A: opposite }, type), shape);
      const mirrored = expected.out.map((x) => -x);
      expectClose(out, mirrored, scaledTolerance(mirrored, type === 'f32' ? 2e-6 : 1e-12));
    });
  });

  describe.each(['bf16', 'f16'] as const)('%s', (dtype) => {
    it.each(['channels-first', 'time-first'] as const)(
      'computes as float32 on wider values, %s',
      (layout) => {
        for (const size of [...SIZES, { batch: 1, dim: 64, length: 70, state: 16 }]) {
          for (const variable of [true, false]) {
            const forms = { variableB: variable, variableC: variable, deltaSoftplus: true, layout };
            const { input, shape, gout, glast } = makeScan({ ...size, ...ALL_ARRAYS, ...forms });
            const arrays = typedInput(input, 'f32') as SelectiveScanInput<Float32Array>;
            const half = (x: ArrayLike<number>): Uint16Array => narrow(x, dtype);
            const { u, delta, B, C, z } = arrays;
            const short = { u: half(u), delta: half(delta), B: half(B), C: half(C), z: z && half(z) };
            const wide = (x: Uint16Array): Float32Array => Float32Array.from(widen(x, dtype));
            const wider = {
              ...arrays,
              ...{ u: wide(short.u), delta: wide(short.delta), B: wide(short.B), C: wide(short.C) },
              z: short.z && wide(short.z),
            };
            const wishes = { returnLastState: true, saveCheckpoints: true };
            const got = selectiveScan<Uint16Array>({ ...arrays, ...short }, { ...shape, ...wishes, dtype });
            const expected = selectiveScan(wider, { ...shape, ...wishes });
            expect(got.out).toBeInstanceOf(Uint16Array);
            const rounded = half(expected.out);
            expect(got.out.every((bits, i) => halfSteps(bits, rounded[i]) <= 1)).toBe(true);
            expectClose(got.lastState ?? [], expected.lastState ?? [], () => 1e-6, 'lastState');
            expectClose(got.checkpoints ?? [], expected.checkpoints ?? [], () => 1e-6, 'checkpoints');
            const up = half(gout);
            const upstream = { ...shape, glast: typed(glast, 'f32') as Float32Array };
            const slopes = selectiveScanBackward<Uint16Array>({ ...arrays, ...short }, up, {
              ...upstream,
              dtype,
            });
            const wideSlopes = selectiveScanBackward(wider, wide(up), upstream);
            for (const key of Object.keys(wideSlopes) as (keyof typeof slopes)[]) {
              const exact = wideSlopes[key] ?? wider.u;
              const slope = slopes[key] ?? wider.u;
              if (slope instanceof Uint16Array) {
                const nearest = half(exact);
                expect(slope.every((bits, i) => halfSteps(bits, nearest[i]) <= 1)).toBe(true);
              } else {
                expectClose(slope, exact, scaledTolerance(exact, 2e-6), key);
              }
            }
            expect([slopes.du, slopes.dA].map((x) => x.constructor.name)).toEqual([
              'Uint16Array',
              'Float32Array',
            ]);
          }
        }
      },
    );
  });

  describe('shared powers', () => {
    it('are used where A is a pattern of multiples, and only there', () => {
      const { input, shape } = makeScan({ batch: 1, dim: 40, length: 10, state: 16, s4d: true });
      const arrays = typedInput(input, 'f32');
      expect(selectiveScan(arrays, shape).sharedPowers).toBeGreaterThan(0);
      expect(selectiveScan(arrays, { ...shape, powers: 'never' }).sharedPowers).toBe(0);
      const drifted = typedInput(makeScan({ batch: 1, dim: 40, length: 10, state: 16 }).input, 'f32');
      expect(selectiveScan(drifted, shape).sharedPowers).toBe(0);
      const double = typedInput(input, 'f64');
      expect(selectiveScan(double, shape).sharedPowers).toBe(0);
      expect(selectiveScan(double, { ...shape, powers: 'never' }).sharedPowers).toBe(0);
    });

    it('recognise -exp(log(n + 1)) as float32 rounds it', () => {
      for (const state of [16, 64]) {
        const { input, shape } = makeScan({ batch: 1, dim: 32, length: 4, state });
        const arrays = typedInput(input, 'f32');
        for (let i = 0; i < arrays.A.length; i += 1)
          arrays.A[i] = -Math.exp(Math.fround(Math.log((i % state) + 1)));
        expect(selectiveScan(arrays, shape).sharedPowers).toBeGreaterThan(0);
      }
    });

    it('agree with an exponential for each state on scan-s4d-real', () => {
      const [{ input, shape, out }] = scanFixture('s4d-real');
      const arrays = typedInput(input, 'f32');
      const auto = selectiveScan(arrays, { ...shape, returnLastState: true });
      const never = selectiveScan(arrays, { ...shape, returnLastState: true, powers: 'never' });
      expect([auto.sharedPowers > 0, never.sharedPowers]).toEqual([true, 0]);
      expectClose(auto.out, out, scaledTolerance(out, 2e-6));
      expectClose(auto.out, never.out, scaledTolerance(out, 2e-6));
      expectClose(auto.lastState ?? [], never.lastState ?? [], scaledTolerance(never.lastState ?? [], 2e-6));
    });

    it.each([
      [1e-4, 1e-4, 2e-5],
      [1e-3, 0.1, 4e-6],
      [0.5, 5, 8e-6],
    ])('keep their digits with steps from %f to %f', (low, high, tolerance) => {
      const c = { batch: 1, dim: 16, length: isa === 'scalar' ? 3000 : 12_000, state: 16, s4d: true };
      const made = makeScan(c);
      made.input.delta = Float64Array.from(made.input.delta, (x) =>
        Math.fround(low + ((x - 0.01) / 0.49) * (high - low)),
      );
      const exact = selectiveScan(typedInput(made.input, 'f64'), { ...made.shape, returnLastState: true });
      const shared = selectiveScan(typedInput(made.input, 'f32'), { ...made.shape, returnLastState: true });
      expect(shared.sharedPowers).toBeGreaterThan(0);
      expectClose(shared.out, exact.out, scaledTolerance(exact.out, tolerance), 'out');
      const { lastState = new Float64Array(0) } = exact;
      expectClose(shared.lastState ?? [], lastState, scaledTolerance(lastState, tolerance), 'lastState');
    });
  });

  it('leaves its inputs as they were', () => {
    const { input, shape, gout } = makeScan({ ...SIZES[0], ...ALL_ARRAYS, segments: 3 });
    const arrays = typedInput(input, 'f32');
    const before = structuredClone(arrays);
    selectiveScan(arrays, { ...shape, saveCheckpoints: true });
    selectiveScanBackward(arrays, typed(gout, 'f32'), shape);
    for (const key of Object.keys(before) as (keyof SelectiveScanInput)[])
      expectSameBits(arrays[key] ?? new Float32Array(0), before[key] ?? new Float32Array(0), key);
  });
});
