import {
  constantSchedule as constant,
  cosineSchedule as cosine,
  inSequence,
  linearSchedule as linear,
  productOf as product,
  warmUp,
} from '../../lib/autograd/schedule.js';
import { expectThrown } from '../helpers/refused.js';

const first = (n: number, schedule: (step: number) => number) =>
  Array.from({ length: n }, (_, i) => schedule(i));

test('a constant is what it is', () => {
  expect(first(3, constant())).toEqual([1, 1, 1]);
  expect(first(2, constant(0.25))).toEqual([0.25, 0.25]);
});

test('a line reaches its end and stays there', () => {
  expect(first(6, linear(4))).toEqual([1, 0.75, 0.5, 0.25, 0, 0]);
  expect(first(4, linear(2, { from: 0.5, to: 2 }))).toEqual([0.5, 1.25, 2, 2]);
});

test('a cosine falls by half a period', () => {
  const schedule = cosine(8, { to: 0.1 });
  for (let step = 0; step <= 8; step++) {
    expect(schedule(step)).toBeCloseTo(0.1 + 0.45 * (1 + Math.cos((Math.PI * step) / 8)), 14);
  }
  expect(schedule(8)).toBe(0.1);
  expect(schedule(1e9)).toBe(0.1);
  expect(cosine(2)(1)).toBeCloseTo(0.5, 15);
});

test('a warm-up ends where what follows begins', () => {
  expect(first(6, warmUp(4))).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
  expect(first(6, warmUp(2, linear(2, { from: 0.5 })))).toEqual([0.25, 0.5, 0.5, 0.25, 0, 0]);
  expect(first(2, warmUp(0, linear(2)))).toEqual([1, 0.5]);
});

test('schedules follow each other and multiply', () => {
  expect(first(6, inSequence([[constant(2), 2], [linear(2), 1], [constant(3)]]))).toEqual([2, 2, 1, 3, 3, 3]);
  expect(first(3, product(linear(2), constant(4), linear(4)))).toEqual([4, 1.5, 0]);
  expect(product()(7)).toBe(1);
});

test('bad arguments are refused by name', () => {
  expectThrown(() => constant(-1), 'range', 'value');
  expectThrown(() => linear(0), 'range', 'steps');
  expectThrown(() => linear(2, { from: NaN }), 'range', 'from');
  expectThrown(() => cosine(1.5), 'range', 'steps');
  expectThrown(() => cosine(2, { to: -1 }), 'range', 'to');
  expectThrown(() => warmUp(-1), 'range', 'steps');
  expectThrown(() => warmUp(1, 3 as never), 'type', 'then');
  expectThrown(() => inSequence([]), 'range', 'phases');
  expectThrown(() => inSequence([[constant()], [constant()]]), 'type', 'phases[0][1]');
  expectThrown(() => inSequence([[1 as never]]), 'type', 'phases[0][0]');
  expectThrown(() => product(1 as never), 'type', 'schedules[0]');
  for (const each of [constant(), linear(2), cosine(2), warmUp(1), inSequence([[constant()]])]) {
    expectThrown(() => each(-1), 'range', 'step');
    expectThrown(() => each('1' as never), 'type', 'step');
  }
});
