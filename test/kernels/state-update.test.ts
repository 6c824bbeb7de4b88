import { selectiveStateUpdate, selectiveStateUpdateAsync, type StateUpdateInput } from '../../lib/index.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { converted, expectScaled, numbers, REALS, scanFixture, type Stored } from '../helpers/recurrences.js';
import * as reference from '../reference/recurrence.js';

type StepName = 'x' | 'dt' | 'B' | 'C' | 'z' | 'out' | 'state';
interface StepFixture {
  initialState: Stored;
  A: Stored;
  D: Stored;
  dtBias: Stored;
  stateIndices?: Stored;
  steps: Record<StepName, Stored>[];
}

const SHAPES: reference.StepShape[] = [
  { batch: 1, heads: 1, headDim: 1, state: 1, groups: 1, dtSoftplus: true },
  { batch: 2, heads: 2, headDim: 9, state: 5, groups: 2, dtSoftplus: true },
  { batch: 1, heads: 4, headDim: 33, state: 16, groups: 2, dtSoftplus: false },
  { batch: 3, heads: 1, headDim: 70, state: 37, groups: 1, dtSoftplus: true },
];

/** Inputs of full shape, or with one decay, step, bias and skip for each head. */
function arrays(s: reference.StepShape, tied: boolean) {
  const next = numbers(5);
  const dim = s.heads * s.headDim;
  const each = tied ? s.heads : dim;
  const input = {
    x: next(s.batch * dim),
    dt: next(s.batch * each, 0.5, s.dtSoftplus ? 0 : 1),
    A: next(tied ? s.heads : dim * s.state, 0.2, -1),
    B: next(s.batch * s.groups * s.state),
    C: next(s.batch * s.groups * s.state),
    D: next(each),
    z: next(s.batch * dim),
    dtBias: next(each),
  };
  return { input, state: next(s.batch * dim * s.state) };
}

const options = ({ heads, headDim, ...s }: reference.StepShape) => ({ ...s, heads, dim: heads * headDim });

describe('selectiveStateUpdate', () => {
  onEveryIsa(() => {
    describe.each(REALS)('in $type', ({ type, Kind }) => {
      it.each(['step', 'step-heads'])('agrees with %s.json, step by step', (name) => {
        const fixture = scanFixture<StepFixture>(name);
        const { A, D, dtBias, stateIndices } = fixture;
        const [, heads, headDim, n] = fixture.initialState.shape;
        const state = Kind.from(fixture.initialState.data);
        for (const step of fixture.steps) {
          const { x, dt, B, C, z } = step;
          const input = Object.fromEntries(
            Object.entries({ A, D, dtBias, x, dt, B, C, z }).map(([key, { data }]) => [key, Kind.from(data)]),
          ) as unknown as StateUpdateInput;
          if (stateIndices) input.stateIndices = Int32Array.from(stateIndices.data);
          const out = selectiveStateUpdate<Float32Array | Float64Array>(state, input, {
            batch: x.shape[0],
            dim: heads * headDim,
            heads,
            state: n,
            groups: B.shape[1],
            dtSoftplus: true,
          });
          expectScaled(out, step.out.data, type, 'values', 'out');
          expectScaled(state, step.state.data, type, 'values', 'state');
        }
      });

      it.each(SHAPES)('agrees with the definition, tied or not: %o', (shape) => {
        for (const tied of [false, true]) {
          const { input, state } = arrays(shape, tied);
          for (const part of [input, { ...input, D: undefined, z: undefined, dtBias: undefined }]) {
            const expectedState = state.slice();
            const expected = reference.stateUpdate(expectedState, part, shape);
            const actualState = Kind.from(state);
            const out = selectiveStateUpdate<Float32Array | Float64Array>(
              actualState,
              converted(part, Kind),
              options(shape),
            );
            expectScaled(out, expected, type, 'values', 'out');
            expectScaled(actualState, expectedState, type, 'values', 'state');
          }
        }
      });
    });

    it('works without heads on channels in groups', () => {
      const shape = { batch: 2, heads: 3, headDim: 5, state: 4, groups: 3, dtSoftplus: true };
      const { input, state } = arrays(shape, false);
      const grouped = state.slice();
      const expected = selectiveStateUpdate(state, input, options(shape));
      const rest = { ...options(shape), heads: undefined };
      expectSameBits(selectiveStateUpdate(grouped, input, rest), expected, 'out');
      expectSameBits(grouped, state, 'state');
    });

    it('gives the same bits for any number of threads', async () => {
      const shape = { batch: 3, heads: 2, headDim: 600, state: 33, groups: 1, dtSoftplus: true };
      const { input, state } = arrays(shape, false);
      const one = state.slice();
      const out = selectiveStateUpdate(one, input, options(shape));
      for (const threads of [2, 8]) {
        const again = state.slice();
        expectSameBits(
          await selectiveStateUpdateAsync(again, input, { ...options(shape), threads }),
          out,
          'out',
        );
        expectSameBits(again, one, 'state');
      }
    });

    it('follows extreme steps: none, tiny, large, infinite', () => {
      // Softplus of -30 is 9.4e-14, which log(1 + exp(x)) loses in float32.
      for (const [dt, state, expected] of [
        [-Infinity, 2, 2],
        [-30, 0, Math.exp(-30)],
        [50, 2, 50],
        [Infinity, 2, Infinity],
        [NaN, 2, NaN],
      ]) {
        const slot = Float32Array.of(state);
        const one = Float32Array.of(1);
        const input = { x: one, dt: Float32Array.of(dt), A: Float32Array.of(-1), B: one, C: one };
        const out = selectiveStateUpdate(slot, input, { batch: 1, dim: 1, state: 1, dtSoftplus: true });
        expectScaled(
          out.map((y) => y / (expected || 1)),
          [expected / (expected || 1)],
          'f32',
          'values',
          `dt ${dt}`,
        );
        expectSameBits(slot, out);
      }
    });
  });

  it('leaves slots alone that no row names, and gives 0 for rows without one', () => {
    const shape = { batch: 3, heads: 1, headDim: 2, state: 3, groups: 1, dtSoftplus: true };
    const { input } = arrays(shape, false);
    const state = numbers(9)(5 * 6);
    const before = state.slice();
    const out = selectiveStateUpdate(
      state,
      { ...input, stateIndices: Int32Array.of(4, -1, 1) },
      options(shape),
    );
    expect([out[2], out[3]]).toEqual([0, 0]);
    state.forEach((value, i) => expect(value === before[i]).toBe(![1, 4].includes(Math.floor(i / 6))));
  });
});
