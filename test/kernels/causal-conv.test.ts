import {
  causalConv1d,
  causalConv1dAsync,
  causalConv1dBackward,
  causalConv1dUpdate,
  type CausalConvInput,
} from '../../lib/index.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { converted, dot, expectGradient, expectScaled, numbers, REALS } from '../helpers/recurrences.js';
import * as reference from '../reference/recurrence.js';

const SIZES = [
  { batch: 1, dim: 1, length: 1, width: 2 },
  { batch: 2, dim: 5, length: 2, width: 4 },
  { batch: 2, dim: 17, length: 19, width: 4 },
  { batch: 1, dim: 70, length: 70, width: 3 },
  { batch: 1, dim: 3, length: 150, width: 8 },
];
const FORMS = (['channels-first', 'time-first'] as const).flatMap((layout) =>
  (['none', 'silu'] as const).map((activation) => ({ layout, activation })),
);

function arrays(s: { batch: number; dim: number; length: number; width: number }) {
  const next = numbers(7);
  const input = {
    x: next(s.batch * s.dim * s.length),
    weight: next(s.dim * s.width, 0.5),
    bias: next(s.dim),
    initialState: next(s.batch * s.dim * (s.width - 1)),
  };
  return { input, gout: next(input.x.length), gfinal: next(input.initialState.length) };
}

describe('causalConv1d', () => {
  onEveryIsa(() => {
    describe.each(REALS)('in $type', ({ type, Kind }) => {
      it.each(SIZES)('agrees with the definition: %o', (sizes) => {
        const { input } = arrays(sizes);
        for (const form of FORMS)
          for (const part of [input, { ...input, bias: undefined, initialState: undefined }]) {
            const shape = { ...sizes, ...form };
            const expected = reference.causalConv(part, shape);
            const actual = causalConv1d(converted(part, Kind) as CausalConvInput, {
              ...shape,
              returnFinalState: true,
            });
            expectScaled(actual.out, expected.out, type, 'values', 'out');
            expectSameBits(actual.finalState as Float64Array, Kind.from(expected.finalState), 'finalState');
          }
      });

      it('goes on where it stopped: another call, or one step at a time', () => {
        const sizes = { batch: 2, dim: 19, length: 11, width: 4 };
        const { input } = arrays(sizes);
        const x = converted(input, Kind) as CausalConvInput;
        const shape = { ...sizes, layout: 'time-first', activation: 'silu' } as const;
        const whole = causalConv1d(x, { ...shape, returnFinalState: true });
        const state = Kind.from(input.initialState) as Float32Array | Float64Array;
        for (let t = 0; t < sizes.length; t += 1) {
          const at = (row: number): number => (row * sizes.length + t) * sizes.dim;
          const step = Kind.from([0, 1].flatMap((row) => [...x.x.subarray(at(row), at(row) + sizes.dim)]));
          const out = causalConv1dUpdate<Float32Array | Float64Array>(state, { ...x, x: step }, shape);
          for (const row of [0, 1])
            expectSameBits(
              out.subarray(row * sizes.dim, (row + 1) * sizes.dim),
              whole.out.subarray(at(row), at(row) + sizes.dim),
              `row ${row}, step ${t}`,
            );
        }
        expectSameBits(state, whole.finalState as Float32Array, 'state');
      });
    });

    it.each(SIZES.slice(0, 3))('has the gradients of central differences: %o', (sizes) => {
      const { input, gout, gfinal } = arrays(sizes);
      for (const form of FORMS) {
        const shape = { ...sizes, ...form };
        const { dx, dweight, dbias, dInitialState } = causalConv1dBackward(input, gout, { ...shape, gfinal });
        const gradients = { x: dx, weight: dweight, bias: dbias, initialState: dInitialState };
        for (const name of Object.keys(gradients) as (keyof typeof gradients)[])
          expectGradient(
            gradients[name],
            input[name],
            (value) => {
              const { out, finalState } = reference.causalConv({ ...input, [name]: value }, shape);
              return dot(out, gout) + dot(finalState, gfinal);
            },
            `${name}, ${form.layout}, ${form.activation}`,
          );
      }
    });

    it('has float32 gradients that agree with those in float64, in both layouts', () => {
      const sizes = { batch: 3, dim: 70, length: 300, width: 4 };
      const { input, gout } = arrays(sizes);
      for (const form of FORMS) {
        const wide = causalConv1dBackward(input, gout, { ...sizes, ...form });
        const narrow = causalConv1dBackward(
          converted(input, Float32Array) as CausalConvInput,
          Float32Array.from(gout),
          { ...sizes, ...form },
        );
        for (const name of Object.keys(wide) as (keyof typeof wide)[])
          expectScaled(narrow[name], wide[name] ?? [], 'f32', 'gradients', name);
      }
    });

    it('gives the same bits for any number of threads', async () => {
      const sizes = { batch: 2, dim: 150, length: 200, width: 4 };
      const { input, gout } = arrays(sizes);
      for (const form of FORMS) {
        const shape = { ...sizes, ...form };
        const one = causalConv1d(input, shape);
        const back = causalConv1dBackward(input, gout, shape);
        for (const threads of [2, 8]) {
          expectSameBits((await causalConv1dAsync(input, { ...shape, threads })).out, one.out);
          const again = causalConv1dBackward(input, gout, { ...shape, threads });
          for (const name of Object.keys(back) as (keyof typeof back)[])
            expectSameBits(again[name] as Float64Array, back[name] as Float64Array, name);
        }
      }
    });
  });

  it('takes no steps: the state stays', () => {
    const initialState = Float32Array.of(1, 2, 3);
    const { out, finalState } = causalConv1d(
      { x: new Float32Array(0), weight: new Float32Array(4), initialState },
      { dim: 1, length: 0, width: 4, returnFinalState: true },
    );
    expect(out).toHaveLength(0);
    expect([...(finalState ?? [])]).toEqual([1, 2, 3]);
  });
});
