import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clipGradNorm, clipGradValue } from '../../lib/autograd/clip.js';
import { kaiming, normal, uniform, xavier } from '../../lib/autograd/initialize.js';
import { adamW, sgd } from '../../lib/autograd/optim.js';
import { assignParameters, countElements, subset, under } from '../../lib/autograd/parameters.js';
import {
  loadOptimizer,
  loadParameters,
  saveOptimizer,
  saveParameters,
} from '../../lib/autograd/state-file.js';
import { tensor, type Tensor } from '../../lib/autograd/tensor.js';
import { openSafetensors, writeSafetensors } from '../../lib/io/index.js';
import { Philox } from '../../lib/random.js';
import { expectRejected, expectThrown } from '../helpers/refused.js';

const moments = ({ data, size }: Tensor) => {
  const mean = (data as Float64Array).reduce((a, b) => a + b, 0) / size;
  const variance = (data as Float64Array).reduce((a, b) => a + (b - mean) ** 2, 0) / size;
  return { mean, variance };
};

describe('initialisers', () => {
  test('have the moments and the range that they state', () => {
    const shape = [100, 50, 4];
    const o = { seed: 3, dtype: 'f64' as const };
    const cases: [Tensor, number, number, number][] = [
      [uniform(shape, { ...o, low: -1, high: 3 }), 1, 16 / 12, 2],
      [normal(shape, { ...o, mean: 2, deviation: 0.5 }), 2, 0.25, Infinity],
      [xavier(shape, o), 0, 2 / 600, Math.sqrt(6 / 600)],
      [xavier(shape, { ...o, gain: 3, distribution: 'normal' }), 0, 18 / 600, Infinity],
      [kaiming(shape, o), 0, 2 / 200, Math.sqrt(6 / 200)],
      [kaiming(shape, { ...o, mode: 'out', gain: 1, distribution: 'normal' }), 0, 1 / 400, Infinity],
    ];
    for (const [x, mean, variance, reach] of cases) {
      const found = moments(x);
      // 20000 numbers: five standard errors of the mean and of the variance.
      expect(Math.abs(found.mean - mean)).toBeLessThan(5 * Math.sqrt(variance / 20000));
      expect(Math.abs(found.variance / variance - 1)).toBeLessThan(5 * Math.sqrt(2 / 20000));
      expect((x.data as Float64Array).every((each) => Math.abs(each - mean) <= reach)).toBe(true);
      expect(x.requiresGrad).toBe(true);
      expect(x.shape).toEqual(shape);
    }
  });

  test('give the bits of their seed, and draw on from a generator', () => {
    const one = xavier([5, 3], { seed: 1 });
    expect(xavier([5, 3], { seed: 1 }).data).toEqual(one.data);
    expect(xavier([5, 3], { seed: 2 }).data).not.toEqual(one.data);
    const generator = new Philox(1);
    expect(xavier([5, 3], { generator }).data).toEqual(one.data);
    expect(xavier([5, 3], { generator }).data).not.toEqual(one.data);
    expect(one.dtype).toBe('f32');
    expect(normal([2], { seed: 1, requiresGrad: false }).requiresGrad).toBe(false);
  });

  test('refuse bad arguments by name', () => {
    expectThrown(() => uniform([2], { seed: 1, low: 2 }), 'range', 'high');
    expectThrown(() => normal([2], { seed: 1, deviation: -1 }), 'range', 'deviation');
    expectThrown(() => normal([2], {}), 'type', 'options');
    expectThrown(() => normal([-2], { seed: 1 }), 'range', 'shape[0]');
    expectThrown(() => xavier([2], { seed: 1 }), 'range', 'shape');
    expectThrown(() => xavier([2, 2], { seed: 1, gain: 0 }), 'range', 'gain');
    expectThrown(() => kaiming([2, 0], { seed: 1 }), 'range', 'shape');
    expectThrown(() => kaiming([2, 2], { seed: 1, mode: 'fan' as never }), 'range', 'mode');
  });
});

