import * as ag from '../../lib/autograd/index.js';
import { expectThrown } from '../helpers/refused.js';

const x = ag.ones([2, 3]);
const wide = ag.ones([2, 3], { dtype: 'f64' });

/** Ops whose shapes do not agree: the message names both. */
const mismatches: Record<string, [() => unknown, string, string]> = {
  add: [() => ag.add(x, ag.ones([4])), '[2, 3]', '[4]'],
  div: [() => ag.div(ag.ones([2, 2, 3]), ag.ones([3, 3])), '[2, 2, 3]', '[3, 3]'],
  where: [() => ag.where(ag.ones([5]), x, 1), '[5]', '[2, 3]'],
  broadcastTo: [() => ag.broadcastTo(x, [3, 3]), '[2, 3]', '[3, 3]'],
  'broadcastTo smaller': [() => ag.broadcastTo(x, [1, 3]), '[2, 3]', '[1, 3]'],
  matmul: [() => ag.matmul(x, x), '[2, 3]', '[2, 3]'],
  'matmul transposed': [
    () => ag.matmul(x, ag.ones([3, 4]), { transposeB: true }),
    '[2, 3]',
    '[3, 4] transposed',
  ],
  'matmul batches': [() => ag.matmul(ag.ones([2, 2, 3]), ag.ones([3, 3, 2])), '[2]', '[3]'],
  'matmul axes': [() => ag.matmul(x, ag.ones([3])), '[2, 3]', '[3]'],
  linear: [() => ag.linear(x, ag.ones([4, 2])), '[2, 3]', '[4, 2]'],
  'linear bias': [() => ag.linear(x, ag.ones([4, 3]), ag.ones([3])), '[4]', '[3]'],
  reshape: [() => ag.reshape(x, [4, 2]), '[2, 3]', '[4, 2]'],
  'reshape -1': [() => ag.reshape(x, [4, -1]), '[2, 3]', '[4, -1]'],
  concat: [() => ag.concat([x, ag.ones([2, 4])]), '[2, 3]', '[2, 4]'],
  layerNorm: [() => ag.layerNorm(x, ag.ones([2])), '[2, 3]', '[2]'],
  rmsNorm: [() => ag.rmsNorm(x, ag.ones([4])), '[2, 3]', '[4]'],
  scatterAdd: [() => ag.scatterAdd(x, 0, Int32Array.of(0), x), '[1, 3]', '[2, 3]'],
  attention: [
    () => ag.scaledDotProductAttention(ag.ones([1, 1, 2, 3]), ag.ones([1, 1, 2, 4]), ag.ones([1, 1, 2, 3])),
    '[1, 1, 2, 3]',
    '[1, 1, 2, 4]',
  ],
  packedAttention: [() => ag.packedAttention(ag.ones([1, 2, 8]), 2), '2 heads', '[1, 2, 8]'],
  gradient: [() => ag.backward(ag.mul(ag.ones([2], { requiresGrad: true }), 1), x), '[2]', '[2, 3]'],
};

