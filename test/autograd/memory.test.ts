import { batchOf, SIZES, tapeStep, type Sizes } from '../../benchmarks/train/model.js';
import * as ag from '../../lib/autograd/index.js';
import { empty, type Tensor } from '../../lib/autograd/index.js';

const small: Sizes = { ...SIZES, width: 16, heads: 2, hidden: 32, vocabulary: 20, batch: 4, length: 32 };

describe('memory', () => {
  beforeEach(() => ag.limitPool(0));
  afterEach(() => ag.limitPool(2 ** 30));

  test('200 steps of training take no more than the first ones', () => {
    ag.limitPool(2 ** 30);
    const step = tapeStep(small);
    const batches = [1, 2, 3].map((seed) => batchOf(small, seed));
    for (let i = 0; i < 5; i++) step(batches[i % 3]);
    const pooled = ag.pooledBytes();
    const { arrayBuffers } = process.memoryUsage();
    let most = 0;
    for (let i = 0; i < 200; i++) {
      step(batches[i % 3]);
      most = Math.max(most, ag.pooledBytes());
    }
    expect(most).toBe(pooled);
    // Small arrays of settings come and go; nothing of the size of an activation does.
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(2 ** 20);
  });

  test('without a scope nothing returns to the pool', () => {
    ag.limitPool(2 ** 30);
    const x = ag.ones([64], { requiresGrad: true });
    const y = ag.mul(x, x);
    expect(ag.pooledBytes()).toBe(0);
    y.release();
    expect(ag.pooledBytes()).toBe(256);
    expect(() => y.data).toThrow(expect.objectContaining({ code: 'ERR_RELEASED' }));
    expect(y.released).toBe(true);
    y.release();
    expect(ag.pooledBytes()).toBe(256);
  });

  test("a caller's array never goes to the pool", () => {
    ag.limitPool(2 ** 30);
    const data = new Float32Array(64).fill(7);
    ag.scope(() => void ag.tensor(data));
    const fresh = empty([64], 'f32');
    expect(fresh.data).not.toBe(data);
    expect(ag.pooledBytes()).toBe(0);
  });

  test('shared memory returns when the last tensor goes', () => {
    ag.limitPool(2 ** 30);
    const x = ag.ones([8, 8]);
    const y = ag.reshape(x, [64]);
    const z = y.detach();
    expect(y.data).toBe(x.data);
    x.release();
    y.release();
    expect(ag.pooledBytes()).toBe(0);
    expect(z.data[63]).toBe(1);
    z.release();
    expect(ag.pooledBytes()).toBe(256);
  });

  test('the bound of the pool holds: lengths not used for longest go first', () => {
    ag.limitPool(4096);
    const [a, b, c] = [256, 512, 257].map((size) => ag.zeros([size]));
    a.release();
    b.release();
    expect(ag.pooledBytes()).toBe(1024 + 2048);
    c.release();
    expect(ag.pooledBytes()).toBe(1024 + 2048 + 1028 <= 4096 ? 4100 : 2048 + 1028);
    for (const bad of [-1, NaN]) expect(() => ag.limitPool(bad)).toThrow('"bytes"');
  });

  test('a scope keeps what it returns, in objects, lists and maps, and what graphs need', () => {
    const w = ag.tensor([3], { requiresGrad: true });
    const inside: Tensor[] = [];
    const { y, list, map } = ag.scope(() => {
      const square = ag.mul(w, w);
      const lost = ag.mul(square, 2);
      inside.push(square, lost);
      return {
        y: ag.exp(square),
        list: [[ag.neg(w)]],
        map: new Map([['a', ag.add(w, 1)]]),
      };
    });
    expect(list[0][0].item()).toBe(-3);
    expect(map.get('a')?.item()).toBe(4);
    expect(inside.map((each) => each.released)).toEqual([false, true]);
    y.backward();
    expect(w.grad?.item()).toBeCloseTo(Math.exp(9) * 6, 1);
  });

  test('nested scopes hand on to the outer one; an error releases all', () => {
    let kept: Tensor | undefined;
    let failed: Tensor | undefined;
    ag.scope(() => {
      kept = ag.scope(() => ag.ones([3]));
      expect(kept.released).toBe(false);
      expect(() =>
        ag.scope(() => {
          failed = ag.ones([2]);
          throw new Error('on purpose');
        }),
      ).toThrow('on purpose');
    });
    expect([kept?.released, failed?.released]).toEqual([true, true]);
    expect(() => ag.scope(async () => Promise.resolve(1))).toThrow('"fn" must be');
  });

  test('gradients of leaves outlive the scope of the backward pass', () => {
    const w = ag.tensor([1, 2], { requiresGrad: true });
    for (const expected of [
      [2, 4],
      [4, 8],
    ]) {
      ag.scope(() => ag.sum(ag.square(w)).backward());
      expect([...(w.grad?.data ?? [])]).toEqual(expected);
    }
    ag.zeroGrad([w]);
    expect(w.grad).toBeUndefined();
  });

  test('buffers that an op saved return with the backward pass, or at once where none may follow', () => {
    ag.limitPool(2 ** 30);
    const x = ag.ones([16, 16], { requiresGrad: true });
    const y = ag.layerNorm(x);
    const total = ag.sum(y);
    expect(ag.pooledBytes()).toBe(0);
    total.backward();
    // The gradients of the sum and of y, of 4 and 1024 bytes, and the 128 bytes of means and deviations.
    expect(ag.pooledBytes()).toBe(4 + 1024 + 128);
    ag.noGrad(() => ag.layerNorm(x));
    expect(ag.pooledBytes()).toBe(4 + 128);
  });
});
