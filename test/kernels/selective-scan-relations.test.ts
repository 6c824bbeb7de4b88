/** The selective scan beside the kernels that compute the same in another way. */
import {
  linearRecurrence,
  selectiveScan,
  selectiveScanBackward,
  selectiveStateUpdate,
} from '../../lib/index.js';
import { expectClose } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { ALL_ARRAYS, makeScan, typedInput } from '../helpers/scan.js';
import { scaledTolerance } from '../helpers/scan-fixtures.js';

onEveryIsa(() => {
  it.each(['f32', 'f64'] as const)('as many decode steps give what a scan gives, %s', (type) => {
    const size = { batch: 2, dim: 18, length: 60, state: 5, groups: 3 };
    const { input, shape } = makeScan({ ...size, layout: 'time-first', deltaSoftplus: true, ...ALL_ARRAYS });
    const { u, delta, A, B, C, D, z, deltaBias, initialState } = typedInput(input, type);
    const arrays = { u, delta, A, B, C, D, z, deltaBias, initialState };
    const whole = selectiveScan(arrays, { ...shape, returnLastState: true });
    const kind = type === 'f32' ? Float32Array : Float64Array;
    const state = initialState?.slice() ?? new kind(0);
    // What every row has at a step, of `width` numbers each.
    const at = (x: typeof u | undefined, t: number, width: number): typeof u =>
      new kind(2 * width).map((_, i) => x?.[(Math.floor(i / width) * 60 + t) * width + (i % width)] ?? NaN);
    const out = new kind(whole.out.length);
    for (let t = 0; t < 60; t += 1) {
      const step = {
        x: at(u, t, 18),
        dt: at(delta, t, 18),
        A,
        B: at(B, t, 15),
        C: at(C, t, 15),
        D,
        dtBias: deltaBias,
      };
      const y = selectiveStateUpdate(
        state,
        { ...step, z: at(z, t, 18) },
        { batch: 2, dim: 18, state: 5, groups: 3, dtSoftplus: true },
      );
      for (let b = 0; b < 2; b += 1) out.set(y.subarray(b * 18, b * 18 + 18), (b * 60 + t) * 18);
    }
    const tolerance = type === 'f32' ? 2e-6 : 1e-12;
    expectClose(out, whole.out, scaledTolerance(whole.out, tolerance), 'out');
    const last = whole.lastState ?? new kind(0);
    expectClose(state, last, scaledTolerance(last, tolerance), 'state');
  });

  it('the adjoint is a linear recurrence from the end', () => {
    const [length, state] = [50, 4];
    const { input, shape, gout } = makeScan({ batch: 1, dim: 1, length, state, layout: 'time-first' });
    const arrays = typedInput(input, 'f64');
    const { A, C, delta, u } = arrays;
    // lambda_t = a_{t+1} lambda_{t+1} + g_t C_t, and dB_t = lambda_t s_t u_t.
    const a = Float64Array.from({ length: length * state }, (_, i) => {
      const t = Math.floor(i / state) + 1;
      return t < length ? Math.exp(delta[t] * A[i % state]) : 0;
    });
    const b = Float64Array.from(C, (c, i) => c * gout[Math.floor(i / state)]);
    const lambda = linearRecurrence(a, b, { length, width: state, reverse: true });
    const expected = lambda.map((x, i) => x * delta[Math.floor(i / state)] * u[Math.floor(i / state)]);
    const { dB } = selectiveScanBackward(arrays, gout, shape);
    expectClose(dB, expected, scaledTolerance(expected, 1e-13), 'dB');
  });
});
