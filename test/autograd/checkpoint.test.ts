import {
  backward,
  checkpoint,
  customOp,
  dropout,
  grad,
  gradCheck,
  limitPool,
  noGrad,
  pooledBytes,
  randn,
  scope,
  sum,
  tensor,
  type Tensor,
} from '../../lib/autograd/index.js';
import { Philox } from '../../lib/index.js';
import { empty } from '../../lib/autograd/tensor.js';

let calls = 0;

const map = (x: Tensor, f: (value: number, i: number) => number): Tensor => {
  const y = empty(x.shape, x.dtype);
  for (let i = 0; i < x.size; i++) y.data[i] = f(x.data[i], i);
  return y;
};

/** sin(w x) element by element. */
const wave = customOp<Tensor[]>('wave', {
  forward: (context, x, w) => {
    calls++;
    context.saved = [x, w];
    return map(x, (v, i) => Math.sin(v * w.data[i]));
  },
  backward: ({ saved: [x, w] }, g) => [
    map(x, (v, i) => (g?.data[i] ?? 0) * w.data[i] * Math.cos(v * w.data[i])),
    map(x, (v, i) => (g?.data[i] ?? 0) * v * Math.cos(v * w.data[i])),
  ],
});

const deep = (layers: number) => (x: Tensor, w: Tensor) => {
  let y = x;
  for (let i = 0; i < layers; i++) y = wave(y, w);
  return y;
};

const inputs = (n = 5) => [
  randn([n], { seed: 1, dtype: 'f64', requiresGrad: true }),
  randn([n], { seed: 2, dtype: 'f64', requiresGrad: true }),
];
const ones = (n = 5) => tensor(new Float64Array(n).fill(1));

test('results and gradients have the bits of the plain call', () => {
  const [x, w] = inputs();
  const plain = deep(3)(x, w);
  const kept = checkpoint(deep(3), x, w);
  expect(kept.data).toEqual(plain.data);
  const wanted = grad(plain, [x, w], { gradient: ones() });
  const found = grad(kept, [x, w], { gradient: ones() });
  expect(found.map(({ data }) => data)).toEqual(wanted.map(({ data }) => data));
});

test('the inside runs twice, and only once where no gradient is wanted', () => {
  const [x, w] = inputs();
  calls = 0;
  const y = checkpoint(deep(3), x, w);
  expect(calls).toBe(3);
  backward(y, ones());
  expect(calls).toBe(6);
  calls = 0;
  noGrad(() => checkpoint(deep(3), x, w));
  expect(calls).toBe(3);
});

test('checkpoints nest, return lists, and leave out what needs no gradient', () => {
  const [x, w] = inputs();
  const nested = (a: Tensor, b: Tensor) => {
    const first = checkpoint(deep(2), a, b);
    return checkpoint((c, d) => [checkpoint(deep(1), c, d), deep(2)(d, c), c], first, b);
  };
  const result = gradCheck((a, b) => checkpoint(nested, a, b), [x, w]);
  expect(result).toMatchObject({ ok: true, tested: 10 });

  const fixed = w.detach();
  const [dx] = grad(checkpoint(deep(2), x, fixed), [x], { gradient: ones() });
  const [wanted] = grad(deep(2)(x, fixed), [x], { gradient: ones() });
  expect(dx.data).toEqual(wanted.data);
});

test('one output of several may be unused', () => {
  const [x, w] = inputs();
  const [, second] = checkpoint((a, b) => [deep(1)(a, b), deep(2)(a, b)], x, w);
  const [wanted] = grad(deep(2)(x, w), [x], { gradient: ones() });
  expect(grad(second, [x], { gradient: ones() })[0].data).toEqual(wanted.data);
});

test('a function of other results in the backward pass is refused, not differentiated', () => {
  const generator = new Philox(1);
  const x = tensor(new Float64Array(64).fill(1), { requiresGrad: true });
  const drop = (random: () => Philox) => checkpoint((a) => dropout(a, 0.5, random()), x);
  expect(() => sum(drop(() => generator)).backward()).toThrow(
    expect.objectContaining({
      code: 'ERR_OUT_OF_RANGE',
      message: expect.stringContaining('"fn"') as unknown,
    }),
  );
  const y = drop(() => new Philox(2));
  sum(y).backward();
  expect([...(x.grad?.data ?? [])]).toEqual([...y.data]);
});

test('captured tensors whose gradients would be lost are a named error', () => {
  const [x, w] = inputs();
  const error = { code: 'ERR_OUT_OF_RANGE', message: /"inputs" must be all tensors with requiresGrad/ };
  const matching = { ...error, message: expect.stringMatching(error.message) as string };
  const thrown = (fn: () => void): unknown => {
    try {
      fn();
    } catch (caught) {
      return caught;
    }
    return undefined;
  };
  expect(
    thrown(() =>
      backward(
        checkpoint((a) => wave(a, w), x),
        ones(),
      ),
    ),
  ).toMatchObject(matching);
  const inner = wave(w, w);
  expect(
    thrown(() =>
      backward(
        checkpoint((a) => wave(a, inner), x),
        ones(),
      ),
    ),
  ).toMatchObject(matching);
  expect(
    thrown(() =>
      backward(
        checkpoint((a) => wave(a, w.detach()), x),
        ones(),
      ),
    ),
  ).toBeUndefined();
  expect(thrown(() => checkpoint(1 as never, x))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  expect(thrown(() => checkpoint(deep(1), x, 1 as never))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
});

test('memory grows with the root of the depth, or its logarithm, not with the depth', () => {
  const n = 1000;
  const [x, w] = inputs(n);
  /** Arrays of n elements that a pass needs at once: afterwards they all wait in the pool. */
  const peak = (fn: (x: Tensor, w: Tensor) => Tensor): number => {
    limitPool(0);
    limitPool(2 ** 30);
    scope(() => grad(fn(x, w), [x, w], { gradient: ones(n) }) && undefined);
    return pooledBytes() / (8 * n);
  };
  const sections = (depth: number, each: number) => (a: Tensor, b: Tensor) => {
    let y = a;
    for (let i = 0; i < depth; i += each) y = checkpoint(deep(each), y, b);
    return y;
  };
  expect(peak(deep(64))).toBeGreaterThanOrEqual(64);
  expect(peak(sections(64, 8))).toBeLessThanOrEqual(8 + 8 + 8);
  const nested =
    (depth: number) =>
    (a: Tensor, b: Tensor): Tensor =>
      depth === 1 ? wave(a, b) : checkpoint(nested(depth / 2), checkpoint(nested(depth / 2), a, b), b);
  // Two nested halves: so many arrays for each doubling of the depth.
  expect(peak(nested(64))).toBeLessThanOrEqual(6 * 5);
  expect(peak(nested(256))).toBeLessThanOrEqual(8 * 5);
});
