/** Calls that those who know other libraries make first: each is refused in words, naming the argument. */
import * as ag from '../../lib/autograd/index.js';
import { expectThrown } from '../helpers/refused.js';

const x = ag.randn([2, 3], { seed: 1 });

test('axes that are neither a number nor a list', () => {
  expectThrown(() => ag.sum(x, { axis: 1 } as never), 'type', 'axis');
  expectThrown(() => ag.mean(x, '1' as never), 'type', 'axis');
  expectThrown(() => ag.sum(x, [0, 2]), 'range', 'axis');
});

test('two axes to exchange in the place of a permutation', () => {
  expectThrown(() => ag.transpose(x, 0 as never), 'type', 'permutation');
});

test('dropout without a source of random numbers', () => {
  expectThrown(() => ag.dropout(x, 0.5, undefined as never), 'type', 'random');
  expectThrown(() => ag.dropout(x, 0.5, 7 as never), 'type', 'random');
});

test('a custom op that gives no tensor, with and without a gradient wanted', () => {
  const array = ag.customOp('array', { forward: (_, each) => each.data as never });
  const list = ag.customOp('list', { forward: (_, each) => [each, 1] as never });
  for (const input of [x, ag.tensor([1], { requiresGrad: true })]) {
    expectThrown(() => array(input), 'type', 'output of array');
    expectThrown(() => list(input), 'type', 'output of list');
  }
});

test('a scan whose layout, or whose B, is of another kind tells what it read', () => {
  const each = (...shape: number[]) => ag.randn(shape, { seed: 1 });
  const [u, delta, A] = [each(1, 5, 2), each(1, 5, 2), each(2, 4)];
  const [B, C] = [each(1, 5, 1, 4), each(1, 5, 1, 4)];
  expect(() => ag.selectiveScan({ u, delta, A, B, C })).toThrow(
    /"A" must be of shape \[5, state\] \(layout 'channels-first' reads u \[1, 5, 2\] as \[batch, dim, length\]\)/,
  );
  expect(ag.selectiveScan({ u, delta, A, B, C }, { layout: 'time-first' }).out.shape).toEqual([1, 5, 2]);
  expect(() => ag.selectiveScan({ u, delta, A, B: each(1, 4, 5), C }, { layout: 'time-first' })).toThrow(
    /"B" must be of axes \[dim, state\], or \[batch, length, groups, state\] where it varies in time/,
  );
});
