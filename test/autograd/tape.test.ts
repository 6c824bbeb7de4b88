import {
  add,
  apply,
  backward,
  customOp,
  embedding,
  empty,
  grad,
  mul,
  noGrad,
  scope,
  square,
  sum,
  tensor,
} from '../../lib/autograd/index.js';
import type { Tensor } from '../../lib/autograd/index.js';

/** Products of elements in plain JavaScript: the tape alone is under test. */
function times(a: Tensor, b: Tensor): Tensor {
  return apply({
    name: 'times',
    inputs: [a, b],
    forward: () => {
      const y = empty(a.shape, a.dtype);
      for (let i = 0; i < y.size; i++) y.data[i] = a.data[i] * b.data[i];
      return y;
    },
    backward: ([g]) => (g ? [times(g, b), times(g, a)] : []),
  });
}

describe('tape', () => {
  test('gradients of a product that uses a tensor twice', () => {
    const x = tensor([2, 3], { dtype: 'f64', requiresGrad: true });
    const y = times(times(x, x), x);
    backward(y, tensor([1, 10], { dtype: 'f64' }));
    expect([...(x.grad?.data ?? [])]).toEqual([12, 270]);
    expect(() => y.backward(tensor([1, 1], { dtype: 'f64' }))).toThrow(
      expect.objectContaining({ code: 'ERR_GRAPH_RELEASED' }),
    );
  });

  test('grad leaves the gradients of leaves alone and takes inner tensors', () => {
    const x = tensor([2], { dtype: 'f64', requiresGrad: true });
    const square = times(x, x);
    const [dx, inner] = grad(times(square, x), [x, square]);
    expect([dx.item(), inner.item(), x.grad]).toEqual([12, 2, undefined]);
  });

  test("what a custom op returns as a gradient stays its author's", () => {
    const once = Float64Array.of(1, 1, 1);
    const kept = tensor([1, 1, 1], { dtype: 'f64' });
    const half = customOp<Tensor>('half', {
      forward: (context, x) => mul(square((context.saved = x)), 0.5),
      backward: ({ saved }) => [saved],
    });
    const copy = (gradient: () => Tensor): ((x: Tensor) => Tensor) =>
      customOp('copy', { forward: (_, x) => mul(x, 1), backward: () => [gradient()] });
    const [viewed, held] = [copy(() => tensor(once)), copy(() => kept)];
    const x = tensor([1, 2, 3], { dtype: 'f64', requiresGrad: true });
    const y = mul(x, 2);
    sum(add(add(half(y), half(y)), add(add(held(x), held(x)), viewed(x)))).backward();
    sum(viewed(x)).backward();
    sum(half(x)).backward();
    expect([...(x.grad?.data ?? [])]).toEqual([13, 22, 31]);
    expect([x, y, kept].map((each) => [...each.data])).toEqual([
      [1, 2, 3],
      [2, 4, 6],
      [1, 1, 1],
    ]);
    expect([...once]).toEqual([1, 1, 1]);
  });

  test('a custom gradient that is no tensor is named', () => {
    const odd = customOp('odd', { forward: (_, x) => mul(x, 1), backward: () => [5 as unknown as Tensor] });
    expect(() => sum(odd(tensor([1], { requiresGrad: true }))).backward()).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_ARG_TYPE',
        message: expect.stringContaining('gradient 0 of odd') as unknown,
      }),
    );
  });

  test('indices may change once an op has read them', () => {
    const table = tensor([1, 2, 3], { shape: [3, 1], dtype: 'f64', requiresGrad: true });
    const indices = Int32Array.of(0, 2);
    const y = sum(embedding(table, indices));
    indices.fill(1);
    y.backward();
    expect([...(table.grad?.data ?? [])]).toEqual([1, 0, 1]);
  });

  test('noGrad takes no asynchronous function, whose later part would record', () => {
    expect(() => noGrad(async () => Promise.resolve(1))).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
  });

  test('scope gives back all but what is returned', () => {
    const x = tensor([2], { requiresGrad: true });
    let inside: Tensor | undefined;
    const y = scope(() => {
      inside = times(x, x);
      return noGrad(() => times(x, x));
    });
    expect(y.item()).toBe(4);
    expect(() => inside?.data).toThrow(expect.objectContaining({ code: 'ERR_RELEASED' }));
  });
});
