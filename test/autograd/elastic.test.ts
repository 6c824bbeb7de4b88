import { gradCheck, randn, tensor, type Tensor } from '../../lib/autograd/index.js';
import { softDistance, softDtw, softMsm } from '../../lib/autograd/ops/elastic.js';
import { softDistance as lossOf, type SoftLoss } from '../../lib/elastic/index.js';
import { expectThrown } from '../helpers/refused.js';

const series = (shape: number[], seed: number, dtype: 'f32' | 'f64' = 'f64') =>
  randn(shape, { seed, dtype, requiresGrad: true });
const piece = ({ data, shape }: Tensor, k: number) => {
  const size = shape[1] * shape[2];
  return data.slice(k * size, (k + 1) * size);
};

test('values are those of softlane/elastic', () => {
  const [x, y] = [series([3, 2, 5], 1), series([3, 2, 7], 2)];
  const losses = softDtw(x, y, { gamma: 0.5 });
  expect(losses.shape).toEqual([3]);
  for (let k = 0; k < 3; k++)
    expect(losses.data[k]).toBeCloseTo(lossOf(piece(x, k), piece(y, k), { channels: 2, gamma: 0.5 }), 12);
  const [a, b] = [series([6], 3), series([4], 4)];
  const loss = softMsm(a, b, { c: 0.3 });
  expect(loss.shape).toEqual([]);
  expect(loss.item()).toBeCloseTo(lossOf(a.data, b.data, { loss: 'msm', c: 0.3 }), 12);
});

const losses: SoftLoss[] = ['dtw', 'wdtw', 'adtw', 'erp', 'twe', 'msm'];

test.each(losses)('%s has the gradient of its differences', (loss) => {
  const gamma = 0.7;
  for (const divergence of [false, true]) {
    const result = gradCheck(
      (x, y) => softDistance(x, y, { loss, gamma, divergence }),
      [series([2, 3, 5], 1), series([2, 3, 4], 2)],
    );
    expect(result).toMatchObject({ ok: true, tested: 54 });
  }
  expect(gradCheck((x, y) => softDistance(x, y, { loss, gamma }), [series([6], 1), series([5], 2)]).ok).toBe(
    true,
  );
});

test('one series goes against many, on either side', () => {
  const [center, many] = [series([1, 2, 5], 1), series([4, 2, 6], 2)];
  const forth = softDtw(center, many);
  expect(forth.shape).toEqual([4]);
  expect(softDtw(many, center).data).toEqual(forth.data);
  expect(gradCheck((x, y) => softDtw(x, y), [center, many]).ok).toBe(true);
  expect(gradCheck((x, y) => softDtw(y, x), [center, many]).ok).toBe(true);
});

test('float32 is close to float64', () => {
  const [x, y] = [series([3, 2, 20], 1), series([3, 2, 25], 2)];
  const [x32, y32] = [x, y].map(({ data, shape }) =>
    tensor(Float32Array.from(data), { shape, requiresGrad: true }),
  );
  const gradient = tensor(Float64Array.of(1, -2, 0.5));
  const exact = softDtw(x, y);
  const single = softDtw(x32, y32);
  exact.backward(gradient);
  single.backward(tensor(Float32Array.from(gradient.data)));
  expect(single.dtype).toBe('f32');
  for (const [a, b] of [
    [single, exact],
    [x32.grad, x.grad],
    [y32.grad, y.grad],
  ] as [Tensor, Tensor][]) {
    const largest = Math.max(...b.data.map(Math.abs));
    a.data.forEach((value, i) => expect(Math.abs(value - b.data[i]) / largest).toBeLessThan(1e-5));
  }
});

test('bad arguments are refused by name', () => {
  const x = series([2, 3, 4], 1);
  expectThrown(() => softDtw(1 as never, x), 'type', 'x');
  expectThrown(() => softDtw(x, series([2, 3, 4], 1, 'f32')), 'type', 'y');
  expectThrown(() => softDtw(x, series([2, 2, 4], 1)), 'range', 'y');
  expectThrown(() => softDtw(x, series([3, 4], 1)), 'range', 'y');
  expectThrown(() => softDtw(x, series([3, 3, 4], 1)), 'range', 'y');
  expectThrown(() => softDtw(series([], 1), series([], 1)), 'range', 'x');
  expectThrown(() => softDtw(series([2, 3, 0], 1), x), 'range', 'x');
  expectThrown(() => softDtw(x, x, { gamma: 0 }), 'range', 'gamma');
  expectThrown(() => softDtw(x, x, { gamma: -1 }), 'range', 'gamma');
});