/** What is wrong in kind or range: the argument is named. */
const refused: Record<string, [() => unknown, 'type' | 'range', string]> = {
  'no tensor': [() => ag.exp(3 as never), 'type', 'x of exp'],
  'two numbers': [() => ag.div(1, 2), 'type', 'b of div'],
  'types mixed': [() => ag.add(x, wide), 'type', 'b of add'],
  'types mixed in a layer': [() => ag.linear(x, ag.ones([4, 3], { dtype: 'f64' })), 'type', 'weight'],
  'axis too large': [() => ag.sum(x, 2), 'range', 'axis'],
  'axis no number': [() => ag.sum(x, ['a' as never]), 'type', 'axis'],
  'axis no integer': [() => ag.softmax(x, { axis: 0.5 }), 'range', 'axis'],
  'causal along another axis': [() => ag.softmax(x, { axis: 0, causal: true }), 'range', 'axis'],
  'extremes of nothing': [() => ag.max(ag.ones([2, 0]), 1), 'range', 'x of max'],
  permutation: [() => ag.transpose(x, [0, 0]), 'range', 'permutation'],
  'one axis to transpose': [() => ag.transpose(ag.ones([3])), 'range', 'x of transpose'],
  'slice backwards': [() => ag.slice(x, 1, 2, 1), 'range', 'end'],
  'slice outside': [() => ag.slice(x, 1, 4), 'range', 'start'],
  'split unevenly': [() => ag.split(x, 2, 1), 'range', 'parts'],
  'concat nothing': [() => ag.concat([]), 'type', 'list'],
  'stack shapes': [() => ag.stack([x, ag.ones([3, 2])]), 'range', 'list'],
  'index too large': [() => ag.gather(x, 1, Int32Array.of(3)), 'range', 'indices'],
  'index negative': [() => ag.embedding(x, Int32Array.of(-1)), 'range', 'indices'],
  'indices as floats': [() => ag.embedding(x, new Float32Array(1) as never), 'type', 'indices'],
  'index shape': [() => ag.embedding(x, Int32Array.of(0, 1), [3]), 'range', 'indexShape'],
  'k too large': [() => ag.topK(x, 4), 'range', 'k'],
  'class too large': [() => ag.oneHot(Int32Array.of(2), 2), 'range', 'indices[0]'],
  'targets count': [() => ag.crossEntropy(x, Int32Array.of(0)), 'range', 'targets'],
  'target too large': [() => ag.crossEntropy(x, Int32Array.of(0, 3)), 'range', 'targets'],
  smoothing: [
    () => ag.crossEntropy(x, Int32Array.of(0, 1), { labelSmoothing: 1 }),
    'range',
    'labelSmoothing',
  ],
  reduction: [
    () => ag.crossEntropy(x, Int32Array.of(0, 1), { reduction: 'no' as never }),
    'range',
    'reduction',
  ],
  'bounds crossed': [() => ag.clamp(x, 1, 0), 'range', 'high'],
  exponent: [() => ag.pow(x, Infinity), 'range', 'exponent'],
  'form of gelu': [() => ag.gelu(x, 'fast' as never), 'range', 'form'],
  'dropout all': [() => ag.dropout(x, 1, { seed: 1 }), 'range', 'p'],
  'random without a seed': [() => ag.randn([2], {}), 'type', 'options'],
  'negative size': [() => ag.zeros([-1]), 'range', 'shape[0]'],
  'no shape': [() => ag.zeros(3 as never), 'type', 'shape'],
  'value no number': [() => ag.full([1], '1' as never), 'type', 'value'],
  'ragged lists': [() => ag.tensor([[1, 2], [3]]), 'range', 'data'],
  'lists of words': [() => ag.tensor(['a'] as never), 'type', 'data'],
  'data of another type': [() => ag.tensor(new Float32Array(2), { dtype: 'f64' }), 'range', 'dtype'],
  'data of another size': [() => ag.tensor(new Float32Array(2), { shape: [3] }), 'range', 'shape'],
  'integers as data': [() => ag.tensor(new Int32Array(2) as never), 'type', 'data'],
  'item of many': [() => x.item(), 'range', 'tensor'],
  'gradient missing': [
    () => ag.backward(ag.mul(ag.ones([2], { requiresGrad: true }), 1)),
    'range',
    'gradient',
  ],
  'requiresGrad of a result': [
    () => void (ag.mul(ag.ones([1], { requiresGrad: true }), 1).requiresGrad = false),
    'range',
    'requiresGrad',
  ],
  threads: [() => ag.setThreads(0), 'range', 'count'],
  heads: [() => ag.packedAttention(ag.ones([1, 2, 6]), 0), 'range', 'heads'],
};

describe('errors', () => {
  test.each(Object.entries(mismatches))('shapes of %s', (_, [call, first, second]) => {
    expect(call).toThrow(RangeError);
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
    expect(call).toThrow(first);
    expect(call).toThrow(second);
  });

  test.each(Object.entries(refused))('%s', (_, [call, kind, name]) => {
    expectThrown(call, kind, name);
  });

  test('an op without a gradient is named, and only when its gradient is asked for', () => {
    const step = ag.customOp('step', { forward: (_, t) => ag.sign(t) });
    const w = ag.tensor([2, -3], { requiresGrad: true });
    const y = ag.sum(step(w));
    expect(y.item()).toBe(0);
    expect(() => y.backward()).toThrow(
      expect.objectContaining({
        code: 'ERR_NO_GRADIENT',
        message: expect.stringContaining("'step'") as unknown,
      }),
    );
    expect(ag.noGrad(() => ag.sum(step(w))).requiresGrad).toBe(false);
  });

  test('outputs without history, and gradients of gradients', () => {
    const w = ag.tensor([2], { requiresGrad: true });
    const code = (name: string): unknown => expect.objectContaining({ name: 'TapeError', code: name });
    expect(() => ag.mul(x, 2).backward(x)).toThrow(code('ERR_NO_GRAPH') as Error);
    expect(() => ag.grad(ag.mul(w, 2), [ag.ones([1])])).toThrow(code('ERR_NO_GRAPH') as Error);
    expect(() => ag.grad(ag.square(w), [w], { createGraph: true })).toThrow(
      code('ERR_HIGHER_ORDER') as Error,
    );
    const [slope] = ag.grad(ag.square(w), [w]);
    expect(() => slope.backward()).toThrow(code('ERR_NO_GRAPH') as Error);
    expect([...ag.grad(ag.mul(w, 2), [x], { allowUnused: true })[0].data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('retainGraph allows a second pass', () => {
    const w = ag.tensor([3], { requiresGrad: true });
    const y = ag.square(w);
    ag.backward(y, undefined, { retainGraph: true });
    y.backward();
    expect(w.grad?.item()).toBe(12);
    expect(() => y.backward()).toThrow(expect.objectContaining({ code: 'ERR_GRAPH_RELEASED' }));
  });

  test('a gradient of another shape is an error that names the op', () => {
    const odd = ag.customOp('odd', { forward: (_, t) => ag.mul(t, 1), backward: () => [ag.ones([5])] });
    const w = ag.tensor([1, 2], { requiresGrad: true });
    expect(() => ag.sum(odd(w)).backward()).toThrow('gradient 0 of odd');
  });
});