describe('named parameters', () => {
  const a = tensor([1, 2], { requiresGrad: true });
  const b = tensor([[3, 4, 5]], { requiresGrad: true });

  test('subset and under are each other backwards', () => {
    const params = { 'one.a': a, 'one.two.b': b, 'onetwo.c': a };
    expect(subset(params, 'one')).toEqual({ a, 'two.b': b });
    expect(subset(params, 'one').a).toBe(a);
    expect(under('one', subset(params, 'one'))).toEqual({ 'one.a': a, 'one.two.b': b });
    expect(countElements(params)).toBe(5);
    expectThrown(() => subset(params, 1 as never), 'type', 'prefix');
    expectThrown(() => subset({ a: 1 as never }, 'a'), 'type', 'params.a');
  });

  test('values are assigned all or not at all', () => {
    const target = { a: tensor([0, 0]), b: tensor([[0, 0, 0]]) };
    expectThrown(() => assignParameters(target, { a, b: a }), 'range', 'source.b');
    expectThrown(() => assignParameters(target, { a }), 'range', 'source');
    expectThrown(() => assignParameters(target, { a, b, c: a }), 'range', 'source');
    expect([...target.a.data]).toEqual([0, 0]);
    assignParameters(target, { a, b });
    expect([...target.a.data, ...target.b.data]).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('clipping', () => {
  const withGrads = () => {
    const list = [tensor([0, 0], { requiresGrad: true }), tensor(0, { dtype: 'f64', requiresGrad: true })];
    list[0].grad = tensor([3, -4]);
    list[1].grad = tensor(12, { dtype: 'f64' });
    return [...list, tensor([1], { requiresGrad: true })];
  };
  const grads = (list: Tensor[]) => list.flatMap(({ grad }) => (grad ? [...grad.data] : []));

  test('by norm scales all together', () => {
    const list = withGrads();
    expect(clipGradNorm(list, 20)).toBe(13);
    expect(grads(list)).toEqual([3, -4, 12]);
    expect(clipGradNorm(list, 6.5)).toBe(13);
    expect(grads(list)).toEqual([1.5, -2, 6]);
  });

  test('by norm leaves what is not finite', () => {
    for (const bad of [NaN, Infinity]) {
      const list = withGrads();
      (list[1].grad as Tensor).data[0] = bad;
      expect(clipGradNorm(list, 1)).toBe(bad);
      expect(grads(list)).toEqual([3, -4, bad]);
    }
  });

  test('by value', () => {
    const list = withGrads();
    clipGradValue({ a: list[0], b: list[1] }, 3.5);
    expect(grads(list)).toEqual([3, -3.5, 3.5]);
    expectThrown(() => clipGradValue(list, 0), 'range', 'most');
    expectThrown(() => clipGradNorm(list, NaN), 'range', 'most');
    expectThrown(() => clipGradNorm([1 as never], 1), 'type', 'params[0]');
  });
});

describe('files', () => {
  let folder: string;
  beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'softlane-autograd-'))));
  afterAll(async () => rm(folder, { recursive: true }));

  test('parameters come back with bits, shapes and types', async () => {
    const file = join(folder, 'params.safetensors');
    const params = {
      'layer.0.weight': normal([3, 5], { seed: 1 }),
      scale: normal([], { seed: 2, dtype: 'f64' }),
      none: tensor(new Float32Array(0)),
    };
    await saveParameters(file, params, { metadata: { epoch: '3' } });
    const back = await loadParameters(file);
    expect(Object.keys(back).sort()).toEqual(Object.keys(params).sort());
    for (const [name, { data, shape, dtype }] of Object.entries(params)) {
      expect(back[name].data).toEqual(data);
      expect(back[name]).toMatchObject({ shape, dtype, requiresGrad: true });
    }
    const opened = await openSafetensors(file);
    expect(opened.metadata.epoch).toBe('3');
    await opened.close();
    const doubles = await loadParameters(file, { dtype: 'f64', requiresGrad: false });
    expect(doubles['layer.0.weight'].data).toEqual(Float64Array.from(params['layer.0.weight'].data));
    expect(doubles.scale.requiresGrad).toBe(false);
  });

  test('two-byte floats become float32', async () => {
    const file = join(folder, 'half.safetensors');
    await writeSafetensors(file, {
      half: { dtype: 'F16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) },
      brain: { dtype: 'BF16', shape: [1, 1], data: Uint16Array.of(0x4040) },
    });
    const { half, brain } = await loadParameters(file);
    expect(half.data).toEqual(Float32Array.of(1, -2));
    expect(brain.data).toEqual(Float32Array.of(3));
    expect(brain.shape).toEqual([1, 1]);
  });

  test('the state of an optimizer comes back', async () => {
    const file = join(folder, 'optimizer.safetensors');
    const make = () => ({ a: normal([3], { seed: 1 }), b: normal([2, 2], { seed: 2, dtype: 'f64' }) });
    const params = make();
    const optimizer = adamW(params, { learningRate: 0.3 });
    params.a.grad = tensor([1, 2, 3]);
    params.b.grad = tensor(Float64Array.of(1, 2, 3, 4), { shape: [2, 2] });
    optimizer.step();
    optimizer.learningRate = 1 / 3;
    await saveOptimizer(file, optimizer, { metadata: { note: 'x' } });
    const other = adamW(make());
    await loadOptimizer(file, other);
    expect(other.state()).toEqual(optimizer.state());
    await expectRejected(() => loadOptimizer(file, sgd(make())), 'range', 'state.kind');
    await expectRejected(() => loadOptimizer(file, adamW({ a: params.a })), 'range', 'state');
  });

  test('what is no such file is a named error', async () => {
    const file = join(folder, 'other.safetensors');
    const a = normal([3], { seed: 1 });
    await saveParameters(file, { a });
    const refusal = { name: 'CheckpointError', code: 'ERR_BAD_CHECKPOINT' };
    await expect(loadOptimizer(file, adamW({ a }))).rejects.toMatchObject(refusal);
    await saveParameters(file, { a }, { metadata: { 'softlane.optimizer': 'null' } });
    await expect(loadOptimizer(file, adamW({ a }))).rejects.toMatchObject(refusal);
    await writeFile(file, 'no header');
    await expect(loadParameters(file)).rejects.toMatchObject(refusal);
    await expect(loadParameters(join(folder, 'absent.safetensors'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await expectRejected(() => saveParameters(file, { a: 1 as never }), 'type', 'params.a');
  });
});
