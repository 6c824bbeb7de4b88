/** What holds for a selective scan whatever its numbers are, and the examples worked out by hand. */
import { selectiveScan, selectiveScanAsync, selectiveScanBackward } from '../../lib/index.js';
import type { SelectiveScanInput, SelectiveScanShape } from '../../lib/index.js';
import { expectClose, expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { ALL_ARRAYS, makeScan, type ScanCase, typed, typedInput } from '../helpers/scan.js';
import { scaledTolerance } from '../helpers/scan-fixtures.js';

const f64 = (...values: number[]): Float64Array => Float64Array.from(values);
const one = { batch: 1, dim: 1, state: 1 };

/** The part of a case with steps [from, to) of every row, channels-first. */
function steps(
  input: SelectiveScanInput,
  o: SelectiveScanShape,
  from: number,
  to: number,
): SelectiveScanInput {
  const cut = <T extends Float32Array | Float64Array>(x: T): T => {
    const rows = x.length / o.length;
    const result = x.slice(0, rows * (to - from)) as T;
    for (let row = 0; row < rows; row += 1)
      result.set(x.subarray(row * o.length + from, row * o.length + to), row * (to - from));
    return result;
  };
  const { u, delta, B, C, z } = input;
  return { ...input, u: cut(u), delta: cut(delta), B: cut(B), C: cut(C), ...(z && { z: cut(z) }) };
}

onEveryIsa(() => {
  it('halves where the decay is one half', () => {
    const input = { u: f64(1, 0, 0, 0), delta: f64(...Array<number>(4).fill(Math.LN2)), A: f64(-1) };
    const ones = f64(1, 1, 1, 1);
    const { out } = selectiveScan({ ...input, B: ones, C: ones }, { ...one, length: 4 });
    const expected = [0.693147180559945, 0.346573590279973, 0.173286795139986, 0.0866433975699932];
    expectClose(out, expected, () => 1e-14);
  });

  it('two steps and their gradients', () => {
    const input = {
      ...{ u: f64(1, 2), delta: f64(Math.LN2, Math.LN2), A: f64(-1), B: f64(1, 1), C: f64(1, 3) },
      initialState: f64(0),
    };
    const shape = { ...one, length: 2 };
    const { out, lastState } = selectiveScan(input, { ...shape, returnLastState: true });
    expectClose(out, [0.693147180559945, 5.19860385419959], () => 1e-14);
    expectClose(lastState ?? [], [1.73286795139986], () => 1e-14);
    const got = selectiveScanBackward(input, f64(1, 1), shape);
    const expected = {
      du: [1.73286795139986, 2.07944154167984],
      ddelta: [2.5, 4.96027922916008],
      dA: [0.720679520877302],
      dB: [1.73286795139986, 4.15888308335967],
      dC: [0.693147180559945, 1.73286795139986],
      dInitialState: [1.25],
    };
    for (const key of Object.keys(expected) as (keyof typeof expected)[])
      expectClose(got[key] ?? [], expected[key], () => 2e-14, key);
  });

  it('three steps with every option', () => {
    const input = {
      u: f64(1, -1, 2),
      delta: f64(0, 1, -1),
      A: f64(-1, -2),
      B: f64(1, 0, 2, 1, -1, 0.5),
      C: f64(1, 1, 1, 0.5, 0.5, 0.5),
      D: f64(0.25),
      z: f64(1, 0, -1),
      deltaBias: f64(0.5),
    };
    const shape = { batch: 1, dim: 1, state: 2, length: 3, deltaSoftplus: true };
    const { out, lastState } = selectiveScan(input, { ...shape, returnLastState: true });
    expectClose(out, [1.25092564795387, 0, -0.828298240758339], () => 1e-14);
    expectClose(lastState ?? [], [2.00691678379874, 1.14585902671518], () => 1e-14);
    const { dA, ddeltaBias, dz } = selectiveScanBackward(input, f64(1, 1, 1), shape);
    expectClose(dA, [-0.0647149626707151, -0.0456993329483054], () => 1e-14);
    expectClose(ddeltaBias ?? [], [0.269505951200553], () => 1e-14);
    expectClose(dz ?? [], [1.58735136974276, 0.397305665987309, 0.222763706187814], () => 1e-14);
  });

  it('zoh with A = -1 is a gated recurrence (theorem 1 of the paper)', () => {
    const ones = f64(1, 1, 1);
    const { out } = selectiveScan(
      { u: f64(1, 2, -3), delta: f64(0.3, -1, 2), A: f64(-1), B: ones, C: ones },
      { ...one, length: 3, deltaSoftplus: true, discretization: 'zoh' },
    );
    expectClose(out, [0.574442516811659, 0.957833972584964, -2.52821462558947], () => 1e-14);
  });

  describe.each(['f32', 'f64'] as const)('%s', (type) => {
    const tight = { f32: 2e-6, f64: 1e-12 }[type];
    const made = (c: ScanCase) => {
      const { input, shape } = makeScan(c);
      return { input: typedInput(input, type), shape };
    };

    it('delta = 0 freezes the state', () => {
      for (const discretization of ['euler', 'zoh', 'bilinear'] as const) {
        const { input, shape } = made({ batch: 2, dim: 19, length: 70, state: 3, initialState: true });
        input.delta.fill(0);
        const options = { ...shape, discretization, returnLastState: true };
        const { lastState } = selectiveScan(input, options);
        expectSameBits(lastState ?? f64(), input.initialState ?? f64(), discretization);
      }
    });

    it('without decay the state is a sum', () => {
      for (const discretization of ['euler', 'zoh', 'bilinear'] as const) {
        const { input, shape } = made({ batch: 1, dim: 5, length: 40, state: 2 });
        input.A.fill(0);
        const { out } = selectiveScan(input, { ...shape, discretization });
        const expected = out.map((_, at) => {
          const [d, t] = [Math.floor(at / 40), at % 40];
          let y = 0;
          for (let n = 0; n < 2; n += 1) {
            let h = 0;
            for (let k = 0; k <= t; k += 1)
              h += input.delta[d * 40 + k] * input.u[d * 40 + k] * input.B[n * 40 + k];
            y += input.C[n * 40 + t] * h;
          }
          return y;
        });
        expectClose(out, expected, scaledTolerance(expected, tight), discretization);
      }
    });

    it('a decay beyond all bounds leaves the last input alone', () => {
      for (const A of [-1e3, -1e9, -1e30, -3e38]) {
        for (const powers of type === 'f32' ? (['auto', 'never'] as const) : [undefined]) {
          const { input, shape } = made({ batch: 1, dim: 21, length: 33, state: 4 });
          input.A.fill(A);
          input.u.fill(1);
          input.delta.fill(0.75);
          const { lastState } = selectiveScan(input, { ...shape, powers, returnLastState: true });
          // One rounding, whatever the order: s u is exact.
          const expected = lastState?.map((_, i) => 0.75 * input.B[(i % 4) * 33 + 32]);
          expectSameBits(lastState ?? f64(), expected ?? f64(), `A = ${A}`);
        }
      }
    });

    it('segments are runs of their own', () => {
      for (const length of [40, 2300]) {
        const { input, shape } = made({
          ...{ batch: 1, dim: 3, length, state: 4, deltaSoftplus: true, ...ALL_ARRAYS },
        });
        const cuts = [0, 1, 7, 17, Math.floor(length / 2), length - 1, length];
        const ids = new Int32Array(length);
        cuts.forEach((cut) => ids.subarray(cut).forEach((_, i, all) => (all[i] += 3)));
        const whole = selectiveScan(
          { ...input, segmentIds: ids },
          { ...shape, segmentStates: true, returnLastState: true },
        );
        const expected = whole.out.slice();
        const states: number[] = [];
        for (let i = 1; i < cuts.length; i += 1) {
          const part = steps(input, shape, cuts[i - 1], cuts[i]);
          if (i > 1) delete part.initialState;
          const run = { ...shape, length: cuts[i] - cuts[i - 1], returnLastState: true };
          const { out, lastState } = selectiveScan(part, run);
          for (let d = 0; d < 3; d += 1)
            expected.set(out.subarray(d * run.length, (d + 1) * run.length), d * length + cuts[i - 1]);
          states.push(...(lastState ?? []));
        }
        expectClose(whole.out, expected, scaledTolerance(expected, tight), 'out');
        expectClose(whole.segmentStates ?? [], states, scaledTolerance(states, tight), 'segmentStates');
        expectClose(whole.lastState ?? [], states.slice(-12), scaledTolerance(states, tight), 'lastState');
      }
    });

    it('goes on from a state that another call ended in', () => {
      for (const [dim, length] of [
        [20, 100],
        [2, 4500],
      ]) {
        const { input, shape } = made({
          ...{ batch: 2, dim, length, state: 3, deltaSoftplus: true, ...ALL_ARRAYS },
        });
        const whole = selectiveScan(input, { ...shape, returnLastState: true });
        for (const cut of [0, 1, 63, 64, 77, length - 1, length]) {
          const first = selectiveScan(steps(input, shape, 0, cut), {
            ...{ ...shape, length: cut, returnLastState: true },
          });
          const second = selectiveScan(
            { ...steps(input, shape, cut, length), initialState: first.lastState },
            { ...shape, length: length - cut, returnLastState: true },
          );
          const out = whole.out.map((_, at) => {
            const [row, t] = [Math.floor(at / length), at % length];
            return t < cut ? first.out[row * cut + t] : second.out[row * (length - cut) + t - cut];
          });
          expectClose(out, whole.out, scaledTolerance(whole.out, tight), `cut at ${cut}`);
          expectClose(
            second.lastState ?? [],
            whole.lastState ?? [],
            () => 10 * tight,
            `state, cut at ${cut}`,
          );
        }
      }
    });

    it('reads both layouts alike', () => {
      const swap = <T extends Float32Array | Float64Array>(x: T, rows: number, cols: number): T => {
        const result = x.slice() as T;
        const size = rows * cols;
        for (let at = 0; at < x.length; at += 1) {
          const [b, row, col] = [Math.floor(at / size), Math.floor((at % size) / cols), at % cols];
          result[b * size + col * rows + row] = x[at];
        }
        return result;
      };
      for (const [dim, length, groups] of [
        [1, 5, 1],
        [30, 50, 3],
        [17, 64, 1],
        [3, 2100, 1],
      ]) {
        const { input, shape } = made({ batch: 2, dim, length, state: 4, groups, ...ALL_ARRAYS });
        const time = {
          ...input,
          ...{ u: swap(input.u, dim, length), delta: swap(input.delta, dim, length) },
          ...{ B: swap(input.B, groups * 4, length), C: swap(input.C, groups * 4, length) },
          ...(input.z && { z: swap(input.z, dim, length) }),
        };
        const a = selectiveScan(input, { ...shape, returnLastState: true });
        const b = selectiveScan(time, { ...shape, layout: 'time-first', returnLastState: true });
        expectClose(b.out, swap(a.out, dim, length), scaledTolerance(a.out, tight), 'out');
        expectClose(b.lastState ?? [], a.lastState ?? [], () => 10 * tight, 'lastState');
        const gradient = selectiveScanBackward(input, a.out, shape);
        const timeGradient = selectiveScanBackward(time, b.out, { ...shape, layout: 'time-first' });
        const near = (x: ArrayLike<number>, y: ArrayLike<number>, name: string) =>
          expectClose(x, y, scaledTolerance(y, 10 * tight), name);
        near(timeGradient.du, swap(gradient.du, dim, length), 'du');
        near(timeGradient.ddelta, swap(gradient.ddelta, dim, length), 'ddelta');
        near(timeGradient.dB, swap(gradient.dB, groups * 4, length), 'dB');
        near(timeGradient.dC, swap(gradient.dC, groups * 4, length), 'dC');
        near(timeGradient.dA, gradient.dA, 'dA');
      }
    });

    it('zoh under a constant input settles at -B u / A', () => {
      const { input, shape } = made({ batch: 1, dim: 20, length: 300, state: 3, variableB: false });
      input.u.fill(2);
      input.delta.fill(0.5);
      input.A.fill(-0.5);
      const options = { ...shape, discretization: 'zoh', returnLastState: true } as const;
      const { lastState } = selectiveScan(input, options);
      expectClose(
        lastState ?? [],
        input.B.map((b) => 4 * b),
        () => 10 * tight * 4,
      );
    });
  });

  it('gives the same bits on any number of threads, and whatever else is asked for', async () => {
    const cases: ScanCase[] = [
      { batch: 1, dim: 300, length: 130, state: 4, groups: 2, deltaSoftplus: true, ...ALL_ARRAYS },
      { batch: 3, dim: 40, length: 65, state: 16, s4d: true, layout: 'time-first', segments: 3 },
      { batch: 1, dim: 5, length: 5000, state: 3, deltaSoftplus: true, ...ALL_ARRAYS },
      { batch: 2, dim: 16, length: 2100, state: 16, s4d: true, segments: 5, initialState: true },
      { batch: 1, dim: 18, length: 2100, state: 2, complex: true, discretization: 'bilinear' },
      { batch: 2, dim: 600, length: 2100, state: 2, variableB: false, layout: 'time-first', z: true },
    ];
    for (const c of cases) {
      for (const type of ['f32', 'f64'] as const) {
        const { input, shape, gout, glast } = makeScan(c);
        const arrays = typedInput(input, type);
        const wishes = { returnLastState: true, saveCheckpoints: true };
        const plain = selectiveScan(arrays, shape);
        const full = selectiveScan(arrays, { ...shape, ...wishes });
        expectSameBits(full.out, plain.out, 'with checkpoints');
        const upstream = { ...shape, glast: typed(glast, type) };
        const slopes = selectiveScanBackward(arrays, typed(gout, type), upstream);
        const { checkpoints } = full;
        for (const threads of [2, 3, 8]) {
          const again = await selectiveScanAsync(arrays, { ...shape, ...wishes, threads });
          expectSameBits(again.out, plain.out, `${threads} threads`);
          expectSameBits(again.lastState ?? f64(), full.lastState ?? f64(), `state, ${threads} threads`);
          expectSameBits(again.checkpoints ?? f64(), checkpoints ?? f64(), `checkpoints, ${threads} threads`);
          const back = selectiveScanBackward(arrays, typed(gout, type), {
            ...upstream,
            threads,
            checkpoints,
          });
          for (const key of Object.keys(slopes) as (keyof typeof slopes)[])
            expectSameBits(back[key] ?? f64(), slopes[key] ?? f64(), `${key}, ${threads} threads`);
        }
      }
    }
  });
});
