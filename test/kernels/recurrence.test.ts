import { linearRecurrence, linearRecurrenceAsync, linearRecurrenceBackward } from '../../lib/index.js';
import { expectSameBits } from '../helpers/compare.js';
import { onEveryIsa } from '../helpers/isa.js';
import { dot, expectGradient, expectScaled, numbers, REALS } from '../helpers/recurrences.js';
import * as reference from '../reference/recurrence.js';

const FORMS = ['diagonal', 'scalar', 'gated'] as const;
const SHAPES = [
  { batch: 1, length: 1, width: 1 },
  { batch: 2, length: 7, width: 5 },
  { batch: 3, length: 13, width: 17 },
  { batch: 1, length: 6, width: 300 },
];

/** Decays in about [0.3, 0.9], inputs, a first state and gradients. */
function arrays(shape: { batch: number; length: number; width: number }, form: string) {
  const next = numbers(1);
  const { batch, length, width } = shape;
  const a = next(batch * length * (form === 'scalar' ? 1 : width), 0.15, 0.6);
  const [b, g] = [next(batch * length * width), next(batch * length * width)];
  return { a, b, g, initial: next(batch * width) };
}

describe('linearRecurrence', () => {
  onEveryIsa(() => {
    describe.each(REALS)('in $type', ({ type, Kind }) => {
      it.each(SHAPES)('agrees with the steps one by one: %o', (shape) => {
        for (const form of FORMS)
          for (const reverse of [false, true])
            for (const first of [false, true]) {
              const { a, b, initial } = arrays(shape, form);
              const expected = reference.linearRecurrence(a, b, first ? initial : undefined, {
                ...shape,
                form,
                reverse,
              });
              const options = { ...shape, form, reverse, ...(first && { initial: Kind.from(initial) }) };
              const h = linearRecurrence<Float32Array | Float64Array>(Kind.from(a), Kind.from(b), options);
              expectScaled(h, expected, type, 'values', `${form}, reverse ${reverse}`);
            }
      });

      it('gives the same bits for any number of threads, in both forms of the call', async () => {
        const shape = { batch: 3, length: 200, width: 600 };
        for (const form of FORMS) {
          const { a, b, g } = arrays(shape, form);
          const [x, y, gout] = [Kind.from(a), Kind.from(b), Kind.from(g)];
          const h = linearRecurrence<Float32Array | Float64Array>(x, y, { ...shape, form });
          const back = linearRecurrenceBackward<Float32Array | Float64Array>(x, y, h, gout, {
            ...shape,
            form,
          });
          for (const threads of [2, 8]) {
            expectSameBits(await linearRecurrenceAsync(x, y, { ...shape, form, threads }), h, form);
            const again = linearRecurrenceBackward(x, y, h, gout, { ...shape, form, threads });
            expectSameBits(again.da, back.da, `da of ${form}`);
            expectSameBits(again.db, back.db, `db of ${form}`);
          }
        }
      });
    });

    it('has the gradients of central differences', () => {
      for (const shape of SHAPES.slice(0, 3))
        for (const form of FORMS)
          for (const reverse of [false, true]) {
            const { a, b, g, initial } = arrays(shape, form);
            const s = { ...shape, form, reverse };
            const h = linearRecurrence(a, b, { ...s, initial });
            const back = linearRecurrenceBackward(a, b, h, g, { ...s, initial });
            const loss = (x: Float64Array, y: Float64Array, z: Float64Array): number =>
              dot(reference.linearRecurrence(x, y, z, s), g);
            expectGradient(back.da, a, (x) => loss(x, b, initial), `da of ${form}`);
            expectGradient(back.db, b, (x) => loss(a, x, initial), `db of ${form}`);
            expectGradient(back.dInitial, initial, (x) => loss(a, b, x), `dInitial of ${form}`);
          }
    });
  });

  it('has the adjoint that is the recurrence in reverse with the decays of the next step', () => {
    const shape = { length: 40, width: 9 };
    const { a, b, g } = arrays({ batch: 1, ...shape }, 'diagonal');
    const { db } = linearRecurrenceBackward(a, b, linearRecurrence(a, b, shape), g, shape);
    const shifted = new Float64Array(a.length);
    shifted.set(a.subarray(shape.width));
    expectSameBits(linearRecurrence(shifted, g, { ...shape, reverse: true }), db);
  });

  it('can be cut anywhere', () => {
    const { a, b } = arrays({ batch: 1, length: 30, width: 7 }, 'diagonal');
    const whole = linearRecurrence(a, b, { length: 30, width: 7 });
    for (const cut of [0, 1, 11, 29, 30]) {
      const first = linearRecurrence(a.slice(0, cut * 7), b.slice(0, cut * 7), { length: cut, width: 7 });
      const rest = linearRecurrence(a.slice(cut * 7), b.slice(cut * 7), {
        length: 30 - cut,
        width: 7,
        ...(cut > 0 && { initial: first.slice(-7) }),
      });
      expectSameBits(Float64Array.of(...first, ...rest), whole, `cut at ${cut}`);
    }
  });

  it('keeps what is not finite in its element', () => {
    const a = new Float32Array(20).fill(0.5);
    const b = new Float32Array(20).fill(1);
    b[5] = NaN;
    const h = linearRecurrence(a, b, { length: 5, width: 4 });
    h.forEach((value, i) => expect(Number.isNaN(value)).toBe(i % 4 === 1 && i >= 5));
  });

  it('takes no steps, no elements and no rows', () => {
    const none = new Float32Array(0);
    expect(linearRecurrence(none, none, { length: 0, width: 4 })).toHaveLength(0);
    expect(linearRecurrence(none, none, { length: 4, width: 0 })).toHaveLength(0);
    expect(linearRecurrence(none, none, { batch: 0, length: 4, width: 4 })).toHaveLength(0);
    const { dInitial } = linearRecurrenceBackward(none, none, none, none, {
      length: 0,
      width: 4,
      initial: new Float32Array(4),
    });
    expect([...(dInitial ?? [])]).toEqual([0, 0, 0, 0]);
  });
});
