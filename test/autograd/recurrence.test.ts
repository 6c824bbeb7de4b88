import {
  causalConv1d,
  deltaRuleRecurrence,
  linearRecurrence,
  randn,
  type CausalConvTensors,
  type DeltaRuleTensors,
  type Parameters,
} from '../../lib/autograd/index.js';
import type { RecurrenceForm } from '../../lib/kernels/recurrence.js';
import { expectThrown } from '../helpers/refused.js';
import { expectGradients, expectSingleClose, type NamedOp } from '../helpers/tape.js';

const make = (shapes: Record<string, number[]>): Parameters =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const x = randn(shape, { seed: 10 + i, dtype: 'f64' });
      x.data.forEach((value, j) => (x.data[j] = 0.6 * value));
      return [name, x];
    }),
  );
const x64 = (...shape: number[]) => randn(shape, { seed: 1, dtype: 'f64' });

const [batch, length, width] = [2, 9, 5];
const recurrence =
  (form: RecurrenceForm, reverse: boolean): NamedOp =>
  ({ a, b, initial }) =>
    linearRecurrence(a, b, { form, reverse, initial });

describe.each<RecurrenceForm>(['diagonal', 'scalar', 'gated'])('linear recurrence, %s', (form) => {
  const a = form === 'scalar' ? [batch, length] : [batch, length, width];
  const shapes = { a, b: [batch, length, width] };
  test.each([false, true])('gradients and float32, reverse %s', (reverse) => {
    for (const each of [shapes, { ...shapes, initial: [batch, width] }]) {
      expectGradients(recurrence(form, reverse), make(each));
      expectSingleClose(recurrence(form, reverse), make(each), 1e-5);
    }
  });
});

test('linear recurrence is what it says', () => {
  const { a, b } = make({ a: [1, 3, 2], b: [1, 3, 2] });
  const h = linearRecurrence(a, b).data;
  for (let t = 0; t < 3; t++)
    for (let i = 0; i < 2; i++) {
      const before = t ? h[2 * (t - 1) + i] : 0;
      expect(h[2 * t + i]).toBeCloseTo(a.data[2 * t + i] * before + b.data[2 * t + i], 12);
    }
  expectThrown(() => linearRecurrence(a, x64(3, 2)), 'range', 'b');
  expectThrown(() => linearRecurrence(x64(1, 3), b), 'range', 'a');
  expectThrown(() => linearRecurrence(a, b, { initial: x64(2) }), 'range', 'initial');
  expectThrown(() => linearRecurrence(a, randn([1, 3, 2], { seed: 1 })), 'type', 'b');
});

describe('delta rule', () => {
  const [heads, keyDim, valueDim] = [2, 3, 4];
  const keys = [batch, length, heads, keyDim];
  const gates = [batch, length, heads];
  const bare = { q: keys, k: keys, v: [batch, length, heads, valueDim], beta: gates };
  const all = { ...bare, alpha: gates, initialState: [batch, heads, keyDim, valueDim] };
  const op: NamedOp = (inputs) => {
    const { out, lastState } = deltaRuleRecurrence(inputs as unknown as DeltaRuleTensors);
    return [out, lastState];
  };

  test('gradients and float32', () => {
    for (const each of [bare, all]) {
      expectGradients(op, make(each));
      expectSingleClose(op, make(each), 1e-5);
    }
  });

  test('bad operands are refused by name', () => {
    const call = (change: Parameters) => () => op({ ...make(all), ...change });
    expectThrown(call({ q: x64(1, 2, 3) }), 'range', 'q');
    expectThrown(call({ k: x64(1, 2, 3, 4) }), 'range', 'k');
    expectThrown(call({ v: x64(1, 2, 3, 4) }), 'range', 'v');
    expectThrown(call({ beta: x64(2) }), 'range', 'beta');
    expectThrown(call({ alpha: x64(2) }), 'range', 'alpha');
    expectThrown(call({ initialState: x64(2) }), 'range', 'initialState');
  });
});

describe('causal convolution', () => {
  const taps = 4;
  const bare = { x: [batch, 3, length], weight: [3, taps] };
  const all = { ...bare, bias: [3], initialState: [batch, 3, taps - 1] };
  const op =
    (layout: 'channels-first' | 'time-first', activation: 'none' | 'silu'): NamedOp =>
    (inputs) => {
      const { out, finalState } = causalConv1d(inputs as unknown as CausalConvTensors, {
        layout,
        activation,
      });
      return [out, finalState];
    };

  test.each(['none', 'silu'] as const)('gradients and float32, activation %s', (activation) => {
    for (const each of [bare, all]) {
      expectGradients(op('channels-first', activation), make(each));
      const turned = { ...each, x: [batch, length, 3] };
      expectGradients(op('time-first', activation), make(turned));
      expectSingleClose(op('time-first', activation), make(turned), 1e-5);
    }
  });

  test('bad operands are refused by name', () => {
    const call = (change: Parameters) => () => op('channels-first', 'none')({ ...make(all), ...change });
    expectThrown(call({ x: x64(3, 4) }), 'range', 'x');
    expectThrown(call({ weight: x64(4, taps) }), 'range', 'weight');
    expectThrown(call({ weight: x64(3, 9) }), 'range', 'initialState');
    expectThrown(call({ bias: x64(4) }), 'range', 'bias');
    expectThrown(call({ initialState: x64(batch, 3, taps) }), 'range', 'initialState');
  });
});
