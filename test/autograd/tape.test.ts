import { apply, backward, empty, grad, noGrad, scope, tensor } from '../../lib/autograd/index.js';
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
