import {
  deltaRuleRecurrence,
  deltaRuleRecurrenceAsync,
  deltaRuleRecurrenceBackward,
  type DeltaRuleInput,
} from '../../lib/index.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { converted, dot, expectGradient, expectScaled, numbers, REALS } from '../helpers/recurrences.js';
import * as reference from '../reference/recurrence.js';

const SHAPES: reference.DeltaShape[] = [
  { batch: 1, length: 1, heads: 1, keyDim: 1, valueDim: 1 },
  { batch: 2, length: 9, heads: 2, keyDim: 3, valueDim: 5 },
  { batch: 1, length: 70, heads: 1, keyDim: 7, valueDim: 33 },
];

/** Keys of about unit length, gates in about [0.3, 0.9]. */
function arrays(s: reference.DeltaShape) {
  const next = numbers(3);
  const gates = s.batch * s.length * s.heads;
  const x = {
    q: next(gates * s.keyDim),
    k: next(gates * s.keyDim, 1 / Math.sqrt(s.keyDim)),
    v: next(gates * s.valueDim),
    beta: next(gates, 0.1, 0.6),
    alpha: next(gates, 0.05, 0.8),
    initialState: next(s.batch * s.heads * s.keyDim * s.valueDim),
  };
  return { x, gout: next(gates * s.valueDim), glast: next(x.initialState.length) };
}

describe('deltaRuleRecurrence', () => {
  onEveryIsa(() => {
    describe.each(REALS)('in $type', ({ type, Kind }) => {
      it.each(SHAPES)('agrees with the definition: %o', (shape) => {
        const { x } = arrays(shape);
        for (const input of [x, { ...x, alpha: undefined, initialState: undefined }]) {
          const expected = reference.deltaRule(input, shape);
          const actual = deltaRuleRecurrence(converted(input, Kind) as DeltaRuleInput, {
            ...shape,
            returnLastState: true,
          });
          expectScaled(actual.out, expected.out, type, 'values', 'out');
          expectScaled(actual.lastState, expected.lastState, type, 'values', 'lastState');
        }
      });
    });

    it.each(SHAPES.slice(0, 2))('has the gradients of central differences: %o', (shape) => {
      const { x, gout, glast } = arrays(shape);
      const back = deltaRuleRecurrenceBackward(x, gout, { ...shape, glast });
      const loss = (name: string) => (value: Float64Array) => {
        const { out, lastState } = reference.deltaRule({ ...x, [name]: value }, shape);
        return dot(out, gout) + dot(lastState, glast);
      };
      const { dq, dk, dv, dbeta, dalpha, dInitialState } = back;
      const gradients = { q: dq, k: dk, v: dv, beta: dbeta, alpha: dalpha, initialState: dInitialState };
      for (const name of Object.keys(gradients) as (keyof typeof gradients)[])
        expectGradient(gradients[name], x[name], loss(name), name);
    });

    it('has float32 gradients that agree with those in float64, over several chunks', () => {
      const shape = SHAPES[2];
      const { x, gout, glast } = arrays(shape);
      const wide = deltaRuleRecurrenceBackward(x, gout, { ...shape, glast });
      const narrow = deltaRuleRecurrenceBackward(
        converted(x, Float32Array) as DeltaRuleInput,
        Float32Array.from(gout),
        { ...shape, glast: Float32Array.from(glast) },
      );
      for (const name of Object.keys(wide) as (keyof typeof wide)[])
        expectScaled(narrow[name], wide[name] ?? [], 'f32', 'gradients', name);
    });

    it('gives the same bits for any number of threads', async () => {
      const shape = { batch: 2, length: 40, heads: 3, keyDim: 16, valueDim: 40 };
      const { x, gout } = arrays(shape);
      const one = deltaRuleRecurrence(x, shape);
      const back = deltaRuleRecurrenceBackward(x, gout, shape);
      for (const threads of [2, 8]) {
        expectSameBits((await deltaRuleRecurrenceAsync(x, { ...shape, threads })).out, one.out);
        const again = deltaRuleRecurrenceBackward(x, gout, { ...shape, threads });
        for (const name of Object.keys(back) as (keyof typeof back)[])
          expectSameBits(again[name] as Float64Array, back[name] as Float64Array, name);
      }
    });
  });

  it('recalls what a key was last written with', () => {
    const k = Float64Array.of(1, 0, 0, 1, 1, 0);
    const v = Float64Array.of(2, 3, 5);
    const { out } = deltaRuleRecurrence(
      { q: k, k, v, beta: new Float64Array(3).fill(1) },
      { length: 3, keyDim: 2, valueDim: 1 },
    );
    expect([...out]).toEqual([2, 3, 5]);
  });

  it('takes no steps', () => {
    const none = new Float32Array(0);
    const { out, lastState } = deltaRuleRecurrence(
      { q: none, k: none, v: none, beta: none, initialState: Float32Array.of(1, 2) },
      { length: 0, keyDim: 1, valueDim: 2, returnLastState: true },
    );
    expect(out).toHaveLength(0);
    expect([...(lastState ?? [])]).toEqual([1, 2]);
  });
});
